"""The store keeps what it was given, says how runs ended, and reads back equal values."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Message
from harness.engines.base import Completion
from harness.errors import StoreError
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.metrics.types import Loop, Scores
from harness.safe.records import dump, load
from harness.store import Store, Training

COMPLETION = Completion(
    request_id=0,
    text="la la la",
    token_ids=(5, 6, 2),
    finish_reason="stop",
    logprob=-1.5,
    score=-0.5,
    alternatives=((5, 2),),
    seconds=0.25,
)

NOT_FINITE = Attempt(
    sample=0, answer="", finish_reason="stop", scores=Scores({"x": float("nan")}), verdict=Verdict(Status.FAIL)
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "reports" / "harness.sqlite")


def result(case_id: str = "badcase1/a", adapter: str = "v4.0", status: Status = Status.PASS) -> CaseResult:
    case = Case(
        id=case_id,
        folder="badcase1",
        messages=(Message("user", "sing"),),
        standard_answer="la",
        decoding=Decoding(early_stopping="never"),
    )
    scores = Scores({"rep8": 0.5, "repetition": 0.5}, (Loop(start=0, end=8, period=3, copies=2.7),))
    verdict = Verdict(status, (Reason(rule="loop", text="it loops", value=0.5, limit=0.15, repetition=True),))
    return CaseResult(
        case,
        adapter,
        (
            Attempt(
                sample=0,
                answer="la la la",
                finish_reason="stop",
                scores=scores,
                verdict=verdict,
                generation="key",
                tokens=3,
            ),
        ),
        verdict,
    )


def test_runs_that_begin_in_the_same_second_have_ids_of_their_own(store: Store) -> None:
    """Two thousand in a few seconds draw some of the 65,536 endings twice; those are drawn again."""
    ids = [store.begin_run(1, {}).id for _ in range(2000)]
    assert len(set(ids)) == 2000


def test_a_generation_is_found_by_its_key(store: Store) -> None:
    """What was generated once is there for whoever asks with the same key."""
    store.save_generation("k", {"model": "m"}, COMPLETION)
    assert store.generation("k") == COMPLETION
    assert store.generation("other") is None


@pytest.mark.parametrize(
    ("proven", "asked", "serves"),
    [(0.5, 0.5, True), (0.5, 0.4, True), (0.5, 0.6, False), (0.5, None, False)],
    ids=["same", "weaker", "stronger", "off"],
)
def test_a_cut_answer_serves_only_whom_it_proves_enough(
    store: Store, proven: float, asked: float | None, serves: bool
) -> None:
    """An answer that was cut by proof is none for who asks for a stronger proof, or for the whole text."""
    store.save_generation("k", {}, Completion(request_id=0, text="la", token_ids=(5,), finish_reason="loop"), proven)
    assert (store.generation("k", asked) is not None) is serves


def test_results_read_back_equal(store: Store) -> None:
    """A recorded result is the same value when it is read."""
    run = store.begin_run(2, {"adapters": ["v4.0"]})
    store.save_result(run.id, 1, result("badcase1/b"))
    store.save_result(run.id, 0, result("badcase1/a"))
    assert store.results(run.id) == (result("badcase1/a"), result("badcase1/b"))


def test_a_run_that_never_ended_is_not_finished(store: Store) -> None:
    """A killed run is still 'started', and is not among the finished ones."""
    run = store.begin_run(1, {"adapters": ["v4.0"]})
    assert store.run(run.id).status == "started"
    assert store.runs(finished=True) == ()
    store.finish_run(run.id, "finished", {"seconds": 1.0})
    assert [r.id for r in store.runs(adapter="v4.0", finished=True)] == [run.id]
    assert store.run("last").facts["seconds"] == 1.0


def test_latest_results_come_from_the_newest_finished_run(store: Store) -> None:
    """A baseline is the newest judgement of a case, and never one of an unfinished run."""
    for status, end in ((Status.FAIL, "finished"), (Status.PASS, "finished"), (Status.FAIL, "interrupted")):
        run = store.begin_run(1, {"adapters": ["v4.0"]})
        store.save_result(run.id, 0, result(status=status))
        store.finish_run(run.id, end)  # type: ignore[arg-type]
    assert [r.verdict.status for r in store.latest_results("v4.0")] == [Status.PASS]


def test_unknown_run_is_an_error_that_names_it(store: Store) -> None:
    """Asking for a run that is not there says so."""
    with pytest.raises(StoreError, match="no run has an id that begins with 'nope'"):
        store.run("nope")


def test_trainings_are_kept_by_state(store: Store) -> None:
    """The newest state of a training counts."""
    training = Training(
        id="t1", started="2026-01-01", finished=None, status="started", run="run", adapter="v4.1", facts={"steps": 0}
    )
    store.save_training(training)
    store.save_training(
        Training(
            id="t1",
            started="2026-01-01",
            finished="2026-01-02",
            status="trained",
            run="run",
            adapter="v4.1",
            facts={"steps": 9},
        )
    )
    (found,) = store.trainings("v4.1")
    assert (found.status, found.facts["steps"]) == ("trained", 9)


def test_digest_follows_the_file(store: Store, tmp_path: Path) -> None:
    """A remembered digest is not used for a file that changed."""
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    before = store.digest(path)
    assert store.digest(path) == before
    path.write_bytes(b"other")
    assert store.digest(path) != before


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to look at", b"\x00" * 4096], ids=["text", "zeros"]
)
def test_a_damaged_database_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    """A file that is no database is never overwritten."""
    path = tmp_path / "harness.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="restore it or move it away"):
        Store(path)
    assert path.read_bytes() == content


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    """A newer harness's data is not written over."""
    path = tmp_path / "harness.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        Store(path)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 9))
