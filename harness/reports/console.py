"""What the terminal shows: why a case failed, how the suite did, what a new adapter changed.

Pure functions from results to strings; the caller prints them. Model text is always a ``rich.text.Text`` made with
:func:`harness.safe.escape.for_terminal`, so neither escapes nor markup in it have an effect. rich does not read the
environment (no ``COLUMNS``, no ``NO_COLOR``): width and colour are arguments. Colour is never the only signal: loops
also carry brackets, for logs, printers and colour-blind readers.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.judging.results import Attempt, CaseResult, Reason, Status
from harness.language import tr
from harness.reports.answer import split_answer
from harness.reports.model import AdapterResults, as_score, as_share, cut_off_note, pattern_figures
from harness.reports.reasons import end_words, reason_line
from harness.safe.escape import for_terminal, shorten
from harness.suite.compare import ROLES, Change, ChangeKind
from harness.suite.figures import figures, grouped_figures
from harness.suite.gate import GateVerdict
from harness.suite.same_answers import same_answers

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["comparison_table", "failure_text", "failures_by_tag", "summary"]

OPEN, CLOSE = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
"""Around every repeated stretch."""

_PROMPT_LIMIT = 1_200
_PLAIN_LIMIT = 2_400
_REASON_LIMIT = 600
_STATUS_STYLE = {
    Status.PASS: "bold green",
    Status.FAIL: "bold red",
    Status.ERROR: "bold magenta",
    Status.SKIP: "bold yellow",
}


def failure_text(result: CaseResult, width: int = 100, color: bool = False) -> str:
    """Why a case did not pass, for a person at a terminal.

    One line that says what is wrong; then prompt, the answer with its loops marked and folded, the rules that it broke
    with value and limit, and the standard answer.

    Args:
        result: any result; for ERROR and SKIP only the reasons are shown.
        width: columns of the terminal.
        color: whether the string may hold colours (SGR sequences of our own).
    """
    attempt = result.worst
    blocks: list[RenderableType] = [_headline(result, attempt), _reason(result)]
    judged = result.verdict.status in (Status.FAIL, Status.PASS)
    if judged:
        blocks += _section(tr("prompt"), _prompt(result))
        if attempt is not None:
            blocks += _section(_answer_title(attempt), _answer(attempt))
    if rules := _rules(result, attempt):
        blocks += _section(tr("broken rules"), rules)
    if judged and result.case.standard_answer is not None:
        blocks += _section(tr("standard answer"), _own_words(result.case.standard_answer, _PLAIN_LIMIT))
    return _render(blocks, width, color)


def summary(
    adapters: Sequence[AdapterResults], gate: GateVerdict | None = None, width: int = 100, color: bool = False
) -> str:
    """A row of figures for each adapter, pattern rates, xfail notes, and the gate's verdict."""
    from rich.text import Text

    columns = ("adapter", "repetition", "repeaters", "cut off", "pass", "fail", "error", "skip")
    table = _table([tr(name) for name in columns], left=1)
    for adapter in adapters:
        total = figures(adapter.results)
        counts = zip(Status, (total.passed, total.failed, total.errors, total.skipped), strict=True)
        table.add_row(
            Text(_one_line(adapter.name, 40), style="bold"),
            Text(as_score(total.repetition.estimate)),
            Text(as_share(total.repeaters.estimate)),
            Text(as_share(total.cutoffs.estimate)),
            *(Text(str(number), style=_STATUS_STYLE[status] if number else "dim") for status, number in counts),
        )
    blocks: list[RenderableType] = [table]
    blocks += [
        Text(f"{_one_line(adapter.name, 40)}: {cut_off_note(total)}", style="yellow")
        for adapter in adapters
        if (total := figures(adapter.results)).passed_cut_off and not adapter.earlier
    ]
    blocks += _pattern_rates(adapters[-1]) if adapters else []
    blocks += [
        Text(f"{_one_line(adapter.name, 40)}: {_one_line(same.text, 300)}", style="yellow")
        for adapter in adapters
        for same in same_answers(adapter.results)[:3]
        if not adapter.earlier
    ]
    blocks += [
        Text(f"{_one_line(result.case.id)}: {_one_line(result.note, 300)}", style="yellow")
        for adapter in adapters
        for result in adapter.results
        if result.note and not adapter.earlier
    ]
    if gate is not None:
        style = "bold green" if gate.passed else "bold red"
        blocks.append(Text(tr("gate: {text}", text=_one_line(gate.text, 300)), style=style))
        for check in gate.checks:
            if not check.passed and check.text not in gate.text:
                blocks.append(Text(f"  {_one_line(check.title)}: {_one_line(check.text, 300)}", style="red"))
    return _render(blocks, width, color)


