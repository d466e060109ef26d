"""Runs inside the trainer's environment: data to disk, LLaMA-Factory's own ``run_exp``, progress to a file.

``python entry.py JOB.json`` trains (one process, or one worker of ``torch.distributed.run``). ``python entry.py
JOB.json prepare`` only builds the dataset, once, before several nodes start. This file imports nothing of the harness,
because the two environments share no package. Invariants: no worker outlives the process that asked for the training
(LLaMA-Factory's own launcher leaves them running), the dataset holds exactly the ids that were asked for, and every
step writes one line to ``progress.jsonl``. Not supported: LLaMA-Factory's own data loading, which silently cuts the
ends of prompts, drops records and renders another prompt than the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import importlib.machinery
import json
import math
import os
import signal
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Run the job of ``argv[0]``; 0 when LLaMA-Factory returned by itself."""
    if argv[:1] == ["jsonl"]:
        return to_jsonl(Path(argv[1]), Path(argv[2]))
    if argv[:1] == ["modelfile"]:
        return modelfile(argv[1], argv[2])
    job: dict[str, Any] = json.loads(Path(argv[0]).read_text("utf-8"))
    _end_with(job.get("owner"))
    report = ProgressFile(Path(job["progress"]))
    report.write(phase="loading", what="dataset")
    _stub_torchaudio()
    try:
        if _rank() == 0:
            _dataset().prepare(job)
        else:
            _await(Path(job["dataset"]) / "dataset_dict.json", Path(job["dataset"]).with_suffix(".failed"))
        if argv[1:] == ["prepare"]:
            return 0
        if job["arguments"].get("deepspeed"):
            report.write(phase="loading", what="extensions")
            build_extensions(job)
        report.write(phase="loading", what="model")
        prove(job, Path(job["arguments"]["model_name_or_path"]), "the model's tokenizer")
        code = train(job, report)
        prove(job, Path(job["arguments"]["output_dir"]), "the tokenizer beside the adapter")
        return code
    except BaseException as error:
        report.write(phase="failed", reason=_reason(error), message=f"{type(error).__name__}: {error}"[:2000])
        raise


def _dataset() -> Any:
    """The module beside this file; the folder of a script is where Python looks first."""
    return importlib.import_module("dataset")


def train(job: dict[str, Any], report: ProgressFile) -> int:
    """Hand the job's arguments to LLaMA-Factory with our progress callback."""
    import torch

    if "threads" in job:
        torch.set_num_threads(int(job["threads"]))
    # Resuming several CPU processes: the optimiser's state is tagged "cpu:0", a place that torch cannot restore.
    torch.serialization.register_package(
        5, lambda _storage: None, lambda storage, place: storage if place.startswith("cpu:") else None
    )
    if job["arguments"].get("deepspeed") and os.environ.get("DS_ACCELERATOR") == "cpu":
        # On a CPU accelerate leaves this to DeepSpeed's engine, which comes too late for ZeRO-3: it spreads the model
        # over the processes while it is loaded, and would take itself for the only one.
        import deepspeed

        deepspeed.init_distributed(auto_mpi_discovery=False)
    from llamafactory.train.tuner import run_exp

    if job["arguments"].get("stage") == "dpo":
        _quicken(job, report)
    run_exp(args=dict(job["arguments"]), callbacks=[_callback(report, job)])
    return 0


def _quicken(job: dict[str, Any], report: ProgressFile) -> None:
    """Change LLaMA-Factory's preference step for a faster one; see :mod:`trainers.worker.dpo_step`."""
    from llamafactory.train.dpo.trainer import CustomDPOTrainer

    importlib.import_module("dpo_step").install(
        CustomDPOTrainer,
        {name: importlib.import_module(name) for name in ("packed_pairs", "lora_linear")},
        packed=bool(job.get("pack_pairs")),
        unlikelihood=float(job.get("unlikelihood", 0.0)),
        end_apart=bool(job.get("end_apart")),
        cache=bool(job.get("cache_reference")),
        say=lambda text: report.write(phase="note", note=text),
    )


