"""From scores to PASS, FAIL, ERROR: the only place where an answer is judged.

Every rule is a positive, finite test: an answer passes because each value is a number on the right side of its limit.
NaN, a missing score or a pattern search that ran out of time is ERROR and never PASS. A standard answer that is itself
a loop would excuse every loop, so such a case is refused by name (ERROR, rule ``standard_answer``). Exceptions are a
case that says ``reference_may_repeat``, and a prompt that holds the text which the answer repeats ("write X 50 times").

The rules are a table. :func:`checks` says which of them applied and how each came out; :func:`judge` is the summary.
Both are pure functions of the recorded scores, so thresholds can change without generating or scoring again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.cases.model import Case, Thresholds
from harness.engines.base import FinishReason
from harness.judging.results import Reason, Status, Verdict
from harness.metrics.demands import RunKind, demand
from harness.metrics.forms import STRUCTURED, Form
from harness.metrics.patterns import UNKNOWN
from harness.metrics.repetition import EXCUSED_LENGTHS, measure, repetition
from harness.metrics.tandem import PARAGRAPH
from harness.metrics.types import Scores

__all__ = [
    "LASTING_SCALE",
    "RuleCheck",
    "checks",
    "combine",
    "judge",
    "loop_units",
    "refusal",
    "skipped",
]

BROKEN_OFF_COPIES = 2.0
"""Copies of a paragraph, with the beginning of another, that make a loop of an answer that breaks off."""
REFRAIN_REP8 = 0.3
"""Rep-8 of a standard answer with a refrain; an answer to its prompt may say a sentence three times."""
FEW_WORDS = 10
"""Words below which an answer must reach the minimum length ratio; longer answers must reach a fifth of it."""
DRAWN_SCALE = 8.0
"""A loop of characters without letters and digits is a drawn line up to this many times ``min_loop_units``."""
CHARACTER_SCALE = 2.0
"""The same factor for any other loop of characters."""
LASTING_SCALE = 7.0
"""A run this many times ``min_loop_units`` above the standard answer's own fails an answer of any length."""
MOST_CHARACTERS = 4.0
"""The most that a form may ask for times that: the expansion of a fraction."""
STRETCH_COPIES = 6.0
STRETCH_SCALE = 2.0
"""A run of this many copies, and this many times ``min_loop_units``, fails an answer of any length in running text."""
HELD = 0.8
"""Share of templated lines in a run from which on the rule about runs judges them."""
EXPANSION = 48.0
"""Units of digits at the end of an answer from which on they are no fraction that was written out."""
MAX_TWICE = 0.8
"""Share of an answer in two copies of the same text."""
MAX_ECHO = 7.0
ECHO_SCALE = 4.0
"""Times that a sentence may stand in running text, where all such sentences have this many ``min_loop_units``."""
MAX_PASSAGES = 3.0
"""Times that a paragraph may stand in an answer."""
FEWEST_WORDS = 9.0
FEWEST_IN_CODE = 4.0
"""Different words that 64 words in a row have at least, in running text and in a form that repeats by itself."""
COUNTED = frozenset({Form.DATA, Form.TABLE, Form.LOG, Form.ROWS, Form.MARKUP})
"""Forms whose words are few, since numbers say what they say."""
STRUCTURE_EXCUSES = 0.35
"""What an answer wholly in a form that repeats by itself may repeat more, of its n-grams."""
FLOOD_SCALE = 4.0
"""Characters at the end that are white space or one mark, as a multiple of ``min_loop_units``."""
MAX_STALE: Mapping[Form, float] = {
    **dict.fromkeys((Form.PROSE, Form.VERSE, Form.CODE), 0.6),
    **dict.fromkeys((Form.LIST, Form.LABELS), 0.8),
    Form.DATA: 0.95,
}
"""Share of the end of a cut answer that may have been said before, by its form; all of it in the other forms."""
MAX_RESTATED = 3.0
MAX_RESTATED_CUT = 2.0
RESTATED_STALE = 0.4
"""Lines of code or comment that may begin with the same words, in an answer that ended and in one that was cut off. In
an answer that ended they count where this share of its end was said before."""
MIN_REFERENCE_UNITS = 20
"""Units from which on the standard answer's length says how long an answer should be."""
REFUSED_COVERAGE = 0.5
"""Share of a standard answer inside one run from which on it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCheck:
    """One rule as it applied to one answer."""

    rule: str
    value: float
    """NaN where the score is missing; such a check does not pass."""
    limit: float
    upper: bool
    """Whether the value must be at most the limit; otherwise at least."""
    passed: bool
    text: str
    """For people, one line."""
    repetition: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunRule:
    """A rule about a tandem run: its excess counts once the run is long and has enough copies to be a loop."""

    rule: str
    text: str
    excess: str
    """Name of the score; the next three likewise."""
    copies: str
    length: str
    period: str
    form: str
    limit: str
    """Name of the threshold."""


_RUN_RULES = (
    _RunRule(
        rule="loop",
        text="a stretch that repeats itself",
        excess="loop_excess",
        copies="loop_copies",
        length="loop_units",
        period="loop_period",
        form="loop_form",
        limit="max_loop_excess",
    ),
    _RunRule(
        rule="numbered",
        text="a numbered loop",
        excess="numbered_excess",
        copies="numbered_copies",
        length="numbered_units",
        period="numbered_period",
        form="numbered_form",
        limit="max_loop_excess",
    ),
    _RunRule(
        rule="char_loop",
        text="characters that repeat themselves",
        excess="char_loop_excess",
        copies="char_loop_copies",
        length="char_loop_length",
        period="char_loop_period",
        form="char_loop_form",
        limit="max_loop_excess",
    ),
    _RunRule(
        rule="tail",
        text="an end that repeats itself",
        excess="tail_excess",
        copies="tail_copies",
        length="tail_units",
        period="tail_period",
        form="tail_form",
        limit="max_tail_excess",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """One row of the table of rules: which value is compared with which limit."""

    rule: str
    text: Callable[[_Answer], str]
    value: Callable[[_Answer], float]
    limit: Callable[[_Answer], float]
    upper: bool = True
    repetition: bool = False
    applies: Callable[[_Answer], bool] = lambda _: True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the rules look at."""

    case: Case
    scores: Mapping[str, float]
    finish_reason: FinishReason | None

    @property
    def limits(self) -> Thresholds:
        return self.case.thresholds

    @property
    def has_reference(self) -> bool:
        return bool(self.scores.get("has_reference"))

    def score(self, name: str) -> float:
        """A score; NaN where it is missing."""
        return self.scores.get(name, math.nan)

    @property
    def excused(self) -> float:
        """What a form that repeats by itself may repeat more, by the share of the answer that stands in it."""
        return STRUCTURE_EXCUSES * self.scores.get("structured", 0.0)

    @property
    def has_refrain(self) -> bool:
        return self.has_reference and self.scores.get("rep8_reference", 0.0) >= REFRAIN_REP8

    @property
    def cut(self) -> bool:
        """Whether the answer was cut off, or seems to have been where that is not known."""
        if self.finish_reason is None:
            # A row of digits that ends looks like one that breaks off.
            short = self.form("tail_form") is Form.DATA and self.score("tail_units") < EXPANSION
            return bool(self.scores.get("broken_off") or (self.scores.get("tail_broken") and not short))
        return self.finish_reason == "length"

    def form(self, name: str) -> Form:
        return Form(int(self.scores.get(name, 0.0)))

    def theirs(self, name: str) -> float:
        """The standard answer's own value; 0 without one."""
        return self.scores.get(f"{name}_reference", 0.0)

    def above(self) -> str:
        return " above the standard answer's" if self.has_reference else " above what is usual"


