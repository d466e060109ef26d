"""An engine in a child process: whatever happens to the child, the parent gets a value or an EngineError, at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Engine, EngineInfo, Outcome, Progress, Request
from harness.engines.process import HostedEngine, last_words
from harness.errors import AdapterError, EngineError

ENGINE = """
import os, signal, sys, time
from harness.engines.base import Completion, EngineInfo, Progress
from harness.errors import AdapterError, EngineError

class Fake:
    info = EngineInfo("fake", "1")

    def __init__(self, model_path, *, on_progress=None, mood="good"):
        self.tell, self.mood = on_progress, mood
        print("chatter on stdout")
        if mood == "missing":
            raise AdapterError("adapter v9 is damaged")
        if mood == "dies at start":
            sys.stderr.write("ERROR 11-21 10:00:00 [core.py:1] MemoryError: no room for the model\\n")
            os._exit(7)

    def generate(self, requests):
        for number, request in enumerate(requests):
            if self.mood == "segfault" and number == 1:
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.mood == "raises" and number == 1:
                raise ValueError("a bug of the engine")
            if self.mood == "slow" and number >= 1:
                for step in range(10_000):
                    time.sleep(0.01)
                    self.tell(Progress(state="running", requests_done=number, requests=len(requests), tokens=step))
            self.tell(Progress(state="running", requests_done=number, requests=len(requests), tokens=10 * number))
            text = f"answer {request.id} by {os.getpid()}"
            yield Completion(request_id=request.id, text=text, token_ids=(1, 2), finish_reason="stop", logprob=-0.1)

    def close(self):
        pass
"""
REQUESTS = [Request(id=number, prompt_ids=(1, 2, 3), decoding=Decoding()) for number in range(4)]


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fake_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@contextmanager
def _hosted(fakes: Path, mood: str = "good", told: list[Progress] | None = None) -> Iterator[HostedEngine]:
    engine = HostedEngine(
        "fake_engine:Fake", fakes, info=EngineInfo("fake", "1"), settings={"mood": mood},
        on_progress=(told if told is not None else []).append, log_path=fakes / "engine.log",
    )  # fmt: skip
    with closing(engine):
        yield engine


def _gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def _pid(outcome: Outcome) -> int:
    assert isinstance(outcome, Completion)
    return int(outcome.text.split()[-1])


def test_outcomes_come_from_another_process(fakes: Path) -> None:
    """Every request is answered, elsewhere; two calls use the same child."""
    with _hosted(fakes) as engine:
        assert isinstance(engine, Engine)
        first = list(engine.generate(REQUESTS))
        assert [o.request_id for o in first] == [0, 1, 2, 3]
        assert _pid(first[0]) != os.getpid()
        assert _pid(next(iter(engine.generate(REQUESTS)))) == _pid(first[0])


def test_start_up_and_progress_are_told(fakes: Path) -> None:
    """First starting, then ready, then how far it is."""
    told: list[Progress] = []
    with _hosted(fakes, told=told) as engine:
        list(engine.generate(REQUESTS))
    states = [progress.state for progress in told]
    assert states[0] == "starting"
    assert "ready" in states
    assert states.index("running") > states.index("ready")


def test_chatter_goes_to_the_log(fakes: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing of the child reaches the terminal."""
    with _hosted(fakes) as engine:
        list(engine.generate(REQUESTS))
    assert capfd.readouterr() == ("", "")
    assert "chatter on stdout" in (fakes / "engine.log").read_text()


def test_a_crash_is_an_engine_error_that_names_the_log(fakes: Path) -> None:
    """A segfault in the middle: what was answered stays, the rest is one error; this process lives."""
    with _hosted(fakes, "segfault") as engine:
        outcomes = engine.generate(REQUESTS)
        assert next(outcomes).request_id == 0
        with pytest.raises(EngineError, match=r"ended by SIGSEGV.*engine\.log"):
            next(outcomes)


def test_a_death_at_start_carries_its_last_words(fakes: Path) -> None:
    """The line that says why, without its prefix, and the exit code."""
    with (
        _hosted(fakes, "dies at start") as engine,
        pytest.raises(EngineError, match="ended with code 7: MemoryError: no room for the model"),
    ):
        list(engine.generate(REQUESTS))


