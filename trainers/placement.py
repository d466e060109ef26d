"""Where a training runs, by the arithmetic of :mod:`trainers.memory`: refused when it cannot fit, before it starts.

    the recipe names ``deepspeed``      it is taken as it is, and refused where it fits on no number of GPUs that the
                                        call allows, with what would fit
    the recipe names none               the first of these that fits: fewer GPUs before more, no DeepSpeed before
                                        ZeRO-2, ZeRO-3 and ZeRO-3 with offload; gradient checkpointing and smaller
                                        batches (with as many more of them an update) before another stage
    the call names the number of GPUs   that many; otherwise as many of the visible ones as are needed

None of what is chosen changes the examples of an update. A model of 72 billion parameters therefore never starts as
plain data parallelism. Where the GPUs are on other machines and their memory is not known, 80 GiB each are assumed to
choose by, and nothing is refused.

On a CPU nothing is chosen. Weights beyond the machine's memory are refused, since they cannot be loaded at all; an
estimate beyond what is free now is a note, since activations are estimated and other programs come and go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import SettingsError, TrainerError
from harness.setup.gpus import Gpu, gpus_with_memory
from trainers.launch import Launch
from trainers.memory import GIB, ModelSize, Need, model_size, need_of
from trainers.recipe import Recipe

__all__ = ["ASSUMED_GPU", "PLACED", "Placement", "machine_memory", "place", "what_helps"]

ASSUMED_GPU = 80 * GIB
"""Memory of a GPU that nobody has told of."""
PLACED = frozenset({"deepspeed", "gradient_checkpointing", "batch_size", "accumulation", "gpus"})
"""Fields of a recipe that follow from the memory of the GPUs, and change no example of an update."""
_STAGES = (None, "zero2", "zero3")
_OFFLOAD = "zero3-offload"
_MOST_GPUS = 64
"""Number up to which GPUs are suggested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A training with its processes, and what was counted."""

    recipe: Recipe
    launch: Launch
    need: Need | None = None
    """None: the model does not say its shape."""
    room: int = 0
    """Bytes of the smallest GPU, or of the machine's memory for each process on a CPU; 0: not known."""
    assumed: bool = False
    """Whether ``room`` is :data:`ASSUMED_GPU` and nobody's knowledge."""
    notes: tuple[str, ...] = ()
    """What was chosen, and what the user should know."""

    def rows(self) -> list[tuple[str, str]]:
        """The count as a table of two columns: what, and GiB of each process."""
        if self.need is None:
            return []
        cuda = bool(self.launch.devices)
        rows = [(name, f"{size / GIB:.1f}") for name, size in self.need.each.named()]
        rows.append(("sum of each GPU" if cuda else "sum of each process", f"{self.need.each.total / GIB:.1f}"))
        if self.room:
            has = "memory of each GPU" if cuda else "memory for each process"
            rows.append(("memory of each GPU, assumed" if self.assumed else has, f"{self.room / GIB:.1f}"))
        if self.need.host:
            rows.append(("in each machine's memory", f"{self.need.host / GIB:.1f}"))
        return rows

    def facts(self) -> dict[str, object]:
        """The same for programs; bytes."""
        if self.need is None:
            return {}
        return {
            "each": dict(self.need.each.named()), "total": self.need.each.total, "room": self.room,
            "assumed": self.assumed, "host": self.need.host, "processes": self.launch.world_size,
            "deepspeed": self.recipe.deepspeed, "gradient_checkpointing": self.recipe.gradient_checkpointing,
        }  # fmt: skip


def place(
    model: Path,
    recipe: Recipe,
    stage: str,
    launch: Launch,
    longest: int,
    *,
    parents: int = 0,
    gpus: tuple[Gpu, ...] | None = None,
) -> Placement:
    """Choose what the recipe leaves open, and refuse what cannot fit.

    Args:
        model: folder of the base model.
        recipe: how to train.
        stage: ``sft``, ``dpo`` or ``kto``.
        launch: the processes that the call asks for; the first GPU where it asks for none.
        longest: tokens of the longest example, of a pair of its longer answer.
        parents: number of adapters below the new one.
        gpus: those of this machine; None: asked.

    Raises:
        TrainerError: it cannot fit, with the numbers and what would fit.
    """
    size = model_size(model)
    if size is None:
        return Placement(recipe=recipe, launch=launch.with_deepspeed(recipe.deepspeed))
    if not launch.devices:
        return _on_cpu(size, recipe, stage, launch, longest, parents)
    here = gpus_with_memory() if gpus is None else gpus
    room, assumed = _room(launch, here)
    last: Placement | None = None
    for changed, processes in _candidates(recipe, launch, here, parents):
        need = need_of(size, changed, stage, processes, longest, parents=parents)
        last = Placement(
            recipe=changed, launch=processes, need=need, room=room, assumed=assumed,
            notes=_notes(recipe, changed, launch, processes),
        )  # fmt: skip
        if _fits(need, processes, room):
            return last
    assert last is not None
    assert last.need is not None
    if assumed:
        return last
    helps = what_helps(size, last.recipe, stage, last.launch, longest, room, parents=parents)
    host, total = last.need.host, machine_memory()[0]
    beside = f" and {host / GIB:.1f} GiB of this machine's {total / GIB:.1f} GiB of memory" if host else ""
    raise TrainerError(
        f"the training does not fit {last.launch.world_size} x {_name(last.launch, here)} of {room / GIB:.0f} GiB: "
        f"each needs {last.need.each}{beside} ({_setup(last.recipe)}, {longest} tokens); {helps}"
    )


