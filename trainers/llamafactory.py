"""Training through LLaMA-Factory, in its own environment.

    check -> data on disk -> job -> processes -> watch -> judge -> weights

An attempt has a fresh folder (LLaMA-Factory resumes by itself in an old one). It succeeded when its processes ended
with 0, the trainer's own state says that every step was made, and the weights are whole, finite and not zero; an
adapter file alone proves nothing. Everything that can be refused is refused before a process starts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.adapters.folder import publish
from harness.adapters.lineage import Lineage, check_lineage, fingerprint, parts_of
from harness.errors import AdapterError, SettingsError, TrainerError, TrainerMissing
from harness.files import write_text
from trainers.arguments import arguments, steps_of, to_yaml
from trainers.attempt import check_disk, check_same, is_complete, last_checkpoint, new_attempt, trainer_state
from trainers.base import Checkpoint, OnProgress, TrainProgress, TrainRequest, TrainResult
from trainers.examples import DataFacts, write_examples
from trainers.process import last_lines, owner, run_logged
from trainers.watch import Timing, Watch, write_timing

__all__ = ["LlamaFactory", "trainer_python"]

ENTRY = Path(__file__).with_name("entry.py")
_POLL = 0.25
PROGRESS = "progress.jsonl"


def trainer_python(root: Path) -> Path:
    """The Python of the trainer's environment.

    HARNESS_TRAINER_PYTHON, else ``.venv-trainer`` in the project, else beside the environment that runs the harness.

    Raises:
        TrainerMissing: there is none.
    """
    said = os.environ.get("HARNESS_TRAINER_PYTHON")
    folders = [Path(said).expanduser()] if said else [
        place / ".venv-trainer" / "bin" / "python" for place in (root, Path(sys.prefix).parent)
    ]  # fmt: skip
    path = next((p for p in folders if p.is_file()), folders[0])
    if not path.is_file():
        where = "HARNESS_TRAINER_PYTHON names" if said else "the trainer's environment is missing:"
        raise TrainerMissing(f"{where} {path}, which is not there; run: harness setup")
    # Not resolved: a virtual environment's python is a link, and what it links to knows nothing of the environment.
    return path.absolute()


class LlamaFactory:
    """The trainer of the name ``llamafactory``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self) -> None:
        """See :meth:`trainers.base.Trainer.check`."""
        trainer_python(self._root)

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """See :meth:`trainers.base.Trainer.train`."""
        began = time.monotonic()
        python = trainer_python(self._root)
        check_request(request)
        on_progress(TrainProgress("preparing"))
        resume = last_checkpoint(request.output) if request.resume else None
        folder, data = prepare(request)
        prepared = time.monotonic() - began
        on_progress(TrainProgress("preparing", total_steps=steps_of(request, data.rows), elapsed=prepared))
        if resume is not None:
            check_same(resume, data, request.recipe)
        job = write_job(request, data, folder, resume=resume)
        watch = Watch(folder / PROGRESS, on_progress, began)
        log = folder / "train.log"
        command = request.launch.command(python, ENTRY, job)
        code = run_logged(command, log, environment(request, python), every=_POLL, tick=watch.tick)
        watch.tick()
        ended, total = time.time(), time.monotonic() - began
        _judge(code, folder, watch, request)
        recipe = request.recipe
        per_step = recipe.batch_size * recipe.accumulation * request.launch.world_size
        timing = Timing.of(watch, data, total=total, prepared=prepared, ended=ended, per_step=per_step)
        write_timing(timing, folder)
        notes = (*data.notes, *([f"went on from {resume.name}"] if resume else []))
        return _result(request, data, folder, watch, time.monotonic() - began, notes)


def prepare(request: TrainRequest) -> tuple[Path, DataFacts]:
    """A fresh attempt's folder with the checked examples in it."""
    folder = new_attempt(request.output)
    data = write_examples(request.examples, folder, request.recipe)
    check_disk(request.model_path, data, request.recipe, folder)
    return folder, data


def check_request(request: TrainRequest) -> None:
    """Refuse what cannot end well.

    Raises:
        SettingsError: recipe and stage do not go together.
        TrainerError: no model there.
        AdapterError: a parent is damaged.
    """
    problems = request.recipe.problems_for(request.stage, parents=len(request.parents))
    if problems:
        raise SettingsError(f"recipe {request.recipe.name!r}: " + "; ".join(problems))
    if not (request.model_path / "config.json").is_file():
        raise TrainerError(f"{request.model_path}: no model there (config.json is missing)")
    if request.parents:
        check_lineage(request.model_path, request.parents)


def write_job(request: TrainRequest, data: DataFacts, folder: Path, *, resume: Path | None = None) -> Path:
    """Write what :mod:`trainers.entry` reads, and the same configuration as YAML for people."""
    settings = arguments(request, data, folder, resume=resume)
    write_text(folder / "train.yaml", to_yaml(settings))
    write_text(folder / "recipe.json", json.dumps(request.recipe.to_mapping(), indent=2) + "\n")
    job = {
        "arguments": settings, "dataset": str(folder / "dataset"), "examples": str(data.train),
        "validation": str(data.validation) if data.validation else None, "progress": str(folder / PROGRESS),
        "cache_reference": request.recipe.cache_reference, "threads": threads(request), "rows": data.rows,
        "tokens": data.tokens, "probes": [p.record() for p in request.probes], "owner": owner(),
    }  # fmt: skip
    return write_text(folder / "job.json", json.dumps(job, indent=2) + "\n")


