"""The form of a text: prose, list, verse, rows with labels, code, markup, table, data, log, stack trace, subtitles.

What repeats in a table is usual there and a loop in prose. So a rule about repetition asks in which form the repeated
stretch stands (:class:`Lines`), and demands more copies where that form repeats by itself
(:mod:`harness.metrics.demands`).

Each line is classified by itself, by regular expressions. A stretch has the form that holds most of its characters. Of
a long stretch a sample of lines is classified. Trade-off: a line has no context but the code fence that it stands in.
That keeps this simple, and one line of text explains each decision. Some lines are classified wrongly, so no verdict
rests on a single line. Only texts that repeat something are classified, since that costs as much as all counts.

Marks of time and number that only say where a line stands (``[03:21]``, ``00:00:03,000 --> 00:00:05,000``) are
:data:`TIME_MARK`: a subtitle that says the same under new times is a loop.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from operator import itemgetter

__all__ = ["STRUCTURED", "TIME_MARK", "Form", "Lines"]


class Form(IntEnum):
    """What a line is; the numbers are recorded as scores (``loop_form`` ...) and never change their meaning."""

    PROSE = 0
    LIST = 1
    """Items with a bullet or a number."""
    LABELS = 2
    """``Label: text``: findings, opening hours, a dialogue."""
    VERSE = 3
    """Short lines without a full stop."""
    ROWS = 4
    """Rows that a pattern is worked in: knitting, bars of music, days of a plan."""
    CODE = 5
    MARKUP = 6
    """HTML, XML, LaTeX."""
    TABLE = 7
    """Cells between bars, commas or tabs."""
    DATA = 8
    """Mostly digits and marks: a matrix, a board, a calendar, JSON."""
    LOG = 9
    """Lines that begin with a date, an address or a level."""
    TRACE = 10
    """Frames of a stack trace."""
    SUBTITLES = 11


STRUCTURED = frozenset({Form.CODE, Form.MARKUP, Form.TABLE, Form.DATA, Form.LOG, Form.TRACE, Form.ROWS})
"""The forms that repeat by themselves."""

_STRUCTURE: Mapping[Form, float] = {**dict.fromkeys((*STRUCTURED, Form.LIST, Form.LABELS), 1.0), Form.VERSE: 0.5}
_CODE: Mapping[Form, float] = {Form.CODE: 1.0, Form.DATA: 0.5}

TIME_MARK = re.compile(
    r"\[?\(?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?\)?\]?(?:\s*-->?\s*\[?\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,3})?\]?)?"
)
"""A time stamp or a span of time."""

_FENCE = re.compile(r"\s*(?:```|~~~)")
_SUBTITLE = re.compile(rf"(?:{TIME_MARK.pattern})(?:\s|$)|WEBVTT\b")
_TRACE = re.compile(
    r"""(?:File\s"[^"]+",\sline\s\d+|at\s\S+\s?\(?[^()\s]*:\d+|Traceback\s\(most\srecent|\#\d+\s+(?:0x)?[0-9a-f]+\s
    |from\s\S+:\d+:in\s
    |.{0,120}\.(?:py|jsx?|tsx?|go|rs|java|kt|cc?|cpp|h|cs|rb|php|swift|scala|exs?|lua|pl):(?:line\s)?\d+\b
    |\[?Previous\sline\srepeated|goroutine\s\d+|\.\.\.\s\d+\smore)""",
    re.VERBOSE,
)
_LOG = re.compile(
    r"""(?:\[?\d{4}[-/]\d\d[-/]\d\d[T\s]\d\d:\d\d|\[?\d{2}:\d{2}:\d{2}[.,]?\d*\]?\s+\[?(?:TRACE|DEBUG|INFO|WARN|ERROR)
    |\d{1,3}(?:\.\d{1,3}){3}[\s:]
    |(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\d{1,2}\s\d\d:\d\d:\d\d
    |(?:Epoch|step|iter(?:ation)?)\W*\d+\b.*\b(?:loss|acc)|[-dl][rwxst-]{9}\s|\d+\sbytes\sfrom\s|={2,}\d+={2,}
    |(?:PING|Reply\sfrom|\[\s*\d+\.\d+\])\s)""",
    re.VERBOSE | re.IGNORECASE,
)
_ROWS = re.compile(
    r"""(?:[-*•]\s*)?(?:\*\*)?(?:(?:rows?|rnds?|rounds?|bars?|measures?|weeks?|days?
    |reihe|runde|takt|tag|rang|jour|vuelta|fila|día|ряд|такт|день)
    \s?\d+|第\s?[0-9〇零一二三四五六七八九十百]+\s?(?:行|圈|针|段|小节|周|節|拍|天|日))""",
    re.VERBOSE | re.IGNORECASE,
)
_LIST = re.compile(
    r"""(?:\\item\b|[-*+•·–—▪◦‣✓✔☐☑■□●○]\s|\[[\sxX]?\]|\(\s?\)|\(?\d{1,4}[.)、．]|[（(]?[〇零一二三四五六七八九十百]+[)）、.．]
    |[（(]\d{1,3}[)）]|第[0-9〇零一二三四五六七八九十百]+[条章节項项、]|[A-Za-z][.)]\s|\#{1,6}\s|[①-⑳])""",
    re.VERBOSE,
)
_LABEL = re.compile(
    r"(?:\*\*)?[^\s:：|=<>{}\[\];,，。.]{1,24}(?:\s[^\s:：|=<>{}\[\];,，。.]{1,24}){0,4}(?:\*\*)?\s?[:：](?!//)\s?\S?"
)
_MARKUP = re.compile(r"(?:</?[A-Za-z!?][^>]*>|\\(?:begin|end|hline|section|[a-z]+\{)|&[a-z]+;)")
_KEYWORD = re.compile(
    r"""(?:(?:def|class|elif|else|for|while|return|import|from|print|assert|raise|try|except|finally|with|public|private
    |protected|static|void|int|float|double|char|bool|let|const|var|function|func|fn|struct|case|switch|default|using
    |namespace|package|WHEN|ELSE|END|SELECT|INSERT|UPDATE|DELETE|CREATE|VALUES
    |echo|export|if|async|await|expect|describe|it|self
    |mov|add|sub|jmp|ret|nop|push|pop|shl|shr|cmp|call|lea|xor)\b|[@#]\w|//|/\*|\*/|--\s)""",
    re.VERBOSE,
)
_SQL = re.compile(r"(?:WHEN\s.+\sTHEN|INSERT\sINTO|SELECT|CREATE\s|UPDATE\s\w+\sSET|DELETE\sFROM|ELSE\s'|END\b)")
_CODE_MARK = re.compile(r"[;{}]\s*$|\)\s*[:;{]?\s*$|[\w\])]\s*[-+*/|&]?=\s*\S|\w\(\S*|=>|->|::|\w\.\w+\(|</|&&")
_COMMAND = re.compile(r"^(?:\$\s|RUN\s|COPY\s|\w+\s(?:WARN|ERR|INFO|DEBUG)\b)|\s--?[a-zA-Z][\w-]*(?:\s|=|$)")
_CELLS = re.compile(r"\||\t|,(?=\S)|;(?=\S)")
_FIELDS = re.compile(r"\s[–—·•/-]\s")
_JSON = re.compile(r'[\[{]\s*(?:["\[{\d-]|$)|"[^"]*"\s*:')
_TOLD_FIRST = re.compile(
    rf"(?P<TRACE>{_TRACE.pattern})|(?P<SUBTITLES>{_SUBTITLE.pattern})|(?P<LOG>{_LOG.pattern})|(?P<MARKUP>{_MARKUP.pattern})",
    re.VERBOSE | re.IGNORECASE,
)
_FIRST = frozenset("<\\&#[(.-0123456789dlEeSsIiPRF")
"""Characters that such a line begins with where it holds no colon."""
_STATEMENT = 40
"""Letters below which an indented line is a statement."""
_VERSE_WIDTH = 64
"""Characters of a line of verse."""
_LONG = 240
"""Characters from which on a line is prose, whatever it begins with."""
_PICTURES = "\u2600"
"""Code points from which on a symbol is a picture."""
_STOPS = ".!?。！？…؟।\"'”’」』)）>*`|}]"
_WANTS_MORE = re.compile(
    r"(?:[=+\-*/&(,<\\:]|\b(?:def|if|elif|for|while|return|in|and|or|not|import|from|class|a|to|the))$"
)
_CODE_SHARE = 0.2
"""Share of lines of code from which on a short line stands in code."""
_BRACKET = re.compile(r"[()\[\]{}]")
_LINES_BEFORE = 8
"""Lines before the last one that tell how lines end."""
_SAMPLE = 12
"""Lines that a form is told by."""
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_LOOKED_AT = 400
"""Characters of a line that its form is told by."""
_LOOKED_BACK = 4000
"""Characters in which an open bracket is looked for."""
_PAIRS = {")": "(", "]": "[", "}": "{"}


def _form_of_line(line: str, fenced: bool) -> Form:
    # The order matters: what is told by more of the line comes first.
    bare = line.strip()
    if (":" in bare or bare[0] in _FIRST) and (match := _TOLD_FIRST.match(bare)):
        return Form[str(match.lastgroup)]
    if bare.count("</") > 1:
        return Form.MARKUP
    if (bare.count("|") > 1 and (bare[0] == "|" or " | " in bare or bare.count("|") > 2)) or "\t" in bare:
        return Form.TABLE
    if bare[0] in '[{"' and _JSON.match(bare) and bare[-1] in "]},:[{\"'0123456789el":
        return Form.DATA
    if bare[0] in "[{(" and bare.rstrip(",;")[-1:] in ("]", "}", ")"):
        return Form.DATA
    if len(line) <= _LONG and _ROWS.match(bare):
        return Form.ROWS
    return _form_of_words(line, bare, fenced)


def _form_of_words(line: str, bare: str, fenced: bool) -> Form:
    """The form of a line that no mark at its start shows."""
    letters = sum(map(str.isalpha, bare))
    # A picture says something, as a letter does.
    if not bare.isascii():
        letters += sum(c >= _PICTURES and not c.isalpha() for c in bare)
    shown = len(bare) - bare.count(" ")
    if letters * 3 < shown and shown >= 4:
        return Form.DATA
    if fenced or bare[-1] in ";{}" or _SQL.match(bare) or (_KEYWORD.match(bare) and _CODE_MARK.search(bare)):
        return Form.CODE
    short = len(line) <= _LONG
    if short and _LIST.match(bare):
        return Form.LIST
    cells = len(_CELLS.findall(bare))
    solid = cells == 2 and " " not in bare
    if solid or (cells >= 3 and cells * 14 > len(line)) or len(_FIELDS.findall(bare)) >= 2:
        return Form.TABLE
    if (line[0] in " \t" or bare[-1] in ");,") and _CODE_MARK.search(bare):
        return Form.CODE
    if line[0] in " \t" and bare[-1] == ",":
        return Form.CODE
    if _COMMAND.search(bare) and bare[-1] not in ".!?":
        return Form.CODE
    if short and _LABEL.match(bare):
        return Form.LABELS
    if line[:4].isspace() and letters < _STATEMENT and bare[-1] not in _STOPS:
        return Form.CODE
    return Form.VERSE if len(line) <= _VERSE_WIDTH else Form.PROSE


class Lines:
    """The lines of a text that hold something; the form of each is found once, when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines: list[tuple[int, str, bool]] | None = None
        self._known: dict[tuple[str, bool], Form] = {}
        self._spans: dict[tuple[int, int], Form] = {}

    def _split(self) -> list[tuple[int, str, bool]]:
        """Offset and text of each line, and whether it stands in a code fence."""
        if self._lines is None:
            self._lines = []
            start = 0
            fenced = False
            marked = "```" in self.text or "~~~" in self.text
            for line in self.text.split("\n"):
                if line and not line.isspace():
                    if marked and _FENCE.match(line):
                        fenced = not fenced
                    else:
                        self._lines.append((start, line, fenced))
                start += len(line) + 1
        return self._lines

    def _form(self, line: str, fenced: bool) -> Form:
        form = self._known.get((line, fenced))
        if form is None:
            form = self._known[line, fenced] = _form_of_line(_looked_at(line), fenced)
        return form

    def form(self, start: int, end: int) -> Form:
        """The form of most characters from ``start`` to ``end``."""
        if (start, end) in self._spans:
            return self._spans[start, end]
        form = self._spans[start, end] = self._most(start, end)
        return form

    def _most(self, start: int, end: int) -> Form:
        lines = self._split()
        weights: dict[Form, int] = {}
        first = max(0, bisect_right(lines, start, key=itemgetter(0)) - 1)
        last = bisect_left(lines, end, key=itemgetter(0))
        for at, line, fenced in _sample(lines[first:last]):
            shared = min(end, at + len(line)) - max(start, at)
            if shared > 0:
                form = self._form(line, fenced)
                weights[form] = weights.get(form, 0) + shared
        if not weights:
            return Form.PROSE
        # Every other line of a stack trace is code.
        if 3 * weights.get(Form.TRACE, 0) >= sum(weights.values()):
            return Form.TRACE
        form = max(weights, key=lambda f: (weights[f], -f))
        # A lone short line is a sentence.
        return Form.PROSE if form is Form.VERSE and "\n" not in self.text[start:end].strip("\n") else form

    def structured(self) -> float:
        """Share of the characters in lines of a form that repeats by itself; lists and labels count, verse by half."""
        return self._share(_STRUCTURE)

    def code(self) -> float:
        """Share of the characters in lines of code."""
        return self._share(_CODE)

    def _share(self, weights: Mapping[Form, float]) -> float:
        total = weighed = 0.0
        for _, line, fenced in _sample(self._split()):
            total += len(line)
            weighed += weights.get(self._form(line, fenced), 0.0) * len(line)
        return weighed / total if total else 0.0

    def break_off(self) -> bool:
        """Whether the text seems to have been cut off, for where the reason of its end is not known.

        Signs are an open bracket, code fence or docstring; a last line that is the beginning of an earlier one; code
        that ends with an operator or a word that wants another; and prose without a full stop.
        """
        bare = self.text.rstrip()
        if _open_brackets(bare) or any(bare.count(mark) % 2 for mark in ("```", '"""', "'''")):
            return True
        before, _, line = bare.rpartition("\n")
        if not line:
            return False
        form = _form_of_line(_looked_at(line), False)
        if form is Form.PROSE:
            others = before.split("\n")[-_LINES_BEFORE:] if before else []
            unstopped = sum(other.rstrip()[-1:] not in _STOPS for other in others if other.strip())
            # Where most lines end without a full stop, the last one may.
            return len(line) > _VERSE_WIDTH and line[-1] not in _STOPS and 2 * unstopped <= len(others)
        in_code = form in (Form.CODE, Form.MARKUP) or (form is Form.VERSE and self.code() >= _CODE_SHARE)
        if in_code and _WANTS_MORE.search(line):
            return True
        # A short line of verse may begin a longer one.
        return (form is not Form.VERSE or in_code) and any(
            other.startswith(line) and len(other.rstrip()) > len(line) for other in before.split("\n")
        )


def _sample(lines: Sequence[tuple[int, str, bool]]) -> Iterable[tuple[int, str, bool]]:
    """At most ``_SAMPLE`` of the lines, at steps that no period of a text shares."""
    if len(lines) <= _SAMPLE:
        return lines
    return (lines[int(k * _GOLDEN % 1.0 * len(lines))] for k in range(_SAMPLE))


def _looked_at(line: str) -> str:
    """A line, or the beginning and the end of a long one."""
    return line if len(line) <= _LOOKED_AT else line[:_LOOKED_AT] + line.rstrip()[-1]


def _open_brackets(text: str) -> bool:
    opened: list[str] = []
    for c in _BRACKET.findall(text[-_LOOKED_BACK:]):
        if c in "([{":
            opened.append(c)
        elif opened and opened[-1] == _PAIRS[c]:
            opened.pop()
    return bool(opened)
