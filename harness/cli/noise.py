"""``harness noise --adapter NAME --runs 3``: how often equal runs of the engine give different verdicts."""

from __future__ import annotations

import argparse
from typing import Any

from harness.cases.model import Case
from harness.cli.parsers import examples
from harness.cli.project import add_json, echo, echo_json, project_settings, table, warn
from harness.engines import open_engine
from harness.engines.base import Completion, Request
from harness.errors import UsageError
from harness.judging.results import Verdict
from harness.judging.verdict import judge
from harness.metrics import score
from harness.metrics.types import Scores
from harness.models.target import engine_options, resolve_target
from harness.project.manifest import read_manifest
from harness.project.suite import project_cases
from harness.store import Store
from harness.suite.noise import NoiseReport, measure_noise

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """``harness noise --adapter NAME [--runs N] [--cases N] [--json]``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "noise",
        help="measure how often equal runs disagree: the A/A flip rate",
        **examples("harness noise --adapter v4.0 --runs 5"),
    )
    parser.add_argument("--adapter", metavar="NAME", help="version to run; default: the project's")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="equal runs, 2 or more; 3 by default")
    parser.add_argument("--cases", type=int, metavar="N", help="only the first N cases")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0: measured; there is no limit to exceed."""
    if args.runs < 2:
        raise UsageError(f"--runs {args.runs}: noise needs two runs or more")
    settings = project_settings()
    cases = project_cases(settings)[: args.cases]
    manifest = read_manifest(settings.manifest_path)
    with Store(settings.database) as store:
        target = resolve_target(args.adapter or settings.adapter, manifest, settings, store)
        # The early FAIL is left off: whole answers are compared, not where a proof happened to come.
        requests = [
            Request(
                id=number,
                prompt_ids=target.renderer.prompt_ids(case.messages, case.chat_template_kwargs),
                decoding=case.decoding,
                adapter=target.weights,
            )
            for number, case in enumerate(cases)
        ]
        longest = max(len(r.prompt_ids) + r.decoding.max_tokens for r in requests)
        warn(f"{len(cases)} cases, {args.runs} runs on {target.name} with {settings.engine}")
        engine = open_engine(
            settings.engine,
            target.model_path,
            log_path=settings.reports / "noise-engine.log",
            **engine_options([target], settings.engine_options, longest=longest),
        )
        try:
            report = measure_noise(engine, requests, lambda i, c: _judged(cases[i], c), runs=args.runs)
        finally:
            engine.close()
    _show(report, cases, json=args.json)
    return 0


def _judged(case: Case, completion: Completion) -> tuple[Scores, Verdict]:
    scores = score(completion.text, case, tokens=completion.token_ids)
    return scores, judge(case, scores, completion.finish_reason)


def _show(report: NoiseReport, cases: tuple[Case, ...], *, json: bool) -> None:
    if json:
        echo_json({"cases": [c.id for c in cases], "report": report})
        return
    moved = [r for r in report.requests if r.answers > 1]
    rows = [[cases[r.request_id].id, r.answers, " ".join(r.verdicts)] for r in moved]
    if rows:
        echo(table(("case", "different answers", "verdicts"), rows))
    for what, rate in (("answers", report.answer_rate), ("verdicts", report.verdict_rate)):
        echo(f"{what} that differ between equal runs: {rate.value:.1%} ({rate.low:.1%}..{rate.high:.1%}, n={rate.n})")
