"""Training through LLaMA-Factory, in its own environment.

    check -> data on disk -> job -> processes -> watch -> judge -> weights

An attempt has a new folder, since LLaMA-Factory resumes by itself in an old one. What runs on several nodes is started
and watched by :mod:`trainers.nodes`; everything else is the same. It succeeded when its processes ended
with 0, the trainer's own state says that every step was made, and the weights are whole, finite and not zero; an
adapter file alone proves nothing. Everything that can be refused is refused before a process starts.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.errors import AdapterError, TrainerError, TrainerMissing, TrainingNotStarted
from harness.models.adapters.folder import publish
from harness.models.adapters.lineage import fingerprint
from harness.safe.read import read_object
from trainers.arguments import steps_of
from trainers.attempt import check_same, is_complete, last_checkpoint, trainer_state
from trainers.base import Checkpoint, OnProgress, TrainProgress, TrainRequest, TrainResult
from trainers.examples import DataFacts
from trainers.job import ENTRY, JOB, PROGRESS, Prepared, check_request, environment, prepare, write_job
from trainers.merged_parent import release
from trainers.nodes import Attempt, End, check_deadlines, run_elsewhere, runs_elsewhere, taken_up
from trainers.optional_packages import check_packages
from trainers.out_of_memory import advice
from trainers.process import last_lines, run_logged
from trainers.progress_file import Timing, Watch, write_timing

__all__ = ["LlamaFactory", "collect", "finished_steps", "trainer_python"]

_POLL = 0.25


def trainer_python(root: Path) -> Path:
    """The Python of the trainer's environment.

    HARNESS_TRAINER_PYTHON, else ``.venv-trainer`` in the project, else beside the environment that runs the harness.

    Raises:
        TrainerMissing: there is none.
    """
    configured = os.environ.get("HARNESS_TRAINER_PYTHON")
    folders = [Path(configured).expanduser()] if configured else [
        place / ".venv-trainer" / "bin" / "python" for place in (root, Path(sys.prefix).parent)
    ]  # fmt: skip
    path = next((p for p in folders if p.is_file()), folders[0])
    if not path.is_file():
        where = "HARNESS_TRAINER_PYTHON names" if configured else "the trainer's environment is missing:"
        raise TrainerMissing(f"{where} {path}, which is not there; run: harness setup")
    # Not resolved: a virtual environment's python is a link, and what it links to knows nothing of the environment.
    return path.absolute()


class LlamaFactory:
    """The trainer of the name ``llamafactory``."""

    def __init__(self, root: Path, *, patience: float = 10.0) -> None:
        """``patience``: seconds between asking an interrupted training to end and killing it."""
        self._root = root
        self._patience = patience

    def check(self) -> None:
        """See :meth:`trainers.base.Trainer.check`."""
        trainer_python(self._root)

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """See :meth:`trainers.base.Trainer.train`."""
        began = time.monotonic()
        python = trainer_python(self._root)
        check_request(request)
        check_packages(request.recipe, python)
        on_progress(TrainProgress(phase="preparing"))
        resume = request.resume_from or (last_checkpoint(request.output) if request.resume else None)
        prepared = prepare(request)
        check_packages(prepared.request.recipe, python)
        steps, seconds = steps_of(prepared.request, prepared.data.rows), time.monotonic() - began
        chosen = "; ".join(prepared.placement.notes)
        on_progress(TrainProgress(phase="preparing", total_steps=steps, elapsed=seconds, detail=chosen))
        earlier = taken_up(prepared) if request.resume else None
        if earlier is not None:
            shutil.rmtree(prepared.folder, ignore_errors=True)
            prepared, resume = replace(prepared, folder=earlier.folder), None
        try:
            result = self._train(prepared, python, on_progress, began, resume, earlier)
        except TrainingNotStarted:
            raise
        except Exception:
            release(prepared.folder)
            raise
        release(prepared.folder)
        return result

    def _train(
        self, prepared: Prepared, python: Path, on_progress: OnProgress, began: float, resume: Path | None,
        earlier: Attempt | None,
    ) -> TrainResult:  # fmt: skip
        request, data, folder = prepared.request, prepared.data, prepared.folder
        ready = time.monotonic() - began
        if resume is not None:
            check_same(resume, data, request.recipe, ours=request.resume_from is None)
        here = not runs_elsewhere(request.launch)
        if earlier is None:
            write_job(request, data, folder, resume=resume, owned=here)
        watch = Watch(folder / PROGRESS, on_progress, began)
        log = folder / "train.log"

        def tick() -> None:
            watch.tick()
            check_deadlines(watch, request.deadlines, log)

        if here and earlier is None:
            command = request.launch.command(python, ENTRY, folder / JOB)
            code = run_logged(
                command, log, environment(request, python), every=_POLL, tick=tick, patience=self._patience
            )
            end = End(code=code, log=log)
        else:
            end = run_elsewhere(prepared, python, watch, earlier)
        watch.tick()
        _judge(end, folder, watch, request, data)
        recipe, processes = request.recipe, request.launch.world_size
        size, accumulation = recipe.share(processes)
        per_step = size * accumulation * processes
        timing = Timing.of(
            watch, data, total=time.monotonic() - began, prepared=ready, ended=end.at or time.time(), per_step=per_step
        )
        write_timing(timing, folder)
        changed = [recipe.updates_text(data.rows, processes)] if per_step != recipe.per_update else []
        notes = (*prepared.notes, *changed, *watch.notes, *([f"went on from {resume.name}"] if resume else []))
        return _result(request, data, folder, watch, time.monotonic() - began, notes)


def _judge(end: End, folder: Path, watch: Watch, request: TrainRequest, data: DataFacts) -> None:
    if end.code == 0 and watch.failure is None:
        finished_steps(folder, end.log)
        return
    failure = watch.failure or {}
    lines = last_lines(end.log)
    text = str(failure.get("message") or end.words or (lines[-1] if lines else "it said nothing"))
    killed = not failure and (end.out_of_memory or _killed(end.code, lines))
    reason = str(failure.get("reason") or ("out of memory" if killed else "error"))
    shown = "".join(f"\n    {line}" for line in lines[-6:])
    if reason == "out of memory":
        what = advice(
            request.model_path, request.recipe, request.stage, request.launch, data.longest, killed=killed,
            parents=len(request.parents),
        )  # fmt: skip
    else:
        what = _what(reason, text, end, request)
    raise TrainerError(f"{what}; log: {end.log}{shown}")


def _killed(code: int, lines: list[str]) -> bool:
    return code in (-signal.SIGKILL, 128 + signal.SIGKILL) or any("exitcode  : -9" in line for line in lines)


def _what(reason: str, text: str, end: End, request: TrainRequest) -> str:
    recipe = request.recipe
    if reason == "not finite":
        return f"the training diverged: {text}; try learning_rate = {recipe.learning_rate / 5:g}"
    if reason == "prompt":
        return f"refused, the training would not see the tests' prompts: {text.partition(': ')[2]}"
    return f"the training failed ({end.job or f'exit code {end.code}'}): {text}"


def _result(
    request: TrainRequest, data: DataFacts, folder: Path, watch: Watch, seconds: float, notes: tuple[str, ...]
) -> TrainResult:
    weights, digest, checkpoints = collect(folder)
    checkpoints = tuple(replace(c, drift=watch.drift.get(c.step, ())) for c in checkpoints)
    return TrainResult(
        adapter=weights,
        digest=digest,
        steps=checkpoints[-1].step,
        seconds=seconds,
        losses=tuple(watch.series["loss"]),
        margins=tuple(watch.series["margins"]),
        accuracies=tuple(watch.series["accuracies"]),
        checkpoints=checkpoints,
        folder=folder,
        log=folder / "train.log",
        examples=data.rows,
        notes=(*notes, *_launch_note(request)),
    )


def _launch_note(request: TrainRequest) -> tuple[str, ...]:
    launch = request.launch
    where = f"GPU {', '.join(map(str, launch.devices))}" if launch.devices else "the CPU"
    if launch.nodes > 1:
        return (f"{launch.world_size} processes on {launch.nodes} nodes",)
    return (f"{launch.processes} process{'es' if launch.processes > 1 else ''} on {where}",)


def collect(folder: Path) -> tuple[Path, str, tuple[Checkpoint, ...]]:
    """Check and publish the weights of a finished attempt, independent of who started its processes.

    Returns:
        Folder of the weights, their digest, and the checkpoints, oldest first; the last is the weights themselves.

    Raises:
        TrainerError: it is not finished, or left nothing usable.
    """
    output, log = folder / "output", folder / "train.log"
    steps = finished_steps(folder)
    lineage: dict[str, str] = {}
    with suppress(OSError, ValueError):
        lineage = read_object(folder / JOB).get("lineage", {})
    try:
        if not (output / "adapter_model.safetensors").is_file():
            model = _publish_model(output, folder / "model")
            return model, fingerprint(model), (Checkpoint(steps, model),)
        digest = publish(output, folder / "adapter", lineage).digest
    except AdapterError as error:
        raise TrainerError(f"the training left no usable weights: {error}; log: {log}") from error
    earlier = _earlier(output, folder / "checkpoints", steps, lineage)
    return folder / "adapter", digest, (*earlier, Checkpoint(steps, folder / "adapter"))


def finished_steps(folder: Path, log: Path | None = None) -> int:
    """Steps of an attempt that made them all.

    Args:
        folder: of the attempt.
        log: where its processes wrote; None: its ``train.log``.

    Raises:
        TrainerError: it did not.
    """
    log = log or folder / "train.log"
    state = trainer_state(folder / "output") or {}
    steps, wanted = state.get("global_step"), state.get("max_steps", 0)
    if type(steps) is not int or type(wanted) is not int:
        raise TrainerError(
            f"the training ended without a word about its state: {folder / 'output' / 'trainer_state.json'} is missing "
            f"or damaged; log: {log}"
        )
    if steps < max(1, wanted):
        raise TrainerError(f"the training stopped at step {steps} of {wanted}; log: {log}")
    return steps


def _publish_model(output: Path, destination: Path) -> Path:
    """A fully tuned model without what its training left beside it."""
    if not any(output.glob("model*.safetensors")):
        raise AdapterError(f"{output}: has neither adapter_model.safetensors nor a model's")
    destination.mkdir()
    kept = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    for path in output.iterdir():
        if path.name in kept or path.name.startswith(("model", "special_tokens", "tokenizer.", "vocab", "merges")):
            shutil.copyfile(path, destination / path.name)
    return destination


def _earlier(output: Path, destination: Path, last: int, notes: Mapping[str, str]) -> list[Checkpoint]:
    """Publish every complete checkpoint before the last step, oldest first; one that is not usable is left out."""
    earlier = []
    for path in output.glob("checkpoint-*"):
        step = path.name.rpartition("-")[2]
        if step.isdigit() and int(step) < last and is_complete(path):
            with suppress(AdapterError):
                publish(path, destination / f"step-{step}", notes)
                earlier.append(Checkpoint(int(step), destination / f"step-{step}"))
    return sorted(earlier, key=lambda c: c.step)
