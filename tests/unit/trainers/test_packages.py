"""Packages that a recipe needs are looked for before anything is spent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.errors import TrainerMissing
from trainers.optional_packages import check_packages, missing_packages
from trainers.recipe import Recipe


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that has nothing but the standard library and ``tensorboard``."""
    (tmp_path / "tensorboard.py").write_text("", "utf-8")
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} -S "$@"\n', "utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("values", "package"),
    [
        ({"quantization": 4}, "bitsandbytes"),
        ({"report_to": "wandb"}, "wandb"),
        ({"deepspeed": "zero2"}, "deepspeed"),
        ({"liger_kernels": True}, "liger_kernel"),
        ({"attention": "fa2"}, "flash_attn"),
    ],
    ids=["qlora", "wandb", "deepspeed", "liger", "flash attention"],
)
def test_a_missing_package_is_named_with_the_command(python: Path, values: dict[str, object], package: str) -> None:
    """The field that needs it, too."""
    with pytest.raises(TrainerMissing) as error:
        check_packages(Recipe.from_mapping(values), python)
    assert f"needs the package {package}; run: uv pip install --python {python} {package}" in str(error.value)
    assert next(iter(values)) in str(error.value)


def test_what_is_there_is_no_problem(python: Path) -> None:
    """Nor is what nobody asked for, for which no process is started."""
    assert missing_packages(Recipe(report_to="tensorboard"), python) == ()
    assert missing_packages(Recipe(), python / "nowhere") == ()


def test_a_python_that_does_not_run_is_told(tmp_path: Path) -> None:
    """Not taken for one that has everything."""
    with pytest.raises(TrainerMissing, match="harness setup"):
        check_packages(Recipe(report_to="wandb"), tmp_path / "python")
