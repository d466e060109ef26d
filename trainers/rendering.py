"""Records to token ids, many at a time, with the same result as one at a time.

The tests render each prompt with :class:`harness.models.prompts.PromptRenderer`, which is too slow for a training of a
hundred thousand pairs. Here the same tokenizer and chat template work on blocks of records, and every block's first
prompt is compared with what the renderer makes of it. An sft conversation is learned turn by turn: each assistant turn
after exactly the prompt that a test of it would have. Where a template leaves earlier turns unchanged, all of them are
learned in one sequence.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from harness.cases.model import Message
from harness.errors import DataError
from trainers.examples import Example, FeedbackExample, PairExample, Renderer, TurnsExample
from trainers.formats import TrainingRecord

__all__ = ["BulkRenderer", "render_records"]

_BLOCK = 512


class BulkRenderer(Renderer, Protocol):
    """A renderer that has the model's transformers tokenizer."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        ...


def render_records(records: Iterable[TrainingRecord], renderer: BulkRenderer, stage: str) -> Iterator[Example]:
    """Turn records into examples, in order.

    Raises:
        DataError: the chat template refuses a conversation, or renders it in a block otherwise than by itself.
    """
    source = iter(records)
    while block := list(itertools.islice(source, _BLOCK)):
        if stage == "dpo":
            yield from _pairs(block, renderer)
        elif stage == "kto":
            yield from _feedback(block, renderer)
        else:
            yield from _turns(block, renderer)


def _pairs(block: Sequence[TrainingRecord], renderer: BulkRenderer) -> Iterator[PairExample]:
    prompts = _prompts([(r.messages, r.chat_template_kwargs) for r in block], renderer, block[0].source)
    chosen = _answers([r.chosen for r in block], renderer)
    rejected = _answers([r.rejected for r in block], renderer)
    end = renderer.end_of_turn
    before = _answers([r.rejected[: r.fault_at] for r in block], renderer)
    context = _answers([r.chosen[: r.chosen_from] for r in block], renderer)
    parts = zip(block, prompts, chosen, rejected, before, context, strict=True)
    for record, prompt, first, second, sound, known in parts:
        first.append(end)
        if record.rejected_finished:
            second.append(end)
        yield PairExample(record.source, prompt, first, second, len(sound), len(known))


def _feedback(block: Sequence[TrainingRecord], renderer: BulkRenderer) -> Iterator[FeedbackExample]:
    prompts = _prompts([(r.messages, r.chat_template_kwargs) for r in block], renderer, block[0].source)
    answers = _answers([r.chosen for r in block], renderer)
    for record, prompt, answer in zip(block, prompts, answers, strict=True):
        yield FeedbackExample(record.source, prompt, [*answer, renderer.end_of_turn], bool(record.label))


def _turns(block: Sequence[TrainingRecord], renderer: BulkRenderer) -> Iterator[TurnsExample]:
    wanted = [(r, i) for r in block for i, m in enumerate(r.messages) if m.role == "assistant"]
    prompts = _prompts([(r.messages[:i], r.chat_template_kwargs) for r, i in wanted], renderer, block[0].source)
    answers = _answers([r.messages[i].content for r, i in wanted], renderer)
    parts = zip(wanted, prompts, answers, strict=True)
    for source, group in itertools.groupby(parts, key=lambda part: part[0][0].source):
        yield from _one_sequence(source, [(p, [*a, renderer.end_of_turn]) for _, p, a in group])


def _one_sequence(source: str, turns: list[tuple[list[int], list[int]]]) -> Iterator[TurnsExample]:
    """All turns in the last one's sequence where each stands there as its own test would see it, else one by one."""
    whole = turns[-1][0] + turns[-1][1]
    spans = [(len(prompt), len(prompt) + len(answer)) for prompt, answer in turns]
    unchanged = all(
        whole[:start] == prompt and whole[start:end] == answer
        for (start, end), (prompt, answer) in zip(spans, turns, strict=True)
    )
    if unchanged:
        first = spans[0][0]
        yield TurnsExample(source, whole[:first], whole[first:], tuple(spans))
        return
    for number, (prompt, answer) in enumerate(turns, 1):
        span = (len(prompt), len(prompt) + len(answer))
        yield TurnsExample(f"{source}, answer {number}", prompt, answer, (span,))


def _prompts(
    conversations: Sequence[tuple[Sequence[Message], Mapping[str, Any]]], renderer: BulkRenderer, source: str
) -> list[list[int]]:
    """Ids of conversations with their arguments of the chat template, all of equal arguments at once."""
    groups: dict[str, list[int]] = defaultdict(list)
    for at, (_, kwargs) in enumerate(conversations):
        groups[json.dumps(dict(kwargs), sort_keys=True)].append(at)
    ids: dict[int, list[int]] = {}
    for places in groups.values():
        kwargs = conversations[places[0]][1]
        rendered = _rendered([conversations[at][0] for at in places], kwargs, renderer, source)
        ids |= dict(zip(places, rendered, strict=True))
    return [ids[at] for at in range(len(conversations))]


def _rendered(
    conversations: Sequence[Sequence[Message]], kwargs: Mapping[str, Any], renderer: BulkRenderer, source: str
) -> list[list[int]]:
    import jinja2

    turns = [[{"role": m.role, "content": m.content} for m in c] for c in conversations]
    # The first one alone, before the others: its message says what a template lacks.
    first = renderer.prompt_ids(conversations[0], kwargs)
    full = {**renderer.chat_template_kwargs, **kwargs}
    try:
        rendered = renderer.tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, **full)
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise DataError(f"{source} or soon after: the chat template refuses a conversation: {error}") from error
    ids = [list(i) for i in rendered["input_ids"]]
    if tuple(ids[0]) != tuple(first):
        raise DataError(
            f"{source}: the chat template renders it otherwise among others than alone; it cannot be trained on"
        )
    return ids


def _answers(texts: Sequence[str], renderer: BulkRenderer) -> list[list[int]]:
    return [list(i) for i in renderer.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
