"""The figures of the experiment, and the limits that they are held against.

trained_on      cases of role fix that looped before under this decoding and that pairs were made from; pass: share
                of them that do not loop any more (of another kind of suite: that failed, and do not fail any more)
holdout         holdout cases that loop (fail), before and after; reduction: share of them that is gone
cutoffs         answers of all cases that did not end by themselves, before and after
guards          guards that passed before, and how many of them do not any more
length_ratio    median length after by median length before, over cases that loop on neither side
length_all      the same over all answers that do not loop: cured ones, which have no sound length before, count after
length_ended    the same over all answers that do not loop and ended by themselves: a cut-off answer has no length
by_language     repeaters and cut-off answers of cases in English and in Chinese (tag zh), before and after
similarity      mean similarity to the standard answers, before and after
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from harness.fix.promotion import effects
from harness.judging.results import CaseResult, Status
from harness.suite.figures import cut_off

__all__ = ["LANGUAGES", "LIMITS", "Limit", "after_rounds", "measure", "summarise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A figure and the range that it is held against, by decoding; None: shown for what it tells."""

    text: str
    beam: tuple[float, float] | None = None
    greedy: tuple[float, float] | None = None


LIMITS: Mapping[str, Limit] = {
    "trained_on.pass": Limit(text="trained-on repeaters that pass on repetition", beam=(0.95, 1.0), greedy=(0.98, 1.0)),
    "holdout.reduction": Limit(text="unseen repeaters gone", beam=(0.85, 1.0), greedy=(0.90, 1.0)),
    "cutoffs.reduction": Limit(text="cut-off answers gone", beam=(0.80, 1.0), greedy=(0.85, 1.0)),
    "guards.broken_share": Limit(text="guards broken", beam=(0.0, 0.01), greedy=(0.0, 0.01)),
    "length_all": Limit(
        text="median length of all sound answers, after by before", beam=(0.8, 1.25), greedy=(0.8, 1.25)
    ),
    "length_ended": Limit(text="... of those that ended by themselves"),
    "length_ratio": Limit(text="... of those that were sound on both sides"),
    "similarity.rise": Limit(text="similarity to the standard answers, rise", beam=(0.0, 1.0), greedy=(0.0, 1.0)),
}
"""By figure; those of one round."""
LANGUAGES: Mapping[str, str] = {
    "by_language.en.repeaters": "repeaters gone, English",
    "by_language.zh.repeaters": "repeaters gone, Chinese",
    "by_language.en.cutoffs": "cut-off answers gone, English",
    "by_language.zh.cutoffs": "cut-off answers gone, Chinese",
}
"""Figures without limits: the embedded model knows next to no Chinese, so its share is shown apart."""


def measure(
    before: Sequence[CaseResult],
    after: Sequence[CaseResult],
    trained_on: set[str],
    suffix: str = "",
    failed: Callable[[CaseResult], bool] = lambda r: r.verdict.repeater,
) -> dict[str, Any]:
    """The figures of one decoding.

    Args:
        before: the model as shipped.
        after: the version, on the same cases.
        trained_on: ids of cases that pairs were made from, without ``suffix``.
        suffix: what the ids of this decoding's cases may have behind the case's own.
        failed: whether a case fails in the way that is fixed.
    """
    new = {r.case.id: r for r in after}

    def loops(results: Sequence[CaseResult], role: str) -> list[str]:
        return [r.case.id for r in results if r.case.role == role and failed(r)]

    looped = [i for i in loops(before, "fix") if i.removesuffix(suffix) in trained_on]
    cured = [i for i in looped if not failed(new[i])]
    held = loops(before, "holdout"), loops(after, "holdout")
    guards = [r.case.id for r in before if r.case.role == "guard" and r.verdict.status is Status.PASS]
    broken = [i for i in guards if new[i].verdict.status is not Status.PASS]
    whole = effects(before, after)[-1]
    rise = None if whole.similarity is None else whole.similarity[1] - whole.similarity[0]
    return {
        "trained_on": {"looped": len(looped), "cured": len(cured), "pass": _share(len(cured), len(looped)),
                       "still": [i for i in looped if i not in cured]},
        "holdout": {"before": len(held[0]), "after": len(held[1]), "of": sum(r.case.role == "holdout" for r in before),
                    "reduction": _share(len(held[0]) - len(held[1]), len(held[0])), "still": held[1]},
        "cutoffs": {"before": whole.cutoffs[0], "after": whole.cutoffs[1], "of": whole.cases,
                    "reduction": _share(whole.cutoffs[0] - whole.cutoffs[1], whole.cutoffs[0])},
        "guards": {"passed": len(guards), "broken": broken, "broken_share": _share(len(broken), len(guards))},
        "length_ratio": whole.length_ratio,
        "length_all": _median_length(after) / _median_length(before),
        "length_ended": _median_length(after, ended=True) / _median_length(before, ended=True),
        "by_language": {
            name: _gone([r for r in before if ("zh" in r.case.tags) is chinese], new)
            for name, chinese in (("en", False), ("zh", True))
        },
        "similarity": {"before": whole.similarity and whole.similarity[0],
                       "after": whole.similarity and whole.similarity[1], "rise": rise},
    }  # fmt: skip


