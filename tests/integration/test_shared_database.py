"""A team's PostgreSQL database holds what a file holds, for many processes at once; its password is shown nowhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import StoreError
from harness.judging.results import Status
from harness.safe.records import dump
from harness.store import Store, Training
from tests.integration.conftest import Make
from tests.support.postgres import PASSWORD, Server
from tests.support.projects import CLEAN
from tests.unit.store.test_database import COMPLETION, result

Capture = pytest.CaptureFixture[str]
SOUND = {"sea": CLEAN, "hill": CLEAN, "calm": CLEAN}


@pytest.fixture
def name(postgres: Server) -> str:
    """An empty database."""
    return postgres.new_database()


@pytest.fixture
def address(postgres: Server, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address; the password is in the environment."""
    monkeypatch.setenv("HARNESS_DATABASE_PASSWORD", PASSWORD)
    return postgres.address(name)


def test_what_was_recorded_reads_back_equal(address: str) -> None:
    """Runs, results in order, answers, prompts and trainings, by one handle and by the next."""
    training = Training(id="t", started="1", finished=None, status="started", run="r", adapter="v4.1", facts={"a": 1})
    with Store(address) as store:
        run = store.begin_run(2, {"adapters": ["v4.0"]})
        store.save_result(run.id, 1, result("badcase1/b"))
        store.save_results(run.id, [(0, result("badcase1/a")), (1, result("badcase1/b", status=Status.FAIL))])
        store.finish_run(run.id, "finished", {"complete": True})
        store.save_generation("k", {"model": "m"}, COMPLETION, 0.5)
        store.save_prompt_ids("p", [1, 2])
        store.save_training(training)
        store.save_training(training)
    with Store(address) as store:
        assert store.run("last").id == store.run(run.id[:15]).id == run.id
        whole = (result("badcase1/a"), result("badcase1/b", status=Status.FAIL))
        assert store.results("last") == tuple(store.iter_results("last")) == whole
        assert store.latest_results("v4.0", {"badcase1/a"}) == whole[:1]
        assert store.counts([run.id]) == {run.id: {"v4.0": {"PASS": 1, "FAIL": 1}}}
        assert store.generation("k") == store.generations([("k", None), ("x", None)])["k", None] == COMPLETION
        assert (store.prompt_ids("p"), store.trainings()) == ((1, 2), (training,))


READS: dict[str, Callable[[Store], object]] = {
    "run": lambda store: store.run("last"),
    "results": lambda store: store.results("last"),
    "trainings": lambda store: store.trainings(),
}


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("UPDATE results SET status = 'SKIP'", "results"),
        ("DELETE FROM results", "results"),
        ("UPDATE runs SET planned = 7", "run"),
        ("UPDATE runs SET kind = 'probe'", "run"),
        ("DELETE FROM results; DELETE FROM runs", "run"),
        ("UPDATE trainings SET adapter = 'v9'", "trainings"),
    ],
    ids=["result", "deleted result", "run", "kind", "deleted run", "training"],
)
def test_a_changed_row_is_found(address: str, postgres: Server, name: str, change: str, read: str) -> None:
    """Seals hold on every database."""
    with Store(address) as store:
        run = store.begin_run(1, {"adapters": ["v4.0"]})
        store.save_result(run.id, 0, result())
        store.finish_run(run.id, "finished")
        store.save_training(
            Training(id="t", started="1", finished=None, status="started", run="r", adapter="v4.1", facts={})
        )
        postgres.execute(change, name)
        with pytest.raises(StoreError, match="was changed or deleted since it was written"):
            READS[read](store)


WRITER = """
import sys
from dataclasses import replace
from harness.engines.base import Completion
from harness.judging.results import CaseResult
from harness.safe.records import load
from harness.store import Store
where, me, answer, value = sys.argv[1:]
answer, value = load(Completion, answer), load(CaseResult, value)
results = [(n, replace(value, case=replace(value.case, id=f"badcase1/{n}"))) for n in range(30)]
with Store(where) as store:
    run = store.begin_run(30, {"adapters": ["v4.0"], "writer": me})
    for n in range(10):
        store.save_generation(f"{me}-{n}", {}, answer)
        store.save_generation("the same", {}, answer)
        store.save_result(run.id, *results[n])
    store.save_results(run.id, results[10:])
    store.runs()
    store.finish_run(run.id, "finished")
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_sixteen_processes_lose_nothing(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They make the database together, and each finds it whole while the others write."""
    where = str(tmp_path / "harness.sqlite") if kind == "sqlite" else request.getfixturevalue("address")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, where, str(n), dump(COMPLETION), dump(result())],
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(16)
    ]
    errors = [writer.communicate(timeout=300)[1] for writer in writers]
    assert "".join(errors) == ""
    assert [w.returncode for w in writers] == [0] * 16
    with Store(where) as store:
        runs = store.runs(finished=True)
        assert sorted(int(run.facts["writer"]) for run in runs) == list(range(16))
        assert {len(store.results(run.id)) for run in runs} == {30}
        keys = [f"{me}-{n}" for me in range(16) for n in range(10)]
        assert len(store.generations((key, None) for key in keys)) == 160


