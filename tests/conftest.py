"""What tests of every kind share."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Folder of the real embedded model, converted on first need."""
    from harness.embedded import embedded_model as convert

    return convert("smollm2-135m-instruct")