def _pattern_rates(adapter: AdapterResults) -> list[RenderableType]:
    """How often answers lack a required pattern or match a forbidden one, by tag; nothing without patterns."""
    from rich.text import Text

    groups = pattern_figures(adapter.results)
    if not groups:
        return []
    head = tr("patterns on {adapter}", adapter=_one_line(adapter.name, 40))
    table = _table((head, tr("lacks required"), tr("matches forbidden")), left=1)
    for group in groups:
        rates = (group.missing, group.forbidden)
        cells = (
            Text(
                tr("{share} of {n}", share=as_share(rate.estimate), n=rate.n) if rate.n else "-",
                style="red" if rate.value else "",
            )
            for rate in rates
        )
        table.add_row(Text(_one_line(group.group.removeprefix("tag:"), 40)), *cells)
    return [Text(""), table]


def failures_by_tag(sides: Mapping[str, Sequence[CaseResult]], width: int = 100) -> str | None:
    """The share of failing cases by tag, a column for each version; None where no case has a tag.

    Tags name kinds of faults (overreach, hallucination), so a version that cures one and brings another shows here.
    """
    from rich.text import Text

    by_version = {name: {g.group: g for g in grouped_figures(results)} for name, results in sides.items()}
    tags = dict.fromkeys(g for groups in by_version.values() for g in groups if g.startswith("tag:"))
    if not tags:
        return None
    table = _table((tr("failing by tag"), tr("cases"), *(_one_line(name, 20) for name in sides)), left=1)
    for group in (*tags, "all"):
        of_group = [groups.get(group) for groups in by_version.values()]
        cases = max(figure.cases for figure in of_group if figure is not None)
        cells = (
            Text("-" if figure is None or not figure.passes.n else as_share(1 - figure.passes.value))
            for figure in of_group
        )
        table.add_row(Text(_one_line(group.removeprefix("tag:"), 40)), Text(str(cases)), *cells)
    return _render([table], width, color=False)


def comparison_table(changes: Sequence[Change], width: int = 100, color: bool = False) -> str:
    """What became of the cases, by role: trained on, held out, guarded."""
    from rich.text import Text

    columns: tuple[ChangeKind, ...] = ("fixed", "still failing", "broken", "still passing", "not judged")
    styles = {"fixed": "bold green", "broken": "bold red", "still failing": "yellow", "not judged": "magenta"}
    table = _table((tr("role"), *(tr(kind) for kind in columns)), left=1)
    by_role = {role: [c for c in changes if c.result.case.role == role] for role in ROLES}
    rows: list[tuple[str, list[Change]]] = [(role, of_role) for role, of_role in by_role.items() if of_role]
    if len(rows) > 1:
        rows.append((tr("all"), list(changes)))
    for role, of_role in rows:
        count = Counter(c.kind for c in of_role)
        cells = (Text(str(count[k]), style=styles.get(k, "") if count[k] else "dim") for k in columns)
        table.add_row(Text(role, style="bold"), *cells)
    return _render([table], width, color)


def _headline(result: CaseResult, attempt: Attempt | None) -> Text:
    from rich.text import Text

    line = Text()
    line.append(str(result.verdict.status), style=_STATUS_STYLE[result.verdict.status])
    if result.verdict.repeater:
        line.append(f" {tr('repeater')}", style="red")
    names = {"case": _one_line(result.case.id), "adapter": _one_line(result.adapter), "role": result.case.role}
    where = (
        tr("{case} on {adapter}", **names)
        if result.case.role == "fix"
        else tr("{case} on {adapter}, a {role} case", **names)
    )
    line.append(f"  {where}", style="bold")
    samples = len(result.attempts)
    if samples > 1 and attempt is not None:
        passed = sum(a.verdict.status is Status.PASS for a in result.attempts)
        counts = tr(
            "({passed} of {samples} samples pass, {needed} needed; sample {sample} shown)",
            passed=passed, samples=samples, needed=result.case.decoding.min_pass, sample=attempt.sample,
        )  # fmt: skip
        line.append(f"  {counts}", style="dim")
    return line