def test_a_newer_database_is_refused(address: str, postgres: Server, name: str) -> None:
    """A newer harness's data is not written over."""
    Store(address).close()
    postgres.execute("UPDATE harness_version SET version_num = '0099'", name)
    with pytest.raises(StoreError, match="is of version 99"):
        Store(address)


def test_tables_of_another_program_stay(address: str, postgres: Server, name: str) -> None:
    """A table of the same name is not taken over, and nothing is made beside it."""
    postgres.execute("CREATE TABLE runs (mine INTEGER)", name)
    with pytest.raises(StoreError, match=r"cannot be opened.*runs.*already exists"):
        Store(address)
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", name) == [(1,)]


@pytest.fixture
def team(project: Make, monkeypatch: pytest.MonkeyPatch, postgres: Server, name: str) -> Path:
    """A project that records into the database."""
    monkeypatch.setenv("HARNESS_DATABASE_PASSWORD", PASSWORD)
    root = project(script=SOUND, settings=f'database = "{postgres.address(name)}"')
    monkeypatch.chdir(root)
    return root


def test_a_suite_is_recorded_and_judged_there(team: Path, pytester: pytest.Pytester, capsys: Capture) -> None:
    """The commands work as with a file, and no file is made."""
    assert pytester.runpytest("badcases").ret == 0
    assert main(["gate"]) == 0
    assert main(["report"]) == 0
    capsys.readouterr()
    assert main(["history", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["gate"], row["pass"]) == ("passed", 3)
    assert not (team / "reports" / "harness.sqlite").exists()


def test_a_server_that_is_not_there_is_found_before_the_engine_starts(
    team: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The harness broke: 3, one line with the remedy, and no answer was asked for."""
    monkeypatch.setenv("HARNESS_DATABASE", f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/none")
    monkeypatch.setenv("HARNESS_ENGINE", "scripted:there-is-no-such-script.json")
    done = pytester.runpytest("badcases")
    assert done.ret == 3
    done.stdout.fnmatch_lines(["*the database cannot be reached*correct database in *tool.harness*"])
    capsys.readouterr()
    assert main(["gate"]) == 3
    said = capsys.readouterr()
    assert "cannot be reached" in said.err
    assert PASSWORD not in f"{done.stdout}{done.stderr}{said.out}{said.err}"


def test_the_password_may_stand_in_the_address_of_the_environment(
    team: Path, postgres: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI systems hold such an address as one secret; nothing that is written has the password."""
    monkeypatch.delenv("HARNESS_DATABASE_PASSWORD")
    monkeypatch.setenv("HARNESS_DATABASE", postgres.address(name, PASSWORD))
    assert main(["history"]) == 0
    monkeypatch.setenv("HARNESS_DATABASE", postgres.address(name, "another-password"))
    assert main(["history"]) == 3


def test_a_password_in_a_file_is_refused(team: Path, postgres: Server, name: str, capsys: Capture) -> None:
    """The file is committed, and everyone reads it."""
    path = team / "pyproject.toml"
    path.write_text(path.read_text().replace(postgres.address(name), postgres.address(name, PASSWORD)))
    assert main(["history"]) == 2
    said = capsys.readouterr().err
    assert "database has a password" in said
    assert "HARNESS_DATABASE_PASSWORD" in said
    assert PASSWORD not in said


def test_the_doctor_names_the_database_and_whether_it_is_reached(
    team: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """A server that is not there is what is missing, with the remedy."""

    def finding() -> dict[str, object]:
        capsys.readouterr()
        main(["doctor", "--json"])
        return next(f for f in json.loads(capsys.readouterr().out)["findings"] if f["what"] == "run database")

    assert finding()["good"] is True
    monkeypatch.setenv("HARNESS_DATABASE", "postgresql+psycopg://me@127.0.0.1:9/none")
    found = finding()
    assert found["good"] is False
    assert "cannot be reached" in str(found["text"])
    assert "HARNESS_DATABASE_PASSWORD" in str(found["remedy"])
    monkeypatch.setenv("HARNESS_DATABASE", "")
    assert "made by the first run" in str(finding()["text"])
