"""The parts of an answer: what the reader gets, the model's reasoning before it, and its calls of tools.

A loop in the reasoning is as bad as one in the answer, and yet another fault: the answer may be right, only late. Long
reasoning would also hide a loop in a short answer. So each part is scored by itself; the scores of the reasoning and of
the calls have the names of the answer's, behind ``reasoning.`` and ``tools.``.

Parts are told by the marks that chat templates write: ``<think>`` and its like, Harmony's analysis channel, and the
usual marks of tool calls. A text with a closing mark only began in its reasoning, since some templates write the
opening mark into the prompt. A part that is not closed goes on to the end. Trade-off: an answer that quotes such a mark
in prose is split at it. Marks in a code fence are left alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

from harness.metrics.invisible import Visible
from harness.metrics.repetition import NONE_MEASURED, measure, repetition
from harness.metrics.types import Loop, Scores

__all__ = ["PARTS", "Parts", "answer_text", "measure_answers", "part_scores", "split_parts"]

PARTS = ("reasoning", "tools")
"""The parts that are scored beside the answer."""

_NAMES = "think|thinking|thought|reasoning|reflection|seed:think"
_REASONING = re.compile(
    rf"<(?P<tag>{_NAMES})>.*?(?:</(?P=tag)>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)|◁think▷.*?(?:◁/think▷|\Z)"
    r"|<\|START_THINKING\|>.*?(?:<\|END_THINKING\|>|\Z)"
    r"|<\|channel\|>analysis<\|message\|>.*?(?:<\|end\|>(?:<\|start\|>assistant)?|(?=<\|channel\|>final)|\Z)",
    re.DOTALL,
)
_CLOSED = re.compile(rf"\A(?:(?!<(?:{_NAMES})>).)*?</(?:{_NAMES})>|\A.*?(?:\[/THINK\]|◁/think▷)", re.DOTALL)
_TOOLS = re.compile(
    r"<(?P<tag>tool_call|function_call|tool_code|invoke)>.*?(?:</(?P=tag)>|\Z)|<function=[^>]*>.*?(?:</function>|\Z)"
    r"|<\|tool_call_begin\|>.*?(?:<\|tool_call_end\|>|\Z)|<｜tool▁call▁begin｜>.*?(?:<｜tool▁call▁end｜>|\Z)"
    r"|\[TOOL_CALLS\].*\Z",
    re.DOTALL,
)
_MARK = re.compile(
    rf"</?(?:{_NAMES})>|\[/?THINK\]|◁/?think▷|<\|START_THINKING|<\|channel\|>analysis|<(?:tool_call|function_call|tool_code)>"
    r"|<invoke>|<function=|<\|tool_call_begin|<｜tool▁call|\[TOOL_CALLS\]"
)
_WORDS = (
    "think",
    "THINK",
    "reasoning>",
    "thought>",
    "reflection>",
    "<|channel|>",
    "tool",
    "TOOL",
    "call>",
    "<function",
    "<invoke",
)
_FENCE = re.compile(r"^```.*?(?:^```|\Z)", re.DOTALL | re.MULTILINE)
_FINAL = re.compile(r"<\|channel\|>final<\|message\|>|<\|(?:end|return)\|>\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """An answer in parts; each is a text, with the places of its characters in the whole one."""

    answer: Visible
    reasoning: Visible | None
    tools: Visible | None


def split_parts(text: str) -> Parts | None:
    """The parts of a text; None where all of it is the answer."""
    # Nearly all texts hold none; this is a tenth of what a search for the marks costs.
    if "<" not in text and "[" not in text and "◁" not in text:
        return None
    if not any(word in text for word in _WORDS) or _MARK.search(text) is None:
        return None
    fences = [match.span() for match in _FENCE.finditer(text)]
    reasoning = [match.span() for match in _REASONING.finditer(text) if not _inside(match.start(), fences)]
    if (closed := _CLOSED.match(text)) is not None:
        reasoning.insert(0, closed.span())
    tools = [
        match.span()
        for match in _TOOLS.finditer(text)
        if not _inside(match.start(), fences) and not _inside(match.start(), reasoning)
    ]
    if not reasoning and not tools:
        return None
    marks = [match.span() for match in _FINAL.finditer(text) if not _inside(match.start(), reasoning)]
    return Parts(
        answer=Visible(text, sorted([*reasoning, *tools, *marks])),
        reasoning=_only(text, reasoning),
        tools=_only(text, tools),
    )


def _inside(place: int, spans: list[tuple[int, int]]) -> bool:
    at = bisect_right(spans, place, key=itemgetter(0)) - 1
    return at >= 0 and place < spans[at][1]


def _only(text: str, spans: list[tuple[int, int]]) -> Visible | None:
    """The text of the spans alone."""
    if not spans:
        return None
    gaps, at = [], 0
    for start, end in spans:
        if start > at:
            gaps.append((at, start))
        at = end
    if at < len(text):
        gaps.append((at, len(text)))
    return Visible(text, gaps)


def answer_text(text: str) -> str:
    """What the reader gets of a text."""
    parts = split_parts(text)
    return text if parts is None else parts.answer.text


def measure_answers(texts: Iterable[str]) -> Mapping[str, Scores]:
    """Scores of what readers get of texts, by it: many short texts at once take a part of the time.

    Returns:
        What :func:`part_scores` takes as ``measured``.
    """
    answers = list(dict.fromkeys(map(answer_text, texts)))
    return dict(zip(answers, measure(answers), strict=True))


def part_scores(text: str, reference: str | None, measured: Mapping[str, Scores] = NONE_MEASURED) -> Scores:
    """Repetition scores of an answer against its standard answer, part by part.

    Args:
        text: the generated text.
        reference: the standard answer, if there is one.
        measured: what :func:`measure_answers` found for them, if it was asked.

    Returns:
        The scores of the answer's own text; those of the other parts behind their names; the loops of all parts, with
        places in the whole text. ``repetition`` is that of the part that repeats most.
    """
    parts = split_parts(text)
    theirs = split_parts(reference) if reference is not None else None
    against = reference if theirs is None else theirs.answer.text
    if parts is None:
        return repetition(text, against, measured)
    own = repetition(parts.answer.text, against, measured)
    values = dict(own.values)
    loops = _placed(own, parts.answer)
    for name, part, other in (
        ("reasoning", parts.reasoning, theirs and theirs.reasoning),
        ("tools", parts.tools, theirs and theirs.tools),
    ):
        if part is not None:
            found = repetition(part.text, other.text if other else None)
            values.update({f"{name}.{key}": value for key, value in found.values.items()})
            values["repetition"] = max(values["repetition"], found.values["repetition"])
            loops += _placed(found, part)
    return Scores(values, tuple(sorted(loops, key=lambda loop: loop.start - loop.end)))


def _placed(scores: Scores, part: Visible) -> list[Loop]:
    placed = []
    for loop in scores.loops:
        start, end = part.offset(loop.start), part.offset(loop.end - 1) + 1
        placed.append(replace(loop, start=start, end=end, copies=(end - start) / loop.period))
    return placed
