"""A training's processes: what counts as success, what a failure says, and that nothing outlives its owner."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import SettingsError, TrainerError, TrainerMissing
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.lineage import read_lineage
from harness.models.prompts import PromptRenderer
from tests.support.trainings import fake_python, left_weights, pairs, tiny_model
from trainers import TrainProgress, TrainRequest
from trainers.attempt import last_checkpoint
from trainers.job import check_request
from trainers.llamafactory_trainer import LlamaFactory, trainer_python
from trainers.recipe import Recipe
from trainers.worker import entry

WAIT = "say(phase='loading'); (output.parent / 'pid').write_text(str(os.getpid())); time.sleep(60)"
STEP = "say(phase='training', step={0}, total_steps=2, loss=0.5, margins=0.1, accuracies=1.0)\n"
GOOD = (
    "say(phase='loading')\n" + STEP.format(1) + STEP.format(2) + "say(phase='saving', step=2, total_steps=2)\nleave()\n"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model, weights that a training could leave, and the trainer's Python named by the environment."""
    tiny_model(tmp_path / "model")
    left_weights(tmp_path / "adapter")
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(tmp_path / "python"))
    return tmp_path


def request(place: Path, *, resume: bool = False, **recipe: object) -> TrainRequest:
    """Six pairs on the tiny model."""
    return TrainRequest.from_pairs(
        stage="dpo", model_path=place / "model", pairs=pairs(), renderer=PromptRenderer(place / "model"),
        recipe=Recipe.from_mapping({"cutoff_len": 256, **recipe}), output=place / "out", resume=resume,
    )  # fmt: skip


def test_a_good_training_gives_checked_weights_that_know_their_origin(place: Path) -> None:
    """Two files, their digest, the losses of every step, and the model's fingerprint inside the weights."""
    fake_python(place / "python", GOOD)
    seen: list[TrainProgress] = []
    result = LlamaFactory(place).train(request(place), seen.append)
    assert sorted(p.name for p in result.adapter.iterdir()) == sorted((CONFIG, WEIGHTS))
    assert result.losses == ((1, 0.5), (2, 0.5))
    assert (result.steps, result.margins[-1], result.accuracies[-1]) == (2, (2, 0.1), (2, 1.0))
    assert {p.phase for p in seen} >= {"preparing", "saving"}
    lineage = read_lineage(result.adapter)
    assert lineage is not None
    assert lineage.parents == ()


def test_the_time_is_kept_as_data_and_as_text(place: Path) -> None:
    """Where it went, for programs and for people."""
    fake_python(place / "python", GOOD)
    result = LlamaFactory(place).train(request(place), lambda _: None)
    assert result.folder is not None
    assert '"step_median"' in (result.folder / "time_consuming_statistics.json").read_text("utf-8")
    assert "step median" in (result.folder / "time_consuming_statistics.txt").read_text("utf-8")


def test_every_attempt_has_a_folder_of_its_own(place: Path) -> None:
    """LLaMA-Factory goes on by itself in a folder that was used before."""
    fake_python(place / "python", GOOD)
    folders = {LlamaFactory(place).train(request(place), lambda _: None).folder for _ in range(2)}
    assert {f.name for f in folders if f} == {"attempt-1", "attempt-2"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("sys.exit(0)", "without a word about its state"),
        ("leave(steps=1)", "stopped at step 1 of 2"),
        ("leave(steps=0, wanted=0)", "stopped at step 0"),
        ("leave(adapter=False)", "no usable weights"),
        ("raise ValueError('the words of the error')", "the words of the error"),
        ("say(phase='failed', reason='out of memory', message='x'); sys.exit(1)", "batch_size = 2, accumulation = 6"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "ran out of memory"),
        (
            "say(phase='failed', reason='not finite', message='loss = nan at step 3'); sys.exit(1)",
            "learning_rate = 2e-05",
        ),
        ("leave(); sys.exit(1)", "exit code 1"),
    ],
    ids=["silent", "too few steps", "no step", "no weights", "exception", "memory", "killed", "not finite", "late"],
)
def test_a_training_that_did_not_end_well_says_so(place: Path, body: str, words: str) -> None:
    """One line with the reason, what to change, and where the log is."""
    fake_python(place / "python", body)
    with pytest.raises(TrainerError, match=r"log: .*train\.log") as error:
        LlamaFactory(place).train(request(place, batch_size=4, accumulation=3), lambda _: None)
    assert words in str(error.value)


