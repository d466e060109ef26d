"""Runs datatrove on texts, in an environment of its own: its dependencies are not the harness's."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["run_datatrove"]

PACKAGES = ("datatrove==0.10.1", "nltk", "spacy", "jieba", "regex", "tldextract")


def run_datatrove(mode: str, material: Sequence[Any]) -> Any:
    """What gopher.py prints for ``material``; why it could not run, as a string.

    Args:
        mode: ``time`` or ``judge``, see gopher.py.
        material: what it reads.
    """
    uv = str(Path(sys.executable).with_name("uv"))
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv" / "bin" / "python"
        (Path(folder) / "texts.json").write_text(json.dumps(material))
        commands = (
            [uv, "venv", "-q", "--python", sys.executable, str(python.parents[1])],
            [uv, "pip", "install", "-q", "--python", str(python), *PACKAGES],
            [str(python), str(Path(__file__).with_name("gopher.py")), mode, f"{folder}/texts.json"],
        )
        try:
            for command in commands:
                done = subprocess.run(command, check=True, capture_output=True, timeout=600)
        except subprocess.CalledProcessError as error:
            return f"datatrove could not be installed or run: {error}; {error.stderr.decode()[-800:]}"
        except (OSError, subprocess.SubprocessError) as error:
            return f"datatrove could not be installed or run: {error}"
    return json.loads(done.stdout)
