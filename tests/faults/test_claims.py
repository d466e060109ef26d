"""Two trainings never become one version, and none of them finds it out at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.fix.names import claimed
from harness.models.adapters.folder import check
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from tests.faults.conftest import Make
from tests.support.adapters import lora

HOLD = """
import sys, time
from pathlib import Path
from harness.fix.names import claimed
from harness.project.settings import read_settings
with claimed(read_settings(Path(sys.argv[1])), "v4.1"):
    print("held", flush=True)
    time.sleep(60)
"""


def versions(root: Path) -> list[str]:
    return list(read_manifest(root / "adapters_manifest.toml").adapters)


def test_a_second_fix_takes_the_next_name(failing: Make) -> None:
    """It trained to the end and then found the name taken."""
    root = failing()
    with claimed(read_settings(root), "v4.1"):
        main(["fix", "--failed"])
    assert versions(root) == ["v4.0", "v3.9", "v4.2"]


def test_a_name_that_is_being_trained_is_refused_at_the_start(
    failing: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before candidates are drawn."""
    root = failing()
    with claimed(read_settings(root), "v4.1"):
        capsys.readouterr()
        assert main(["fix", "--failed", "--as", "v4.1"]) == 2
    done = capsys.readouterr()
    assert "another training of that name is under way" in done.err
    assert "drawing candidates" not in done.out


def test_the_claim_of_a_killed_owner_is_free(failing: Make) -> None:
    """A kill leaves a lock file, and nobody holds it."""
    root = failing()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert main(["fix", "--failed", "--as", "v4.1"]) == 2
        os.kill(owner.pid, signal.SIGKILL)
    assert main(["fix", "--failed", "--as", "v4.1"]) == 0
    assert list((root / "reports" / "trainings").glob(".*")) == []


def test_a_folder_that_no_version_names_is_not_deleted(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be a user's, or that of a training on another machine."""
    root = failing()
    mine = lora(root / "adapters" / "v4.1", fill=3.0)
    digest = check(mine).digest
    capsys.readouterr()
    assert main(["fix", "--failed", "--as", "v4.1"]) == 2
    assert "no version names it; register it with harness adapters add" in capsys.readouterr().err
    main(["fix", "--failed"])
    assert versions(root) == ["v4.0", "v3.9", "v4.2"]
    assert check(mine).digest == digest
