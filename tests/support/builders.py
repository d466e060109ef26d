"""Builders for the values that tests need: short where a test does not care, explicit where it does.

Every default is a plausible case or result, so that a test names only what its promise is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cases.decoding import Decoding
from harness.cases.model import Case, Message, Role, Thresholds
from harness.engines.base import EngineInfo, FinishReason
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.metrics.types import Loop, LoopKind, Scores
from harness.pairs import Pair
from harness.reports.model import AdapterResults, Report, RunFacts, TrainingFacts
from harness.suite.gate import GateCheck, GateOutcome, GateVerdict

__all__ = ["attempt", "case", "failed_gate", "looped", "pair", "report", "result", "samples", "scores"]


def case(
    case_id: str = "badcase1/sea",
    prompt: str = "Write a poem about the sea.",
    standard_answer: str | None = "The sea is wide,\nthe sea is deep,\nit sings the sailors into sleep.",
    *,
    role: Role = "fix",
    tags: Sequence[str] = (),
    system: str = "",
    decoding: Decoding | None = None,
    thresholds: Thresholds | None = None,
    weight: float = 1.0,
) -> Case:
    """A case; its folder is the part of the id before the slash."""
    before = (Message("system", system),) if system else ()
    return Case(
        id=case_id,
        folder=case_id.split("/")[0],
        messages=(*before, Message("user", prompt)),
        standard_answer=standard_answer,
        role=role,
        tags=tuple(tags),
        decoding=decoding or Decoding(max_tokens=512),
        thresholds=thresholds or Thresholds(),
        weight=weight,
    )


def looped(
    before: str, unit: str, copies: float, after: str = "", *, kind: LoopKind = "exact"
) -> tuple[str, tuple[Loop, ...]]:
    """An answer in which ``unit`` stands ``copies`` times (the last one maybe in part), and the loop in it."""
    whole = int(copies)
    body = unit * whole + unit[: round((copies - whole) * len(unit))]
    loop = Loop(start=len(before), end=len(before) + len(body), period=len(unit), copies=copies, kind=kind)
    return before + body + after, (loop,)


def scores(answer: str = "", loops: Sequence[Loop] = (), **values: float) -> Scores:
    """Scores of the right names; only those that a loop implies differ from a clean answer's."""
    length = max(len(answer), 1)
    covered = max(((loop.end - loop.start) / length for loop in loops), default=0.0)
    defaults = {
        "repetition": covered,
        "rep4": min(covered, 0.99),
        "rep8": max(covered - 0.02, 0.0),
        "rep8d": max(covered - 0.01, 0.0),
        "loop_coverage": covered,
        "similarity": 0.31 if loops else 0.64,
        "units": float(len(answer.split())),
    }
    return Scores(values=defaults | values, loops=tuple(loops))


def attempt(
    answer: str,
    loops: Sequence[Loop] = (),
    *,
    verdict: Verdict | None = None,
    finish_reason: FinishReason | None = None,
    values: Mapping[str, float] | None = None,
    sample: int = 0,
) -> Attempt:
    """One answer; with loops it fails on them, without it passes, unless ``verdict`` says otherwise."""
    measured = scores(answer, loops, **(values or {}))
    return Attempt(
        sample=sample,
        answer=answer,
        finish_reason=finish_reason or ("length" if loops else "stop"),
        scores=measured,
        verdict=verdict or _verdict(measured),
        tokens=max(len(answer) // 4, 1),
        seconds=len(answer) / 400,
    )


def samples(passes: int, of: int, good: Verdict, bad: Verdict) -> tuple[Attempt, ...]:
    """Attempts of a case with ``of`` samples, of which the first ``passes`` have the verdict ``good``."""
    return tuple(
        Attempt(
            sample=i, answer="", finish_reason="stop", scores=Scores({"repetition": 0.0}),
            verdict=good if i < passes else bad,
        )
        for i in range(of)
    )  # fmt: skip


def result(
    of: Case | None = None,
    answer: str = "The sea is wide, and deep, and old.",
    loops: Sequence[Loop] = (),
    *,
    adapter: str = "v4.0",
    verdict: Verdict | None = None,
    finish_reason: FinishReason | None = None,
    values: Mapping[str, float] | None = None,
) -> CaseResult:
    """One case on one adapter with one attempt; ERROR and SKIP have none."""
    of = of or case()
    if verdict is not None and verdict.status in (Status.ERROR, Status.SKIP):
        return CaseResult(case=of, adapter=adapter, attempts=(), verdict=verdict)
    one = attempt(answer, loops, verdict=verdict, finish_reason=finish_reason, values=values)
    return CaseResult(case=of, adapter=adapter, attempts=(one,), verdict=one.verdict)


def failed_gate(name: str, text: str = "") -> GateVerdict:
    """A gate with one limit that was not kept; ``text`` defaults to its name."""
    check = GateCheck(name=name, outcome=GateOutcome.FAILED, text=text or name)
    return GateVerdict(outcome=GateOutcome.FAILED, checks=(check,))


def report(
    *results: CaseResult,
    gate: GateVerdict | None = None,
    training: TrainingFacts | None = None,
    status: str = "finished",
) -> Report:
    """A run's report; the results are put under their adapters in order of appearance."""
    by_adapter: dict[str, list[CaseResult]] = {}
    for one in results:
        by_adapter.setdefault(one.adapter, []).append(one)
    return Report(
        run=RunFacts(
            id="20261121-100732-ab12cd",
            started="2026-11-21T10:07:32+00:00",
            finished="2026-11-21T10:19:05+00:00",
            status=status,
            command="pytest badcases --adapter v4.0 --adapter v4.1",
            planned=len(results),
            model="smollm2-135m-instruct",
            engine=EngineInfo("vllm", "0.32.0 bfloat16 cpu"),
            seconds=693.0,
            cached=0,
            machine={"system": "Linux", "processor": "2 cores", "memory": "24 GiB"},
            versions={"harness": "0.1.0", "vllm": "0.32.0", "torch": "2.13.0"},
            settings={"decoding": {"method": "beam", "beam_width": 5, "max_tokens": 512}},
        ),
        adapters=tuple(AdapterResults(name, tuple(found)) for name, found in by_adapter.items()),
        gate=gate,
        training=training,
    )


def _verdict(measured: Scores) -> Verdict:
    covered = measured.values["loop_coverage"]
    if not measured.loops:
        return Verdict(Status.PASS)
    copies = measured.loops[0].copies
    return Verdict(
        Status.FAIL,
        (
            Reason(
                rule="loop",
                text=f"one passage stands there {copies:g} times (expected <= 0.15)",
                value=covered,
                limit=0.15,
                repetition=True,
            ),
            Reason(
                rule="rep8",
                text="eight-unit sequences that occur again",
                value=measured.values["rep8"],
                limit=0.30,
                repetition=True,
            ),
        ),
    )


def pair(
    prompt: str = "Write about rain.", chosen: str = "Good.", rejected: str = "Bad bad.", case_id: str = "a/b"
) -> Pair:
    """A pair of a case's own prompt."""
    return Pair(
        case_id=case_id, messages=(Message("user", prompt),), chosen=chosen, rejected=rejected, origin="standard"
    )
