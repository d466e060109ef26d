"""Projects in which users met the faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tests.support.preload  # noqa: F401
from tests.support.projects import CLEAN, LOOP, make_project

Make = Callable[..., Path]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make a project in the test's own folder, and go there."""

    def make(**fields: Any) -> Path:
        root = make_project(pytester.path, **fields)
        monkeypatch.chdir(root)
        return root

    return make


@pytest.fixture
def failing(project: Make, pytester: pytest.Pytester) -> Make:
    """A project with a recorded run, one of whose cases loops on v4.0 and not on v4.1."""

    def make(**fields: Any) -> Path:
        fields.setdefault("script", {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": CLEAN})
        root = project(**{"settings": 'trainer = "scripted"', **fields})
        pytester.runpytest("badcases", "--adapter", "v4.0")
        return root

    return make
