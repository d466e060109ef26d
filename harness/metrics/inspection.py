"""A closer look at a text that repeats: in which form, how it ends, what it says again after something new.

The counts (ngrams, tandem, templates, variety, novelty) are made of every text. The scores here cost ten times as much.
So each is only made where the counts show that it can change a verdict, and is absent elsewhere:

    loop_form ..     the form that the longest run of each kind stands in (:class:`harness.metrics.forms.Form`)
    end_form         the form of the last ``END`` characters
    structured       share of the characters in lines of a form that repeats by itself; 1 in letters to several people
    broken_off       whether the text seems to have been cut off (:meth:`harness.metrics.forms.Lines.break_off`)
    echo_copies      how often the most repeated sentence of eight units or more stands in prose, next to itself or not
    echo_units       units of all sentences that stand in prose ``ECHOES`` times or more
    passage_copies   how often the most repeated paragraph of ``PASSAGE`` units or more stands in the text
    restated         lines of code or comment that begin with the same four words
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.metrics.forms import Lines

__all__ = ["ECHO_UNITS", "INSPECTED", "STALE", "inspect_text", "repeats"]

FORMS = ("loop_form", "numbered_form", "char_loop_form", "tail_form", "templated_form", "variety_form")
INSPECTED = frozenset(
    (
        *FORMS,
        "end_form",
        "structured",
        "broken_off",
        "echo_copies",
        "echo_units",
        "passage_copies",
        "restated",
    )
)
"""The scores that :func:`inspect_text` makes."""

NEARLY = 0.9
"""Share of two spans together, in characters, that both hold, from which on they are one."""
END = 1000
"""Characters of the end whose form is told."""
ECHO = 8
"""Units from which on a sentence that is said again is no phrase."""
MIN_PROSE, MIN_ASCII = 80, 40
"""Characters of a line of prose, and of a sentence of eight words or more, in a script that separates words."""
ECHOES = 5
"""Times from which on a sentence counts in ``echo_units``."""
ECHO_UNITS = 96.0
"""Repeated 8-grams outside the longest run from which on sentences are compared."""
MOSTLY = 0.9
"""Share of lines of a form that repeats by itself, from which on there is no prose to look at."""
CODE = 0.15
"""Share of lines of code from which on lines that begin alike are looked for."""
LETTERS = 3
"""Salutations that make a text several letters."""
PASSAGE = 40
"""Units from which on a line is a paragraph."""
STALE = 0.5
"""Share of the end that was said before, from which on the end is looked at."""
TAIL_UNITS, RESTATED = 16.0, 3.0
"""Units of a run at the end, and lines that begin alike, from which on it matters whether the text breaks off."""
STALE_END = 0.55
"""The same, from which on its form matters."""
REPEATED, REPEATED_NUMBERED = 0.3, 0.35
"""Rep-8, plain and with numbers as one, from which on the form of the whole text is asked for."""
_SENTENCE = re.compile(r"(?<=[.!?؟।])\s+|(?<=[。！？])")
_SIZE = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+"
)
_SALUTATION = re.compile(
    r"^[^\S\n]*(?:dear|hello|hi|hallo|liebe|sehr\sgeehrte|hola|estimad|cher|bonjour|уважаем|здравствуй|привет|尊敬的|亲爱的"
    r"|拝啓|親愛)\w*\b[^.!?。！？]{0,40}$|^\S{1,12}(?:様|殿|先生|女士|小姐|님께?)[:：，,、]?$",
    re.IGNORECASE | re.MULTILINE,
)
_COMMENT_MARKS = "\"'#/* \t"


def inspect_text(
    lines: Lines, values: Mapping[str, float], spans: Sequence[tuple[int, int] | None]
) -> dict[str, float]:
    """The scores ``INSPECTED`` of one text that are not 0.

    Args:
        lines: of the text.
        values: what was counted in it.
        spans: characters of the runs and windows that ``FORMS`` are asked for; None where a form cannot matter.
    """
    text = lines.text
    told = _forms(lines, spans)
    outside = values["rep8"] * values["units"] - values["loop_units"]
    echoes = outside >= ECHO_UNITS
    repeated = repeats(values)
    # Letters to several people say the same.
    letters = (echoes or repeated) and len(_SALUTATION.findall(text)) >= LETTERS
    stale = values["stale"] >= STALE
    if repeated or stale:
        told["structured"] = 1.0 if letters else lines.structured()
    if echoes and told.get("structured", 0.0) < MOSTLY:
        told["echo_copies"], told["echo_units"], told["passage_copies"] = _echoes(text)
    if stale:
        told["restated"] = float(_restated(text)) if not letters and lines.code() >= CODE else 0.0
        if values["stale"] >= STALE_END:
            told["end_form"] = float(lines.form(max(0, len(text) - END), len(text)))
    if values["tail_units"] >= TAIL_UNITS or "end_form" in told or told.get("restated", 0.0) >= RESTATED:
        told["broken_off"] = float(lines.break_off())
    return told


def _forms(lines: Lines, spans: Sequence[tuple[int, int] | None]) -> dict[str, float]:
    """The form of each span; one that is nearly the span before has its form."""
    told: dict[str, float] = {}
    before, form = (0, 0), 0.0
    for name, span in zip(FORMS, spans, strict=True):
        if span is None:
            continue
        shared = min(span[1], before[1]) - max(span[0], before[0])
        if shared < NEARLY * (max(span[1], before[1]) - min(span[0], before[0])):
            before, form = span, float(lines.form(*span))
        told[name] = form
    return told


def repeats(values: Mapping[str, float]) -> bool:
    """Whether so many 8-grams are repeated that the form of the whole text matters."""
    return values["rep8"] >= REPEATED or values["rep8d"] >= REPEATED_NUMBERED


def _echoes(text: str) -> tuple[float, float, float]:
    """Copies of the most repeated sentence, units of all that are repeated, copies of the most repeated paragraph."""
    sentences: Counter[str] = Counter()
    passages: Counter[str] = Counter()
    for line in text.split("\n"):
        bare = line.strip()
        if len(bare) < (MIN_ASCII if bare.isascii() else 2 * ECHO):
            continue
        passages[bare] += 1
        if len(bare) >= MIN_PROSE or not bare.isascii():
            sentences.update(map(str.strip, _SENTENCE.split(bare)))
    most = total = 0
    for sentence, count in sentences.items():
        if count >= ECHOES and (size := _size(sentence)) >= ECHO:
            most = max(most, count)
            total += size * count
    several = max((count for line, count in passages.items() if count > 1 and _size(line) >= PASSAGE), default=0)
    return float(most), float(total), float(several)


def _size(text: str) -> int:
    """Units of a text, but for marks; the kernels' arrays are in use here, so it cannot be split into units."""
    return len(_SIZE.findall(text))


def _restated(text: str) -> int:
    starts: Counter[str] = Counter()
    for line in text.split("\n"):
        words = line.strip(_COMMENT_MARKS).split(" ", 6)
        if len(words) >= 6 and all(map(str.isalnum, words[:5])):
            starts[" ".join(words[:4]).casefold()] += 1
    return max(starts.values(), default=0)