def build_extensions(job: dict[str, Any]) -> None:
    """Build what DeepSpeed compiles at its first use (about a minute, once), under a lock that dies with its holder.

    torch's own lock is a file that a killed build leaves behind; every later training would wait for it for ever. The
    first rank of each node builds, the others wait for it.
    """
    # ninja is looked for on the path, which is the user's where the job was started by hand.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    place = os.environ.get("TORCH_EXTENSIONS_DIR")
    if not place:
        return
    ready = Path(job["progress"]).with_name(f"extensions-{os.uname().nodename}.ready")
    failed = ready.with_suffix(".failed")
    if os.environ.get("LOCAL_RANK", "0") != "0":
        _await(ready, failed)
        return
    Path(place).mkdir(parents=True, exist_ok=True)
    try:
        with (Path(place) / ".building").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _clear(Path(place))
            _compile(job["arguments"]["deepspeed"])
    except BaseException as error:
        failed.write_text(f"{type(error).__name__}: {error}", "utf-8")
        raise
    ready.write_text("", "utf-8")


def _clear(place: Path, seconds: float = 5.0) -> None:
    """Remove torch's locks that no process holds; a training that only checks the build holds one briefly."""
    until = time.monotonic() + seconds
    while (left := list(place.glob("**/lock"))) and time.monotonic() < until:
        time.sleep(0.1)
    for path in left:
        path.unlink(missing_ok=True)


def _compile(configuration: str) -> None:
    from deepspeed.comm.torch import build_shm_op

    if os.environ.get("DS_ACCELERATOR") == "cpu":
        build_shm_op()
    if "offload_optimizer" in json.loads(Path(configuration).read_text("utf-8"))["zero_optimization"]:
        from deepspeed.ops.op_builder import CPUAdamBuilder

        CPUAdamBuilder().load()


class PromptMismatch(Exception):
    """The training would see other ids than the tests."""

    training_reason = "prompt"


