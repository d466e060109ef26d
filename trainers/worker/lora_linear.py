"""A linear layer with its LoRA as one step: fewer passes over the activations, fewer of them kept.

    y = x W^T + s (x A^T) B^T

peft computes the LoRA's part as a tensor of its own, scales it, adds it, and keeps what each step needs. Here the two
products of rank r are added to the frozen layer's output and gradient in place (``addmm_``), and the scale is applied
to the tensor of rank r. The sums are the same but for rounding, and fewer passes over memory are made, on which a CPU
spends most of the time of a small model.

Only plain layers are changed: float weights that lie whole on this process, one LoRA, no bias in it, no dropout, no
DoRA. Everything else, and a layer whose adapter is switched off or merged, goes peft's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["fuse", "part"]


def fuse(model: Any) -> int:
    """Change the forward pass of the model's plain LoRA layers; returns how many."""
    layers = [module for module in model.modules() if _plain(module)]
    for layer in layers:
        layer.forward = _forward(layer, layer.forward)
    return len(layers)


def part(model: Any) -> None:
    """Undo :func:`fuse`."""
    for module in model.modules():
        forward: Any = module.__dict__.get("forward")
        if getattr(forward, "fuses_lora", False):
            del module.forward


def _plain(layer: Any) -> bool:
    base: Any = getattr(layer, "base_layer", None)
    if type(base) is not torch.nn.Linear or not hasattr(layer, "lora_A") or len(layer.lora_A) != 1:
        return False
    (name,) = layer.lora_A
    weight = base.weight
    return (
        weight.is_floating_point()
        and weight.dim() == 2  # ZeRO-3 leaves an empty one here
        and weight.numel() > 0
        and not weight.requires_grad
        and not getattr(layer, "use_dora", {}).get(name)
        and not getattr(layer, "lora_variant", {}).get(name)
        and isinstance(layer.lora_dropout[name], torch.nn.Identity)
        and layer.lora_A[name].bias is None
        and layer.lora_B[name].bias is None
        and list(layer.active_adapters) == [name]
    )


def _forward(layer: Any, otherwise: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    (name,) = layer.lora_A

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if layer.disable_adapters or layer.merged or args or kwargs:
            return otherwise(x, *args, **kwargs)
        a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
        return _Fused.apply(x, layer.base_layer.weight, layer.base_layer.bias, a, b, layer.scaling[name])

    forward.fuses_lora = True  # type: ignore[attr-defined]
    return forward


class _Fused(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, a: torch.Tensor, b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:  # fmt: skip
        kind = weight.dtype
        rows = x.reshape(-1, x.shape[-1]).to(kind)
        low = torch.mm(rows, a.to(kind).t()).mul_(scale)
        y = torch.nn.functional.linear(rows, weight, bias)
        y.addmm_(low, b.to(kind).t())
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scale, ctx.shape, ctx.kind = scale, x.shape, x.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, a, b, low = ctx.saved_tensors
        kind = weight.dtype
        g = gradient.reshape(-1, gradient.shape[-1]).to(kind)
        back = torch.mm(g, b.to(kind)).mul_(ctx.scale)
        for_b = torch.mm(g.t(), low).to(b.dtype)
        for_a = torch.mm(back.t(), rows).to(a.dtype)
        for_x = None
        if ctx.needs_input_grad[0]:
            for_x = torch.mm(g, weight).addmm_(back, a.to(kind)).view(ctx.shape).to(ctx.kind)
        return for_x, None, None, for_a, for_b, None
