"""Arguments of a model's chat template, as case files and the manifest give them.

A template takes variables beside the conversation (``enable_thinking``, ``reasoning_effort``). They change the prompt,
so they belong to the case or to the model, and a training must use the same ones. The name is that of transformers and
of vLLM's server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.cases.strictjson import Refused

__all__ = ["template_kwargs_problems"]

_RESERVED = {
    "conversation", "messages", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize", "padding",
    "continue_final_message", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs",
    "return_assistant_tokens_mask",
}  # fmt: skip
"""Arguments that decide what is rendered at all; the harness sets them."""


def template_kwargs_problems(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Name and problem of every argument that cannot be given."""
    for name, value in values.items():
        parts = value if isinstance(value, list) else [value]
        refused = next((part for part in parts if isinstance(part, Refused)), None)
        if name in _RESERVED or not str(name).isidentifier():
            yield str(name)[:60], "is no variable of a chat template that may be set"
        elif refused is not None:
            yield name, refused.what
        elif not all(isinstance(part, str | bool | int | float | None) for part in parts):
            yield name, "expected a text, a number, true, false, or a list of these"
