"""``harness doctor`` is red for what a project needs and has not, and for nothing else."""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.util import find_spec

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.adapters import lora
from tests.support.vllm_server import FakeServer

Capture = pytest.CaptureFixture[str]


def examine(capsys: Capture) -> tuple[int, dict[str, dict[str, object]]]:
    """Exit code, and the findings by what was looked at."""
    capsys.readouterr()
    code = main(["doctor", "--json"])
    return code, {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}


def test_a_team_that_only_evaluates_is_green(project: Make, capsys: Capture) -> None:
    """It was red because LLaMA-Factory was not installed."""
    project()
    code, findings = examine(capsys)
    assert findings[".venv-trainer"]["needed"] is False
    assert code == 0


def test_the_trainer_is_needed_where_something_was_trained(project: Make, capsys: Capture) -> None:
    """A project that fixes needs it."""
    root = project()
    (root / "reports" / "trainings" / "v4.1-run").mkdir(parents=True)
    code, findings = examine(capsys)
    assert findings[".venv-trainer"]["needed"] is True
    assert code == 3


@pytest.mark.parametrize("kept", [(), ("tokenizer.json",)], ids=["no folder", "no config"])
def test_a_missing_model_is_named(project: Make, capsys: Capture, kept: tuple[str, ...]) -> None:
    """It said ok, and the run broke."""
    root = project()
    for path in (root / "model").iterdir():
        if path.name not in kept:
            path.unlink()
    if not kept:
        (root / "model").rmdir()
    code, findings = examine(capsys)
    assert code == 3
    assert findings["model tiny"]["good"] is False
    assert str(root / "model") in str(findings["model tiny"]["text"])


def test_missing_weights_are_named(project: Make, capsys: Capture) -> None:
    """Red for the project's own version, a note for any other."""
    root = project()
    folder = lora(root / "weights")
    main(["adapters", "add", "v4.2", str(folder)])
    for path in folder.iterdir():
        path.unlink()
    code, findings = examine(capsys)
    assert findings["adapter v4.2"]["good"] is False
    assert code == 0
    settings = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(settings.replace('adapter = "v4.0"', 'adapter = "v4.2"'))
    assert examine(capsys)[0] == 3


def test_an_adapter_that_the_manifest_does_not_have_is_named(project: Make, capsys: Capture) -> None:
    """The setting has a typing error."""
    root = project()
    settings = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(settings.replace('adapter = "v4.0"', 'adapter = "v40"'))
    code, findings = examine(capsys)
    assert code == 3
    assert "not in the manifest" in str(findings["adapter v40"]["text"])


def test_every_wrong_part_is_named_at_once(project: Make, capsys: Capture) -> None:
    """The first problem hid the others."""
    root = project()
    (root / "badcases" / "badcase1" / "test.json").write_text("[")
    (root / "adapters_manifest.toml").write_text("[")
    _, findings = examine(capsys)
    assert findings["bad cases"]["good"] is False
    assert findings["manifest"]["good"] is False


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'badcase-harness[ray]'")
def test_ray_is_named_with_its_version_and_the_engine_inside(
    project: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started for it."""
    root = project()
    monkeypatch.setenv("HARNESS_ENGINE", "ray")
    monkeypatch.setenv("HARNESS_RAY_ENGINE", f"scripted:{root / 'script.json'}")
    _, findings = examine(capsys)
    assert findings["engine"]["text"] == f"ray {version('ray')}, scripted inside"


def test_a_server_that_answers_is_named_with_its_version(
    project: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not is red, with its address."""
    with FakeServer(version="0.32.0") as server:
        project(settings=f'base_url = "{server.address}"')
        monkeypatch.setenv("HARNESS_ENGINE", "server")
        _, findings = examine(capsys)
        assert findings["engine"]["text"] == "server: vllm 0.32.0"
    _, findings = examine(capsys)
    assert findings["engine"]["good"] is False
    assert "127.0.0.1" in str(findings["engine"]["text"])