def _run_excess(answer: _Answer, rule: _RunRule) -> float:
    """The excess of a tandem run that is a loop; a run that is none has no positive excess."""
    excess = answer.score(rule.excess)
    return excess if _is_loop(answer, rule, cut=False) or not math.isfinite(excess) else min(0.0, excess)


def _is_loop(answer: _Answer, rule: _RunRule, *, cut: bool) -> bool:
    limits = answer.limits
    copies, length, period = map(answer.score, (rule.copies, rule.length, rule.period))
    form = answer.form(rule.form)
    if rule.rule == "char_loop":
        wanted = demand("exact", form, period / CHARACTER_SCALE, cut=cut)
        scale = CHARACTER_SCALE * min(wanted.units, MOST_CHARACTERS)
        if answer.scores.get("char_loop_drawn"):
            scale = max(scale, DRAWN_SCALE)
        return copies >= wanted.copies * limits.min_loop_copies and length >= limits.min_loop_units * scale
    numbered = rule.rule == "numbered" or (rule.rule == "tail" and answer.scores.get("tail_numbered"))
    kind: RunKind = "numbered" if numbered else "exact"
    wanted = demand(kind, form, period, cut=cut, at_end=rule.rule == "tail")
    fewest = wanted.copies * limits.min_loop_copies
    if answer.has_refrain:
        fewest = max(fewest, limits.min_loop_copies)
    elif rule.rule == "tail" and period >= PARAGRAPH and answer.scores.get("tail_broken"):
        fewest = min(fewest, BROKEN_OFF_COPIES)
    return copies >= fewest and length >= wanted.units * limits.min_loop_units


