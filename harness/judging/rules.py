"""The rules that an answer is judged by, as a table: a sign, its limit, and words for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.cases.model import Thresholds
from harness.judging.references import LASTING_SCALE, reference_run
from harness.judging.signs import (
    FEW_WORDS,
    FEWEST_WORDS,
    FLOOD_SCALE,
    MAX_ECHO,
    MAX_PASSAGES,
    MAX_RESTATED,
    MAX_RESTATED_CUT,
    MAX_TURN_OVERLAP,
    MAX_TWICE,
    RESTATED_STALE,
    RUN_RULES,
    STRETCH_SCALE,
    Answer,
    RunRule,
    echo_copies,
    missing_words,
    restated_lines,
    run_excess,
    stale_excess,
    stretch_units,
    templated_excess,
    twice_share,
    unfinished_units,
)
from harness.metrics.repetition import EXCUSED_LENGTHS

__all__ = ["RULES", "Rule", "show_number", "surely_passes"]

MIN_REFERENCE_UNITS = 20
"""Units from which on the standard answer's length says how long an answer should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table of rules: which value is compared with which limit."""

    rule: str
    text: Callable[[Answer], str]
    value: Callable[[Answer], float]
    limit: Callable[[Answer], float]
    upper: bool = True
    repetition: bool = False
    applies: Callable[[Answer], bool] = lambda _: True


def _run_row(rule: RunRule) -> Rule:
    return Rule(
        rule=rule.rule,
        text=lambda a: (
            f"{rule.text}: {show_number(a.score(rule.copies))} copies over {show_number(a.score(rule.length))}"
        ),
        value=lambda a: run_excess(a, rule),
        limit=lambda a: getattr(a.limits, rule.limit),
        repetition=True,
    )


_LOOP, _NUMBERED, _CHARACTERS, _TAIL = map(_run_row, RUN_RULES)

