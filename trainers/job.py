"""A request on disk: everything that the trainer's processes need, on this machine or on many.

The job is written once, whole, before a process starts. A dry run prints it, several nodes are started with it by hand,
and :class:`~trainers.llamafactory_trainer.LlamaFactory` starts it itself: the same files and the same commands.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import SettingsError, TrainerError
from harness.models.adapters.lineage import Lineage, check_lineage, fingerprint, parts_of
from harness.models.adapters.tensors import read_header
from harness.models.embedded import cache_folder
from harness.safe.files import write_text
from harness.safe.read import read_object, reason
from trainers.arguments import arguments
from trainers.attempt import check_disk, new_attempt
from trainers.base import TrainRequest
from trainers.examples import DataFacts, write_examples
from trainers.memory import model_size, trained_parameters
from trainers.merged_parent import bytes_to_make, with_merged_parents
from trainers.placement import Placement, place
from trainers.process import owner

__all__ = [
    "ENTRY",
    "JOB",
    "PROGRESS",
    "Prepared",
    "check_request",
    "environment",
    "launch_variables",
    "lineage",
    "prepare",
    "write_job",
]

ENTRY = Path(__file__).with_name("worker") / "entry.py"
JOB, PROGRESS = "job.json", "progress.jsonl"
_FOREIGN = ("PYTEST_", "VLLM_", "PYTHON", "TORCHELASTIC_")
_DISTRIBUTED = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "USE_RAY", "USE_MCA", "USE_V1"}
"""Left over from another launch, they would turn this one into something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A training whose data are on disk, and whose processes are known to fit."""

    request: TrainRequest
    """With what the memory of the GPUs has decided."""
    folder: Path
    """The attempt's own, fresh."""
    data: DataFacts
    placement: Placement

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.data.notes, *self.placement.notes)


def prepare(request: TrainRequest) -> Prepared:
    """Write the checked examples into a fresh attempt's folder, and see that the training fits memory and disk.

    Raises:
        DataError: examples that must not be trained on.
        TrainerError: it does not fit the GPUs or the disk, with the numbers.
    """
    folder = new_attempt(request.output)
    try:
        data = write_examples(request.examples, folder, request.recipe)
        placement = place(
            request.model_path, request.recipe, request.stage, request.launch, data.longest,
            parents=len(request.parents),
        )  # fmt: skip
        request = replace(request, recipe=placement.recipe, launch=placement.launch)
        size = model_size(request.model_path)
        check_disk(
            request.model_path, data, request.recipe, folder, merged=bytes_to_make(request),
            trained=trained_parameters(size, request.recipe) if size else None,
        )  # fmt: skip
    except BaseException:
        # Nothing was tried: an attempt that never began would only be in the way.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Prepared(request=request, folder=folder, data=data, placement=placement)


def check_request(request: TrainRequest) -> None:
    """Refuse what cannot end well.

    Raises:
        SettingsError: recipe and stage do not go together.
        TrainerError: no model there.
        AdapterError: a parent is damaged.
    """
    cuda = bool(request.launch.devices)
    problems = request.recipe.problems_for(request.stage, parents=len(request.parents), cuda=cuda)
    if not (request.model_path / "config.json").is_file():
        raise TrainerError(f"{request.model_path}: no model there (config.json is missing)")
    problems += [*_unknown_modules(request), *_half_tied(request)]
    if problems:
        raise SettingsError(f"recipe {request.recipe.name!r}: " + "; ".join(problems))
    if request.parents:
        check_lineage(request.model_path, request.parents)


def _unknown_modules(request: TrainRequest) -> list[str]:
    """Names in the recipe that no module of the model ends with; peft would say so only once the model is loaded."""
    recipe = request.recipe
    found = {name.removesuffix(".weight") for p in request.model_path.glob("*.safetensors") for name in read_header(p)}
    if not found:
        return []
    # Where it is tied to the embedding, the files have no output layer.
    found.add("lm_head")
    problems = []
    for field, names in (("lora_targets", recipe.lora_targets), ("additional_targets", recipe.additional_targets)):
        absent = [n for n in names if n != "all" and not any(f == n or f.endswith(f".{n}") for f in found)]
        if absent:
            known = ", ".join(sorted({name.rpartition(".")[2] for name in found}))
            problems.append(f"{field}: this model has no {', '.join(absent)}; its modules end with {known}")
    return problems