def _run_row(rule: _RunRule) -> _Rule:
    return _Rule(
        rule=rule.rule,
        text=lambda a: f"{rule.text}: {_number(a.score(rule.copies))} copies over {_number(a.score(rule.length))}",
        value=lambda a: _run_excess(a, rule),
        limit=lambda a: getattr(a.limits, rule.limit),
        repetition=True,
    )


def _templated_excess(answer: _Answer) -> float:
    excess = answer.score("templated_excess")
    wanted = demand("templated", answer.form("templated_form"), 0.0, cut=False)
    # Where a run of one kind holds the lines, the rule of that kind asks for what is usual there.
    runs = max(answer.score("loop_coverage"), answer.score("numbered_coverage"))
    held = answer.form("templated_form") in STRUCTURED and runs >= HELD * answer.score("templated")
    few = held or answer.score("templated_copies") < wanted.copies * answer.limits.min_loop_copies
    short = answer.score("templated_units") < wanted.units * answer.limits.min_loop_units
    return min(0.0, excess) if (few or short) and math.isfinite(excess) else excess


def _unfinished_units(answer: _Answer) -> float:
    """Units of the run that the answer was cut off in."""
    units = answer.score("tail_units")
    tail = _RUN_RULES[3]
    return units if not math.isfinite(units) or (answer.cut and _is_loop(answer, tail, cut=True)) else 0.0


def _stretch_units(answer: _Answer) -> float:
    """Units of a run in a form that does not repeat by itself, said at least ``STRETCH_COPIES`` times."""
    units = answer.score("loop_units")
    free = answer.form("loop_form") not in STRUCTURED and answer.score("loop_copies") >= STRETCH_COPIES
    return units if free or not math.isfinite(units) else 0.0


def _stale(answer: _Answer) -> float:
    """How far the end of a cut answer is above what may be said again in its form."""
    most = MAX_STALE.get(answer.form("end_form"), 1.0)
    return answer.score("stale") - max(most, answer.scores.get("stale_reference", 0.0)) if answer.cut else 0.0


def _restated(answer: _Answer) -> float:
    again = answer.cut or answer.score("stale") >= RESTATED_STALE
    return answer.score("restated") if again else 0.0


def _twice(answer: _Answer) -> float:
    share = answer.score("twice_coverage")
    return share if share * answer.score("units") >= STRETCH_SCALE * answer.limits.min_loop_units else 0.0


def _echo_copies(answer: _Answer) -> float:
    copies = answer.score("echo_copies")
    return copies if answer.score("echo_units") >= ECHO_SCALE * answer.limits.min_loop_units else 0.0


def _poverty(answer: _Answer) -> float:
    """How many different words are missing from the poorest window to be the fewest of its form."""
    form = answer.form("variety_form")
    fewest = FEWEST_IN_CODE if form in STRUCTURED else FEWEST_WORDS
    return fewest - answer.score("variety") if form not in COUNTED else 0.0


_LOOP, _NUMBERED, _CHARACTERS, _TAIL = map(_run_row, _RUN_RULES)

