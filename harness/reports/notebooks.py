"""An evaluation from Python: ``harness.evaluate`` does what ``pytest badcases`` does, and returns the recorded run.

For notebooks and scripts that try engines, adapters or decodings and look at the results at once. The run is recorded,
judged and reported like any other one, so ``harness history`` lists it and stored answers are used again.

Not supported: collecting test files. The cases are those of the project's folder ``badcases``; a check that a test
function makes beyond ``badcase.check()`` is not made here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.cases.model import Case
from harness.cases.suite import describe_suite
from harness.errors import UsageError
from harness.project.settings import find_root, read_settings
from harness.project.suite import project_cases
from harness.reports.conclusion import conclude_run
from harness.reports.tables import LoadedRun
from harness.runs.evaluation import Evaluation
from harness.runs.progress import ProgressLine
from harness.runs.runner import RunnerProgress
from harness.safe.records import to_data

__all__ = ["evaluate"]


def evaluate(
    project: Path | str | None = None,
    *,
    adapters: str | Sequence[str] | None = None,
    cases: str | Sequence[str] | None = None,
    engine: str | None = None,
    progress: Callable[[str], None] | None = None,
    **settings: Any,
) -> LoadedRun:
    """Run bad cases on adapter versions, and return the recorded run.

    Args:
        project: the project's folder; None: the project of the current folder.
        adapters: versions; None: the project's own.
        cases: ids, or patterns such as ``"badcase1/*"``; None: the whole suite. A part of it passes no gate.
        engine: ``vllm``, ``transformers``, or ``module:attribute`` of your own; None: the project's.
        progress: called with a line when the state changes, and every 15 seconds; ``print`` will do.
        settings: other settings by name, as in ``[tool.harness]``: ``cache=False``, ``max_repetition=0.05`` ...

    Raises:
        UsageError: an unknown version or setting, or a pattern that no case has.
        EngineError: the engine could not generate at all. What it did answer is stored.
    """
    root = find_root(Path.cwd()) if project is None else Path(project).resolve()
    read = read_settings(root, {**settings, "engine": engine})
    suite = project_cases(read)
    chosen = _chosen(suite, [cases] if isinstance(cases, str) else cases)
    names = [adapters] if isinstance(adapters, str) else list(adapters or [read.adapter])
    if not all(names):
        raise UsageError("no adapter to evaluate: give adapters=, or adapter = in [tool.harness]")
    show: Callable[[RunnerProgress], None] = lambda _: None  # noqa: E731 - nothing to show
    if progress is not None:
        show = ProgressLine(progress, read.engine, every=15)
    with Evaluation(read, on_progress=show) as evaluation:
        evaluation.plan([(case, name) for name in dict.fromkeys(names) for case in chosen])
        evaluation.start({"command": ["harness.evaluate"], "suite": to_data(describe_suite(suite))})
        evaluation.finish()
        run = evaluation.end()
        conclude_run(run, evaluation.store, evaluation.manifest, read)
        if evaluation.broken is not None:
            raise evaluation.broken
        return LoadedRun(run=run, results=evaluation.store.results(run.id))


def _chosen(suite: Sequence[Case], patterns: Sequence[str] | None) -> tuple[Case, ...]:
    if patterns is None:
        return tuple(suite)
    for pattern in patterns:
        if not any(fnmatchcase(case.id, pattern) for case in suite):
            raise UsageError(f"no case {pattern!r}; the suite begins with: {', '.join(c.id for c in suite[:5])}")
    return tuple(c for c in suite if any(fnmatchcase(c.id, p) for p in patterns))
