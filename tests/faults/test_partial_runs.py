"""A part of the suite never passes as the suite, and an old run never as a run of today's project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.project.manifest import read_manifest
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.projects import CLEAN, LOOP, record

SOUND = {"sea": CLEAN, "hill": CLEAN, "calm": CLEAN}
NODE = "badcases/test_badcases.py::test_badcase[badcase1/sea@v4.0]"
PARTS = {
    "-k": ("badcases", "-k", "sea"),
    "-m": ("badcases", "-m", "guard"),
    "--deselect": ("badcases", "--deselect", NODE),
    "--shard": ("badcases", "--shard", "1/2"),
    "node-id": (NODE,),
}


@pytest.mark.parametrize("words", PARTS.values(), ids=PARTS)
def test_a_part_is_red_and_says_so(
    project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """I ran one case while I worked on it, and CI's ``harness gate`` was green."""
    project(script=SOUND)
    done = pytester.runpytest(*words)
    assert done.ret == 3
    done.stdout.re_match_lines([r"gate: not judgeable: partial: [12] of 3 cases .*--allow-partial"])
    assert main(["gate"]) == 3
    assert "partial:" in capsys.readouterr().out


def test_last_failed_is_a_part(project: Make, pytester: pytest.Pytester) -> None:
    """--lf runs what failed last time, which is not the suite."""
    root = project()
    assert pytester.runpytest("badcases").ret == 1
    (root / "script.json").write_text(json.dumps(SOUND))
    done = pytester.runpytest("badcases", "--lf")
    done.assert_outcomes(passed=1)
    assert done.ret == 3
    done.stdout.fnmatch_lines(["*partial: 1 of 3 cases*"])


def test_a_part_is_judged_where_it_is_asked_for(project: Make, pytester: pytest.Pytester) -> None:
    """Each call says so by itself: the permission of one run is none for a later gate."""
    project(script=SOUND)
    assert pytester.runpytest("badcases", "-k", "sea", "--allow-partial").ret == 0
    assert main(["gate"]) == 3
    assert main(["gate", "--allow-partial"]) == 0


def test_the_whole_suite_is_no_part(project: Make, pytester: pytest.Pytester) -> None:
    """A skipped case counts as run: it says itself why it is not."""
    project(cases=[record("sea"), record("hill", skip="no longer asked")], script=SOUND)
    assert pytester.runpytest("badcases").ret == 0
    assert main(["gate"]) == 0


@pytest.mark.parametrize("words", [("-k", "sea"), ("--lf",)], ids=["-k", "--lf"])
def test_a_fix_of_a_part_is_judged_on_the_whole_suite(
    failing: Make, pytester: pytest.Pytester, words: tuple[str, ...]
) -> None:
    """The run was of one case, and its fix was blessed although it broke a guard that had never been run."""
    root = failing(script={"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": LOOP}})
    pytester.runpytest("badcases", *words)
    assert main(["fix", "--failed"]) == 1
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "candidate"
    with Store(root / "reports" / "harness.sqlite") as store:
        judged = {(r.case.id, r.adapter): r.verdict.status.value for r in store.results("last")}
    assert judged["badcase1/calm", "v4.0"] == "PASS"
    assert judged["badcase1/calm", "v4.1"] == "FAIL"


def test_a_fix_of_a_part_that_breaks_nothing_is_blessed(failing: Make, pytester: pytest.Pytester) -> None:
    """People run what they work on; the fix runs the rest."""
    root = failing()
    pytester.runpytest("badcases", "-k", "sea")
    assert main(["fix", "--failed"]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "blessed"
    assert main(["gate"]) == 0


def test_a_fix_counts_what_has_changed_since_the_run(failing: Make) -> None:
    """A guard that was added after the run is run on both versions."""
    root = failing(script={"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": CLEAN, "moon": CLEAN})
    add_case(root)
    assert main(["fix", "--failed"]) == 0
    with Store(root / "reports" / "harness.sqlite") as store:
        assert {r.adapter for r in store.results("last") if r.case.id == "badcase1/moon"} == {"v4.0", "v4.1"}


def test_a_hidden_folder_is_told(project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cases were out of the suite, and nobody was told."""
    root = project(script=SOUND)
    (root / "badcases" / ".badcase2").mkdir()
    (root / "badcases" / ".badcase2" / "test.json").write_text(json.dumps([record("moon")]))
    (root / "badcases" / ".idea").mkdir()
    done = pytester.runpytest("badcases")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["not read, since a dot begins their name: .badcase2"])
    capsys.readouterr()
    assert main(["gate"]) == 0
    assert "not read, since a dot begins its name: .badcase2" in capsys.readouterr().out


def edit_case(root: Path) -> None:
    (root / "badcases" / "badcase1" / "test.json").write_text(
        json.dumps([record("sea"), record("hill"), record("calm")])
    )


def add_case(root: Path) -> None:
    path = root / "badcases" / "badcase1" / "test.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), record("moon")]))


def tighten(root: Path) -> None:
    path = root / "pyproject.toml"
    path.write_text(
        path.read_text().replace("[tool.pytest", "[tool.harness.thresholds]\nmin_similarity = 0.9\n[tool.pytest")
    )


def change_adapter(root: Path) -> None:
    path = root / "adapters_manifest.toml"
    path.write_text(path.read_text().replace('path = "model"', 'path = "model"\nrevision = "2"'))


@pytest.mark.parametrize("change", [edit_case, add_case, tighten, change_adapter], ids=lambda f: f.__name__)
def test_the_gate_refuses_a_run_of_another_project_state(
    project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], change: Make
) -> None:
    """My cases changed after the last run, and the gate judged the old ones."""
    root = project(script=SOUND)
    assert pytester.runpytest("badcases").ret == 0
    capsys.readouterr()
    assert main(["gate"]) == 0
    assert " old" in capsys.readouterr().out
    change(root)
    assert main(["gate"]) == 3
    assert "changed since; run the suite again" in capsys.readouterr().out