def test_a_missing_environment_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it names the command that mends it."""
    monkeypatch.setenv("HARNESS_TRAINER_PYTHON", str(tmp_path / "no" / "python"))
    with pytest.raises(TrainerMissing, match="harness setup"):
        trainer_python(tmp_path)


def test_ctrl_c_ends_the_training(place: Path) -> None:
    """The processes are gone before the exception reaches the caller."""
    fake_python(place / "python", WAIT)

    def interrupt(progress: TrainProgress) -> None:
        if progress.phase == "loading" and list((place / "out").glob("*/pid")):
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        LlamaFactory(place).train(request(place), interrupt)
    pid = int(next((place / "out").glob("*/pid")).read_text())
    assert time.monotonic() - began < 30
    assert not Path(f"/proc/{pid}").exists()


def test_a_training_that_ignores_sigterm_is_killed(place: Path) -> None:
    """Patience has an end."""
    fake_python(
        place / "python",
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{WAIT}",
    )

    def interrupt(progress: TrainProgress) -> None:
        if any((place / "out").glob("*/pid")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LlamaFactory(place, patience=0.5).train(request(place), interrupt)
    assert not _alive(int(next((place / "out").glob("*/pid")).read_text()))


def test_workers_die_with_the_process_that_asked(tmp_path: Path) -> None:
    """Also after a SIGKILL, which nobody can catch: the kernel and the workers themselves see to it."""
    worker = tmp_path / "worker.py"
    worker.write_text("import sys; sys.path.insert(0, sys.argv[1])\n"
                      "import time; from trainers.worker.entry import _end_with; _end_with(None)\n"
                      "open(sys.argv[2], 'w').write('up'); time.sleep(60)\n", "utf-8")  # fmt: skip
    root, mark = str(Path(__file__).parents[3]), tmp_path / "up"
    parent = tmp_path / "parent.py"
    parent.write_text("import subprocess, sys\n"
                      "p = subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True)\n"
                      "print(p.pid, flush=True); p.wait()\n", "utf-8")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(parent), str(worker), root, str(mark)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"LOCAL_RANK": "0"},
    )  # fmt: skip
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    until = time.monotonic() + 20
    while not mark.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.wait()
    process.stdout.close()
    while _alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(pid)


def test_what_somebody_starts_by_hand_outlives_the_shell(tmp_path: Path) -> None:
    """A job without an owner, and no worker of torchrun's."""
    worker = tmp_path / "worker.py"
    worker.write_text("import sys; sys.path.insert(0, sys.argv[1])\n"
                      "import time; from trainers.worker.entry import _end_with; _end_with(None)\n"
                      "time.sleep(2); open(sys.argv[2], 'w').write('done')\n", "utf-8")  # fmt: skip
    root, mark = str(Path(__file__).parents[3]), tmp_path / "done"
    start = "import subprocess, sys; subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True)"
    clean = {k: v for k, v in os.environ.items() if k != "LOCAL_RANK"}
    subprocess.run([sys.executable, "-c", start, str(worker), root, str(mark)], env=clean, check=True)
    until = time.monotonic() + 20
    while not mark.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert mark.exists()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def checkpoint(place: Path, attempt: int, step: int, *, complete: bool = True) -> Path:
    """A checkpoint folder as transformers leaves it."""
    folder = place / "out" / f"attempt-{attempt}" / "output" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"x")
    if complete:
        (folder / "trainer_state.json").write_text(f'{{"global_step": {step}}}', "utf-8")
    return folder


def test_the_last_complete_checkpoint_counts(place: Path) -> None:
    """By number, not by name; one without its state was not written to its end."""
    checkpoint(place, 1, 50)
    wanted = checkpoint(place, 2, 100)
    checkpoint(place, 2, 20)
    checkpoint(place, 2, 110, complete=False)
    (checkpoint(place, 2, 120) / "checkpoint-is-incomplete.txt").touch()
    (place / "out" / "attempt-10").mkdir()
    assert last_checkpoint(place / "out") == wanted.absolute()


