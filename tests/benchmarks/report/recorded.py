"""A recorded run of any size, as a real suite leaves it: English, Chinese, lists, loops of 4,096 tokens.

Answers are drawn from a fixed seed, all different, and scored and judged by the real rules, so that a report has as
much to show as that of a model. The engine is left out, since it has no part in a report.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Message, Role
from harness.engines.base import FinishReason
from harness.judging.results import Attempt, CaseResult
from harness.judging.verdict import judge
from harness.metrics import score
from harness.store import Run, Store

__all__ = ["ADAPTERS", "record_run"]

ADAPTERS = ("v4.0", "v4.1")
MAX_TOKENS = 4_096
_CHARACTERS_A_TOKEN = 4
_LOOPING = {"v4.0": 0.35, "v4.1": 0.08}
"""Share of answers that loop until they are cut off."""
_WORDS = """
the of and to in that is was for it with as his on be at by had not are but from or have an they which one you were her
all she there would their we him been has when who will more no if out so said what up its about into than them can only
other new some could time these two may then do first any my now such like our over man me even most made after also did
many before must through back years where much your way well down should because each just those people how too little
state good very make world still own see men work long get here between both life being under never day same another
know while last might us great old year off come since against go came right used take three harbour lantern river stone
winter garden letter bridge morning evening captain window market village doctor engine copper silver forest meadow
""".split()  # noqa: SIM905 - a list of so many quoted words is harder to read
_CHARACTERS = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定"
    "行学法所民得经"
)
_ROLES: tuple[Role, ...] = ("fix", "fix", "fix", "holdout", "guard")


def record_run(store: Store, cases: int) -> Run:
    """Record a run of ``cases`` cases on each adapter."""
    facts = {
        "adapters": list(ADAPTERS), "engine": ["vllm", "0.32.0"], "models": {"qwen2-72b-instruct": "0" * 64},
        "command": ["pytest", "badcases", "--adapter", "v4.0", "--adapter", "v4.1"], "suite": {"cases": cases},
        "limits": {"max_repetition": 0.2}, "baseline": ADAPTERS[0],
    }  # fmt: skip
    run = store.begin_run(cases * len(ADAPTERS), facts)
    for position, result in enumerate(_results(cases)):
        store.save_result(run.id, position, result)
    return store.finish_run(run.id, "finished", {"complete": True})


def _results(cases: int) -> Iterator[CaseResult]:
    made = [_case(number) for number in range(cases)]
    for adapter in ADAPTERS:
        for number, case in enumerate(made):
            draw = random.Random(f"{adapter}/{number}")
            yield _result(case, adapter, *_answer(draw, chinese=number % 4 == 3, looping=_LOOPING[adapter]))


def _case(number: int) -> Case:
    draw = random.Random(number)
    chinese = number % 4 == 3
    prompt = _text(draw, draw.randint(12, 120), chinese=chinese)
    return Case(
        id=f"badcase{number % 60 + 1}/case-{number}",
        folder=f"badcase{number % 60 + 1}",
        messages=(Message("user", prompt),),
        standard_answer=_text(draw, draw.randint(60, 260), chinese=chinese),
        role=_ROLES[number % len(_ROLES)],
        tags=("zh",) if chinese else (draw.choice(("poem", "code", "advice", "list")),),
        decoding=Decoding(max_tokens=MAX_TOKENS),
    )


def _answer(draw: random.Random, *, chinese: bool, looping: float) -> tuple[str, FinishReason]:
    start = _text(draw, draw.randint(40, 320), chinese=chinese)
    if draw.random() >= looping:
        return start, "stop"
    length = MAX_TOKENS if chinese else MAX_TOKENS * _CHARACTERS_A_TOKEN
    kind = draw.random()
    if kind < 0.25:
        unit = _text(draw, draw.randint(6, 12), chinese=chinese)
        body = "".join(f"{n}. {unit}\n" for n in range(1, length // max(len(unit), 1)))
    else:
        body = (_text(draw, draw.randint(3, 40), chinese=chinese) + ("" if chinese else " ")) * length
    return (start + body)[:length], "length"


def _text(draw: random.Random, units: int, *, chinese: bool) -> str:
    pieces: list[str] = []
    while units > 0:
        size = min(units, draw.randint(5, 18))
        units -= size
        if chinese:
            pieces.append("".join(draw.choices(_CHARACTERS, k=size)) + "。")
        else:
            pieces.append(" ".join(draw.choices(_WORDS, k=size)).capitalize() + ". ")
    return "".join(pieces)


def _result(case: Case, adapter: str, answer: str, finish: FinishReason) -> CaseResult:
    scores = score(answer, case)
    verdict = judge(case, scores, finish)
    attempt = Attempt(
        sample=0, answer=answer, finish_reason=finish, scores=scores, verdict=verdict,
        tokens=MAX_TOKENS if finish == "length" else len(answer) // _CHARACTERS_A_TOKEN + 1, seconds=len(answer) / 400,
    )  # fmt: skip
    return CaseResult(case, adapter, (attempt,), verdict)