def _fits(need: Need, launch: Launch, room: int) -> bool:
    """Whether a training fits its GPUs, and what is offloaded the machine's memory; other machines' is not known."""
    return need.each.total <= room and (
        not need.host or launch.nodes > 1 or need.host <= (machine_memory()[0] or need.host)
    )


def _room(launch: Launch, gpus: tuple[Gpu, ...]) -> tuple[int, bool]:
    """Bytes of the smallest GPU that trains, and whether that is assumed."""
    if launch.slurm is not None and launch.slurm.gpu_memory:
        return int(launch.slurm.gpu_memory * GIB), False
    here = [gpu.total for gpu in gpus if gpu.index in launch.devices]
    # GPUs of other machines may be others than those of this one.
    if launch.nodes > 1 or len(here) < len(launch.devices):
        return ASSUMED_GPU, True
    return min(here), False


def _name(launch: Launch, gpus: tuple[Gpu, ...]) -> str:
    return next((gpu.name for gpu in gpus if gpu.index in launch.devices), "GPU")


def _candidates(recipe: Recipe, launch: Launch, gpus: tuple[Gpu, ...], parents: int) -> Iterator[tuple[Recipe, Launch]]:
    """What is tried, in the order of the top of this module."""
    launches = [launch]
    if not recipe.gpus.strip() and launch.nodes == 1 and len(launch.devices) == 1 < len(gpus):
        every = tuple(gpu.index for gpu in gpus)
        counts = [n for n in (2, 4, 8, 16) if n < len(every)] + [len(every)]
        launches += [replace(launch, devices=every[:n]) for n in counts]
    if recipe.deepspeed is not None:
        yield from ((recipe, each.with_deepspeed(recipe.deepspeed)) for each in launches)
        return
    stages: list[tuple[Launch, str | None]] = [
        (each, stage) for each in launches for stage in _STAGES if stage is None or each.world_size > 1
    ]
    for each, deepspeed in [*stages, (launches[-1], _OFFLOAD)]:
        if deepspeed is not None and deepspeed.startswith("zero3") and parents and recipe.parent == "continue":
            # LLaMA-Factory would train the parent with a wrong reference (trainers/arguments.py).
            continue
        # A quantised model does not go with every stage.
        with suppress(SettingsError):
            changed = replace(recipe, deepspeed=deepspeed)
            for smaller in _smaller(changed):
                yield smaller, each.with_deepspeed(deepspeed)


