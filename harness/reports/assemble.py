"""From a recorded run to the value that reports are written from.

It is separate from the reports, which are pure functions of :class:`Report` and know neither store nor manifest.
Everything comes out of the store, so ``harness report RUN`` can write an old run's reports again at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.engines.base import EngineInfo
from harness.judging.results import CaseResult
from harness.project.manifest import Adapter
from harness.reports.model import AdapterResults, Report, RunFacts, TrainingFacts
from harness.store import Run
from harness.suite.gate import GateVerdict

__all__ = ["assemble_report"]


def assemble_report(
    run: Run,
    results: Mapping[str, Sequence[CaseResult]],
    gate: GateVerdict | None,
    adapters: Mapping[str, Adapter],
    earlier: Sequence[str] = (),
) -> Report:
    """The report of one run.

    Args:
        run: the run, as the store has it.
        results: by adapter, in the order to show; the first is compared with the last.
        gate: of the adapter that the run is about.
        adapters: the manifest's entries, for what they say of themselves.
        earlier: adapters whose results come from an earlier run.
    """
    shown = tuple(
        AdapterResults(name, tuple(of_adapter), _adapter_facts(adapters.get(name)), earlier=name in earlier)
        for name, of_adapter in results.items()
    )
    return Report(_run_facts(run, shown), shown, gate, _training_facts(run.facts.get("training")))


def _run_facts(run: Run, adapters: Sequence[AdapterResults]) -> RunFacts:
    facts = run.facts
    name, version = facts.get("engine") or ("", "")
    attempts = [a for shown in adapters for r in shown.results for a in r.attempts]
    machine = {key: str(facts[key]) for key in ("system", "machine", "cores", "python") if facts.get(key) is not None}
    return RunFacts(
        id=run.id,
        started=run.started,
        finished=run.finished,
        status=run.status,
        command=" ".join(facts.get("command", ())),
        planned=run.planned,
        model=", ".join(facts.get("models", ())),
        engine=EngineInfo(name, version) if name else None,
        seconds=facts.get("seconds"),
        cached=sum(a.cached for a in attempts),
        imported=run.sources,
        machine=machine,
        versions=dict(facts.get("versions", {})),
        settings={k: v for k, v in facts.get("limits", {}).items() if v is not None}
        | {k: facts[k] for k in ("chat_template_kwargs", "trust_remote_code") if facts.get(k)},
    )


def _adapter_facts(adapter: Adapter | None) -> dict[str, str]:
    if adapter is None:
        return {}
    facts = {
        "model": adapter.model, "parent": adapter.parent or "", "method": adapter.method,
        "rank": str(adapter.rank or ""), "digest": adapter.sha256[:12], "recipe": adapter.recipe,
        "status": adapter.status,
    }  # fmt: skip
    return {key: value for key, value in facts.items() if value}


def _training_facts(training: Mapping[str, Any] | None) -> TrainingFacts | None:
    if training is None:
        return None
    shown = {k: str(v) for k, v in training.items() if k not in ("adapter", "parent", "losses", "series")}
    losses = tuple((int(step), float(loss)) for step, loss in training.get("losses", ()))
    return TrainingFacts(str(training["adapter"]), str(training.get("parent") or ""), shown, losses)
