"""Builds preference pairs out of failing cases, on the model's own answers.

Rejected is what the model really answered (:mod:`harness.pairs.rejected`). Chosen is the standard answer and, nearer to
the model's own words, clean answers that it gave when sampled. A clean answer that branches off just before the fault
stands against the very answer that it left. What they share cancels out, and only the wrong step is taught. An answer
that passed but had to be cut off stands against the standard answer, because it never ends.

Replay pairs keep what worked, answers that repeat themselves for good reason included. A good answer stands against its
looped copy, or against its own beginning, ended too early. Early ends are the counterweight of the pairs that teach
where to end (:mod:`harness.pairs.ends`): with those alone sound answers shrink to half and less. Of an early end
nothing but the end is at fault.

Not supported: paraphrased prompts. A paraphrase is a new case, and people should write those.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from harness.cases.model import Case, Message
from harness.judging.results import Attempt, CaseResult, Status
from harness.pairs.ends import early_end, end_pairs
from harness.pairs.model import Origin, Pair
from harness.pairs.prompts import same_prompt, varied
from harness.pairs.rejected import COPIES, MAX_CHARACTERS, rejected_answers
from harness.pairs.replay_prompts import EVERYDAY, ORDINARY
from harness.safe.escape import well_formed
from harness.suite.figures import figures

__all__ = ["RULES", "build_pairs", "loop_copy", "pairs_of_case", "spread"]

T = TypeVar("T")

RULES = 3
"""Version of how pairs are built; raised with every change, so that pairs of earlier rules are not trained on again."""

_VARY_EVERY = 3
"""One pair in so many stands under a varied prompt."""
_MIN_PAIRS = 3
"""Of a case, where it has as many different rejected answers."""
_MIN_REPLAY = 32
"""Minimum number of replay pairs: three cases in forty updates would otherwise be all that the model learns."""
_MAX_LOOPED_UNITS = 160
"""Characters of a looped copy's period."""
_UNENDED = 4
"""One pair of a passing answer that never ended to so many of failing ones, at most ..."""
_MIN_UNENDED = 4
"""... but these at least, if there are any: a second round has few failing ones."""
_ENDS = 8
"""One pair that teaches an end to so many of failing cases: a single token that is all of a pair weighs much."""
_MAX_EARLY_SHARE = 1 / 2
"""Share of replay pairs whose rejected answer is an early end, where every answer ends by itself ..."""
_MANY_UNENDED = 0.75
"""... and the share of answers that never end from which there is none."""
_EARLY_ENDS = 2
"""Good answers that are ended early, to each pair that teaches an end; one of a single sentence has no early end."""
_EARLY_AT = (0.5, 0.0, 1.0)
"""Where they end, in turn, as a share of the sentences before the last one."""


def loop_copy(answer: str, copies: int = 4) -> str:
    """A looped copy of a clean answer: its last sentence (or line) over and over."""
    text = answer.rstrip()
    cut = max((text.rfind(mark, 0, len(text) - 1) for mark in (". ", "! ", "? ", "\n", "。", "！", "？")), default=-1)
    head, last = (text[: cut + 1], text[cut + 1 :]) if cut >= 0 else ("", text)
    if len(last) > _MAX_LOOPED_UNITS:
        head, last = text[:-_MAX_LOOPED_UNITS], text[-_MAX_LOOPED_UNITS:]
    joint = "" if last[:1].isspace() or not last.isascii() else "\n" if head.endswith("\n") else " "
    return head + last + (joint + last) * copies


