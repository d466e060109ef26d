"""The GitHub action and the GitLab template: their own scripts, run on a clean checkout with a committed baseline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from tests.integration.conftest import Make
from tests.support.forge import Forge, running_forge
from tests.support.projects import CLEAN

ROOT = Path(__file__).parents[2]
Pipeline = Callable[..., "subprocess.CompletedProcess[str]"]


def _action() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "ci" / "github" / "action.yml").read_text("utf-8")))


def _script(system: str) -> str:
    if system == "github":
        return str(_action()["runs"]["steps"][0]["run"])
    template = yaml.safe_load((ROOT / "ci" / "gitlab" / "harness.yml").read_text("utf-8"))
    return "\n".join(template[".badcases"]["script"])


@pytest.fixture
def forge() -> Iterator[Forge]:
    with running_forge() as server:
        yield server


@pytest.fixture(params=["github", "gitlab"])
def pipeline(request: pytest.FixtureRequest, forge: Forge, tmp_path: Path) -> Pipeline:
    """Run a system's script in a project, as a job for a request would."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, module in (("pytest", "pytest"), ("harness", "harness")):
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        path.chmod(0o755)

    def run(folder: Path, arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail"] if request.param == "github" else ["sh", "-e"]
        variables = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT),
            "BADCASES_PATH": "badcases", "BADCASES_ARGUMENTS": arguments, "BADCASES_COMMENT": "true",
            "BADCASES_NAME": "badcases", "GITHUB_STEP_SUMMARY": str(tmp_path / "job.md"),
            **getattr(forge, request.param), **changes,
        }  # fmt: skip
        return subprocess.run([*shell, "-c", _script(request.param)], cwd=folder, env=variables, capture_output=True,
                              text=True, check=False, timeout=120)  # fmt: skip

    return run


@pytest.fixture
def checkout(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A clean checkout: no run database, and a committed baseline of v3.9."""

    def make(**fields: Any) -> Path:
        root = project(**fields)
        monkeypatch.chdir(root)
        pytester.runpytest("badcases", "--adapter", "v3.9")
        assert main(["baseline", "write", "v3.9"]) == 0
        shutil.rmtree(root / "reports")
        return root

    return make


BASELINE = "--baseline baselines/v3.9.json --max-regressions 0"


def test_a_clean_checkout_is_green_and_has_one_comment(
    checkout: Callable[..., Path], pipeline: Pipeline, forge: Forge
) -> None:
    """Twice, so the comment is created and then updated."""
    root = checkout(script={"Write": CLEAN})
    for words in ("comment created on team/models", "comment updated on team/models"):
        done = pipeline(root, BASELINE)
        assert done.returncode == 0, done.stdout + done.stderr
        assert words in done.stdout
    (comment,) = forge.comments
    assert "Gate: passed" in comment["body"]
    assert "3 still passing" in comment["body"]
    assert forge.token not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("script", "arguments", "code"),
    [
        (None, "--adapter v4.0", 1),
        ({"Write": {"failure": "broken"}}, "--adapter v4.0", 3),
        ({"Write": CLEAN}, "-k 'hill and not sea'", 3),
        ({"Write": CLEAN}, "--no-such-option", 4),
        ({"Write": CLEAN}, "--adapter 'v4.0;touch$IFS''owned' `touch owned` $(touch owned)", 4),
    ],
    ids=["failing", "engine", "part", "usage", "injection"],
)
def test_the_exit_code_is_the_suites_own(
    project: Make, pipeline: Pipeline, script: dict[str, object] | None, arguments: str, code: int
) -> None:
    """A pipeline tells a failing model from a broken machine; words of the arguments are words."""
    root = project(script=script)
    done = pipeline(root, arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert not (root / "owned").exists()


@pytest.mark.parametrize("token", ["", "x" * 9], ids=["no-token", "wrong-token"])
def test_a_comment_that_cannot_be_written_changes_no_verdict(
    project: Make, pipeline: Pipeline, forge: Forge, token: str
) -> None:
    """A line says so."""
    root = project(script={"Write": CLEAN})
    done = pipeline(root, "--adapter v4.0", GITHUB_TOKEN=token, GITLAB_TOKEN=token)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no comment: " in done.stdout or "the comment was not written" in done.stdout
    assert forge.comments == []


def test_the_action_gives_its_inputs_as_variables_only() -> None:
    """An input that stood in the script itself would be run as a part of it."""
    action = _action()
    step = action["runs"]["steps"][0]
    assert "${{" not in step["run"]
    assert set(action["inputs"]) == {"path", "arguments", "shard", "comment", "name", "token"}
    assert all(f"inputs.{name}" in " ".join(step["env"].values()) for name in action["inputs"])


def test_the_comment_is_one_line_of_json_on_request(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, forge: Forge,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """For a pipeline of one's own; any text can be the comment's."""
    monkeypatch.chdir(project(script={"Write": CLEAN}))
    pytester.runpytest("badcases")
    for name, value in forge.github.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert main(["comment", "--json"]) == 0
    assert '"comment": "created"' in capsys.readouterr().out
    (pytester.path / "own.md").write_text("own words")
    assert main(["comment", "last", "--file", "own.md"]) == 0
    assert forge.comments[0]["body"].endswith("own words")


def test_without_a_run_the_comment_is_a_usage_error(project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the file and the command that writes it."""
    monkeypatch.chdir(project())
    assert main(["comment"]) == 2


def test_parts_are_joined_by_a_job_of_their_own(
    project: Make, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each job runs a part and keeps its database; a red gate is the join's, and no part's."""
    root = project(script={"Write": CLEAN})
    for number in ("1", "2"):
        done = pipeline(
            root, "--adapter v4.0", BADCASES_SHARD=f"{number}/2", CI_NODE_INDEX=number, CI_NODE_TOTAL="2",
            GITHUB_RUN_ID="7", CI_PIPELINE_ID="7",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"part {number} of 2 of run" in done.stdout
        shutil.copy(root / "reports" / "harness.sqlite", root / f"part-{number}.sqlite")
        shutil.rmtree(root / "reports")
    monkeypatch.chdir(root)
    assert main(["merge", "part-1.sqlite", "part-2.sqlite"]) == 0
    assert main(["merge", "part-1.sqlite"]) == 3