def prove(job: dict[str, Any], folder: Path, whose: str) -> None:
    """Render the job's probe dialogues and compare; rank 0 does it for all.

    Raises:
        PromptMismatch: says which dialogue and shows both sides where they part.
    """
    if _rank() or not job.get("probes"):
        return
    from transformers import AutoTokenizer

    trusted = bool(job["arguments"].get("trust_remote_code"))
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trusted)
    for probe in job["probes"]:
        kwargs = probe.get("chat_template_kwargs") or {}
        if probe.get("chat_template") is not None:
            kwargs = {**kwargs, "chat_template": probe["chat_template"]}
        ids = tokenizer.apply_chat_template(probe["messages"], add_generation_prompt=True, return_dict=True, **kwargs)
        _same(probe["prompt"], list(ids["input_ids"]), tokenizer, f"the prompt by {whose}")
        answer = [*tokenizer(probe["answer"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        _same(probe["answer_ids"], answer, tokenizer, f"the answer by {whose}")


def _same(wanted: list[int], actual: list[int], tokenizer: Any, what: str) -> None:
    if wanted == actual:
        return
    shorter = min(len(wanted), len(actual))
    at = next((i for i in range(shorter) if wanted[i] != actual[i]), shorter)
    sides = [
        f"{name} {ids[at : at + 8]} {tokenizer.decode(ids[max(0, at - 4) : at + 8])!r}"
        for name, ids in (("tests", wanted), ("training", actual))
    ]
    raise PromptMismatch(f"{what} differs from the tests' at token {at}: {'; '.join(sides)}")


class ProgressFile:
    """Appends one JSON object a line to the progress file; only rank 0 writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.time()

    def write(self, **values: Any) -> None:
        """Add a line; times are seconds since the epoch and since this process began."""
        if _rank() and values.get("phase") != "failed":
            return
        values |= {"time": time.time(), "elapsed": round(time.time() - self._began, 3), "rank": _rank()}
        line = json.dumps(values, default=str) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def _callback(report: ProgressFile, job: dict[str, Any]) -> Any:
    from transformers import TrainerCallback

    lengths = int(job.get("tokens", 0)), int(job.get("rows", 1))
    texts = importlib.import_module("drift").read_texts(Path(job["watched"])) if job.get("watched") else []

    class Progress(TrainerCallback):  # type: ignore[misc]
        """Loss, margin and accuracy of every step; stops at the first number that is not finite."""

        def __init__(self) -> None:
            self.began = 0.0
            self.first = 0

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            self.began, self.first = time.time(), state.global_step
            report.write(phase="training", step=state.global_step, total_steps=state.max_steps)

        def on_log(self, args: Any, state: Any, _control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            logs = logs or {}
            values = {name.replace("rewards/", ""): _number(value) for name, value in logs.items()}
            done, seconds = state.global_step - self.first, time.time() - self.began
            if done:
                values["remaining"] = round(seconds / done * (state.max_steps - state.global_step), 1)
                # Mean length times rows seen: exact over an epoch, and free.
                seen = done * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
                values["tokens_per_second"] = round(seen * lengths[0] / max(1, lengths[1]) / max(seconds, 1e-9), 1)
            report.write(phase="training", **({"step": state.global_step, "total_steps": state.max_steps} | values))
            for name in ("loss", "grad_norm", "eval_loss"):
                value = values.get(name)
                if value is not None and not math.isfinite(float(value)):
                    raise FloatingPointError(f"{name} = {value} at step {state.global_step}")

        def on_save(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
            report.write(phase="training", step=state.global_step, total_steps=state.max_steps, saved=True)
            if texts and (drift := importlib.import_module("drift").measure(model, texts)):
                report.write(phase="drift", step=state.global_step, drift=drift)

        def on_train_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            report.write(phase="saving", step=state.global_step, total_steps=state.max_steps)

    return Progress()


def to_jsonl(source: Path, target: Path) -> int:
    """Parquet to JSONL, a block of rows at a time; the harness's environment has no reader for it."""
    parquet = importlib.import_module("pyarrow.parquet")
    with target.open("w", encoding="utf-8") as file:
        for batch in parquet.ParquetFile(source).iter_batches(1024):
            file.writelines(json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in batch.to_pylist())
    return 0


def modelfile(model: str, name: str) -> int:
    """Print LLaMA-Factory's Modelfile for one of its templates as JSON, with both sides of a prompt if they differ."""
    _stub_torchaudio()
    from llamafactory.data.template import TEMPLATES, get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    if name not in TEMPLATES:
        sys.stdout.write(json.dumps({"unknown": name, "known": sorted(TEMPLATES)}) + "\n")
        return 0
    own = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    template = get_template_and_fix_tokenizer(tokenizer, DataArguments(template=name))
    turns = [{"role": "user", "content": "Say 3.\nNow."}]
    wanted = list(own.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"])
    rendered = list(template.encode_oneturn(tokenizer, [*turns, {"role": "assistant", "content": "3"}])[0])
    sides = None if wanted == rendered else [own.decode(wanted), own.decode(rendered)]
    sys.stdout.write(json.dumps({"text": template.get_ollama_modelfile(tokenizer), "sides": sides}) + "\n")
    return 0


def _stub_torchaudio() -> None:
    """Put an empty module in the place of torchaudio where it is absent or cannot load; text needs none of it."""
    with contextlib.suppress(Exception):
        importlib.import_module("torchaudio")
        return
    stub = types.ModuleType("torchaudio")
    # torch walks over sys.modules and asks for both; a missing attribute must be an AttributeError, as ModuleType does.
    stub.__file__ = __file__
    stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stub


def _end_with(owner: dict[str, Any] | None) -> None:
    """Die when the parent dies (at once) and when the process that asked for the training does (within a second).

    A process started by hand has no owner and outlives its shell; torchrun's workers never outlive torchrun.
    """
    if owner is None and "LOCAL_RANK" not in os.environ:
        return
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if owner is None or owner.get("host") != os.uname().nodename:
        return

    def watch() -> None:
        while process_mark(int(owner["pid"])) == owner["mark"]:
            time.sleep(1.0)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()


def process_mark(pid: int) -> str | None:
    """The start time of a process in clock ticks, which a later one of the same number does not share; None: gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _await(done: Path, failed: Path, seconds: float = 1800.0) -> None:
    until = time.monotonic() + seconds
    while not done.exists():
        if failed.exists():
            raise RuntimeError(f"the first process could not build {done}: {failed.read_text('utf-8')}")
        if time.monotonic() > until:
            raise TimeoutError(f"waited {seconds:.0f} s for {done}")
        time.sleep(0.2)


def _number(value: Any) -> Any:
    """A logged value as a float where it is one; transformers 5 logs some as strings."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _reason(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".lower()
    if isinstance(error, FloatingPointError):
        return "not finite"
    if (known := getattr(error, "training_reason", None)) is not None:
        return str(known)
    if isinstance(error, MemoryError) or "out of memory" in text or "not enough memory" in text:
        return "out of memory"
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted"
    return "error"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
