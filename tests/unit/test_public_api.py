"""The names that users rely on keep their place."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

import harness

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
NAMES = re.findall(r"^\| `((?:harness|trainers)\.[\w.]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_name_can_be_imported(name: str) -> None:
    """The page on the public API lists nothing that is not there."""
    module, _, attribute = name.rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)


def test_the_package_exports_what_the_page_lists() -> None:
    """Nothing public in ``harness`` itself is missing from the page."""
    listed = {name.removeprefix("harness.") for name in NAMES if name.count(".") == 1}
    assert set(harness.__all__) == {*listed, "__version__"}


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    """Lazy imports must not hide a typing error."""
    with pytest.raises(AttributeError, match="no attribute 'BadCases'"):
        _ = harness.BadCases


def test_the_version_stands_in_one_place() -> None:
    """The installed package and the source agree."""
    assert version("badcase-harness") == harness.__version__


def test_the_pytest_entry_point_names_a_plugin() -> None:
    """pytest finds the plugin under the name ``harness``."""
    (entry,) = (e for e in entry_points(group="pytest11") if e.name == "harness")
    assert hasattr(entry.load(), "pytest_generate_tests")


def test_the_module_is_the_command() -> None:
    """``python -m harness`` is ``harness``."""
    run = subprocess.run(
        [sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == f"harness {harness.__version__}\n"
