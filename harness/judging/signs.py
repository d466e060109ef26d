"""What the rules look at: one answer's scores, and the signs of a loop that are made of them.

A sign is a number: how far a run is above what its form may repeat, units of an end that was cut off within a copy,
copies of a sentence. It is made of recorded scores, the case's thresholds and the reason why the answer ended, so it
can be made again under other thresholds. The constants say what is usual. They were chosen on the labelled texts of
tests/benchmarks/scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.cases.model import Case, Thresholds
from harness.engines.base import FinishReason
from harness.metrics.demands import RunKind, demand
from harness.metrics.forms import STRUCTURED, Form
from harness.metrics.inspection import INSPECTED
from harness.metrics.tandem import PARAGRAPH

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
MOST_CHARACTERS = 4.0
"""The most that a form may ask for times that: the expansion of a fraction."""
STRETCH_COPIES = 6.0
STRETCH_SCALE = 2.0
"""A run of this many copies, and this many times ``min_loop_units``, fails an answer of any length in running text."""
HELD = 0.8
"""Share of templated lines in a run from which on the rule about runs judges them."""
EXPANSION = 48.0
"""Units of digits at the end of an answer from which on they are no fraction that was written out."""
MAX_TURN_OVERLAP = 0.9
"""Share of an answer that may stand in an earlier answer of the conversation."""
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
    **dict.fromkeys((Form.PROSE, Form.VERSE, Form.CODE), 0.57),
    **dict.fromkeys((Form.LIST, Form.LABELS), 0.8),
    Form.DATA: 0.95,
}
"""Share of the end of a cut answer that may have been said before, by its form; all of it in the other forms."""
MAX_STALE_CHARACTERS, CHARACTERS_A_UNIT = 0.8, 1.7
"""The same for running text in a script without spaces, where four units are two words: it has fewer characters a
unit."""
MAX_RESTATED = 3.0
MAX_RESTATED_CUT = 2.0
RESTATED_STALE = 0.5
"""Lines of code or comment that may begin with the same words, in an answer that ended and in one that was cut off. In
an answer that ended they count where this share of its end was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the rules look at."""

    case: Case
    scores: Mapping[str, float]
    finish_reason: FinishReason | None

    @property
    def limits(self) -> Thresholds:
        """The thresholds of the case."""
        return self.case.thresholds

    @property
    def has_reference(self) -> bool:
        """Whether the case has a standard answer."""
        return bool(self.scores.get("has_reference"))

    def score(self, name: str) -> float:
        """A score; NaN where it is missing, 0 where it was not worth a look (:mod:`harness.metrics.inspection`)."""
        return self.scores.get(name, 0.0 if name in INSPECTED else math.nan)

    @property
    def excused(self) -> float:
        """What a form that repeats by itself may repeat more, by the share of the answer that stands in it."""
        return STRUCTURE_EXCUSES * self.scores.get("structured", 0.0)

    @property
    def has_refrain(self) -> bool:
        """Whether the standard answer says whole lines again itself."""
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
        """A form that was recorded as a score; prose where none was."""
        return Form(int(self.scores.get(name, 0.0)))

    def theirs(self, name: str) -> float:
        """The standard answer's own value; 0 without one."""
        return self.scores.get(f"{name}_reference", 0.0)

    def above(self) -> str:
        """For people: above what an excess is."""
        return " above the standard answer's" if self.has_reference else " above what is usual"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRule:
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


RUN_RULES = (
    RunRule(
        rule="loop",
        text="a stretch that repeats itself",
        excess="loop_excess",
        copies="loop_copies",
        length="loop_units",
        period="loop_period",
        form="loop_form",
        limit="max_loop_excess",
    ),
    RunRule(
        rule="numbered",
        text="a numbered loop",
        excess="numbered_excess",
        copies="numbered_copies",
        length="numbered_units",
        period="numbered_period",
        form="numbered_form",
        limit="max_loop_excess",
    ),
    RunRule(
        rule="char_loop",
        text="characters that repeat themselves",
        excess="char_loop_excess",
        copies="char_loop_copies",
        length="char_loop_length",
        period="char_loop_period",
        form="char_loop_form",
        limit="max_loop_excess",
    ),
    RunRule(
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


def run_excess(answer: Answer, rule: RunRule) -> float:
    """The excess of a tandem run that is a loop; a run that is none has no positive excess."""
    excess = answer.score(rule.excess)
    return excess if is_loop(answer, rule, cut=False) or not math.isfinite(excess) else min(0.0, excess)


def is_loop(answer: Answer, rule: RunRule, *, cut: bool) -> bool:
    """Whether a run has the copies and the length that make a loop in its form."""
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


def templated_excess(answer: Answer) -> float:
    """The excess of lines that repeat except for a word, where they are as many as their form asks for."""
    excess = answer.score("templated_excess")
    wanted = demand("templated", answer.form("templated_form"), 0.0, cut=False)
    # Where a run of one kind holds the lines, the rule of that kind asks for what is usual there.
    runs = max(answer.score("loop_coverage"), answer.score("numbered_coverage"))
    held = answer.form("templated_form") in STRUCTURED and runs >= HELD * answer.score("templated")
    few = held or answer.score("templated_copies") < wanted.copies * answer.limits.min_loop_copies
    short = answer.score("templated_units") < wanted.units * answer.limits.min_loop_units
    return min(0.0, excess) if (few or short) and math.isfinite(excess) else excess


def unfinished_units(answer: Answer) -> float:
    """Units of the run that the answer was cut off in."""
    units = answer.score("tail_units")
    tail = RUN_RULES[3]
    return units if not math.isfinite(units) or (answer.cut and is_loop(answer, tail, cut=True)) else 0.0


def stretch_units(answer: Answer) -> float:
    """Units of a run in a form that does not repeat by itself, said at least ``STRETCH_COPIES`` times."""
    units = answer.score("loop_units")
    free = answer.form("loop_form") not in STRUCTURED and answer.score("loop_copies") >= STRETCH_COPIES
    return units if free or not math.isfinite(units) else 0.0


def stale_excess(answer: Answer) -> float:
    """How far the end of a cut answer is above what may be said again in its form."""
    form = answer.form("end_form")
    most = MAX_STALE.get(form, 1.0)
    if form is not Form.CODE and answer.score("characters") < CHARACTERS_A_UNIT * answer.score("units"):
        most = max(most, MAX_STALE_CHARACTERS)
    return answer.score("stale") - max(most, answer.scores.get("stale_reference", 0.0)) if answer.cut else 0.0


def restated_lines(answer: Answer) -> float:
    """Lines of code or comment that begin alike, where the answer brings little else."""
    again = answer.cut or answer.score("stale") >= RESTATED_STALE
    return answer.score("restated") if again else 0.0


def twice_share(answer: Answer) -> float:
    """Share of the answer in two copies of the same text, where these are long enough to be no refrain."""
    share = answer.score("twice_coverage")
    return share if share * answer.score("units") >= STRETCH_SCALE * answer.limits.min_loop_units else 0.0


def echo_copies(answer: Answer) -> float:
    """Copies of one sentence in running text, where such sentences take enough of it."""
    copies = answer.score("echo_copies")
    return copies if answer.score("echo_units") >= ECHO_SCALE * answer.limits.min_loop_units else 0.0


def missing_words(answer: Answer) -> float:
    """How many different words are missing from the poorest window to be the fewest of its form."""
    form = answer.form("variety_form")
    fewest = FEWEST_IN_CODE if form in STRUCTURED else FEWEST_WORDS
    return fewest - answer.score("variety") if form not in COUNTED else 0.0