def pairs_of_case(
    result: CaseResult, clean: Sequence[str], branches: Sequence[str] = (), looping: Sequence[Attempt] = ()
) -> tuple[Pair, ...]:
    """The pairs that one failing case gives.

    Args:
        result: a FAIL; its failing attempts are the rejected answers.
        clean: answers of the model's own that passed, best first; every third one stands under a varied prompt.
        branches: whole answers that leave the failing one (``result.worst``) before its fault, and passed.
        looping: further failing answers of the same model (sampled, or by another decoder).
    """
    case = result.case
    rejected = rejected_answers(result, looping)
    if not rejected:
        return ()
    pairs = []
    for number, (answer, bad) in enumerate(
        zip(_chosen(case, clean, len(rejected)), itertools.cycle(rejected), strict=False)
    ):
        pairs.append(
            Pair(
                case_id=case.id,
                messages=_prompt(case, number),
                chat_template_kwargs=case.chat_template_kwargs,
                chosen=answer.text,
                rejected=bad.text,
                origin=answer.origin,
                rejected_finished=bad.finished,
                fault_at=bad.fault_at,
            )
        )
    # The rejected answer of a branch is the one that it shares its beginning with, whatever else there is.
    left = next(iter(rejected_answers(result, ())), rejected[0])
    pairs += [
        Pair(
            case_id=case.id,
            messages=case.messages,
            chat_template_kwargs=case.chat_template_kwargs,
            chosen=text,
            rejected=left.text,
            origin="branch",
            rejected_finished=left.finished,
            fault_at=left.fault_at,
        )
        for text in branches
    ]
    return tuple(p for p in pairs if p.chosen.strip() != p.rejected.strip())


class _Chosen(NamedTuple):
    """A chosen answer and where it comes from."""

    text: str
    origin: Origin


def _chosen(case: Case, clean: Sequence[str], rejected: int) -> list[_Chosen]:
    """The standard answer, then the model's own clean answers.

    A case without a clean answer of the model's own must weigh as much as the others. Its first answer then stands
    against up to ``_MIN_PAIRS`` of the ``rejected`` answers.
    """
    chosen = [_Chosen(case.standard_answer, "standard")] if case.standard_answer else []
    chosen += [_Chosen(text, "own") for text in clean]
    missing = min(_MIN_PAIRS, rejected) - len(chosen)
    return chosen + chosen[:1] * max(missing, 0)


