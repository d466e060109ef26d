"""What integration tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tests.support.preload  # noqa: F401
from tests.support.projects import make_project

Make = Callable[..., Path]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Make:
    """Make a project in the test's own folder."""

    def make(**fields: Any) -> Path:
        return make_project(pytester.path, **fields)

    return make
