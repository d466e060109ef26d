"""What was changed or deleted in the run database since it was written is found when it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.judging.results import Status
from harness.store import Store, Training
from harness.store.seal import seal
from tests.unit.store.test_database import COMPLETION, result


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with two finished runs, an answer, a prompt, a digest and a training."""
    path = tmp_path / "harness.sqlite"
    with Store(path) as store:
        for status in (Status.FAIL, Status.PASS):
            run = store.begin_run(2, {"adapters": ["v4.0"]})
            store.save_result(run.id, 0, result("badcase1/a", status=status))
            store.save_result(run.id, 1, result("badcase1/b", status=status))
            store.finish_run(run.id, "finished")
        store.save_generation("k", {}, COMPLETION)
        store.save_prompt_ids("p", [1, 2])
        store.save_training(
            Training(id="t", started="1", finished=None, status="started", run="r", adapter="v4.1", facts={})
        )
    return path


READS: dict[str, Callable[[Store], object]] = {
    "run": lambda store: store.run("last"),
    "runs": lambda store: store.runs(),
    "results": lambda store: store.results("last"),
    "latest results": lambda store: store.latest_results("v4.0"),
    "trainings": lambda store: store.trainings(),
}


@pytest.mark.parametrize(
    ("change", "reads"),
    [
        ("UPDATE results SET result = replace(result, 'FAIL', 'PASS')", ("results",)),
        ("UPDATE results SET status = 'SKIP' WHERE position = 1", ("results", "latest results")),
        ("UPDATE results SET result = '{', seal = ''", ("results", "latest results")),
        ("DELETE FROM results WHERE position = 1", ("results",)),
        ("UPDATE runs SET planned = 1", ("run", "runs", "results")),
        ("UPDATE runs SET facts = '[]'", ("run", "runs")),
        ("UPDATE runs SET started = '2026-01-01T00:00:00+00:00'", ("run", "runs")),
        ("DELETE FROM runs WHERE sequence = 2", ("run", "runs")),
        ("UPDATE trainings SET adapter = 'v9'", ("trainings",)),
    ],
    ids=["verdict", "status", "no json", "a result deleted", "planned", "facts", "time", "newest run", "training"],
)
def test_a_changed_row_is_an_error_that_says_so(path: Path, change: str, reads: tuple[str, ...]) -> None:
    """Somebody edited a verdict, or deleted a failing row; the gate was green."""
    if "replace" in change:
        change = change.replace("'FAIL', 'PASS'", "'\"PASS\"', '\"FAIL\"'")
    execute(path, change)
    with Store(path) as store:
        for name in reads:
            with pytest.raises(StoreError, match="was changed or deleted since it was written"):
                READS[name](store)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE generations SET completion = replace(completion, 'la la', 'ha ha')",
        "UPDATE prompts SET ids = '[1, 3]'",
        "UPDATE prompts SET ids = 'x'",
    ],
    ids=["answer", "prompt", "no json"],
)
def test_a_changed_row_of_a_cache_counts_as_absent(path: Path, change: str) -> None:
    """It is made anew, so nothing has to be repaired."""
    execute(path, change)
    with Store(path) as store:
        assert None in (store.generation("k"), store.prompt_ids("p"))
        store.save_generation("k", {}, COMPLETION)
        store.save_prompt_ids("p", [1, 2])
        assert (store.generation("k"), store.prompt_ids("p")) == (COMPLETION, (1, 2))


def test_the_newest_run_is_the_last_recorded_one(path: Path) -> None:
    """The clock went back an hour, and the gate judged the run before."""
    with Store(path) as store:
        old, new = sorted(store.runs(), key=lambda run: run.started)
        assert store.run("last").id == new.id
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # As if the second run had been recorded while the clock stood at 2001.
        row = connection.execute(
            "SELECT id, started, finished, status, planned, facts, results FROM runs WHERE id = ?", (new.id,)
        ).fetchone()
        early = (row[0], "2001-01-01T00:00:00.000+00:00", *row[2:])
        connection.execute("UPDATE runs SET started = ?, seal = ? WHERE id = ?", (early[1], seal(*early), new.id))
    with Store(path) as store:
        assert [run.id for run in store.runs()] == [new.id, old.id]
        assert {r.verdict.status for r in store.latest_results("v4.0")} == {Status.PASS}


def test_a_deleted_old_run_is_no_error(path: Path) -> None:
    """People may delete old runs to save space."""
    execute(path, "DELETE FROM results WHERE run IN (SELECT id FROM runs WHERE sequence = 1)",
            "DELETE FROM runs WHERE sequence = 1")  # fmt: skip
    with Store(path) as store:
        assert len(store.runs()) == 1
        assert len(store.results("last")) == 2
