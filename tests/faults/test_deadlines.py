"""An engine or a training that hangs is ended by a deadline: ERROR, no pair, nothing registered."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from harness.cases.decoding import Decoding
from harness.cli import main
from harness.engines.base import EngineInfo, Progress, Request
from harness.engines.process import HostedEngine
from harness.engines.watch import EngineWatch
from harness.errors import EngineError, TrainerError
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.tensors import write_tensors
from harness.models.prompts import PromptRenderer
from harness.project.deadlines import Deadlines
from harness.project.manifest import read_manifest
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.trainings import fake_python, pairs, tiny_model
from trainers import TrainRequest
from trainers.llamafactory_trainer import LlamaFactory
from trainers.recipe import Recipe

ENGINE = """
import os, signal, sys, time
from harness.engines.base import Completion, EngineInfo, Progress

class Fake:
    info = EngineInfo("fake", "1")

    def __init__(self, model_path, *, on_progress=None, mood="good", **options):
        self.tell, self.mood = on_progress or (lambda _: None), mood
        print("ERROR 11-21 10:00:00 [core.py:1] NCCL: waiting for rank 3", flush=True)
        if mood == "start":
            time.sleep(600)

    def generate(self, requests):
        for number, request in enumerate(requests):
            if self.mood == "first token" or (self.mood == "later" and number == 1):
                for _ in range(6000):
                    self.tell(Progress(state="running", tokens=5 * number))
                    time.sleep(0.1)
            if self.mood == "stopped" and number == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.mood == "slow answers":
                for tokens in range(1, 6000):
                    self.tell(Progress(state="running", tokens=tokens))
                    time.sleep(0.05)
            yield Completion(request_id=request.id, text="A sea and a boat.", token_ids=(1, 2), finish_reason="stop")

    def close(self):
        pass
