"""Whatever an engine does wrong ends in time: ERROR, no training pair, an unchanged manifest, and never a traceback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.engines.base import Completion, EngineInfo, Failure, Request
from harness.errors import EngineError
from harness.judging.results import Status
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.projects import CLEAN

SOON = "\n[tool.harness.deadlines]\nengine_start = 1\nfirst_token = 1\nengine_stall = 1\nanswer = 2\nrun = 5\n"
LATEST = 30.0
"""Seconds after which every command has ended, whatever the engine does."""
Generate = Callable[[Sequence[Request]], Any]


def good(request: Request, **changes: Any) -> Completion:
    fields: dict[str, Any] = {"text": CLEAN, "token_ids": (1, 2, 3), "finish_reason": "stop"}
    return Completion(request_id=request.id, **{**fields, **changes})


def raising(error: BaseException, after: int = 0) -> Generate:
    """Raises in place of an answer."""

    def generate(requests: Sequence[Request]) -> Iterator[Any]:
        for number, request in enumerate(requests):
            if number == after:
                raise error
            yield good(request)

    return generate


def hanging(after: int) -> Generate:
    """Sleeps in place of an answer."""

    def generate(requests: Sequence[Request]) -> Iterator[Any]:
        for number, request in enumerate(requests):
            if number == after:
                time.sleep(120)
            yield good(request)

    return generate


def saying(make: Callable[[Request], Any]) -> Generate:
    """Says something else in place of each answer."""
    return lambda requests: (make(request) for request in requests)


def at_once(error: BaseException) -> Generate:
    def generate(_: Sequence[Request]) -> Any:
        raise error

    return generate


FAULTS: dict[str, Generate] = {
    "error": raising(EngineError("the GPU fell off the bus")),
    "error_later": raising(EngineError("the GPU fell off the bus"), after=1),
    "bug": raising(ValueError("a bug of the engine")),
    "bug_later": raising(KeyError("logits"), after=1),
    "bug_at_once": at_once(TypeError("a bug of the engine")),
    "memory": raising(MemoryError()),
    "disk": raising(OSError(28, "No space left on device")),
    "recursion": raising(RecursionError("maximum recursion depth exceeded")),
    "system_exit": raising(SystemExit(0)),
    "system_exit_later": raising(SystemExit(0), after=1),
    "stop_iteration": at_once(StopIteration()),
    "assertion": raising(AssertionError("shapes differ")),
    "hangs": hanging(0),
    "hangs_later": hanging(1),
    "no_answers": lambda _: iter(()),
    "one_answer_is_missing": lambda requests: (good(r) for r in requests[1:]),
    "only_one_answer": lambda requests: (good(r) for r in requests[:1]),
    "no_iterator": lambda _: None,
    "failures": saying(lambda r: Failure(r.id, "no room for the prompt")),
    "unknown_request": saying(lambda r: Failure(r.id + 1000, "no room")),
    "same_request_twice": saying(lambda _: Failure(0, "no room")),
    "no_outcome": saying(lambda _: None),
    "text_instead": saying(lambda _: CLEAN),
    "dictionary_instead": saying(lambda r: {"request_id": r.id, "text": CLEAN}),
    "aborted": saying(lambda r: good(r, finish_reason="abort")),
    "repetition_stop": saying(lambda r: good(r, finish_reason="repetition")),
    "no_end": saying(lambda r: good(r, finish_reason=None)),
    "no_text": saying(lambda r: good(r, text=None)),
    "bytes": saying(lambda r: good(r, text=CLEAN.encode())),
    "a_number": saying(lambda r: good(r, text=7)),
    "negative_ids": saying(lambda r: good(r, token_ids=(-1,))),
    "text_ids": saying(lambda r: good(r, token_ids=("a",))),
}
STARTS: dict[str, Callable[[], object]] = {
    "start_error": lambda: (_ for _ in ()).throw(EngineError("no room for the model")),
    "start_bug": lambda: 1 / 0,
    "start_memory": lambda: (_ for _ in ()).throw(MemoryError()),
    "start_exit": lambda: (_ for _ in ()).throw(SystemExit(0)),
    "start_hangs": lambda: time.sleep(120),
}


def made(generate: Generate, start: Callable[[], object] = lambda: None) -> type:
    class Faulty:
        version = "1"

        def __init__(self, _model: Path, **_: Any) -> None:
            start()
            self.info = EngineInfo("faulty", "1")

        def generate(self, requests: Sequence[Request]) -> Any:
            return generate(requests)

        def close(self) -> None:
            """Nothing is open."""

    return Faulty


globals().update({name: made(generate) for name, generate in FAULTS.items()})
globals().update({name: made(saying(good), start) for name, start in STARTS.items()})


def use(root: Path, fault: str) -> None:
    """Let the project's engine be the one with the fault."""
    path = root / "pyproject.toml"
    lines = path.read_text().splitlines()
    engine = f'engine = "tests.faults.test_engine_faults:{fault}"'
    path.write_text("\n".join(engine if line.startswith("engine =") else line for line in lines) + SOON)


ANSWERED = {
    "error_later": 1, "bug_later": 1, "system_exit_later": 1, "hangs_later": 1, "one_answer_is_missing": 2,
    "only_one_answer": 1,
}  # fmt: skip
"""Faults before or after which so many of the three cases are answered."""


@pytest.mark.parametrize("fault", [*FAULTS, *STARTS])
def test_an_engines_fault_is_an_error_of_its_cases_and_in_time(
    project: Make, pytester: pytest.Pytester, fault: str
) -> None:
    """Never the model's failure, and never a pass of a case that was not answered; the gate is red."""
    root = project(script={"sea": CLEAN, "hill": CLEAN, "calm": CLEAN})
    use(root, fault)
    began = time.monotonic()
    done = pytester.runpytest("badcases")
    assert time.monotonic() - began < LATEST
    assert done.ret == 3
    assert "Traceback" not in f"{done.stdout}{done.stderr}"
    with Store(root / "reports" / "harness.sqlite") as store:
        statuses = [r.verdict.status for r in store.results("last")]
    passed = ANSWERED.get(fault, 0)
    assert sorted(statuses) == [*[Status.ERROR] * (3 - passed), *[Status.PASS] * passed]
    assert main(["gate"]) == 3


@pytest.mark.parametrize("fault", [*FAULTS, *STARTS])
def test_a_fix_by_a_faulty_engine_changes_nothing(
    failing: Make, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """It draws the candidates: no pair is made of what it gives, nothing is trained, and no version is registered."""
    root = failing()
    use(root, fault)
    before = (root / "adapters_manifest.toml").read_bytes()
    capsys.readouterr()
    began = time.monotonic()
    assert main(["fix", "--failed"]) == 3
    assert time.monotonic() - began < LATEST
    told = capsys.readouterr().err
    assert told.startswith("harness fix: ")
    assert "Traceback" not in told
    assert (root / "adapters_manifest.toml").read_bytes() == before
    assert not list(root.glob("reports/trainings/*/*pairs*"))
    assert not list(root.glob("adapters/*"))