def threads(request: TrainRequest) -> int:
    """CPU threads of each process."""
    cores = len(os.sched_getaffinity(0))
    return request.recipe.threads or max(1, cores // request.launch.processes)


def environment(request: TrainRequest, python: Path) -> dict[str, str]:
    """Variables of the training's processes: this process's, what the launch needs, the recipe's own over all."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "VLLM_", "PYTHON", "TORCHELASTIC_"))}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "USE_RAY", "USE_MCA", "USE_V1"):
        base.pop(name, None)
    made = {
        "PATH": f"{python.parent}{os.pathsep}{base.get('PATH', os.defpath)}",  # DeepSpeed looks for ninja there
        "OMP_NUM_THREADS": str(threads(request)),
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, request.launch.devices)),
        "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        "DISABLE_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg",
    }  # fmt: skip
    if not request.launch.devices:
        made["DS_ACCELERATOR"] = "cpu"
        # Logits of several hundred MB come and go every step; giving them back to the kernel costs a quarter of the
        # time.
        made |= {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
    return base | made | dict(request.recipe.environment)


def _judge(code: int, folder: Path, watch: Watch, request: TrainRequest) -> None:
    log = folder / "train.log"
    if code == 0 and watch.failure is None:
        state = trainer_state(folder / "output")
        if state is None:
            raise TrainerError(f"the training ended without a word about its state; log: {log}")
        steps, wanted = int(state.get("global_step", 0)), int(state.get("max_steps", 0))
        if steps < max(1, wanted):
            raise TrainerError(f"the training stopped at step {steps} of {wanted}; log: {log}")
        return
    failure = watch.failure or {}
    lines = last_lines(log)
    text = str(failure.get("message") or (lines[-1] if lines else "it said nothing"))
    reason = str(failure.get("reason") or ("out of memory" if _killed(code, lines) else "error"))
    shown = "".join(f"\n    {line}" for line in lines[-6:])
    raise TrainerError(f"{_what(reason, text, code, request)}; log: {log}{shown}")


def _killed(code: int, lines: list[str]) -> bool:
    return code in (-signal.SIGKILL, 128 + signal.SIGKILL) or any("exitcode  : -9" in line for line in lines)


def _what(reason: str, text: str, code: int, request: TrainRequest) -> str:
    recipe = request.recipe
    if reason == "out of memory":
        smaller = f"batch_size = {max(1, recipe.batch_size // 2)}, accumulation = {recipe.accumulation * 2}"
        if recipe.batch_size == 1:
            smaller = f"cutoff_len = {recipe.cutoff_len // 2}"
        more = "" if recipe.gradient_checkpointing else ", gradient_checkpointing = true"
        if request.launch.devices and recipe.deepspeed is None:
            more += ', deepspeed = "zero2"'
        return f"the training ran out of memory (batch_size = {recipe.batch_size}); try {smaller}{more}"
    if reason == "not finite":
        return f"the training diverged: {text}; try learning_rate = {recipe.learning_rate / 5:g}"
    if reason == "prompt":
        return f"refused, the training would not see the tests' prompts: {text.partition(': ')[2]}"
    return f"the training failed (exit code {code}): {text}"


def _result(
    request: TrainRequest, data: DataFacts, folder: Path, watch: Watch, seconds: float, notes: tuple[str, ...]
) -> TrainResult:
    output = folder / "output"
    try:
        lineage = _lineage(request).notes()
        facts = publish(output, folder / "adapter", lineage)
    except AdapterError as error:
        raise TrainerError(f"the training left no usable weights: {error}; log: {folder / 'train.log'}") from error
    steps = int((trainer_state(output) or {})["global_step"])
    return TrainResult(
        adapter=folder / "adapter",
        digest=facts.digest,
        steps=steps,
        seconds=seconds,
        losses=tuple(watch.series["loss"]),
        margins=tuple(watch.series["margins"]),
        accuracies=tuple(watch.series["accuracies"]),
        checkpoints=(*_earlier(output, folder / "checkpoints", steps, lineage), Checkpoint(steps, folder / "adapter")),
        folder=folder,
        log=folder / "train.log",
        examples=data.rows,
        notes=notes,
    )


def _lineage(request: TrainRequest) -> Lineage:
    """What the new weights stand on; a parent that was trained further is part of them."""
    below = request.parents if request.recipe.parent == "new" else request.parents[:-1]
    return Lineage(fingerprint(request.model_path), tuple(digest for path in below for digest in parts_of(path)))


def _earlier(output: Path, destination: Path, last: int, notes: Mapping[str, str]) -> list[Checkpoint]:
    """Publish every complete checkpoint before the last step, oldest first; one that is not usable is left out."""
    found = []
    for path in output.glob("checkpoint-*"):
        step = path.name.rpartition("-")[2]
        if step.isdigit() and int(step) < last and is_complete(path):
            with suppress(AdapterError):
                publish(path, destination / f"step-{step}", notes)
                found.append(Checkpoint(int(step), destination / f"step-{step}"))
    return sorted(found, key=lambda c: c.step)
