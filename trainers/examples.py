"""What is trained on, as token ids, and how it is written to disk.

Prompts come from the same renderer that the tests use (the model's own chat template). Answers are tokenised by
themselves, as the model generates them after a fixed prompt. The ids of a test run and of its training are so the same,
independent of what LLaMA-Factory assumes about the model's template. The end-of-turn id ends chosen answers and those
rejected ones that the model ended. A cut-off answer has none, since training it down after a loop would teach to loop
on. Nothing is ever cut: an example over the limit is refused or left out, counted and named. Not supported: packing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.cases.model import Message
from harness.errors import DataError
from harness.safe.files import replace_with
from trainers.recipe import Recipe

__all__ = [
    "DataFacts",
    "Example",
    "FeedbackExample",
    "PairExample",
    "PairLike",
    "Renderer",
    "TurnsExample",
    "pair_examples",
    "stage_examples",
    "write_examples",
]

_SHOWN = 10
"""Problems named in one message."""
_NAMED = 3
"""Examples named of those that were left out."""
_MAX_VALIDATION = 2000
"""More validation examples add no information and cost time at every evaluation."""


class Renderer(Protocol):
    """Text to ids for one model; :class:`harness.models.prompts.PromptRenderer` is one."""

    @property
    def chat_template(self) -> str | None:
        """A template that takes the place of the tokenizer's own."""
        ...

    @property
    def chat_template_kwargs(self) -> Mapping[str, Any]:
        """Arguments of the chat template in every conversation."""
        ...

    def prompt_ids(
        self, messages: Sequence[Message], chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> tuple[int, ...]:
        """Ids of the conversation up to and with the header of the answer.

        ``chat_template_kwargs`` are arguments of the template, over those of the model.
        """
        ...

    def answer_ids(self, text: str) -> tuple[int, ...]:
        """Ids of an answer's text alone, without any special token."""
        ...

    @property
    def end_of_turn(self) -> int:
        """Id that ends an answer."""
        ...


class PairLike(Protocol):
    """A preference pair; :class:`harness.pairs.Pair` is one."""

    @property
    def case_id(self) -> str: ...
    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def chat_template_kwargs(self) -> Mapping[str, Any]: ...
    @property
    def chosen(self) -> str: ...
    @property
    def rejected(self) -> str: ...
    @property
    def rejected_finished(self) -> bool: ...
    @property
    def fault_at(self) -> int: ...
    @property
    def chosen_from(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PairExample:
    """One preference pair (dpo)."""

    source: str
    """Where it came from, for messages."""
    prompt: Sequence[int]
    chosen: Sequence[int]
    """With the end-of-turn id."""
    rejected: Sequence[int]
    """With the end-of-turn id only if the model ended the answer itself."""
    sound: int = 0
    """Ids of the rejected answer before its fault; they are not unlearned. A token may reach over the border, so the
    record leaves one at least to unlearn."""
    context: int = 0
    """Ids of the chosen answer that are not learnt; one at least is."""

    @property
    def length(self) -> int:
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    @property
    def tokens(self) -> int:
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)

    def problem(self) -> str | None:
        """Why it must not be trained on."""
        if not self.prompt or not self.chosen or not self.rejected:
            return "prompt, chosen or rejected is empty"
        return "chosen and rejected are the same" if list(self.chosen) == list(self.rejected) else None

    def record(self) -> dict[str, object]:
        record: dict[str, object] = {
            "prompt": list(self.prompt), "chosen": list(self.chosen), "rejected": list(self.rejected),
        }  # fmt: skip
        sound = min(self.sound, len(self.rejected) - 1)
        context = min(self.context, len(self.chosen) - 1)
        return record | ({"sound": sound} if sound else {}) | ({"context": context} if context else {})


@dataclass(frozen=True, slots=True)
class FeedbackExample:
    """One answer that was liked or disliked (kto)."""

    source: str
    prompt: Sequence[int]
    answer: Sequence[int]
    label: bool

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)

    @property
    def tokens(self) -> int:
        return 2 * self.length

    def problem(self) -> str | None:
        """Why it must not be trained on."""
        return None if self.prompt and self.answer else "prompt or answer is empty"

    def record(self) -> dict[str, object]:
        return {"prompt": list(self.prompt), "answer": list(self.answer), "label": self.label}