RULES: tuple[Rule, ...] = (
    Rule(
        rule="rep8",
        text=lambda a: f"repeated 8-grams{a.above()}",
        value=lambda a: a.score("rep8_excess") - a.excused,
        limit=lambda a: a.limits.max_rep8_excess,
        repetition=True,
    ),
    Rule(
        rule="rep8d",
        text=lambda _: "the same with numbers replaced by one sign",
        value=lambda a: a.score("rep8d_excess") - a.excused,
        limit=lambda a: a.limits.max_rep8d_excess,
        repetition=True,
    ),
    _LOOP,
    _NUMBERED,
    _CHARACTERS,
    # No share: text after a loop does not undo it. The early FAIL of a search rests on this rule (loop_units).
    Rule(
        rule="lasting",
        text=lambda a: f"units of the longest stretch that repeats itself,{a.above()}",
        value=lambda a: a.score("lasting_units") - reference_run(a.case),
        limit=lambda a: LASTING_SCALE * a.limits.min_loop_units,
        repetition=True,
    ),
    _TAIL,
    Rule(
        rule="unfinished",
        text=lambda _: "units of an end that repeats itself, in an answer that was cut off",
        value=unfinished_units,
        limit=lambda a: reference_run(a.case),
        repetition=True,
    ),
    Rule(
        rule="stretch",
        text=lambda _: "units of a stretch that repeats itself in running text",
        value=stretch_units,
        limit=lambda a: reference_run(a.case) + STRETCH_SCALE * a.limits.min_loop_units,
        repetition=True,
    ),
    Rule(
        rule="twice",
        text=lambda _: "of the answer is the same text twice",
        value=twice_share,
        limit=lambda a: max(MAX_TWICE, a.theirs("twice_coverage")),
        repetition=True,
    ),
    Rule(
        rule="echo",
        text=lambda _: "times that one sentence is said in running text",
        value=echo_copies,
        limit=lambda a: max(MAX_ECHO, EXCUSED_LENGTHS * a.theirs("echo_copies")),
        repetition=True,
    ),
    Rule(
        rule="passage",
        text=lambda _: "times that one paragraph is said",
        value=lambda a: a.score("passage_copies"),
        limit=lambda a: max(MAX_PASSAGES, EXCUSED_LENGTHS * a.theirs("passage_copies")),
        repetition=True,
    ),
    Rule(
        rule="variety",
        text=lambda _: "different words that a stretch of 64 words lacks",
        value=missing_words,
        limit=lambda a: max(0.0, FEWEST_WORDS - a.theirs("variety")) if a.has_reference else 0.0,
        repetition=True,
    ),
    Rule(
        rule="flood",
        text=lambda _: "characters of white space or of one mark at the end",
        value=lambda a: a.score("flood_characters"),
        limit=lambda a: max(FLOOD_SCALE * a.limits.min_loop_units, 2.0 * a.theirs("flood_characters")),
        repetition=True,
    ),
    Rule(
        rule="stale",
        text=lambda _: "of the end of an answer that was cut off, above what is usual, was said before",
        value=stale_excess,
        limit=lambda _: 0.0,
        repetition=True,
    ),
    Rule(
        rule="restated",
        text=lambda _: "lines of code or comment that begin with the same words",
        value=restated_lines,
        limit=lambda a: max(MAX_RESTATED_CUT if a.cut else MAX_RESTATED, EXCUSED_LENGTHS * a.theirs("restated")),
        repetition=True,
    ),
    Rule(
        rule="templated",
        text=lambda _: "lines that repeat except for a word",
        value=templated_excess,
        limit=lambda a: a.limits.max_templated_excess,
        repetition=True,
    ),
    Rule(
        rule="turns",
        text=lambda _: "of the answer was said in an earlier turn",
        value=lambda a: a.score("turn_overlap") if a.score("units") >= a.limits.min_loop_units else 0.0,
        limit=lambda a: max(MAX_TURN_OVERLAP, a.theirs("turn_overlap")),
        repetition=True,
        applies=lambda a: "turn_overlap" in a.scores,
    ),
    Rule(
        rule="length",
        text=lambda _: "words",
        # Pictures or formulas alone are an answer; marks alone are none.
        value=lambda a: a.score("words") or a.score("symbols"),
        limit=lambda a: float(a.limits.min_units),
        upper=False,
    ),
    # A short answer to a long one's question may be right; two words are not.
    Rule(
        rule="length_ratio",
        text=lambda _: "of the standard answer's length",
        value=lambda a: a.score("length_ratio"),
        limit=lambda a: a.limits.min_length_ratio / (5 if a.scores.get("words", 0.0) >= FEW_WORDS else 1),
        upper=False,
        applies=lambda a: a.case.standard_answer is not None and not a.score("reference_units") < MIN_REFERENCE_UNITS,
    ),
    Rule(
        rule="longest",
        text=lambda _: "times the standard answer's length",
        value=lambda a: a.score("length_ratio"),
        limit=lambda a: a.limits.max_length_ratio,
        applies=lambda a: a.case.standard_answer is not None and a.limits.max_length_ratio > 0.0,
    ),
    Rule(
        rule="similarity",
        text=lambda _: "similarity to the standard answer",
        value=lambda a: a.score("similarity"),
        limit=lambda a: a.limits.min_similarity,
        upper=False,
        applies=lambda a: a.case.standard_answer is not None and a.limits.min_similarity > 0.0,
    ),
    Rule(
        rule="cutoff",
        text=lambda _: "cut off at max_tokens",
        value=lambda a: float(a.finish_reason == "length"),
        limit=lambda _: 0.0,
        applies=lambda a: not a.limits.allow_cutoff,
    ),
)
"""The built-in rules, in the order to show; patterns and limits of scores by name follow them."""


def surely_passes(scores: Mapping[str, float], limits: Thresholds) -> bool:
    """Whether no rule can fail: most answers, decided by a few comparisons instead of a dozen.

    A sufficient condition and not the verdict: what it does not accept goes to :func:`judge`. It holds because
    ``repetition`` is the maximum of all clamped excesses.
    """
    rates = (limits.max_rep8_excess, limits.max_rep8d_excess, limits.max_loop_excess, limits.max_templated_excess)
    return (
        scores["repetition"] <= min(rates)
        and scores["tail_excess"] <= limits.max_tail_excess
        and scores["loop_units"] <= STRETCH_SCALE * limits.min_loop_units
        and not scores["tail_units"]
        and scores["twice_coverage"] <= MAX_TWICE
        and scores["variety"] >= FEWEST_WORDS
        and scores["flood_characters"] <= FLOOD_SCALE * limits.min_loop_units
        and scores["stale"] < RESTATED_STALE
        and scores.get("echo_copies", 0.0) <= MAX_ECHO
        and scores.get("passage_copies", 0.0) <= MAX_PASSAGES
        and (scores["words"] or scores["symbols"]) >= limits.min_units
        and (scores["reference_units"] < MIN_REFERENCE_UNITS or scores["length_ratio"] >= limits.min_length_ratio)
        and limits.min_similarity == 0.0
        and limits.max_length_ratio == 0.0
        and limits.allow_cutoff
        and not limits.min_metrics
        and not limits.max_metrics
    )


def show_number(value: float) -> str:
    """A number for people, with at most three decimals."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else "not a number"