"""
REQUESTS = [Request(id=number, prompt_ids=(1, 2, 3), decoding=Decoding()) for number in range(3)]


@pytest.mark.parametrize(
    ("mood", "deadlines", "answers", "words"),
    [
        ("start", Deadlines(engine_start=1), 0, r"did not start within 1 seconds \(deadlines.engine_start\)"),
        ("first token", Deadlines(first_token=1), 0, r"gave no first token within 1 seconds"),
        ("later", Deadlines(engine_stall=1), 1, r"gave no new token for 1 seconds"),
        ("stopped", Deadlines(engine_stall=1), 1, r"gave no new token for 1 seconds"),
        ("slow answers", Deadlines(answer=1), 0, r"gave no answer for 1 seconds"),
        ("slow answers", Deadlines(run=2), 0, r"did not give all answers within 2 seconds"),
    ],
    ids=["start", "first token", "stall", "SIGSTOP", "answer", "run"],
)
def test_a_hanging_engine_is_killed_and_its_last_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mood: str, deadlines: Deadlines, answers: int, words: str
) -> None:
    """It was waited for for ever."""
    (tmp_path / "hanging_engine.py").write_text(ENGINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = HostedEngine(
        "hanging_engine:Fake", tmp_path, info=EngineInfo("fake", "1"), settings={"mood": mood},
        log_path=tmp_path / "engine.log", deadlines=deadlines,
    )  # fmt: skip
    seen, began = 0, time.monotonic()
    with (
        closing(engine),
        pytest.raises(EngineError, match=rf"{words}.*its last words: NCCL: waiting for rank 3"),
    ):
        for _ in engine.generate(REQUESTS):
            seen += 1
    assert seen == answers
    assert time.monotonic() - began < 20


def test_an_engine_that_goes_on_is_not_killed() -> None:
    """Tokens and answers are signs of life; a message that it is busy is none."""
    now = [0.0]
    watch = EngineWatch(Deadlines(first_token=10, engine_stall=10), clock=lambda: now[0])
    watch.call()
    for tokens in range(1, 50):
        now[0] += 9
        watch.progress(Progress(state="running", tokens=tokens))
        assert watch.problem() is None
    now[0] += 9
    watch.answered()
    now[0] += 6
    watch.progress(Progress(state="running", tokens=49))
    now[0] += 6
    assert watch.problem() == "gave no new token for 10 seconds (deadlines.engine_stall)"


def test_a_hanging_engine_of_my_own_makes_its_cases_errors(project: Make, pytester: pytest.Pytester) -> None:
    """It runs in this process, and pytest was waited for as well."""
    root = project(settings="\n[tool.harness.deadlines]\nfirst_token = 1\nengine_stall = 1\n")
    (root / "hanging_engine.py").write_text(ENGINE.replace('mood="good"', 'mood="later"'))
    began = time.monotonic()
    done = pytester.runpytest_subprocess("badcases", "--engine", "hanging_engine:Fake")
    assert time.monotonic() - began < 60
    assert done.ret == 3
    done.assert_outcomes(passed=1, errors=2)
    done.stdout.fnmatch_lines(["*gave no new token for 1 seconds*"])
    with Store(root / "reports" / "harness.sqlite") as store:
        statuses = [r.verdict.status.value for r in store.results("last")]
    assert sorted(statuses) == ["ERROR", "ERROR", "PASS"]


TRAINING = {
    "no step": ("say(phase='loading'); time.sleep(600)", Deadlines(training_start=1), "first step within 1"),
    "between two steps": (
        "say(phase='training', step=1, total_steps=9, loss=0.5, margins=0.1, accuracies=1.0); time.sleep(600)",
        Deadlines(training_stall=1), "made no step for 1",
    ),
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", Deadlines(training_start=1), "first step within 1"),
    "deaf": (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
        Deadlines(training_start=1), "first step within 1",
    ),
}  # fmt: skip


@pytest.fixture
def request_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Deadlines], TrainRequest]:
    """A training on a tiny model whose processes run the given code."""

    def make(body: str, deadlines: Deadlines) -> TrainRequest:
        model = tiny_model(tmp_path / "model")
        monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(tmp_path / "python"))
        fake_python(tmp_path / "python", f"(output.parent / 'pid').write_text(str(os.getpid()))\n{body}")
        module = "base_model.model.model.layers.0.self_attn.q_proj"
        ones = {f"{module}.lora_A.weight": np.ones((2, 32), np.float32)}
        write_tensors(tmp_path / "adapter" / WEIGHTS, ones)
        (tmp_path / "adapter" / CONFIG).write_text("{}")
        return TrainRequest.from_pairs(
            stage="dpo", model_path=model, pairs=pairs(), renderer=PromptRenderer(model),
            recipe=Recipe(cutoff_len=256), output=tmp_path / "out", deadlines=deadlines,
        )  # fmt: skip

    return make


@pytest.mark.parametrize(("body", "deadlines", "words"), TRAINING.values(), ids=TRAINING)
def test_a_hanging_training_is_ended(
    request_with: Callable[[str, Deadlines], TrainRequest],
    tmp_path: Path,
    body: str,
    deadlines: Deadlines,
    words: str,
) -> None:
    """Its processes are gone before the error is told."""
    with pytest.raises(TrainerError, match=rf"{words} seconds \(deadlines.*log: .*train\.log"):
        LlamaFactory(tmp_path, patience=1.0).train(request_with(body, deadlines), lambda _: None)
    pid = int(next((tmp_path / "out").glob("*/pid")).read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_wrong_deadline_is_a_usage_error(project: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them in one message."""
    project(settings="\n[tool.harness.deadlines]\nengine_start = -1\nfirst = 2\n")
    capsys.readouterr()
    assert main(["gate"]) == 2
    said = capsys.readouterr().err
    assert "engine_start" in said
    assert "first" in said


def test_a_fix_whose_sampling_hangs_registers_nothing(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Engine errors never become training pairs."""
    root = failing()
    settings = (root / "pyproject.toml").read_text()
    (root / "hanging_engine.py").write_text(ENGINE.replace('mood="good"', 'mood="first token"'))
    engine = next(line for line in settings.splitlines() if line.startswith("engine ="))
    changed = settings.replace(engine, 'engine = "hanging_engine:Fake"')
    (root / "pyproject.toml").write_text(changed + "\n[tool.harness.deadlines]\nfirst_token = 1\n")
    capsys.readouterr()
    import sys

    sys.path.insert(0, str(root))
    try:
        assert main(["fix", "--failed"]) == 3
    finally:
        sys.path.remove(str(root))
    assert "gave no first token within 1 seconds" in capsys.readouterr().err
    assert list(read_manifest(root / "adapters_manifest.toml").adapters) == ["v4.0", "v3.9"]
    assert not list((root / "reports" / "trainings").glob("*/generalized*"))