def test_any_answer_text_survives_the_records(text: str, value: float, sample: int) -> None:
    """Whatever characters a model says, and whatever finite numbers are measured, come back exactly."""
    attempt = Attempt(
        sample=sample, answer=text, finish_reason="length", scores=Scores({"x": value}), verdict=Verdict(Status.FAIL)
    )
    assert load(Attempt, dump(attempt)) == attempt


@pytest.mark.parametrize("text", ["nope", "[]", '{"status": "GREEN"}', '{"sample": "one"}', "null"], ids=str)
def test_a_record_of_another_shape_is_an_error(text: str) -> None:
    """A value of the wrong shape is told where it is read, not later."""
    with pytest.raises(StoreError, match="cannot be read back"):
        load(Attempt, text)


def test_a_result_of_an_older_version_reads_back() -> None:
    """A row that version 0.1 wrote, without the fields that came later, is today's value with their defaults."""
    text = Path(__file__).with_name("result_of_version_0_1.json").read_text("utf-8")
    stored = load(CaseResult, text)
    assert (stored.verdict.status, stored.case.skip, stored.case.xfail) == (Status.FAIL, "", "")
    assert stored.attempts == result(status=Status.FAIL).attempts


def test_results_that_nobody_reads_to_their_end_hold_nothing(tmp_path: Path) -> None:
    """A command that stopped at the first result warned about a closed database when it ended."""
    store = Store(tmp_path / "harness.sqlite")
    run = store.begin_run(2, {"adapters": ["v4.0"]})
    store.save_results(run.id, [(0, result("badcase1/a")), (1, result("badcase1/b"))])
    stream = store.placed_results(run.id)
    assert next(stream)[0] == 0
    store.close()
    del stream


def test_many_results_are_recorded_together_or_not_at_all(store: Store) -> None:
    """An error among them leaves none."""
    run = store.begin_run(2, {"adapters": ["v4.0"]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.save_results(run.id, [(0, result()), (1, replace(result(), attempts=(NOT_FINITE,)))])
    assert store.results(run.id) == ()


def test_a_run_that_was_made_elsewhere_is_recorded_whole(store: Store) -> None:
    """Nothing is left of one whose results end with an error."""

    def broken() -> Iterator[tuple[int, CaseResult]]:
        yield 0, result()
        raise StoreError("the rest is gone")

    with pytest.raises(StoreError, match="the rest is gone"):
        store.record_run(2, {"adapters": ["v4.0"]}, broken())
    assert store.runs() == ()
    run = store.record_run(1, {"adapters": ["v4.0"]}, [(0, result())])
    assert (run.status, store.results(run.id)) == ("finished", (result(),))


def test_stored_answers_are_read_together_as_one_by_one(store: Store) -> None:
    """Hundreds of keys in one query; a loop limit counts for its own key only."""
    cut = replace(COMPLETION, finish_reason="loop")
    for number in range(1200):
        store.save_generation(f"k{number}", {}, COMPLETION)
    store.save_generation("cut", {}, cut, 0.5)
    wanted = [*((f"k{n}", None) for n in range(1201)), ("cut", 0.4), ("cut", 0.6), ("cut", None)]
    together = store.generations(wanted)
    assert together == {w: c for w in wanted if (c := store.generation(*w)) is not None}
    assert len(together) == 1201
