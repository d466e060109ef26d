"""The newest run that says something about a version as it is now: all cases, all of them judged."""

from __future__ import annotations

from harness.errors import UsageError
from harness.judging.results import Status
from harness.project.manifest import Manifest
from harness.store import Run, Store

__all__ = ["newest_complete_run", "newest_whole_run"]


def newest_complete_run(store: Store) -> str:
    """Id of the newest finished run of a whole suite, whatever it was run on; empty where there is none."""
    for run in store.runs(finished=True):
        cases = run.facts.get("suite", {}).get("cases")
        if run.facts.get("complete") and cases and run.planned == cases * len(run.adapters):
            return run.id
    return ""


def newest_whole_run(store: Store, manifest: Manifest, name: str) -> Run:
    """The newest finished run of the whole suite on the version ``name``, with a judgement of every case.

    Raises:
        UsageError: there is none.
    """
    for run in store.runs(adapter=name, finished=True):
        results = [r for r in store.results(run.id) if r.adapter == name]
        judged = all(r.verdict.status is not Status.ERROR for r in results)
        whole = run.facts.get("complete") and len(results) == run.facts.get("suite", {}).get("cases")
        if whole and judged and run.facts.get("contents", {}).get(name) == manifest.contents(name):
            return run
    raise UsageError(f"{name}: the whole suite was not run on it; run first: pytest badcases --adapter {name}")
