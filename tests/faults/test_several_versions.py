"""``harness compare`` takes base, SFT and DPO at once, with rates by tag, as people's tables have them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from tests.faults.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

Capture = pytest.CaptureFixture[str]
CASES = [record("sea", tags=["overreach"]), record("hill", tags=["overreach", "safety"]), record("calm")]


@pytest.fixture
def three(project: Make, pytester: pytest.Pytester) -> Path:
    """Runs of three versions, each of which fails other cases."""
    root = project(cases=CASES)
    manifest = root / "adapters_manifest.toml"
    manifest.write_text(manifest.read_text() + '\n[adapters."v4.5"]\nmodel = "tiny"\n')
    for version, bad in (("v3.9", ("sea", "hill")), ("v4.0", ("sea",)), ("v4.5", ("calm",))):
        script = {name: LOOP if name in bad else CLEAN for name in ("sea", "hill", "calm")}
        (root / "script.json").write_text(json.dumps(script))
        pytester.runpytest("badcases", "--adapter", version)
    return root


def test_three_versions_are_one_table(three: Path, capsys: Capture) -> None:
    """Two commands and an Excel sheet did this."""
    capsys.readouterr()
    assert main(["compare", "v3.9", "v4.0", "v4.5"]) == 1
    lines = capsys.readouterr().out.splitlines()
    tags = {line.split()[0]: line.split()[1:] for line in lines if line.startswith(("overreach", "safety", "all "))}
    assert tags["overreach"] == ["2", "100.0%", "50.0%", "0.0%"]
    assert tags["safety"] == ["1", "100.0%", "0.0%", "0.0%"]
    assert "v3.9 -> v4.0: 1 fixed, 0 broken" in lines
    assert "v4.0 -> v4.5: 1 fixed, 1 broken" in lines
    assert "broken: badcase1/calm" in lines


def test_as_data_too(three: Path, capsys: Capture) -> None:
    """Every step, and every version's figures by group."""
    capsys.readouterr()
    assert main(["compare", "v3.9", "v4.0", "v4.5", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert list(data["steps"]) == ["v3.9 -> v4.0", "v4.0 -> v4.5"]
    assert set(data["figures"]["v4.5"]) >= {"all", "tag:overreach", "folder:badcase1"}


def test_one_version_is_a_usage_error(three: Path, capsys: Capture) -> None:
    """There is nothing to compare it with."""
    assert main(["compare", "v4.0"]) == 2
    assert "name two versions or more" in capsys.readouterr().err


def test_a_case_that_changed_between_the_runs_is_not_compared(
    three: Path, capsys: Capture, pytester: pytest.Pytester
) -> None:
    """Its two results are of two tests."""
    path = three / "badcases" / "badcase1" / "test.json"
    path.write_text(json.dumps([{**CASES[0], "text": "Write a line about the sea."}, *CASES[1:]]))
    pytester.runpytest("badcases", "--adapter", "v4.5")
    capsys.readouterr()
    main(["compare", "v3.9", "v4.5"])
    assert "badcase1/sea" not in capsys.readouterr().out