def _smaller(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe, with gradient checkpointing, and with ever smaller batches; as many examples an update as before."""
    size, accumulation = recipe.batch_size, recipe.accumulation
    while True:
        each = replace(recipe, batch_size=size, accumulation=accumulation)
        yield each
        if not each.gradient_checkpointing:
            yield replace(each, gradient_checkpointing=True)
        if size == 1 or size % 2:
            return
        size, accumulation = size // 2, accumulation * 2


def _notes(asked: Recipe, chosen: Recipe, before: Launch, after: Launch) -> tuple[str, ...]:
    """What the count of memory has changed, in one line."""
    changes = [f"{after.processes} GPUs"] if after.devices != before.devices else []
    changes += [_changes(asked, chosen)] if chosen != asked else []
    return (f"chosen by the memory of the GPUs: {', '.join(changes)}",) if changes else ()


def _setup(recipe: Recipe) -> str:
    stage = f'deepspeed = "{recipe.deepspeed}"' if recipe.uses_deepspeed else "no DeepSpeed"
    return f"{stage}, batch_size = {recipe.batch_size}" + (
        ", gradient checkpointing" if recipe.gradient_checkpointing else ""
    )


def what_helps(
    size: ModelSize, recipe: Recipe, stage: str, launch: Launch, longest: int, room: int, *, parents: int = 0
) -> str:
    """What would make a training fit that does not: each single change that is enough by itself, else all together.

    Args:
        size: of the model.
        recipe: that does not fit.
        stage: ``sft``, ``dpo`` or ``kto``.
        launch: that it does not fit on.
        longest: tokens of the longest example.
        room: bytes of each GPU.
        parents: number of adapters below the new one.
    """

    def fits(changed: Recipe, tokens: int = longest, processes: Launch = launch) -> bool:
        each = processes.with_deepspeed(changed.deepspeed)
        return _fits(need_of(size, changed, stage, each, tokens, parents=parents), each, room)

    ways = [text for text, changed in _single_changes(recipe, launch, parents) if fits(changed)]
    if shorter := next((n for n in _shorter(longest) if fits(recipe, n)), 0):
        ways.append(f"cutoff_len = {shorter}")
    if ways:
        return f"what would fit: {'; or '.join(ways)}"
    *_, smallest = (each for each in _smaller(recipe) if each.gradient_checkpointing)
    together = [each for each in _together(smallest, parents) if each != recipe]
    for length in (longest, *_shorter(longest)):
        for changed in together:
            if fits(changed, length):
                more = f", cutoff_len = {length}" if length < longest else ""
                return f"what would fit: {_changes(recipe, changed)}{more}"
        for count in (n for n in (2, 4, 8, 16, 32, _MOST_GPUS) if n > launch.world_size):
            for changed in together:
                if fits(changed, length, Launch(devices=tuple(range(count)))):
                    more = f", cutoff_len = {length}" if length < longest else ""
                    return f"what would fit: {count} GPUs, {_changes(recipe, changed)}{more}"
    return "no recipe fits GPUs of this size; take larger ones, or a smaller model"


def _together(recipe: Recipe, parents: int) -> Iterator[Recipe]:
    """The recipe in each stage that it can be trained in, and quantised."""
    carries = not (parents and recipe.parent == "continue")
    yield recipe
    for deepspeed in ("zero3", _OFFLOAD) if carries else ():
        with suppress(SettingsError):
            yield replace(recipe, deepspeed=deepspeed)
    if recipe.tuning == "lora" and recipe.quantization is None:
        with suppress(SettingsError):
            yield replace(recipe, quantization=4)


def _changes(before: Recipe, after: Recipe) -> str:
    """Fields that differ, as they are written in a recipe."""
    fields = ("deepspeed", "gradient_checkpointing", "batch_size", "accumulation", "quantization")
    return ", ".join(
        f"{name} = {json.dumps(getattr(after, name))}"
        for name in fields
        if getattr(after, name) != getattr(before, name)
    ) or "the same recipe"  # fmt: skip


def _single_changes(recipe: Recipe, launch: Launch, parents: int) -> Iterator[tuple[str, Recipe]]:
    if not recipe.gradient_checkpointing:
        yield "gradient_checkpointing = true", replace(recipe, gradient_checkpointing=True)
    for smaller in _smaller(recipe):
        if smaller.batch_size < recipe.batch_size and smaller.gradient_checkpointing == recipe.gradient_checkpointing:
            yield f"batch_size = {smaller.batch_size}, accumulation = {smaller.accumulation}", smaller
            break
    for deepspeed in ("zero2", "zero3", _OFFLOAD):
        later = deepspeed > str(recipe.deepspeed) if recipe.uses_deepspeed else True
        barred = deepspeed.startswith("zero3") and parents and recipe.parent == "continue"
        if later and not barred and (launch.world_size > 1 or deepspeed == _OFFLOAD):
            with suppress(SettingsError):
                yield f'deepspeed = "{deepspeed}"', replace(recipe, deepspeed=deepspeed)
    if recipe.quantization is None and recipe.tuning == "lora":
        with suppress(SettingsError):
            yield "quantization = 4", replace(recipe, quantization=4)


def _shorter(longest: int) -> Iterator[int]:
    """Lengths below the longest example's that are worth a suggestion."""
    return (n for n in (16384, 8192, 4096, 2048, 1024, 512) if n < longest)


def _on_cpu(size: ModelSize, recipe: Recipe, stage: str, launch: Launch, longest: int, parents: int) -> Placement:
    processes = launch.with_deepspeed(recipe.deepspeed)
    need = need_of(size, recipe, stage, processes, longest, parents=parents)
    total, free = machine_memory()
    notes: tuple[str, ...] = ()
    # Several machines may have other memory than this one.
    if launch.nodes == 1 and total:
        model = need.each.weights + need.each.reference
        wanted = model * processes.processes + need.host
        if wanted > total:
            raise TrainerError(
                f"the model's weights do not fit this machine's memory: {processes.processes} x "
                f"{model / GIB:.1f} GiB, and it has {total / GIB:.1f} GiB; take a smaller model, fewer "
                "processes, or a machine with GPUs"
            )
        if (whole := need.each.total * processes.processes + need.host) > free:
            notes = (
                f"it may not fit this machine's memory: about {whole / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free",
            )
    room = total // processes.processes if launch.nodes == 1 else 0
    return Placement(recipe=recipe, launch=processes, need=need, room=room, notes=notes)


def machine_memory() -> tuple[int, int]:
    """Bytes of this machine's memory and what of it is available; a container's limit counts. 0: not known."""
    total = available = 0
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        values = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        total, available = values["MemTotal"], values.get("MemAvailable", values["MemTotal"])
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        total, available = min(total, limit), min(available, max(0, limit - used))
    return total, available