def _prompt(case: Case, number: int) -> tuple[Message, ...]:
    """The prompt of a case's pair: its own, and a varied one for every third pair, where it can be varied safely."""
    if number % _VARY_EVERY != _VARY_EVERY - 1:
        return case.messages
    return varied(case.messages, number // _VARY_EVERY) or case.messages


def build_pairs(
    failures: Sequence[CaseResult],
    passing: Sequence[CaseResult],
    clean: Mapping[str, Sequence[str]],
    branches: Mapping[str, Sequence[str]],
    looping: Mapping[str, Sequence[Attempt]],
    *,
    faulty: Mapping[str, Sequence[Attempt]] | None = None,
    ordinary: Mapping[str, str] | None = None,
    replay: float = 0.4,
    protected: Iterable[Case] = (),
) -> tuple[Pair, ...]:
    """All pairs of a fix: of failing cases, of passing answers that never ended, and replay of good answers.

    Only cases of role ``fix`` are used; holdout and guard cases are never trained on.

    Args:
        failures: results with verdict FAIL.
        passing: results with verdict PASS.
        clean: by case id, see :func:`pairs_of_case`.
        branches: by case id.
        looping: by case id.
        faulty: by case id; sampled answers that do not loop, and failed or had to be cut off.
        ordinary: the model's own clean answers to bundled prompts, by their ids.
        replay: share of replay pairs among all; ``_MIN_REPLAY`` where that is more.
        protected: cases whose prompts no bundled replay pair may have; those that are not of role ``fix`` count.
    """
    built = [
        pair
        for result in failures
        if result.case.role == "fix" and result.verdict.status is Status.FAIL
        for pair in pairs_of_case(
            result, clean.get(result.case.id, ()), branches.get(result.case.id, ()), looping.get(result.case.id, ())
        )
    ]
    built += _unended(passing, max(len(built) // _UNENDED, _MIN_UNENDED)) if built else []
    room = max(int(len(built) * replay / (1 - replay)), _MIN_REPLAY if built and replay else 0)
    sampled = {i: (*(faulty or {}).get(i, ()), *looping.get(i, ())) for i in {*(faulty or {}), *looping}}
    ends = spread(end_pairs([*failures, *passing], sampled), len(built) // _ENDS)
    guarded = [c for c in protected if c.role != "fix"]
    replayed = _replay(
        passing, ordinary or {}, room, guarded, _early_share((*failures, *passing)), _EARLY_ENDS * len(ends)
    )
    return tuple(
        replace(pair, chosen=well_formed(pair.chosen), rejected=well_formed(pair.rejected))
        for pair in (*built, *ends, *replayed)
    )


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` of the items, evenly spread, in their order; all of them where there are fewer."""
    if count >= len(items):
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def _unended(passing: Sequence[CaseResult], most: int) -> list[Pair]:
    """Standard answers against answers that do not repeat but had to be cut off."""
    pairs = [
        Pair(
            case_id=r.case.id,
            messages=r.case.messages,
            chat_template_kwargs=r.case.chat_template_kwargs,
            chosen=r.case.standard_answer,
            rejected=a.answer[: 2 * MAX_CHARACTERS],
            origin="standard",
        )
        for r in passing
        if r.case.role == "fix" and r.verdict.status is Status.PASS and r.case.standard_answer
        for a in r.attempts[:1]
        if a.finish_reason == "length" and a.answer.strip() not in ("", r.case.standard_answer.strip())
    ]
    return spread(pairs, most)


def _early_share(results: Sequence[CaseResult]) -> float:
    """The share of replay pairs with an early end, by how many answers still never end.

    A model whose answers mostly never end must learn to end; where they do end by themselves, their length is what is
    left to lose.
    """
    unended = figures([r for r in results if r.case.role == "fix"]).cutoffs.value
    return _MAX_EARLY_SHARE * max(0.0, 1 - unended / _MANY_UNENDED)


def _replay(
    passing: Sequence[CaseResult],
    ordinary: Mapping[str, str],
    room: int,
    guarded: Sequence[Case],
    early: float,
    ends: int,
) -> list[Pair]:
    """``room`` good answers against their looped copies, a share of ``early`` against their early ends.

    Where that gives fewer early ends than ``ends``, further ones make up for it.

    A third is kept for answers that repeat themselves legitimately: passing cases that repeat most, and bundled ones.
    The rest are the suite's own passing answers, then everyday ones. An answer that was cut off is none to imitate.
    """
    own = [
        (r.case, a.answer, a.scores.values.get("rep4", 0.0) if a.scores else 0.0)
        for r in passing
        if r.case.role == "fix" and r.verdict.status is Status.PASS
        for a in r.attempts[:1]
        if a.finish_reason == "stop" and a.answer.strip()
    ]
    own.sort(key=lambda item: -item[2])
    suite = [(c.id, c.messages, answer) for c, answer, _ in own]
    kwargs = {c.id: c.chat_template_kwargs for c, _, _ in own}
    by_right, everyday = (
        [
            (o.id, o.messages, answer)
            for o in bundled
            if (answer := ordinary.get(o.id, o.answer))
            and not any(same_prompt(o.messages, c.messages) for c in guarded)
        ]
        for bundled in (ORDINARY, EVERYDAY)
    )
    kept = [*suite[: room // 6], *spread(by_right, room // 3 - len(suite[: room // 6]))]
    rest = suite[room // 6 :]
    kept += spread(rest, room - len(kept))
    kept += spread(everyday, room - len(kept))
    kept += [o for o in by_right if o not in kept][: room - len(kept)]
    early_ones = set(spread(range(len(kept)), round(len(kept) * early)))
    pairs = [
        _against(answer, number, number in early_ones, case_id=case_id, messages=messages, kwargs=kwargs)
        for number, (case_id, messages, answer) in enumerate(kept)
    ]
    pairs += [
        _against(answer, number, True, case_id=case_id, messages=messages, kwargs=kwargs)
        for number, (case_id, messages, answer) in enumerate(spread(kept, max(0, ends - len(early_ones))))
        if early_end(answer)
    ]
    return pairs


def _against(
    answer: str,
    number: int,
    early: bool,
    *,
    case_id: str,
    messages: tuple[Message, ...],
    kwargs: Mapping[str, Mapping[str, Any]],
) -> Pair:
    """A good answer against its early end, or against its looped copy."""
    ended = early_end(answer, _EARLY_AT[number % len(_EARLY_AT)]) if early else None
    rejected = ended or loop_copy(answer, COPIES[number % len(COPIES)])
    return Pair(
        case_id=case_id,
        messages=messages,
        chat_template_kwargs=kwargs.get(case_id, {}),
        chosen=answer,
        rejected=rejected,
        origin="replay",
        rejected_finished=ended is not None,
        fault_at=len(rejected) if ended else len(answer.rstrip()),
    )
