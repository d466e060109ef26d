"""The revision of the project's files that a run was made with: the commit of the git work tree around it.

Cases and settings belong under version control, so a commit says what was tested better than a date does. Not
supported: other version control systems, and a revision of the model's own folder, whose digest is recorded anyway.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_revision"]

_PATIENCE = 10.0


def git_revision(folder: Path) -> str | None:
    """The commit at ``folder``, with ``-dirty`` where tracked files have changed; None outside a git work tree."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    revision = done.stdout.strip()
    return revision if done.returncode == 0 and revision else None
