"""The part of the HTML report that shows cases: one folding card each, the adapters' answers side by side.

Cards are plain ``<details>`` elements, so they open without a script. Answers show their loops marked and folded
(:mod:`harness.reports.answer`), so a report of hundreds of looping answers stays small enough to send.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.judging.results import Attempt, CaseResult, Reason, Status
from harness.reports.answer import describe_loop, split_answer
from harness.reports.markup import Html, el
from harness.safe.escape import shorten

__all__ = ["STATUS_CLASS", "CaseView", "card", "status_chip"]

STATUS_CLASS = {Status.PASS: "good", Status.FAIL: "bad", Status.ERROR: "odd", Status.SKIP: "warn"}

_TEXT_LIMIT = 12_000
_FINISH = {"stop": "ended by itself", "length": "cut off at max_tokens", "loop": "stopped early: the loop was certain"}
_SCORES = (
    ("repetition", "repetition"),
    ("rep8", "rep-8"),
    ("rep8d", "rep-8, digits alike"),
    ("loop_coverage", "in the longest loop"),
    ("similarity", "similarity"),
)


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case with its result on every adapter; None where an adapter did not run it."""

    sides: tuple[tuple[str, CaseResult | None], ...]
    """(adapter, result) in the order of the columns; at least one result is there."""

    @property
    def result(self) -> CaseResult:
        """The newest result there is."""
        return next(r for _, r in reversed(self.sides) if r is not None)


def card(view: CaseView, number: int, *, expanded: bool = False) -> Html:
    """One case as a folding card, closed unless ``expanded``."""
    case = view.result.case
    turns = [status_chip(r, name if len(view.sides) > 1 else "") for name, r in view.sides]
    arrows: list[Html | str] = [turns[0]]
    for turn in turns[1:]:
        arrows += [" → ", turn]
    summary = el(
        "summary",
        el("span", case.id, class_="id", dir="auto"),
        el("span", case.role, class_="chip") if case.role != "fix" else None,
        el("span", "xfail", class_="chip warn", title=view.result.note) if view.result.note else None,
        _gist(view),
        el("span", arrows, class_="turn"),
    )
    note = el("p", view.result.note, class_="warn") if view.result.note else None
    body = el("div", note, _conversation(view.result), _sides(view), _standard(view.result), class_="body")
    return el("details", summary, body, class_=f"card case {case.role}", id=f"case-{number}", open=expanded)


def status_chip(result: CaseResult | None, name: str = "") -> Html:
    """A coloured chip: the adapter's name, if any, and its verdict."""
    status = "not run" if result is None else str(result.verdict.status)
    style = "" if result is None else STATUS_CLASS[result.verdict.status]
    return el("span", f"{shorten(name, 24)} {status}".strip(), class_=f"chip {style}")


def _gist(view: CaseView) -> Html:
    """One line that identifies the case: an excerpt of the prompt, and why it does not pass."""
    result = view.result
    asked = shorten(" ".join(result.case.prompt.split()), 120)
    why = result.verdict.reasons[0].text if result.verdict.reasons else ""
    shown = el("span", f" · {shorten(why, 120)}", class_="soft") if why else None
    return el("span", el("bdi", asked), shown, class_="gist")


def _conversation(result: CaseResult) -> Html:
    messages = result.case.messages
    if len(messages) == 1:
        return el("div", el("h3", "Prompt"), _quote(messages[0].content))
    return el("div", ([el("h3", m.role), _quote(m.content)] for m in messages))


def _standard(result: CaseResult) -> Html | None:
    answer = result.case.standard_answer
    return None if answer is None else el("div", el("h3", "Standard answer"), _quote(answer))


def _quote(text: str) -> Html:
    return el("div", _plain(text), class_="text quote", dir="auto")


def _plain(text: str) -> Iterator[Html | str]:
    return _parts(text, None)


def _sides(view: CaseView) -> Html:
    return el("div", [_side(name, result) for name, result in view.sides], class_="sides")


def _side(name: str, result: CaseResult | None) -> Html:
    head = [el("b", name, dir="auto"), status_chip(result)]
    if result is None:
        return el("div", el("div", head, class_="head"), class_="side")
    attempt = result.worst
    if attempt is not None and attempt.finish_reason is not None and attempt.finish_reason != "stop":
        head.append(el("span", _FINISH[attempt.finish_reason], class_="chip warn"))
    if len(result.attempts) > 1 and attempt is not None:
        passed = sum(a.verdict.status is Status.PASS for a in result.attempts)
        counts = f"{passed} of {len(result.attempts)} samples pass, {result.case.decoding.min_pass} needed"
        head.append(el("span", f"{counts}; sample {attempt.sample}", class_="soft small"))
    return el(
        "div",
        el("div", head, class_="head"),
        el("div", _answer(attempt), class_="text", dir="auto") if attempt is not None else None,
        _why(result, attempt),
        class_="side",
    )


def _answer(attempt: Attempt) -> Sequence[Html | str] | Html:
    if attempt.finish_reason is None:
        return el("span", "no answer", class_="soft")
    return list(_parts(attempt.answer, attempt)) or el("span", "(empty)", class_="soft")


def _parts(text: str, attempt: Attempt | None) -> Iterator[Html | str]:
    loops = attempt.scores.loops if attempt is not None and attempt.scores is not None else ()
    for part in split_answer(text, loops, cut_over=_TEXT_LIMIT):
        if part.kind == "plain":
            yield part.text
        elif part.kind == "repeat":
            yield el("mark", part.text)
        else:
            yield el("span", part.text, class_=part.kind)


def _why(result: CaseResult, attempt: Attempt | None) -> Html | None:
    own = attempt.verdict.reasons if attempt is not None else ()
    reasons = tuple(dict.fromkeys((*result.verdict.reasons, *own)))
    facts = list(_facts(attempt)) if attempt is not None else []
    if not reasons and not facts:
        return None
    return el(
        "div",
        el("ul", (el("li", _reason(r)) for r in reasons)) if reasons else None,
        el("div", facts, class_="facts") if facts else None,
        class_="why",
    )


def _reason(reason: Reason) -> tuple[Html | str, ...]:
    return el("code", reason.rule), f" {reason.text}"


def _facts(attempt: Attempt) -> Iterator[Html]:
    if attempt.scores is not None:
        for name, shown in _SCORES:
            if name in attempt.scores.values:
                yield el("span", f"{shown} ", el("b", f"{attempt.scores.values[name]:.2f}"))
        if attempt.scores.loops:
            yield el("span", "loop ", el("b", describe_loop(attempt.answer, attempt.scores.loops[0])))
    if attempt.tokens:
        yield el("span", el("b", f"{attempt.tokens:,}"), " tokens")