def _reason(result: CaseResult) -> Text:
    from rich.text import Text

    return Text(_one_line(reason_line(result), _REASON_LIMIT), style="bold")


def _prompt(result: CaseResult) -> Text:
    text = _own_words(result.case.prompt, _PROMPT_LIMIT)
    turns = len(result.case.messages)
    if turns > 1:
        text.append("\n" + tr("(the last of {n} messages)", n=turns), style="dim")
    return text


def _answer_title(attempt: Attempt) -> str:
    facts = [tr("{n} tokens", n=f"{attempt.tokens:,}")] if attempt.tokens else []
    facts += filter(None, [end_words(attempt)])
    return f"{tr('answer')} ({', '.join(facts)})" if facts else tr("answer")


def _answer(attempt: Attempt) -> Text:
    from rich.text import Text

    if not attempt.answer:
        return Text(tr("(empty)"), style="dim")
    loops = attempt.scores.loops if attempt.scores is not None else ()
    text = Text()
    inside = False
    for part in split_answer(attempt.answer, loops, cut_over=_PLAIN_LIMIT):
        repeats = part.kind in ("repeat", "fold")
        if repeats != inside:
            text.append(OPEN if repeats else CLOSE, style="bold yellow")
            inside = repeats
        if part.kind in ("fold", "cut"):
            text.append(f" ... {part.text} ... ", style="bold yellow" if repeats else "dim")
        else:
            style = {"first": "underline", "repeat": "black on yellow"}.get(part.kind, "")
            text.append(for_terminal(part.text), style=style)
    if inside:
        text.append(CLOSE, style="bold yellow")
    return text


def _rules(result: CaseResult, attempt: Attempt | None) -> RenderableType | None:
    """The case's broken rules, then the shown attempt's own; each once. None for what was not judged."""
    from rich.table import Table
    from rich.text import Text

    own = attempt.verdict.reasons if attempt is not None else ()
    reasons: tuple[Reason, ...] = tuple(dict.fromkeys((*result.verdict.reasons, *own)))
    if not reasons or result.verdict.status is not Status.FAIL:
        return None
    table = Table.grid(padding=(0, 2))
    table.add_column("rule", no_wrap=True)
    table.add_column("text")
    for reason in reasons:
        table.add_row(Text(_one_line(reason.rule)), Text(for_terminal(reason.text)))
    return table


def _table(columns: Sequence[str], left: int) -> Table:
    """A table without boxes; all columns but the first ``left`` hold numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < left else "right", no_wrap=True)
    return table


def _own_words(text: str, limit: int) -> Text:
    """A text without loop marks: whole, or without its middle."""
    from rich.text import Text

    shown = Text()
    for part in split_answer(text, (), cut_over=limit):
        note = part.kind == "cut"
        shown.append(f" ... {part.text} ... " if note else for_terminal(part.text), style="dim" if note else "")
    return shown


def _one_line(text: str, limit: int = 160) -> str:
    return shorten(for_terminal(text, keep_newlines=False), limit)


def _section(title: str, *body: RenderableType) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    return [Text(""), Text(title, style="bold cyan"), *(Padding(part, (0, 0, 0, 2)) for part in body)]


def _render(blocks: Iterable[RenderableType], width: int, color: bool) -> str:
    from rich.console import Console

    sheet = io.StringIO()
    console = Console(
        file=sheet,
        width=max(width, 40),
        color_system="standard" if color else None,
        force_terminal=color,
        force_jupyter=False,
        legacy_windows=False,
        no_color=not color,
        markup=False,
        emoji=False,
        highlight=False,
        _environ={},
    )
    for block in blocks:
        console.print(block, overflow="fold")
    # Padding and tables fill lines with blanks; a log is easier to compare without them.
    return "\n".join(line.rstrip() for line in sheet.getvalue().splitlines())