_RULES: tuple[_Rule, ...] = (
    _Rule(
        rule="rep8",
        text=lambda a: f"repeated 8-grams{a.above()}",
        value=lambda a: a.score("rep8_excess") - a.excused,
        limit=lambda a: a.limits.max_rep8_excess,
        repetition=True,
    ),
    _Rule(
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
    _Rule(
        rule="lasting",
        text=lambda a: f"units of the longest stretch that repeats itself,{a.above()}",
        value=lambda a: a.score("lasting_units") - _reference_run(a.case),
        limit=lambda a: LASTING_SCALE * a.limits.min_loop_units,
        repetition=True,
    ),
    _TAIL,
    _Rule(
        rule="unfinished",
        text=lambda _: "units of an end that repeats itself, in an answer that was cut off",
        value=_unfinished_units,
        limit=lambda a: _reference_run(a.case),
        repetition=True,
    ),
    _Rule(
        rule="stretch",
        text=lambda _: "units of a stretch that repeats itself in running text",
        value=_stretch_units,
        limit=lambda a: _reference_run(a.case) + STRETCH_SCALE * a.limits.min_loop_units,
        repetition=True,
    ),
    _Rule(
        rule="twice",
        text=lambda _: "of the answer is the same text twice",
        value=_twice,
        limit=lambda a: max(MAX_TWICE, a.theirs("twice_coverage")),
        repetition=True,
    ),
    _Rule(
        rule="echo",
        text=lambda _: "times that one sentence is said in running text",
        value=_echo_copies,
        limit=lambda a: max(MAX_ECHO, EXCUSED_LENGTHS * a.theirs("echo_copies")),
        repetition=True,
    ),
    _Rule(
        rule="passage",
        text=lambda _: "times that one paragraph is said",
        value=lambda a: a.score("passage_copies"),
        limit=lambda a: max(MAX_PASSAGES, EXCUSED_LENGTHS * a.theirs("passage_copies")),
        repetition=True,
    ),
    _Rule(
        rule="variety",
        text=lambda _: "different words that a stretch of 64 words lacks",
        value=_poverty,
        limit=lambda a: max(0.0, FEWEST_WORDS - a.theirs("variety")) if a.has_reference else 0.0,
        repetition=True,
    ),
    _Rule(
        rule="flood",
        text=lambda _: "characters of white space or of one mark at the end",
        value=lambda a: a.score("flood_characters"),
        limit=lambda a: max(FLOOD_SCALE * a.limits.min_loop_units, 2.0 * a.theirs("flood_characters")),
        repetition=True,
    ),
    _Rule(
        rule="stale",
        text=lambda _: "of the end of an answer that was cut off, above what is usual, was said before",
        value=_stale,
        limit=lambda _: 0.0,
        repetition=True,
    ),
    _Rule(
        rule="restated",
        text=lambda _: "comments in code that begin with the same words",
        value=_restated,
        limit=lambda a: max(MAX_RESTATED_CUT if a.cut else MAX_RESTATED, EXCUSED_LENGTHS * a.theirs("restated")),
        repetition=True,
    ),
    _Rule(
        rule="templated",
        text=lambda _: "lines that repeat except for a word",
        value=_templated_excess,
        limit=lambda a: a.limits.max_templated_excess,
        repetition=True,
    ),
    _Rule(
        rule="length",
        text=lambda _: "words",
        # Pictures or formulas alone are an answer; marks alone are none.
        value=lambda a: a.score("words") or a.score("symbols"),
        limit=lambda a: float(a.limits.min_units),
        upper=False,
    ),
    # A short answer to a long one's question may be right; two words are not.
    _Rule(
        rule="length_ratio",
        text=lambda _: "of the standard answer's length",
        value=lambda a: a.score("length_ratio"),
        limit=lambda a: a.limits.min_length_ratio / (5 if a.scores.get("words", 0.0) >= FEW_WORDS else 1),
        upper=False,
        applies=lambda a: a.case.standard_answer is not None and not a.score("reference_units") < MIN_REFERENCE_UNITS,
    ),
    _Rule(
        rule="similarity",
        text=lambda _: "similarity to the standard answer",
        value=lambda a: a.score("similarity"),
        limit=lambda a: a.limits.min_similarity,
        upper=False,
        applies=lambda a: a.case.standard_answer is not None and a.limits.min_similarity > 0.0,
    ),
    _Rule(
        rule="cutoff",
        text=lambda _: "cut off at max_tokens",
        value=lambda a: float(a.finish_reason == "length"),
        limit=lambda _: 0.0,
        applies=lambda a: not a.limits.allow_cutoff,
    ),
)
"""The built-in rules, in the order to show; patterns and limits of scores by name follow them."""


def judge(case: Case, scores: Scores, finish_reason: FinishReason | None) -> Verdict:
    """The verdict on one answer.

    Args:
        case: its thresholds, role and standard answer.
        scores: from :func:`harness.metrics.score`.
        finish_reason: ``loop`` is a FAIL by proof; None where it is not known.
    """
    refused = refusal(case)
    if refused is not None:
        return Verdict(Status.ERROR, (Reason(rule="standard_answer", text=refused),))
    if finish_reason == "loop":
        text = "generation was stopped: every hypothesis that could still win loops"
        return Verdict(
            Status.FAIL, (Reason(rule="loop", text=text, repetition=True), *_reasons(case, scores, finish_reason))
        )
    results = checks(case, scores, finish_reason)
    unknown = [c for c in results if not math.isfinite(c.value)]
    if unknown:
        return Verdict(
            Status.ERROR, tuple(Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit) for c in unknown)
        )
    failed = tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition)
        for c in results
        if not c.passed
    )
    return Verdict(Status.FAIL if failed else Status.PASS, failed)


