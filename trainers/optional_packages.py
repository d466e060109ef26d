"""Packages that only some recipes need, looked up before data are read and long before a GPU is used.

The trainer's environment holds what every training needs. bitsandbytes, wandb and tensorboard are optional; without
them LLaMA-Factory fails only after the model was loaded. The environment's own Python is asked, because only it knows
where its packages are. Not supported: version checks, since the environment pins versions.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from harness.errors import TrainerMissing
from trainers.recipe import Recipe

__all__ = ["check_packages", "missing_packages"]

_ASK = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


def missing_packages(recipe: Recipe, python: Path) -> tuple[str, ...]:
    """What the recipe needs and the environment of ``python`` lacks, each with the field that needs it.

    Raises:
        TrainerMissing: that Python does not run.
    """
    needed = _needed(recipe)
    if not needed:
        return ()
    try:
        run = subprocess.run([str(python), "-c", _ASK, *needed], capture_output=True, text=True, check=True)
        absent = json.loads(run.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise TrainerMissing(f"{python} does not run: {error}; run: harness setup") from error
    return tuple(f"{needed[name]} needs the package {name}" for name in absent)


def check_packages(recipe: Recipe, python: Path) -> None:
    """Refuse a recipe for which a package is missing.

    Raises:
        TrainerMissing: which ones, and the command that installs them.
    """
    absent = missing_packages(recipe, python)
    if absent:
        names = " ".join(text.rpartition(" ")[2] for text in absent)
        raise TrainerMissing(f"{'; '.join(absent)}; run: uv pip install --python {python} {names}")


def _needed(recipe: Recipe) -> dict[str, str]:
    """Package to the field that needs it."""
    needed = {}
    if recipe.quantization is not None:
        needed["bitsandbytes"] = f"quantization = {recipe.quantization}"
    if recipe.report_to != "none":
        needed[recipe.report_to] = f"report_to = {recipe.report_to!r}"
    if recipe.liger_kernels:
        needed["liger_kernel"] = "liger_kernels = true"
    if recipe.attention == "fa2":
        needed["flash_attn"] = "attention = 'fa2'"
    if recipe.uses_deepspeed:
        needed["deepspeed"] = f"deepspeed = {recipe.deepspeed!r}"
    return needed