def after_rounds(result: Mapping[str, Any], count: int) -> dict[str, Any] | None:
    """What an arm stood at after ``count`` rounds: figures by decoding, training so far; None if it made no version.

    A round that was not blessed is no version: what stands is the last one that was, or else the first attempt. An
    arm that ended before, because all was cured or a round was refused, stands where it ended.
    """
    made = result["rounds"][:count]
    if not made:
        return None
    kept = next((r for r in reversed(made) if r["blessed"]), made[0])
    seconds = sum(r["training_seconds"] for r in made)
    return {"kept_round": kept["round"], "training_seconds": seconds, "beam": kept["beam"], "greedy": kept["greedy"]}


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, spread (sample standard deviation) and number over seeds, of what :func:`after_rounds` tells of each."""
    found: dict[str, Any] = {"training_minutes": _mean([r["training_seconds"] / 60 for r in results])}
    for decoding in ("beam", "greedy"):
        rows = [r[decoding] for r in results if decoding in r]
        found[decoding] = {
            name: _mean([v for row in rows if (v := _look_up(row, name)) is not None]) for name in (*LIMITS, *LANGUAGES)
        }
    return found


def _gone(before: Sequence[CaseResult], after: Mapping[str, CaseResult]) -> dict[str, float | None]:
    """Shares of the repeaters and of the cut-off answers that are gone."""
    now = [after[r.case.id] for r in before]
    loops = [sum(r.verdict.repeater for r in side) for side in (before, now)]
    cuts = [sum(cut_off(r) for r in side) for side in (before, now)]
    return {"repeaters": _share(loops[0] - loops[1], loops[0]), "cutoffs": _share(cuts[0] - cuts[1], cuts[0])}


def _median_length(results: Sequence[CaseResult], *, ended: bool = False) -> float:
    """In units, of first answers that do not loop; ``ended``: only of those that ended by themselves."""
    firsts = [r.attempts[0] for r in results if r.attempts and not r.verdict.repeater]
    firsts = [a for a in firsts if a.finish_reason == "stop" or not ended]
    return median([float(a.scores.values["units"]) for a in firsts if a.scores] or [1.0])


def _look_up(row: Mapping[str, Any], name: str) -> float | None:
    value: Any = row
    for part in name.split("."):
        # A result of an earlier version lacks what was not measured then.
        value = None if value is None else value.get(part)
    return None if value is None else float(value)


def _mean(values: Sequence[float]) -> dict[str, float | int | None]:
    if not values:
        return {"mean": None, "spread": None, "n": 0}
    spread = stdev(values) if len(values) > 1 else None
    return {"mean": round(fmean(values), 4), "spread": None if spread is None else round(spread, 4), "n": len(values)}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