def skipped(case: Case) -> Verdict:
    """The verdict on a case that says ``skip``: SKIP, with its reason."""
    return Verdict(Status.SKIP, (Reason(rule="skip", text=case.skip),))


def _reasons(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[Reason, ...]:
    return tuple(
        Reason(rule=c.rule, text=c.text, value=c.value, limit=c.limit, repetition=c.repetition)
        for c in checks(case, scores, finish_reason)
        if c.repetition and math.isfinite(c.value) and not c.passed
    )


def combine(verdicts: Sequence[Verdict], min_pass: int) -> Verdict:
    """The verdict over the samples of one case: PASS from ``min_pass`` passes on.

    FAIL only when the samples that could not be judged cannot save it; PASS never with one of those among them.
    """
    count = {status: sum(v.status is status for v in verdicts) for status in Status}
    if verdicts and count[Status.SKIP] == len(verdicts):
        return Verdict(Status.SKIP, verdicts[0].reasons)
    passed = count[Status.PASS]
    if passed + count[Status.ERROR] < min_pass and passed + count[Status.ERROR] + count[Status.FAIL] > 0:
        return Verdict(Status.FAIL, _merged(verdicts, Status.FAIL))
    if count[Status.ERROR]:
        return Verdict(Status.ERROR, _merged(verdicts, Status.ERROR))
    if verdicts and passed >= min_pass >= 1:
        return Verdict(Status.PASS)
    return Verdict(
        Status.ERROR, (Reason(rule="samples", text=f"no verdict: {len(verdicts)} samples, {min_pass} must pass"),)
    )


def _merged(verdicts: Sequence[Verdict], status: Status) -> tuple[Reason, ...]:
    """The first reason of each rule."""
    by_rule: dict[str, Reason] = {}
    for verdict in verdicts:
        if verdict.status is status:
            for reason in verdict.reasons:
                by_rule.setdefault(reason.rule, reason)
    return tuple(by_rule.values())


def checks(case: Case, scores: Scores, finish_reason: FinishReason | None) -> tuple[RuleCheck, ...]:
    """Every rule that applies to this answer, passed or not, in the order to show."""
    answer = _Answer(case=case, scores=scores.values, finish_reason=finish_reason)
    named = [
        _check(name, answer.score(name), limit, name, upper=upper)
        for limits, upper in ((case.thresholds.min_metrics, False), (case.thresholds.max_metrics, True))
        for name, limit in limits.items()
    ]
    return (
        *(
            _check(r.rule, r.value(answer), r.limit(answer), r.text(answer), upper=r.upper, repetition=r.repetition)
            for r in _RULES
            if r.applies(answer)
        ),
        *_patterns(case, scores),
        *named,
    )


def _patterns(case: Case, scores: Scores) -> list[RuleCheck]:
    checked = []
    for field, patterns, must_match in (
        ("must_include", case.must_include, True),
        ("must_not_include", case.must_not_include, False),
    ):
        for i, pattern in enumerate(patterns):
            value = scores.values.get(f"{field}[{i}]", math.nan)
            timed_out = value == UNKNOWN
            text = f"{field} {pattern!r}" + (" could not be searched in time" if timed_out else "")
            value = math.nan if timed_out else value
            checked.append(_check(field, value, float(must_match), text, upper=not must_match))
    return checked


def _check(rule: str, value: float, limit: float, what: str, *, upper: bool, repetition: bool = False) -> RuleCheck:
    passed = math.isfinite(value) and (value <= limit if upper else value >= limit)
    text = f"{what}: {_number(value)} (expected {'<=' if upper else '>='} {_number(limit)})"
    return RuleCheck(rule=rule, value=value, limit=limit, upper=upper, passed=passed, text=text, repetition=repetition)


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
        and scores["echo_copies"] <= MAX_ECHO
        and scores["passage_copies"] <= MAX_PASSAGES
        and scores["stale"] <= RESTATED_STALE
        and scores["restated"] <= MAX_RESTATED_CUT
        and (scores["words"] or scores["symbols"]) >= limits.min_units
        and (scores["reference_units"] < MIN_REFERENCE_UNITS or scores["length_ratio"] >= limits.min_length_ratio)
        and limits.min_similarity == 0.0
        and limits.allow_cutoff
        and not limits.min_metrics
        and not limits.max_metrics
    )


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else "not a number"


