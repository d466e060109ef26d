"""Hand-made sentences and code for the benchmark, written for this repository; read by :func:`sentences` and
:func:`snippets`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["sentences", "snippets"]


@cache
def sentences(language: str) -> tuple[str, ...]:
    """The bank of one language, ``en`` or ``zh``."""
    return tuple((Path(__file__).parent / f"{language}.txt").read_text("utf-8").splitlines())


@cache
def snippets() -> tuple[str, ...]:
    """Short programs in several languages."""
    return tuple((Path(__file__).parent / "code.txt").read_text("utf-8").split("%%\n"))
