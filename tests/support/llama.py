"""A random Llama of two layers with a LoRA that does something, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainers.worker import packed_pairs

__all__ = ["llama_with_lora", "random_lora"]


def random_lora(
    model: Path,
    folder: Path,
    *,
    seed: int,
    std: float,
    dtype: str = "bfloat16",
    targets: Sequence[str] = ("q_proj", "v_proj", "down_proj"),
) -> Path:
    """A LoRA of rank 8 on a real model, with a plain effect; with ``std`` 0 it has none. Returns its folder."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    whole = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype))
    tuned = get_peft_model(whole, LoraConfig(r=8, target_modules=list(targets)))
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            weights.data.normal_(0.0, std) if std else weights.data.zero_()
    tuned.save_pretrained(folder)
    return folder


def llama_with_lora(targets: Sequence[str], *, vocabulary: int = 50, std: float = 0.2) -> Any:
    """The model in float32; packed attention is registered, and not chosen."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(packed_pairs.ATTENTION, packed_pairs.attention)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, attn_implementation="sdpa",
    )  # fmt: skip
    whole = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=4, lora_alpha=8, target_modules=list(targets)))
    for name, weight in whole.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=std)
    return whole
