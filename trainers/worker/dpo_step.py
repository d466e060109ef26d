"""A faster step for LLaMA-Factory's preference training, and one loss more; all else stays LLaMA-Factory's.

    reference     log-probabilities of the reference once for each answer; it never changes
    packed pairs  see :mod:`trainers.worker.packed_pairs`
    fused LoRA    see :mod:`trainers.worker.lora_linear`
    unlikelihood  mean of -log(1 - p) over the counted tokens of a rejected answer whose beginning is not counted,
                  that is of a loop's further copies (Welleck et al. 2020)
    end apart     the end of a chosen answer is no part of the preference where the rejected one was cut off

The fast pass proves itself: the first batch goes both ways, and the log-probabilities of each answer must be the same
within what the number type rounds. Where they differ, or the model does not take the fast pass, the training goes
LLaMA-Factory's own way and says why. So a new architecture costs speed and never correctness.

Trade-off: this replaces methods of LLaMA-Factory 0.9.5's ``CustomDPOTrainer``; a version with other methods is trained
as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

__all__ = ["install"]

_TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 0.25, torch.float16: 0.05}
"""Allowed distance of the two passes by the type of the weights; see :func:`_distance`. In bfloat16, equal sums that
are added up in another order are 0.1 apart; a token that sees what it must not see makes it 1 and more."""
_IGNORED = -100
"""Label of a token that is not counted."""
_METHODS = ("concatenated_forward", "compute_reference_log_probs", "get_batch_loss_metrics")
_NEARLY_ONE = -1e-4
"""Log-probability above which -log(1 - p) is taken as there: it has no limit."""


def install(
    trainer: type[Any],
    parts: dict[str, Any],
    *,
    packed: bool,
    cache: bool,
    say: Callable[[str], None],
    unlikelihood: float = 0.0,
    end_apart: bool = False,
) -> None:
    """Change LLaMA-Factory's preference trainer.

    Args:
        trainer: ``CustomDPOTrainer``.
        parts: the modules ``packed_pairs`` and ``lora_linear``, which the caller loads.
        packed: whether pairs are packed and LoRA layers fused, where the model allows it.
        cache: whether the reference's log-probabilities are remembered.
        say: called with a note for the user.
        unlikelihood: weight of the further loss.
        end_apart: whether ends that have no counterpart are left out of the preference.

    Raises:
        RuntimeError: another loss is wanted, and this LLaMA-Factory has other methods.
    """
    missing = [name for name in _METHODS if not callable(getattr(trainer, name, None))]
    if missing and (unlikelihood or end_apart):
        raise RuntimeError(f"this LLaMA-Factory has no {missing[0]}, so its loss cannot be changed as the recipe says")
    if missing:
        say(f"this LLaMA-Factory has no {missing[0]}; it trains in its own way, more slowly")
        return
    _Packing(trainer, parts, say, packed=packed, further=bool(unlikelihood), end_apart=end_apart)
    if unlikelihood:
        _add_unlikelihood(trainer, unlikelihood)
    if cache:
        _remember_reference(trainer)


class _Packing:
    """Takes the place of ``concatenated_forward``: decides at the first batch, then goes one way."""

    def __init__(
        self,
        trainer: type[Any],
        parts: dict[str, Any],
        say: Callable[[str], None],
        *,
        packed: bool,
        further: bool,
        end_apart: bool,
    ) -> None:
        self._pairs, self._lora, self._say = parts["packed_pairs"], parts["lora_linear"], say
        self._own = trainer.concatenated_forward
        self._ready: bool | None = None if packed else False

        def forward(this: Any, model: Any, batch: dict[str, Any], is_ref_model: bool = False) -> dict[str, Any]:
            if self._ready is None:
                self._ready = self._prove(this, model, batch)
            labels = batch["labels"]
            if self._ready:
                output = self._forward(this, model, batch)
            else:
                output = self._own(this, model, batch, is_ref_model)
                if end_apart:
                    output["ends"] = _ends_of_logits(output["chosen_logits"], labels)
                if further:
                    output["repeated"] = _repeated_of_logits(output["rejected_logits"], labels)
            if end_apart:
                lonely = torch.tensor(_lonely_ends(labels), device=output["ends"].device)
                output["chosen_logps"] = output["chosen_logps"] - output["ends"] * lonely
            if further and not is_ref_model:
                this.repeated = output["repeated"]
            return output

        trainer.concatenated_forward = forward

    def _prove(self, trainer: Any, model: Any, batch: dict[str, Any]) -> bool:
        whole, base = trainer.accelerator.unwrap_model(model), _base(trainer, model)
        if why := self._cannot(trainer, base):
            self._say(f"pairs are not packed: {why}")
            return False
        models = [base] if trainer.ref_model is None else [base, _base(trainer, trainer.ref_model)]
        with torch.no_grad():
            wanted = self._own(trainer, model, dict(batch))
            before = [each.config._attn_implementation for each in models]
            self._register()
            for each in models:
                each.set_attn_implementation(self._pairs.ATTENTION)
            changed = self._lora.fuse(whole)
            actual = self._forward(trainer, model, dict(batch))
        far = _distance(wanted, actual, batch["labels"], means=trainer.loss_type in ("ipo", "orpo", "simpo"))
        limit = _TOLERANCE.get(base.dtype, 2e-2)
        if far <= limit:
            self._say(f"pairs are packed, {changed} LoRA layers fused; proved to {far:.1e} nats")
            return True
        for each, name in zip(models, before, strict=True):
            each.set_attn_implementation(name)
        self._lora.part(whole)
        self._say(f"pairs are not packed: log-probabilities differ by {far:.1e} nats from LLaMA-Factory's own")
        return False

    def _cannot(self, trainer: Any, base: Any) -> str:
        if getattr(trainer, "is_fsdp_enabled", False) or _zero_stage(trainer) == 3:
            return "the weights are spread over the processes"
        if not self._pairs.packable(base):
            return f"{type(base).__name__} has layers that do not attend to the whole text"
        return ""

    def _register(self) -> None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        ALL_ATTENTION_FUNCTIONS.register(self._pairs.ATTENTION, self._pairs.attention)

    def _forward(self, trainer: Any, model: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = batch["input_ids"].device
        answers = [
            (ids[mask.bool()].tolist(), labels[mask.bool()].tolist())
            for ids, mask, labels in zip(
                batch["input_ids"].cpu(), batch["attention_mask"].cpu(), batch["labels"].cpu(), strict=True
            )
        ]
        half = len(answers) // 2
        packed = self._pairs.pack(answers[:half], answers[half:]).to(device)
        self._pairs.attend_to(packed)
        logits = model(
            input_ids=packed.ids, position_ids=packed.positions, logits_to_keep=packed.rows, use_cache=False,
            return_dict=True,
        ).logits[0]  # fmt: skip
        each = self._pairs.token_log_probs(logits, packed.targets)
        zeros = torch.zeros(2 * half + 1, device=device)
        late = _starts_late(batch["labels"])
        sums = zeros.index_add(0, packed.owners, each)[:-1]
        lengths = zeros.index_add(0, packed.owners, torch.ones_like(each))[:-1].clamp(min=1)
        means = sums / lengths
        first, second = (means if trainer.loss_type in ("ipo", "orpo", "simpo") else sums).split(half)
        levels = logits.detach().mean(-1, dtype=torch.float32)
        chosen, rejected = packed.owners < half, (packed.owners >= half) & (packed.owners < 2 * half)
        return {
            "chosen_logps": first, "rejected_logps": second, "chosen_logits": levels[chosen],
            "rejected_logits": levels[rejected],
            "chosen_logps_avg": means[:half],
            "ends": torch.stack([each[packed.owners == i][-1] for i in range(half)]),
            "repeated": [each[packed.owners == half + i] for i in range(half) if late[i]],
        }  # fmt: skip


def _distance(wanted: dict[str, Any], actual: dict[str, Any], labels: torch.Tensor, *, means: bool) -> float:
    """Root of the summed squared differences of answers' log-probabilities, by the number of tokens, in nats.

    Rounding errors of tokens are independent, so an answer's grows with the root of its length, and this does not
    depend on lengths. An error of the pass grows with the length itself.
    """
    tokens = (labels[:, 1:] != _IGNORED).sum(-1).clamp(min=1)
    one, other = (torch.cat([side["chosen_logps"], side["rejected_logps"]]).float() for side in (wanted, actual))
    apart = (one - other) * (tokens if means else 1)
    return float((apart.square().sum() / tokens.sum()).sqrt())


def _starts_late(labels: torch.Tensor) -> list[bool]:
    """Of each pair, whether the beginning of its rejected answer is not counted, though the chosen answer's is."""
    first = (labels != _IGNORED).int().argmax(-1)
    half = len(first) // 2
    return [bool(rejected > chosen) for chosen, rejected in zip(first[:half], first[half:], strict=True)]