@dataclass(frozen=True, slots=True)
class TurnsExample:
    """A conversation of which some spans are learnt (sft)."""

    source: str
    prompt: Sequence[int]
    """Ids before the first learnt span; conversations with the same one stay on one side of a validation split."""
    rest: Sequence[int]
    spans: tuple[tuple[int, int], ...]
    """Half-open, in ``prompt + rest``."""

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.rest)

    @property
    def tokens(self) -> int:
        return self.length

    def problem(self) -> str | None:
        """Why it must not be trained on."""
        return None if any(end > start for start, end in self.spans) else "there is no answer to learn"

    def record(self) -> dict[str, object]:
        return {"ids": [*self.prompt, *self.rest], "spans": [list(s) for s in self.spans]}


Example = PairExample | FeedbackExample | TurnsExample


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What was written."""

    train: Path
    validation: Path | None
    rows: int
    """Training examples."""
    validation_rows: int
    tokens: int
    """Training tokens a model sees in one epoch, prompts of pairs twice."""
    longest: int
    notes: tuple[str, ...]
    """What was left out, and why."""


def pair_examples(pairs: Iterable[PairLike], renderer: Renderer) -> Iterator[PairExample]:
    """Render pairs one by one, as they are read."""
    end = renderer.end_of_turn
    for number, pair in enumerate(pairs, 1):
        rejected = renderer.answer_ids(pair.rejected)
        yield PairExample(
            source=f"pair {number} ({pair.case_id})",
            prompt=renderer.prompt_ids(pair.messages, pair.chat_template_kwargs),
            chosen=(*renderer.answer_ids(pair.chosen), end),
            rejected=(*rejected, end) if pair.rejected_finished else rejected,
            sound=len(renderer.answer_ids(pair.rejected[: pair.fault_at])) if pair.fault_at else 0,
            context=len(renderer.answer_ids(pair.chosen[: pair.chosen_from])) if pair.chosen_from else 0,
        )


def learnt_by(stage: str, pairs: Sequence[PairLike]) -> list[PairLike]:
    """The pairs that a stage learns from; those whose chosen answer is learnt in part are for dpo alone."""
    return [p for p in pairs if stage == "dpo" or not p.chosen_from]


def stage_examples(stage: str, pairs: Sequence[PairLike], renderer: Renderer) -> Iterator[Example]:
    """What a stage learns from pairs: dpo the pairs, kto each answer once as liked or disliked, sft the chosen ones.

    A pair that teaches an end alone is for dpo: its words are those of an answer that nobody asked for.
    """
    if stage == "dpo":
        yield from pair_examples(pairs, renderer)
        return
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for pair in pair_examples(learnt_by(stage, pairs), renderer):
        prompt = tuple(pair.prompt)
        for answer, liked in ((tuple(pair.chosen), True), (tuple(pair.rejected), False)):
            if (prompt, answer) in seen:
                continue
            seen.add((prompt, answer))
            if stage == "kto":
                yield FeedbackExample(pair.source, prompt, answer, liked)
            elif liked:
                yield TurnsExample(pair.source, prompt, answer, ((len(prompt), len(prompt) + len(answer)),))


def write_examples(examples: Iterable[Example], folder: Path, recipe: Recipe) -> DataFacts:
    """Check examples and write ``examples.jsonl`` and, where ``recipe.val_size`` asks for it, ``validation.jsonl``.

    Raises:
        DataError: an example that cannot be trained on whole, or none at all; the first ten, in one message.
    """
    writer = _Writer(recipe)
    folder.mkdir(parents=True, exist_ok=True)

    def both(train: Path) -> None:
        def other(validation: Path) -> None:
            with train.open("w", encoding="utf-8") as kept, validation.open("w", encoding="utf-8") as held:
                writer.run(examples, kept, held)

        replace_with(folder / "validation.jsonl", other)

    replace_with(folder / "examples.jsonl", both)
    validation: Path | None = folder / "validation.jsonl"
    if not writer.held and validation is not None:
        validation.unlink()
        validation = None
    return DataFacts(
        train=folder / "examples.jsonl",
        validation=validation,
        rows=writer.kept,
        validation_rows=writer.held,
        tokens=writer.tokens,
        longest=writer.longest,
        notes=writer.notes(),
    )


class _Writer:
    """Checks, splits and counts in one pass; holds nothing but counters and one answer for KTO."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.kept = self.held = self.tokens = self.longest = 0
        self._long = 0
        self._left_out: list[str] = []
        self._problems: list[str] = []
        self._more = 0
        self._labels = {True: 0, False: 0}

    def run(self, examples: Iterable[Example], train: _Lines, validation: _Lines) -> None:
        recipe = self._recipe
        previous: list[int] | None = None
        first: FeedbackExample | None = None
        for example in examples:
            if recipe.max_samples is not None and self.kept + self.held >= recipe.max_samples:
                break
            if not self._accept(example):
                continue
            record = example.record()
            if isinstance(example, FeedbackExample):
                # KTO estimates the divergence on an unrelated answer: the previous example's, as LLaMA-Factory does.
                self._labels[example.label] += 1
                previous, record["kl"] = list(example.answer), previous
                if record["kl"] is None:
                    first = example
                    continue
            self._write(example, record, train, validation)
        if first is not None and previous is not None:
            self._write(first, {**first.record(), "kl": previous}, train, validation)
        self._conclude()

    def _accept(self, example: Example) -> bool:
        problem = example.problem()
        limit = self._recipe.cutoff_len
        if problem is None and example.length > limit:
            if self._recipe.over_long == "drop":
                self._long += 1
                if self._long <= _NAMED:
                    self._left_out.append(f"{example.source} ({example.length})")
                return False
            problem = f"{example.length} tokens, more than cutoff_len = {limit}"
        if problem is None:
            return True
        if len(self._problems) < _SHOWN:
            self._problems.append(f"{example.source}: {problem}")
        else:
            self._more += 1
        return False

    def _write(self, example: Example, record: dict[str, object], train: _Lines, validation: _Lines) -> None:
        hold = self.held < _MAX_VALIDATION and _held_back(example.prompt, self._recipe)
        (validation if hold else train).write(json.dumps(record, separators=(",", ":")) + "\n")
        if hold:
            self.held += 1
            return
        self.kept += 1
        self.tokens += example.tokens
        self.longest = max(self.longest, example.length)

    def _conclude(self) -> None:
        if self._problems:
            more = f"; and {self._more} more" if self._more else ""
            hint = ' (raise cutoff_len, shorten them, or set over_long = "drop")' if self._over_long() else ""
            raise DataError("training data: " + "; ".join(self._problems) + more + hint)
        if not self.kept:
            left = f": all {self._long} are over cutoff_len = {self._recipe.cutoff_len}" if self._long else ""
            raise DataError(f"training data: there is no example to train on{left}")
        if sum(self._labels.values()) and not all(self._labels.values()):
            only = "liked" if self._labels[True] else "disliked"
            raise DataError(f"training data: kto needs liked and disliked answers; all {self.kept} are {only}")

    def _over_long(self) -> bool:
        return any("cutoff_len" in p for p in self._problems)

    def notes(self) -> tuple[str, ...]:
        lines = []
        if self._long:
            more = f" and {self._long - _NAMED} more" if self._long > _NAMED else ""
            lines.append(
                f"{self._long} of more than cutoff_len = {self._recipe.cutoff_len} tokens left out: "
                f"{', '.join(self._left_out)}{more}"
            )
        if self.held:
            lines.append(f"{self.held} examples are held back for validation")
        elif self._recipe.val_size:
            lines.append("val_size held back no example: there are too few prompts")
        return tuple(lines)


class _Lines(Protocol):
    def write(self, text: str, /) -> object: ...


def _held_back(prompt: Sequence[int], recipe: Recipe) -> bool:
    """By the prompt's content, so that a prompt is on one side only and stays there when data are added."""
    if not recipe.val_size:
        return False
    digest = hashlib.sha256(f"{recipe.seed}:{','.join(map(str, prompt))}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < recipe.val_size