@pytest.mark.parametrize(
    ("mood", "kind", "text"),
    [("missing", AdapterError, "adapter v9 is damaged"), ("raises", EngineError, "ValueError: a bug of the engine")],
    ids=["our-error", "any-error"],
)
def test_errors_keep_their_class(fakes: Path, mood: str, kind: type[Exception], text: str) -> None:
    """An error of the harness arrives as itself, any other as an EngineError."""
    with _hosted(fakes, mood) as engine, pytest.raises(kind, match=text):
        list(engine.generate(REQUESTS))


def test_closing_the_iterator_stops_the_work_not_the_child(fakes: Path) -> None:
    """A cancelled call ends within a step; the next call is served as if nothing had been."""
    with _hosted(fakes, "slow") as engine:
        outcomes = engine.generate(REQUESTS)
        pid = _pid(next(outcomes))
        began = time.monotonic()
        assert isinstance(outcomes, Iterator)
        outcomes.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 5
        assert _pid(next(iter(engine.generate(REQUESTS[:1])))) == pid


def test_close_ends_the_child(fakes: Path) -> None:
    """After close there is no process, and a further call says so."""
    with _hosted(fakes) as engine:
        pid = _pid(next(iter(engine.generate(REQUESTS))))
        engine.close()
        assert _gone(pid)
        with pytest.raises(EngineError, match="closed"):
            list(engine.generate(REQUESTS))


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_the_child_dies_with_its_parent(fakes: Path, ending: signal.Signals) -> None:
    """However the parent ends, in the middle of a call, the child is gone moments later."""
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from harness.engines.base import EngineInfo, Request
        from harness.engines.process import HostedEngine
        from harness.cases.decoding import Decoding
        engine = HostedEngine("fake_engine:Fake", Path("."), info=EngineInfo("fake", "1"), settings={"mood": "slow"},
                              log_path=Path(sys.argv[1]))
        outcomes = engine.generate([Request(id=n, prompt_ids=(1,), decoding=Decoding()) for n in range(3)])
        print(next(outcomes).text.split()[-1], flush=True)
        next(outcomes)
    """)
    path = os.pathsep.join([str(fakes), str(Path(__file__).parents[3])])
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(fakes / "engine.log")],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(ending)
        parent.wait(30)
    assert _gone(child)


def test_last_words_prefer_what_went_wrong(tmp_path: Path) -> None:
    """Among a log's last lines the error counts, not the chatter after it."""
    log = tmp_path / "log"
    log.write_text("INFO 11-21 10:00:00 [a.py:1] loading\nValueError: bad shape\nshutting down\n")
    assert last_words(log) == "ValueError: bad shape"
    log.write_text("INFO 11-21 10:00:00 [a.py:1] loading\n")
    assert last_words(log) == "loading"
    assert last_words(log, errors_only=True) == ""
    assert last_words(tmp_path / "none") == ""


JOINING = """
import time
from harness.engines.base import Completion, EngineInfo
from harness.engines.growing import more_requests

class Joining:
    info = EngineInfo("joining", "1")

    def __init__(self, model_path, *, asks=True, on_progress=None):
        self.asks = asks

    def generate(self, requests):
        waiting = list(requests)
        while waiting:
            time.sleep(0.2)
            yield Completion(request_id=waiting.pop(0).id, text="", token_ids=(1,), finish_reason="stop")
            if self.asks:
                waiting += more_requests(requests)

    def close(self):
        pass
"""


@pytest.mark.parametrize("asks", [True, False], ids=["an engine that asks", "one that does not"])
def test_requests_join_the_call_under_way_or_are_left_over(fakes: Path, asks: bool) -> None:
    """None is lost: each has an outcome in this call, or is given back. Without a call there is nothing to join."""
    (fakes / "joining_engine.py").write_text(JOINING)
    engine = HostedEngine(
        "joining_engine:Joining", fakes, info=EngineInfo("joining", "1"), settings={"asks": asks},
        log_path=fakes / "engine.log",
    )  # fmt: skip
    with closing(engine):
        assert not engine.add(REQUESTS[2:])
        outcomes = engine.generate(REQUESTS[:2])
        answered = [next(outcomes).request_id]
        assert engine.add(REQUESTS[2:3])
        assert engine.add(REQUESTS[3:])
        answered += [outcome.request_id for outcome in outcomes]
        left = [request.id for request in engine.left_over()]
        assert (answered, left) == (([0, 1, 2, 3], []) if asks else ([0, 1], [2, 3]))
        assert not engine.add(REQUESTS[2:])
        assert [outcome.request_id for outcome in engine.generate(REQUESTS[2:])] == [2, 3]
        assert engine.left_over() == []