def refusal(case: Case) -> str | None:
    """Why this case cannot be judged: its standard answer is itself a loop; None where it can. Names the case."""
    if case.standard_answer is None or case.thresholds.reference_may_repeat:
        return None
    unit = _looped(case.standard_answer, case.thresholds.min_loop_copies, case.thresholds.min_loop_units)
    if unit is None or _bare(unit) in _bare(" ".join(m.content for m in case.messages)):
        return None
    shown = unit if len(unit) <= 40 else unit[:40] + "..."
    return (
        f"{case.id}: the standard answer itself repeats {shown!r}; give a clean one, "
        "or set reference_may_repeat = true in the case's thresholds"
    )


@lru_cache(maxsize=4096)
def _looped(text: str, min_copies: float, min_units: float) -> str | None:
    """What a text repeats over at least half of its length, or None."""
    scores = repetition(text)
    v = scores.values
    units = v["loop_coverage"] >= REFUSED_COVERAGE and v["loop_copies"] >= min_copies and v["loop_units"] >= min_units
    characters = (
        v["char_loop_coverage"] >= REFUSED_COVERAGE
        and v["char_loop_copies"] >= min_copies
        and v["char_loop_length"] >= 2 * min_units
    )
    if not units and not characters:
        return None
    # A templated loop that takes the exact one in stands for it.
    exact = [x for x in scores.loops if x.kind in ("exact", "characters")] or scores.loops
    loop = max(exact, key=lambda x: x.end - x.start)
    return text[loop.start : loop.start + loop.period].strip()


def _bare(text: str) -> str:
    """Letters and digits only, case folded: how a prompt quotes what it asks for differs in marks and spaces."""
    return "".join(c for c in text.casefold() if c.isalnum())


def loop_units(case: Case) -> float | None:
    """For the early FAIL: units of a tandem run that :func:`judge` fails (rule ``lasting``) whatever follows.

    None where nothing does: the case is refused, which is ERROR.
    """
    if refusal(case) is not None:
        return None
    return math.floor(_reference_run(case) + LASTING_SCALE * case.thresholds.min_loop_units) + 1.0


def _reference_run(case: Case) -> float:
    """Units of a run that the standard answer excuses: its own longest, as often as the excused length allows."""
    return EXCUSED_LENGTHS * _longest_run(case.standard_answer) if case.standard_answer else 0.0


@lru_cache(maxsize=4096)
def _longest_run(text: str) -> float:
    (scores,) = measure([text])
    return scores.values["loop_units"]
