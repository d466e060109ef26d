"""A Modelfile beside an exported model, for ollama, made by LLaMA-Factory out of one of its templates.

ollama cannot read a model's Jinja template, so its prompt comes from LLaMA-Factory's table and may differ from the
tests' prompt. Where it does for a plain question, a note says so; no case was tested with that prompt.
"""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path

from harness.errors import TrainerError, UsageError
from harness.safe.files import write_text
from trainers.job import ENTRY

__all__ = ["write_modelfile"]


def write_modelfile(model: Path, template: str, python: Path) -> str:
    """Write ``Modelfile`` into the folder of a complete model; returns what a person should know, or nothing.

    Raises:
        UsageError: LLaMA-Factory has no template of that name.
        TrainerError: LLaMA-Factory did not make one.
    """
    command = [str(python), str(ENTRY), "modelfile", str(model), template]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = run.stdout.strip().splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        reason = (run.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise TrainerError(f"{model}: no Modelfile was written: {reason}; the model itself is complete") from error
    if "unknown" in result:
        near = difflib.get_close_matches(template, result["known"], n=3) or result["known"][:8]
        raise UsageError(
            f"template = {template!r}: LLaMA-Factory has no such template (near: {', '.join(near)}); the model itself "
            f"is complete in {model}"
        )
    write_text(model / "Modelfile", result["text"])
    if result["sides"] is None:
        return ""
    return (
        f"ollama's prompt differs from the tests': the model's own template renders {result['sides'][0]!r}, "
        f"LLaMA-Factory's {template!r} renders {result['sides'][1]!r}"
    )
