"""Hostile text in every place that something from outside can reach, in the real programs that show it.

Each string of :mod:`tests.support.hostile`, and as many made of their pieces, is a prompt, an answer, a standard
answer, a tag, an engine's error and a reason to skip of a recorded run. The run is then shown by Chromium (the static
page and ``harness view``), LibreOffice, a terminal (tmux), a Markdown renderer, an XML parser, SQLite and PostgreSQL.
Nothing may run, open a connection, leave its place or change the text beside it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.reports.model import Report
from tests.soak.record import Campaign
from tests.support.builders import case, failed_gate, report, result
from tests.support.hostile import HOSTILE

__all__ = ["hostile", "hostile_results", "hostile_texts"]

_AT_ONCE = 200
"""Strings of one report."""
_LONGEST = 4_000
"""Characters of a made text; the longest ones of the list are tried as they are."""


def hostile(campaign: Campaign, count: int, kind: str) -> None:
    """Try the list's strings and ``count`` made ones in every sink (or in one, ``kind``)."""
    from tests.soak.hostile_sinks import SINKS, Unavailable

    texts = hostile_texts(count, campaign.seed)
    for name, sink in SINKS.items():
        if kind not in ("", name):
            continue
        with campaign.kind(name):
            for start in range(0, len(texts), _AT_ONCE):
                if campaign.over:
                    break
                some = dict(list(texts.items())[start : start + _AT_ONCE])
                try:
                    problems = sink(hostile_report(some), some)
                except Unavailable as error:
                    campaign.skip(name, str(error))
                    break
                campaign.tried(name, campaign.seed, problems, tries=len(some))


def hostile_texts(count: int, seed: int) -> dict[str, str]:
    """The strings by name: the list, and ``count`` made of pieces of it."""
    draw = random.Random(seed)
    short = [text for text in HOSTILE.values() if 0 < len(text) <= 200]
    made = {}
    for number in range(count):
        pieces = []
        for _ in range(draw.randint(1, 6)):
            text = draw.choice(short)
            start = draw.randrange(len(text)) if draw.random() < 0.3 else 0
            pieces.append(text[start : start + draw.randint(1, 200)])
            if draw.random() < 0.3:
                pieces.append(chr(draw.choice((draw.randrange(0x20), draw.randrange(0x250), draw.randrange(0x110000)))))
        made[f"made-{number}"] = "".join(pieces)[:_LONGEST]
    return {name: text for name, text in HOSTILE.items() if text} | made


def hostile_results(texts: Mapping[str, str]) -> Iterator[CaseResult]:
    """A failing, a broken and a skipped case for each string, with the string in every place."""
    for name, text in texts.items():
        of = case(f"f/{name}", text, text, tags=(text,), system=text)
        reason = Reason(rule="loop", text=text, value=0.5, limit=0.1, repetition=True)
        yield result(of, text, verdict=Verdict(Status.FAIL, (reason,)))
        broken = case(f"e/{name}", text, text)
        yield result(broken, verdict=Verdict(Status.ERROR, (Reason(rule="engine", text=text),)))
        yield result(case(f"s/{name}"), verdict=Verdict(Status.SKIP, (Reason(rule="skip", text=text),)))


def hostile_report(texts: Mapping[str, str]) -> Report:
    """Those cases as a report whose gate failed."""
    return report(*hostile_results(texts), gate=failed_gate("the gate"))
