"""Reads a Python script that generates answers by its syntax tree; nothing of it is run.

Found are the model's path, adapters, decoding, system prompt and the engine's options: arguments of vLLM's ``LLM``,
``LoRARequest``, ``SamplingParams`` and ``BeamSearchParams``, of peft's and transformers' ``from_pretrained`` and of
``generate``. What is known only when the script runs is named; :mod:`harness.migrate.python_values` says what can be
had without.

Trade-off: a name with several values is a list of adapters where adapters are meant, and is not known elsewhere. The
variables of this machine are never looked up.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from harness.cases.decoding import Decoding
from harness.errors import SettingsError
from harness.migrate.python_values import MAX_VALUES, UNKNOWN, Bindings, called_name, source_of
from harness.migrate.training_scripts import shown_value

__all__ = ["Inference", "read_inference"]

MAX_SOURCE = 2**20
_ADAPTER_NAME = re.compile(r"adapter|lora", re.IGNORECASE)
_NOT_A_PATH = re.compile(r"max|rank|enable|alpha|target|dropout|num|request", re.IGNORECASE)
_SYSTEM_NAME = re.compile(r"^(default_)?system(_?(prompt|message|msg))?$", re.IGNORECASE)
_ENGINE_OPTIONS = ("tensor_parallel_size", "dtype", "gpu_memory_utilization", "max_model_len", "quantization")
"""Arguments of ``LLM`` that become options of the engine."""
_ENGINE_SET = {
    "model", "tokenizer", "enable_lora", "max_lora_rank", "max_loras", "enable_prefix_caching", "disable_log_stats",
    "seed", "enforce_eager", "tokenizer_mode", "swap_space", "max_num_seqs", "max_cpu_loras", "trust_remote_code",
}  # fmt: skip
"""Arguments of ``LLM`` that change no answer, or that the harness sets itself."""
_SAMPLING = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_tokens": "max_tokens", "seed": "seed",
    "n": "samples", "repetition_penalty": "repetition_penalty", "presence_penalty": "presence_penalty", "stop": "stop",
    "length_penalty": "length_penalty", "early_stopping": "early_stopping", "best_of": "beam_width",
}  # fmt: skip
_BEAM = {"beam_width": "beam_width", "max_tokens": "max_tokens", "length_penalty": "length_penalty"}
_GENERATE = {
    "max_new_tokens": "max_tokens", "num_beams": "beam_width", "temperature": "temperature", "top_p": "top_p",
    "top_k": "top_k", "num_return_sequences": "samples", "repetition_penalty": "repetition_penalty",
    "length_penalty": "length_penalty", "early_stopping": "early_stopping", "no_repeat_ngram_size": "no_repeat_ngram",
}  # fmt: skip
_CHANGES_NOTHING = {
    "skip_special_tokens", "spaces_between_special_tokens", "logprobs", "prompt_logprobs", "include_stop_str_in_output",
    "use_beam_search", "do_sample", "input_ids", "attention_mask", "pad_token_id", "eos_token_id", "streamer",
    "use_cache", "return_dict_in_generate", "output_scores", "inputs", "detokenize",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What one script says."""

    models: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    """Paths, in the order of the script."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """Fields of :class:`harness.cases.decoding.Decoding`, which accepts them; empty: not said."""
    system: str | None = None
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """What could not be read, for people."""
    generates: bool = False
    """Whether the script asks a model for answers at all."""


def read_inference(source: str, name: str) -> Inference:
    """What a Python script says about its model and decoding; never raises.

    Args:
        source: the script.
        name: what to call it in messages.
    """
    if len(source) > MAX_SOURCE:
        return Inference(problems=(f"{name}: is larger than 1 MiB and not read",))
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(source)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        return Inference(problems=(f"{name}{where}: is not Python 3 ({error.msg}); it was not read",))
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return Inference(problems=(f"{name}: cannot be read as Python: {str(error)[:100] or 'nested too deep'}",))
    try:
        return _Reader(tree, name).inference()
    except RecursionError:
        return Inference(problems=(f"{name}: nested too deep; it was not read",))


class _Reader:
    def __init__(self, tree: ast.Module, name: str) -> None:
        self._name = name
        self._nodes = list(ast.walk(tree))
        self._names = Bindings(self._nodes)
        self.problems: list[str] = []

    def inference(self) -> Inference:
        models: dict[str, None] = {}
        adapters: dict[str, None] = {}
        options: dict[str, Any] = {}
        decodings: list[dict[str, Any]] = []
        generates = False
        for call in (n for n in self._nodes if isinstance(n, ast.Call)):
            called = called_name(call)
            if called in ("LLM", "AsyncEngineArgs", "EngineArgs"):
                generates = True
                models |= dict.fromkeys(self._texts(call, 0, "model", what="the model"))
                options |= self._options(call)
            elif called == "LoRARequest":
                adapters |= dict.fromkeys(self._lora_paths(call))
            elif called == "SamplingParams":
                generates = True
                decodings.append(self._sampling(call))
            elif called == "BeamSearchParams":
                generates = True
                decodings.append(self._beam(call))
            elif called == "PeftModel.from_pretrained":
                adapters |= dict.fromkeys(self._texts(call, 1, "model_id", what="the adapter", many=True))
            elif called == "AutoModelForCausalLM.from_pretrained":
                generates = True
                models |= dict.fromkeys(self._texts(call, 0, "pretrained_model_name_or_path", what="the model"))
            elif called.endswith(".generate") and any(k.arg in ("max_new_tokens", "num_beams") for k in call.keywords):
                generates = True
                decodings.append(self._generate(call))
        adapters |= dict.fromkeys(self._named_adapters())
        decoding = self._one(decodings)
        return Inference(
            models=tuple(models), adapters=tuple(a for a in adapters if a not in models), decoding=decoding,
            system=self._system(), engine_options=options, problems=tuple(self.problems), generates=generates,
        )  # fmt: skip

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _argument(self, call: ast.Call, at: int, name: str) -> ast.expr | None:
        named = next((k.value for k in call.keywords if k.arg == name), None)
        if named is not None or at < 0 or at >= len(call.args):
            return named
        return None if any(isinstance(a, ast.Starred) for a in call.args[: at + 1]) else call.args[at]

    def _texts(self, call: ast.Call, at: int, name: str, *, what: str, many: bool = False) -> list[str]:
        """The texts that an argument may be; one that is not known is named."""
        node = self._argument(call, at, name)
        if node is None:
            return []
        values = self._names.values(node)
        texts = list(dict.fromkeys(v for v in values if isinstance(v, str) and v.strip()))
        if not texts or UNKNOWN in values:
            self._say(call, f"{what} is {source_of(node)}, which is known only when the script runs")
        if len(texts) > 1 and not many:
            self._say(call, f"{what} has several values: {', '.join(texts)[:200]}")
        return texts

    def _lora_paths(self, call: ast.Call) -> list[str]:
        for name in ("lora_path", "lora_local_path"):
            if self._argument(call, -1, name) is not None:
                return self._texts(call, -1, name, what="the adapter", many=True)
        return self._texts(call, 2, "lora_path", what="the adapter", many=True)

    def _named_adapters(self) -> Iterator[str]:
        """Paths in variables and options that are called after adapters."""
        for name in self._names.bound:
            if _ADAPTER_NAME.search(name) and not _NOT_A_PATH.search(name):
                for node in self._names.bound[name]:
                    for value in self._names.values(node):
                        yield from (v for v in (value if isinstance(value, list) else [value]) if _is_path(v))

    def _options(self, call: ast.Call) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, value in self._keywords(call):
            if name in _ENGINE_OPTIONS:
                options[name] = value
            elif name not in _ENGINE_SET:
                self._say(
                    call,
                    f"{name} = {shown_value(name, repr(value))} of the engine is not taken; "
                    "see [tool.harness.engine_options]",
                )
            elif name == "trust_remote_code" and value:
                self._say(call, "trust_remote_code: allow it in the manifest once you have read that code")
        return options

    def _keywords(self, call: ast.Call) -> Iterator[tuple[str, Any]]:
        """Keyword arguments with one known value; others are named."""
        for keyword in call.keywords:
            if keyword.arg is None:
                spread = keyword.value
                for inner in self._names.bound.get(spread.id, ()) if isinstance(spread, ast.Name) else [spread]:
                    if isinstance(inner, ast.Dict):
                        pairs = [(k.value, v) for k, v in zip(inner.keys, inner.values, strict=True)
                                 if isinstance(k, ast.Constant) and isinstance(k.value, str)]  # fmt: skip
                        for name, node in pairs:
                            yield from self._keyword(call, name, node)
                    else:
                        self._say(call, f"**{source_of(spread)} is known only when the script runs")
                continue
            yield from self._keyword(call, keyword.arg, keyword.value)

    def _keyword(self, call: ast.Call, name: str, node: ast.expr) -> Iterator[tuple[str, Any]]:
        values = self._names.values(node)
        plain = [v for v in values if isinstance(v, str | int | float | bool | list | None)]
        if len(values) == 1 and len(plain) == 1 and UNKNOWN not in (plain[0] if isinstance(plain[0], list) else ()):
            yield name, plain[0]
        elif name not in _CHANGES_NOTHING and name not in _ENGINE_SET:
            several = len(values) > 1
            self._say(
                call,
                f"{name} = {source_of(node)} "
                + ("has several values" if several else "is known only when the script runs"),
            )

    def _decoded(self, call: ast.Call, names: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Fields of the decoding, and every known keyword argument."""
        fields: dict[str, Any] = {}
        given = dict(self._keywords(call))
        if call.args and called_name(call) in ("SamplingParams", "BeamSearchParams"):
            self._say(call, "arguments without a name are not read")
        for name, value in given.items():
            if name in names:
                if value is not None:
                    fields[names[name]] = [value] if names[name] == "stop" and isinstance(value, str) else value
            elif name not in _CHANGES_NOTHING:
                self._say(call, f"{name} = {shown_value(name, repr(value))} has nothing like it in a case's decoding")
        return fields, given

    def _sampling(self, call: ast.Call) -> dict[str, Any]:
        fields, given = self._decoded(call, _SAMPLING)
        if "max_tokens" not in fields and not any(k.arg in ("max_tokens", None) for k in call.keywords):
            fields["max_tokens"] = 16
            self._say(call, "max_tokens is not said; vLLM's default of 16 is taken")
        if given.get("use_beam_search") is True:
            fields.setdefault("beam_width", given.get("n", 1))
            return self._as_beam(fields)
        fields.pop("beam_width", None)
        # vLLM's default is a temperature of 1.
        return self._as_sampled(fields, fields.get("temperature", 1.0) != 0)

    def _beam(self, call: ast.Call) -> dict[str, Any]:
        fields, _ = self._decoded(call, {**_BEAM, "temperature": "temperature", "ignore_eos": "ignore_eos"})
        if fields.pop("temperature", 0) or fields.pop("ignore_eos", False):
            self._say(call, "temperature and ignore_eos have nothing like them in a beam search of the harness")
        return self._as_beam(fields)

    def _generate(self, call: ast.Call) -> dict[str, Any]:
        fields, given = self._decoded(call, _GENERATE)
        if given.get("do_sample") is True:
            fields.pop("beam_width", None)
            return self._as_sampled(fields, True)
        for name in ("temperature", "top_p", "top_k", "samples"):
            fields.pop(name, None)
        width = fields.get("beam_width", 1)
        return {"method": "greedy", **_without(fields, _ONLY_BEAM)} if width == 1 else {"method": "beam", **fields}

    def _as_beam(self, fields: dict[str, Any]) -> dict[str, Any]:
        """VLLM's beam search: its length penalty counts the prompt."""
        kept = _without(fields, ("temperature", "top_p", "top_k", "seed", "samples"))
        return {"method": "beam", "semantics": "vllm", **kept}

    def _as_sampled(self, fields: dict[str, Any], sampled: bool) -> dict[str, Any]:
        kept = _without(fields, _ONLY_BEAM)
        if not sampled:
            return {"method": "greedy", **_without(kept, ("temperature", "top_p", "top_k", "seed", "samples"))}
        return {"method": "sample", "temperature": 1.0, **kept}

    def _one(self, decodings: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """The decoding that all calls agree on; the first of several, and that is said."""
        several: list[dict[str, Any]] = []
        for decoding in islice(decodings, MAX_VALUES):
            if decoding not in several:
                several.append(decoding)
        if len(several) > 1:
            self.problems.append(f"{self._name}: decodes in {len(several)} ways; the first is taken")
        chosen = several[0] if several else {}
        if chosen.get("top_k") == -1:
            chosen["top_k"] = 0
        try:
            Decoding.from_mapping(chosen)
        except (SettingsError, TypeError, ValueError) as error:
            self.problems.append(f"{self._name}: its decoding is not taken: {error}")
            return {}
        return chosen

    def _system(self) -> str | None:
        """The system prompt, where there is one."""
        found: dict[str, None] = {}
        for node in self._nodes:
            if isinstance(node, ast.Dict):
                entries = {
                    k.value: v for k, v in zip(node.keys, node.values, strict=True)
                    if isinstance(k, ast.Constant) and isinstance(k.value, str)
                }  # fmt: skip
                role = entries.get("role", entries.get("from"))
                if isinstance(role, ast.Constant) and role.value == "system":
                    content = entries.get("content", entries.get("value"))
                    texts = [v for v in self._names.values(content) if isinstance(v, str)]
                    if not texts:
                        self._say(node, "the system prompt is known only when the script runs")
                    found |= dict.fromkeys(texts)
        for name in self._names.bound:
            if _SYSTEM_NAME.fullmatch(name.lstrip(".")):
                found |= dict.fromkeys(
                    v for n in self._names.bound[name] for v in self._names.values(n) if isinstance(v, str)
                )
        texts = [t for t in found if t.strip()]
        if len(texts) > 1:
            self.problems.append(f"{self._name}: has several system prompts; set the right one in case.toml")
            return None
        return texts[0] if texts else None

    def _say(self, node: ast.expr, what: str) -> None:
        text = f"{self._name}, line {node.lineno}: {what}"
        if text not in self.problems and len(self.problems) < 50:
            self.problems.append(text)


_ONLY_BEAM = ("beam_width", "length_penalty", "early_stopping", "semantics")


def _without(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if k not in names}


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and "/" in value.strip("/") and "\n" not in value and "://" not in value