def _lonely_ends(labels: torch.Tensor) -> list[bool]:
    """Of each pair, whether the chosen answer's last token does not end the rejected one, which was cut off.

    Where the end is all that is learnt of the chosen answer, it is what the pair compares.
    """
    counted = [row[row != _IGNORED] for row in labels]
    half = len(counted) // 2
    return [
        len(chosen) > 1 and bool(chosen[-1] != rejected[-1])
        for chosen, rejected in zip(counted[:half], counted[half:], strict=True)
    ]


def _counted(logits: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Log-probabilities of each answer's counted tokens, from [answers, length, vocabulary] and [answers, length]."""
    wanted = labels[:, 1:]
    each = logits[:, :-1].log_softmax(-1).gather(2, wanted.clamp(min=0)[..., None])[..., 0]
    return [row[mask] for row, mask in zip(each, wanted != _IGNORED, strict=True)]


def _ends_of_logits(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[pairs]: log-probability of the last token of each chosen answer."""
    return torch.stack([answer[-1] for answer in _counted(logits, labels[: len(labels) // 2])])


def _repeated_of_logits(logits: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Log-probabilities of the counted tokens of rejected answers whose beginning is not counted."""
    answers = _counted(logits, labels[len(labels) // 2 :])
    return [answer for answer, late in zip(answers, _starts_late(labels), strict=True) if late]


def _add_unlikelihood(trainer: type[Any], weight: float) -> None:
    """Add ``weight`` times the unlikelihood of what rejected answers repeat to the loss of a batch of pairs."""
    compute = trainer.get_batch_loss_metrics

    def with_unlikelihood(
        self: Any, model: Any, batch: dict[str, Any], train_eval: str = "train"
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        pairs = len(batch["labels"]) // 2
        loss, metrics = compute(self, model, batch, train_eval)
        if self.repeated:
            terms = [-torch.log1p(-torch.exp(each.clamp(max=_NEARLY_ONE))).mean() for each in self.repeated]
            further = torch.stack(terms).sum() / pairs
            loss = loss + weight * further
            metrics[f"{'eval_' if train_eval == 'eval' else ''}unlikelihood"] = further.item()
        return loss, metrics

    trainer.get_batch_loss_metrics = with_unlikelihood


def _base(trainer: Any, model: Any) -> Any:
    """The transformers model inside a wrapped one, with or without a LoRA."""
    whole = trainer.accelerator.unwrap_model(model)
    return whole.get_base_model() if hasattr(whole, "get_base_model") else whole


def _zero_stage(trainer: Any) -> int:
    plugin = getattr(trainer.accelerator.state, "deepspeed_plugin", None)
    return int(plugin.zero_stage) if plugin is not None else 0


def _remember_reference(trainer: type[Any]) -> None:
    """Remember the reference's log-probability of every answer.

    LLaMA-Factory computes it again in every epoch. One process only: where weights are spread, ranks must agree on who
    runs a forward pass, or collectives hang.
    """
    known: dict[bytes, float] = {}
    compute = trainer.compute_reference_log_probs

    def cached(self: Any, model: Any, batch: dict[str, Any]) -> tuple[Any, Any]:
        if not self.finetuning_args.use_ref_model or self.args.world_size > 1:
            return compute(self, model, batch)  # type: ignore[no-any-return]
        keys = list(_keys(batch))
        if not all(key in known for key in keys):
            chosen, rejected = compute(self, model, batch)
            known.update(zip(keys, torch.cat([chosen, rejected]).float().tolist(), strict=True))
        values = torch.tensor([known[key] for key in keys], device=self.accelerator.device)
        return values[: len(keys) // 2], values[len(keys) // 2 :]

    trainer.compute_reference_log_probs = cached


def _keys(batch: dict[str, Any]) -> Iterator[bytes]:
    for ids, mask, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
        yield bytes(ids[mask.bool()].cpu().numpy().tobytes() + labels[mask.bool()].cpu().numpy().tobytes())