def test_going_on_hands_over_the_checkpoint(place: Path) -> None:
    """In a fresh folder, from the old one's weights, optimiser and step."""
    fake_python(place / "python", GOOD)
    first = LlamaFactory(place).train(request(place), lambda _: None)
    old = checkpoint(place, 1, 1)
    result = LlamaFactory(place).train(request(place, resume=True), lambda _: None)
    assert result.folder is not None
    assert result.folder != first.folder
    assert json.loads((result.folder / "train.json").read_text("utf-8"))["resume_from_checkpoint"] == str(old)
    assert "went on from checkpoint-1" in result.notes


@pytest.mark.parametrize(
    ("change", "words"),
    [({"learning_rate": 0.5}, "learning_rate"), ({"seed": 7}, "seed")],
    ids=["learning rate", "seed"],
)
def test_going_on_with_another_recipe_is_refused(place: Path, change: dict[str, object], words: str) -> None:
    """Steps, schedule and order of the data would be others."""
    fake_python(place / "python", GOOD)
    LlamaFactory(place).train(request(place), lambda _: None)
    checkpoint(place, 1, 1)
    with pytest.raises(TrainerError, match=words):
        LlamaFactory(place).train(request(place, resume=True, **change), lambda _: None)


def test_a_lock_that_a_killed_build_left_holds_nobody_up(tmp_path: Path) -> None:
    """torch would wait for it for ever; one that is given back in time is nobody's rest."""
    stale, held = tmp_path / "op" / "lock", tmp_path / "other" / "lock"
    for path in (stale, held):
        path.parent.mkdir()
        path.touch()
    threading.Timer(0.2, held.unlink).start()
    entry._clear(tmp_path, seconds=0.6)
    assert list(tmp_path.glob("**/lock")) == []


@pytest.mark.parametrize("field", ["lora_targets", "additional_targets"])
def test_modules_that_the_model_has_not_are_named(place: Path, field: str) -> None:
    """Beside those that it has, before anything is loaded."""
    with pytest.raises(SettingsError, match=r"no W_pack; its modules end with .*down_proj.*q_proj"):
        check_request(replace(request(place), recipe=Recipe.from_mapping({field: ["q_proj", "W_pack"]})))
    check_request(request(place, lora_targets=["q_proj", "mlp.down_proj"]))


@pytest.mark.parametrize(
    ("targets", "tied", "refused"),
    [(["lm_head"], True, True), (["embed_tokens", "lm_head"], True, False), (["lm_head"], False, False)],
    ids=["one of two", "both", "not tied"],
)
def test_one_of_two_tied_layers_is_not_trained_alone(
    place: Path, targets: list[str], tied: bool, refused: bool
) -> None:
    """The adapter would hold one of them, and no model could be put together from it."""
    path = place / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"tie_word_embeddings": tied}), "utf-8")
    asked = request(place, additional_targets=targets)
    with pytest.raises(SettingsError, match="name both") if refused else contextlib.nullcontext():
        check_request(asked)


def test_without_a_checkpoint_resuming_begins_anew(place: Path) -> None:
    """An attempt that was killed early has nothing to go on from."""
    fake_python(place / "python", GOOD)
    result = LlamaFactory(place).train(request(place, resume=True), lambda _: None)
    assert result.folder is not None
    assert "resume_from_checkpoint" not in (result.folder / "train.json").read_text("utf-8")


def test_leftovers_of_another_launch_do_not_reach_the_training(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A RANK in the shell would make one process wait for others."""
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("USE_RAY", "1")
    kept = "(output.parent / 'env').write_text(' '.join(os.environ))\n"
    fake_python(place / "python", kept + GOOD)
    result = LlamaFactory(place).train(request(place, environment={"NCCL_DEBUG": "INFO"}), lambda _: None)
    assert result.folder is not None
    names = (result.folder / "env").read_text().split()
    assert not {"RANK", "USE_RAY"} & set(names)
    assert {"NCCL_DEBUG", "OMP_NUM_THREADS"} <= set(names)
    assert os.environ["RANK"] == "3"
