"""A project's suite: all cases of its folder ``badcases``, read under the project's settings."""

from __future__ import annotations

from pathlib import Path

from harness.cases import Case, read_suite
from harness.project.settings import Settings

__all__ = ["project_cases"]


def project_cases(settings: Settings, folder: Path | None = None) -> tuple[Case, ...]:
    """The cases of the case folders directly under ``folder``, by default of the whole suite.

    Raises:
        CaseFileError: names every problem by file, record and field.
    """
    return read_suite(
        folder or settings.badcases,
        decoding=settings.decoding,
        thresholds=settings.thresholds,
        system=settings.system or None,
    )
