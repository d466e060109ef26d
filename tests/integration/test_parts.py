"""Several machines make one run: its parts find each other in a database, or their files are joined."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness.cli import main
from harness.store import Store
from harness.store.seal import seal
from tests.integration.conftest import Make
from tests.support.postgres import PASSWORD, Server
from tests.support.projects import CLEAN, LOOP, record

Capture = pytest.CaptureFixture[str]
NAMES = ("sea", "hill", "calm", "moon", "wood", "lake", "rain", "snow")
SOUND = dict.fromkeys(NAMES, CLEAN)


@pytest.fixture
def root(project: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of eight cases, all of which pass."""
    for variable in ("GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_TAG", "HARNESS_RUN_GROUP"):
        monkeypatch.delenv(variable, raising=False)
    root = project(cases=[record(name) for name in NAMES], script=SOUND)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def team(root: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project with a common database, in a pipeline."""
    monkeypatch.setenv("HARNESS_DATABASE_PASSWORD", PASSWORD)
    monkeypatch.setenv("HARNESS_DATABASE", postgres.address(postgres.new_database()))
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    return root


def fail(root: Path, name: str) -> None:
    """Let the model loop on a case from now on."""
    (root / "script.json").write_text(json.dumps({**SOUND, name: LOOP}))


# -- one database ------------------------------------------------------------------------------------------------------


def test_the_last_part_judges_the_whole(team: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """Each job of a matrix was judged alone, as a part; now they are one run."""
    first = pytester.runpytest("badcases", "--shard", "1/2")
    assert first.ret == 0
    first.stdout.fnmatch_lines(["part 1 of 2 of run * is recorded; the last part judges the gate (*complete: 2)"])
    assert main(["gate"]) == 3
    assert "of 2 parts, these are not complete: 2" in capsys.readouterr().out
    last = pytester.runpytest("badcases", "--shard", "2/2")
    assert last.ret == 0
    last.stdout.fnmatch_lines(["gate: passed*", "run *, report: *"])
    assert main(["gate"]) == 0
    assert main(["merge", "--group", "github-77"]) == 0
    capsys.readouterr()
    assert main(["history", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["results"], row["of"], row["status"], row["gate"]) == (8, 8, "finished", "passed")


def test_a_failing_case_of_another_part_decides(team: Path, pytester: pytest.Pytester) -> None:
    """The last job's own cases pass, and the whole is red all the same."""
    fail(team, "sea")
    codes = {}
    for part in ("1/2", "2/2"):
        done = pytester.runpytest("badcases", "--shard", part)
        codes[part] = (done.ret, "badcase1/sea" in done.stdout.str())
    assert all(code == 1 for code, has_sea in codes.values() if has_sea)
    assert codes["2/2"][0] == 1


@pytest.mark.parametrize(
    "change",
    [("--max-repetition", "0.5"), ("--adapter", "v3.9"), ("--shard", "2/3")],
    ids=["limits", "adapter", "parts"],
)
def test_a_part_with_other_settings_is_refused_before_it_generates(
    team: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, change: tuple[str, str]
) -> None:
    """Results that do not belong together are no run."""
    assert pytester.runpytest("badcases", "--shard", "1/2").ret == 0
    done = pytester.runpytest("badcases", "--shard", "2/2", "--no-cache", *change)
    assert done.ret == 3
    done.stdout.fnmatch_lines(["*run group 'github-77' was begun with other *"])


def test_a_part_that_runs_again_takes_its_place(team: Path, pytester: pytest.Pytester) -> None:
    """A pipeline runs a failed job again; the other parts stay, and the whole is judged again."""
    assert pytester.runpytest("badcases", "--shard", "2/2").ret == 0
    assert main(["gate"]) == 3
    assert pytester.runpytest("badcases", "--shard", "1/2").ret == 0
    assert main(["gate"]) == 0
    assert pytester.runpytest("badcases", "--shard", "2/2", "--no-cache").ret == 0
    assert main(["gate"]) == 0


def test_a_part_of_a_part_is_not_complete(team: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """-k in one job would leave a hole that no job has."""
    collected = pytester.runpytest("badcases", "--shard", "1/2", "--collect-only", "-q").stdout.str()
    name = next(n for n in NAMES if n in collected)
    done = pytester.runpytest("badcases", "--shard", "1/2", "-k", name)
    assert done.ret == 3
    done.stdout.fnmatch_lines(["no verdict: part 1 of 2 of run * is not complete: 1 of 4 results*"])
    assert main(["merge", "--group", "github-77"]) == 3
    assert "of 2 parts, these are not complete: 1, 2" in capsys.readouterr().out


def test_an_unknown_group_is_an_error(team: Path, capsys: Capture) -> None:
    """No job of it came so far."""
    assert main(["merge", "--group", "nope"]) == 3
    assert "no part of a run group 'nope'" in capsys.readouterr().err


def test_a_group_without_a_part_is_a_usage_error(root: Path, pytester: pytest.Pytester) -> None:
    """It would name nothing."""
    done = pytester.runpytest("badcases", "--run-group", "x")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*--run-group names the run of several parts; give --shard*"])


def test_parts_are_balanced_by_the_cost_of_an_earlier_run(team: Path, pytester: pytest.Pytester) -> None:
    """The long answer is in a part of its own; all parts read the same run's costs, whatever was recorded since."""
    (team / "script.json").write_text(json.dumps({**SOUND, "sea": CLEAN * 40}))
    pytester.runpytest("badcases")
    pytester.runpytest("badcases", "--shard", "1/2")
    with Store(os.environ["HARNESS_DATABASE"]) as store:
        (costs,) = [run.id for run in store.runs(finished=True)]
        run = store.run_of_group("github-77")
        assert run is not None
        assert sorted(run.part_sizes) == [1, 7]
    pytester.runpytest("badcases")
    with Store(os.environ["HARNESS_DATABASE"]) as store:
        assert store.costs_run("github-77", lambda: "a later run") == costs


# -- files -------------------------------------------------------------------------------------------------------------

Parts = Callable[..., list[Path]]


@pytest.fixture
def parts(root: Path, pytester: pytest.Pytester) -> Parts:
    """Make the parts of a run, each with a database of its own as on a machine of its own; returns the files."""

    def make(*numbers: int, of: int = 2, words: tuple[str, ...] = ()) -> list[Path]:
        files = []
        for number in numbers or range(1, of + 1):
            pytester.runpytest("badcases", "--shard", f"{number}/{of}", *words)
            file = root / f"part-{number}-of-{of}.sqlite"
            shutil.move(root / "reports" / "harness.sqlite", file)
            shutil.rmtree(root / "reports")
            files.append(file)
        return files

    return make


def merge(*files: Path, words: tuple[str, ...] = ()) -> int:
    return main(["merge", *map(str, files), *words])


def test_files_of_parts_become_one_run(root: Path, parts: Parts, capsys: Capture) -> None:
    """Each job uploads its database, and one job joins them and judges; the results stand in the suite's order."""
    files = parts(of=3)
    before = [file.read_bytes() for file in files]
    assert merge(*files) == 0
    assert "gate" not in capsys.readouterr().err
    with Store(root / "reports" / "harness.sqlite") as store:
        assert [r.case.id for r in store.results("last")] == [f"badcase1/{name}" for name in NAMES]
        run = store.run("last")
        assert (run.status, run.facts["complete"], run.planned) == ("finished", True, 8)
        assert [part["number"] for part in run.facts["part_runs"]] == [1, 2, 3]
    assert (root / "reports" / "latest" / "report.html").is_file()
    assert main(["gate"]) == 0
    assert [file.read_bytes() for file in files] == before


def test_the_whole_is_judged_by_the_limits_of_the_parts_or_of_the_call(root: Path, parts: Parts) -> None:
    """A failing case anywhere makes it red; a limit that allows it makes it green."""
    fail(root, "sea")
    files = parts()
    assert merge(*files) == 1
    assert merge(*files, words=("--max-repeater-rate", "50%")) == 0


def _edit(*statements: str) -> Callable[[list[Path]], list[Path]]:
    def edit(files: list[Path]) -> list[Path]:
        with closing(sqlite3.connect(files[0], isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        return files

    return edit


def _of_an_older_harness(files: list[Path]) -> list[Path]:
    return _edit("PRAGMA user_version=2")(files)


def _noise(files: list[Path]) -> list[Path]:
    files[0].write_bytes(b"not a database at all, but long enough to look at")
    return files


def _other_facts(files: list[Path]) -> list[Path]:
    """Sealed as the harness seals: the form of the facts is checked as well."""
    with closing(sqlite3.connect(files[0], isolation_level=None)) as connection:
        row = connection.execute("SELECT id, started, finished, status, planned, facts, results FROM runs").fetchone()
        facts = json.dumps({**json.loads(row[5]), "parts": {"sizes": ["a"], "plan": 7}})
        values = (*row[:5], facts, row[6])
        connection.execute("UPDATE runs SET facts = ?, seal = ?", (facts, seal(*values)))
    return files


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (lambda files: files[:1], 3, "parts 2 are missing"),
        (lambda files: [*files, files[0]], 2, "part 1 is in"),
        (_edit("DELETE FROM results WHERE position = (SELECT min(position) FROM results)"), 3, "changed or deleted"),
        (_edit("UPDATE results SET status = 'FAIL'"), 3, "changed or deleted"),
        (_edit("DELETE FROM parts"), 3, "parts 1 are missing"),
        (_edit("CREATE VIEW x AS SELECT 1"), 3, "views or triggers"),
        (_other_facts, 3, "does not say what parts say"),
        (_of_an_older_harness, 3, "older harness"),
        (_noise, 3, "restore it or move it away"),
        (lambda files: [files[0], Path("/dev/zero")], 3, "not a regular file"),
        (lambda files: [files[0], Path("missing.sqlite")], 3, "missing.sqlite"),
    ],
    ids=["gap", "twice", "deleted", "edited", "no part", "view", "facts", "old", "noise", "device", "no file"],
)  # fmt: skip
def test_what_is_not_the_whole_is_refused(
    root: Path, parts: Parts, capsys: Capture, spoil: Callable[[list[Path]], list[Path]], code: int, says: str
) -> None:
    """The files come from other machines: nothing is recorded, and one line says why."""
    files = spoil(parts())
    capsys.readouterr()
    assert merge(*files) == code
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    with Store(root / "reports" / "harness.sqlite") as store:
        assert store.runs() == ()


@pytest.mark.parametrize("words", [("--max-repetition", "0.5"), ("--adapter", "v3.9")], ids=["limits", "adapter"])
def test_parts_with_other_settings_are_refused(parts: Parts, capsys: Capture, words: tuple[str, ...]) -> None:
    """Mixed settings are no run."""
    files = [*parts(1), *parts(2, words=words)]
    assert merge(*files) == 2
    assert "was made with other" in capsys.readouterr().err


def test_parts_of_other_splits_are_refused(root: Path, parts: Parts, capsys: Capture) -> None:
    """One machine had another record of costs, so cases would be missing or double."""
    (first,) = parts(1)
    shutil.copytree(root / "badcases" / "badcase1", root / "badcases" / "badcase2")
    assert merge(first, *parts(2)) == 2
    assert "is of another plan" in capsys.readouterr().err


def test_runs_of_one_database_are_joined_by_their_ids(root: Path, pytester: pytest.Pytester) -> None:
    """One machine made all parts, one after another."""
    for part in ("1/2", "2/2"):
        assert pytester.runpytest("badcases", "--shard", part).ret == 3
    with Store(root / "reports" / "harness.sqlite") as store:
        runs = [run.id for run in store.runs()]
    assert main(["merge", *runs]) == 0


def test_a_whole_run_is_no_part(root: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """There is nothing to join it with."""
    pytester.runpytest("badcases")
    with Store(root / "reports" / "harness.sqlite") as store:
        run = store.run("last").id
    assert main(["merge", run]) == 2
    assert "is no part of a run" in capsys.readouterr().err


def test_costs_of_a_committed_baseline_balance_parts(root: Path, pytester: pytest.Pytester) -> None:
    """A clean checkout has no other record, and every machine has this one."""
    (root / "script.json").write_text(json.dumps({**SOUND, "sea": CLEAN * 40}))
    pytester.runpytest("badcases")
    assert main(["baseline", "write", "v4.0"]) == 0
    shutil.rmtree(root / "reports")
    done = [
        pytester.runpytest("badcases", "--baseline", "baselines/v4.0.json", "--shard", part, "--collect-only", "-q")
        for part in ("1/2", "2/2")
    ]
    collected = sorted(sum("badcase1/" in line for line in result.outlines) for result in done)
    assert collected == [1, 7]


def test_a_named_group_of_files_waits_for_the_join(root: Path, pytester: pytest.Pytester) -> None:
    """Jobs whose files are joined later are not red for being parts."""
    done = pytester.runpytest("badcases", "--shard", "1/2", "--run-group", "nightly")
    assert done.ret == 0
    assert main(["gate"]) == 3