def _half_tied(request: TrainRequest) -> list[str]:
    """Training one of two tied layers parts them, and the adapter holds only one: no model is whole with it."""
    ends = {"embed_tokens", "lm_head"} & {name.rpartition(".")[2] for name in request.recipe.additional_targets}
    if len(ends) != 1:
        return []
    try:
        config = read_object(request.model_path / "config.json")
    except (OSError, ValueError) as error:
        raise TrainerError(f"{request.model_path / 'config.json'} is not JSON: {reason(error)}") from error
    if not config.get("tie_word_embeddings"):
        return []
    return [f"additional_targets has {ends.pop()} alone, and this model ties embed_tokens and lm_head; name both"]


def write_job(
    request: TrainRequest, data: DataFacts, folder: Path, *, resume: Path | None = None, owned: bool = True
) -> Path:
    """Write what :mod:`trainers.worker.entry` reads, and the same arguments for LLaMA-Factory and for people.

    Args:
        request: the training.
        data: facts about its data on disk.
        folder: folder of the attempt.
        resume: checkpoint to go on from.
        owned: whether this process starts the training, which then ends with it. A job that is started elsewhere has no
            owner, since this process has ended by then.
    """
    settings = arguments(with_merged_parents(request, folder, owned=owned), data, folder, resume=resume)
    write_text(folder / "train.json", json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "recipe.json", json.dumps(request.recipe.to_mapping(), indent=2) + "\n")
    job = {
        "arguments": settings, "dataset": str(folder / "dataset"), "examples": str(data.train),
        "validation": str(data.validation) if data.validation else None, "progress": str(folder / PROGRESS),
        "cache_reference": request.recipe.cache_reference, "pack_pairs": request.recipe.pack_pairs,
        "unlikelihood": request.recipe.unlikelihood, "end_apart": request.recipe.end_apart,
        "threads": threads(request), "rows": data.rows,
        "tokens": data.tokens, "probes": [p.record() for p in request.probes],
        "watched": str(_watched(request, folder)) if _measurable(request) else None,
        "lineage": lineage(request).notes(), "owner": owner() if owned else None,
    }  # fmt: skip
    return write_text(folder / JOB, json.dumps(job, indent=2) + "\n")


def _measurable(request: TrainRequest) -> bool:
    """Whether the model before is at hand during the training: it is the model without its new LoRA."""
    recipe = request.recipe
    return bool(request.watched) and recipe.tuning == "lora" and not (request.parents and recipe.parent == "continue")


def _watched(request: TrainRequest, folder: Path) -> Path:
    lines = [
        json.dumps({"kind": t.kind, "prompt": list(t.prompt), "answer": list(t.answer)}) + "\n" for t in request.watched
    ]
    return write_text(folder / "watched.jsonl", "".join(lines))


def threads(request: TrainRequest) -> int:
    """CPU threads of each process."""
    slurm = request.launch.slurm
    cores = slurm.cpus_per_task if slurm is not None and slurm.cpus_per_task else len(os.sched_getaffinity(0))
    return request.recipe.threads or max(1, cores // request.launch.processes)


def lineage(request: TrainRequest) -> Lineage:
    """What the new weights stand on; a parent that is trained further is part of them."""
    below = request.parents if request.recipe.parent == "new" else request.parents[:-1]
    return Lineage(fingerprint(request.model_path), tuple(digest for path in below for digest in parts_of(path)))


def environment(request: TrainRequest, python: Path) -> dict[str, str]:
    """Variables of the training's processes: this process's, what the launch needs, the recipe's own over all."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN) and k not in _DISTRIBUTED}
    # DeepSpeed looks for ninja on the path.
    path = f"{python.parent}{os.pathsep}{base.get('PATH', os.defpath)}"
    return base | {"PATH": path} | launch_variables(request)


def launch_variables(request: TrainRequest) -> dict[str, str]:
    """What must be set for a training, wherever it is started."""
    variables = {
        "OMP_NUM_THREADS": str(threads(request)),
        "CUDA_VISIBLE_DEVICES": ",".join(map(str, request.launch.devices)),
        "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        "DISABLE_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "MPLBACKEND": "Agg",
    }  # fmt: skip
    if not request.launch.devices:
        variables["DS_ACCELERATOR"] = "cpu"
        # A thread that spins while it waits starves the others where cores are shared.
        variables["OMP_WAIT_POLICY"] = "PASSIVE"
        # Logits of several hundred MB come and go every step; giving them back to the kernel costs a third of the time.
        variables |= {"MALLOC_MMAP_THRESHOLD_": str(2**33), "MALLOC_TRIM_THRESHOLD_": str(2**34)}
        # Huge pages where the kernel gives them: fewer misses in the address translation, a tenth of the time.
        variables["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if request.recipe.uses_deepspeed:
        variables["TORCH_EXTENSIONS_DIR"] = str(cache_folder() / "torch_extensions")
    return variables | dict(request.recipe.environment)
