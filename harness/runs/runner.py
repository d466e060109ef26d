"""The loop: cases x adapters -> answers (stored or generated) -> scores -> verdicts -> recorded results.

pytest, ``harness fix`` and every command use :meth:`Runner.execute`; none has a loop of its own. Record first, judge
after: an answer is stored raw as soon as it is known, then scored. Results are yielded as they complete, which is not
the order of the jobs. An engine that fails for one request makes that case ERROR. An engine that fails altogether makes
all remaining cases ERROR, and the run's status is ``failed``. No engine starts when every answer is stored.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from harness.engines import engine_info
from harness.engines.base import Completion, Engine, EngineInfo, Failure, Outcome, Progress, Request
from harness.engines.canary import PROOF_TOKENS, prove_adapter
from harness.engines.outcomes import completion_problem
from harness.errors import AdapterError, HarnessError
from harness.judging.references import loop_units
from harness.judging.results import Attempt, CaseResult, Reason, Status, Verdict
from harness.judging.verdict import combine, judge, skipped
from harness.metrics import Scores, measure_answers, score
from harness.models.target import Target, engine_options
from harness.project.deadlines import Deadlines
from harness.project.settings import Settings
from harness.runs.fingerprints import check_fingerprints
from harness.runs.jobs import Job, run_facts
from harness.store import Part, Run, RunStatus, Store

__all__ = ["OpenEngine", "Runner", "RunnerProgress"]

_READ_AT_ONCE = 200
"""Jobs whose stored answers are read together."""
_SAVE_AT_ONCE = 100
_SAVE_EVERY = 0.5
"""Results of stored answers wait for each other, for so many of them or so many seconds at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerProgress:
    """How far a run is; for a display, never for logic."""

    state: str
    """``starting`` (the engine), ``proving`` (that an adapter acts) or ``generating``."""
    total: int
    """Answers that the run needs."""
    done: int
    """Answers that are there, stored ones included."""
    stored: int
    tokens: int = 0
    """Tokens generated so far."""
    seconds: float = 0.0
    """Since the run began."""


class OpenEngine(Protocol):
    """Opens an engine; :func:`harness.engines.open_engine` by default."""

    def __call__(self, name: str, model_path: Path, **options: Any) -> Engine: ...


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """An answer that some job waits for."""

    job: Job
    sample: int
    key: str
    identity: Mapping[str, object]
    limit: float | None


_Stored = Mapping[tuple[str, float | None], Completion]
"""Stored answers by key and by the limit at which an answer that is a proven loop was cut."""


class Runner:
    """Judges jobs with one store and one engine."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        open_engine: OpenEngine,
        *,
        on_progress: Callable[[RunnerProgress], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._believed: list[str] = []
        """Versions of which a server was believed what they compute."""
        self._open_engine = open_engine
        self._on_progress = on_progress
        self.run: Run | None = None
        """The run under way, or the last one."""
        self.status: RunStatus = "started"
        """How this process's work on it ended."""
        self._part: Part | None = None
        self._unsaved: list[tuple[int, CaseResult]] = []
        self._saved = time.monotonic()
        self._attempts: dict[int, dict[int, Attempt]] = defaultdict(dict)
        self._began = time.monotonic()
        self._prompts: dict[Path, dict[tuple[int, ...], None]] = defaultdict(dict)
        """Prompts of the whole run by model, in its order, answered or not."""
        self._stored = self._done = self._total = self._tokens = 0
        self._phase = "starting"
        self._engine_ready = False
        """Whether the engine that is open has begun to answer."""

    def execute(
        self, jobs: Sequence[Job], facts: Mapping[str, Any], part: Part | None = None
    ) -> Generator[CaseResult, None, Run]:
        """Record a run of all jobs at once; they are judged as results are taken from the generator.

        Args:
            jobs: what to judge.
            facts: about the run, for its record (command, limits ...).
            part: which part of a run the jobs are; None: they are a run.

        Yields:
            One result per job, as they complete. Closing the generator stops the engine and records the run as
            interrupted. A run from which nothing was taken stays ``started``.

        Raises:
            HarnessError: the engine cannot be had, or an adapter has no effect; every job that had no
                stored answer was yielded as ERROR first.
        """
        info = engine_info(self._settings.engine, **self._settings.engine_options)
        self._part, self.status = part, "started"
        self.run = self._store.begin_run(len(jobs), {**run_facts(jobs, info), **facts}, part=part)
        return self._judge_jobs(self.run, jobs, info)

    def _judge_jobs(self, run: Run, jobs: Sequence[Job], info: EngineInfo) -> Generator[CaseResult, None, Run]:
        self._began = time.monotonic()
        self._attempts.clear()
        self._prompts.clear()
        status: RunStatus = "interrupted"
        broken: HarnessError | None = None
        try:
            missing: list[_Wanted] = []
            self._total = sum(j.case.decoding.samples for j in jobs if j.target is not None and not j.case.skip)
            self._done = self._stored = self._tokens = 0
            remaining = iter(jobs)
            while some := list(islice(remaining, _READ_AT_ONCE)):
                wanted = {job.position: self._want_all(job, info) for job in some}
                stored = self._read_stored([w for of_job in wanted.values() for w in of_job])
                measured = _measured(wanted, stored)
                for job in some:
                    if job.case.skip:
                        yield self._record(run, job, (), skipped(job.case))
                        continue
                    if job.target is None:
                        yield self._record(run, job, (), _error("adapter", job.problem))
                        continue
                    missing += [w for w in wanted[job.position] if not self._from_store(w, stored, measured)]
                    yield from self._complete(run, job)
            self._save(run)
            for group in _by_model(missing):
                try:
                    yield from self._generate(run, group)
                except HarnessError as error:
                    broken = error
                    yield from self._all_error(run, group, error)
            status = "failed" if broken else "finished"
        finally:
            self._save(run)
            self.status = status
            facts: dict[str, Any] = {"seconds": round(time.monotonic() - self._began, 3)}
            if self._believed:
                facts["not_recorded_before"] = self._believed
            run = self.run = self._store.finish_run(run.id, status, facts, part=self._part)
        if broken is not None:
            raise broken
        return run

    # -- answers ---------------------------------------------------------------------------------------------------

    def _want_all(self, job: Job, info: EngineInfo) -> list[_Wanted]:
        """The answers that a job needs; none for one that is not asked."""
        if job.case.skip or job.target is None:
            return []
        self._prompts[job.usable.model_path][job.prompt_ids] = None
        return [self._want(job, sample, info) for sample in range(job.case.decoding.samples)]

    def _want(self, job: Job, sample: int, info: EngineInfo) -> _Wanted:
        decoding = job.case.decoding
        prompt = job.prompt_ids
        identity = {
            "model": job.usable.model_digest,
            "adapter": job.usable.weights.digest if job.usable.weights else "",
            "decoding": {k: v for k, v in decoding.key().items() if k != "early_fail"},
            "engine": [info.name, info.version],
            "sample": sample,
        }
        text = json.dumps([identity, list(prompt)], sort_keys=True)
        limit = loop_units(job.case) if decoding.early_fail else None
        return _Wanted(
            job=job, sample=sample, key=hashlib.sha256(text.encode()).hexdigest(), identity=identity, limit=limit
        )

    def _read_stored(self, wanted: Sequence[_Wanted]) -> _Stored:
        return self._store.generations((w.key, w.limit) for w in wanted) if self._settings.cache else {}

    def _from_store(self, wanted: _Wanted, stored: _Stored, measured: Mapping[str, Scores]) -> bool:
        completion = stored.get((wanted.key, wanted.limit))
        if completion is None:
            return False
        self._done += 1
        self._stored += 1
        self._judge(wanted, completion, measured, cached=True)
        return True

    def _generate(self, run: Run, group: Sequence[_Wanted]) -> Iterator[CaseResult]:
        requests = [
            Request(
                id=index,
                prompt_ids=w.job.prompt_ids,
                decoding=w.job.case.decoding,
                adapter=w.job.usable.weights,
                sample=w.sample,
                loop_units=w.limit,
            )
            for index, w in enumerate(group)
        ]
        targets = {w.job.name: w.job.usable for w in group}
        longest = max(len(r.prompt_ids) + r.decoding.max_tokens for r in requests)
        options = engine_options(targets.values(), self._settings.engine_options, longest=longest)
        self._engine_ready = False
        self._enter("starting")
        engine = self._open_engine(
            self._settings.engine,
            group[0].job.usable.model_path,
            on_progress=self._engine_progress,
            log_path=self._settings.reports / "runs" / run.id / "engine.log",
            deadlines=self._deadlines(),
            **options,
        )
        try:
            useless = self._prove(engine, targets.values(), requests, longest)
            answered: set[int] = set()
            for index, wanted in enumerate(group):
                if wanted.job.name in useless:
                    answered.add(index)
                    self._fail(wanted, useless[wanted.job.name])
                    yield from self._complete(run, wanted.job)
            requests = [r for r in requests if r.id not in answered]
            if not requests:
                raise AdapterError("; ".join(useless.values()))
            proven = [target for name, target in targets.items() if name not in useless]
            self._believed += check_fingerprints(engine, proven, self._settings.reports / "fingerprints")
            self._enter("generating")
            with closing(_as_generator(engine.generate(requests))) as outcomes:
                for outcome in outcomes:
                    wanted = group[outcome.request_id]
                    answered.add(outcome.request_id)
                    self._done += 1
                    self._engine_ready = True
                    if (problem := _problem(outcome)) is not None:
                        self._fail(wanted, problem)
                    elif isinstance(outcome, Completion):
                        # The id is of this call only; what is stored must not depend on it.
                        completion = replace(outcome, request_id=0)
                        self._store.save_generation(wanted.key, wanted.identity, completion, wanted.limit)
                        self._tokens += len(completion.token_ids)
                        self._judge(wanted, completion, {}, cached=False)
                    self._tell()
                    yield from self._complete(run, wanted.job)
            for index in set(range(len(group))) - answered:
                self._fail(group[index], f"engine {self._settings.engine!r} gave no answer to this request")
                yield from self._complete(run, group[index].job)
        finally:
            engine.close()

    def _deadlines(self) -> Deadlines:
        """The settings' own, with what is left of the time for the run."""
        deadlines = self._settings.deadlines
        if not deadlines.run:
            return deadlines
        return replace(deadlines, run=max(0.001, deadlines.run - (time.monotonic() - self._began)))

    def _prove(
        self, engine: Engine, targets: Collection[Target], requests: Sequence[Request], longest: int
    ) -> dict[str, str]:
        """Prove every adapter on the run's first prompts that fit, stored or not: a resumed run proves the same.

        Returns:
            Why adapters cannot be used, by version; the others can.
        """
        weighted = [t.weights for t in targets if t.weights is not None]
        if not weighted:
            return {}
        self._enter("proving")
        model = next(iter(targets)).model_path
        fitting = (p for p in self._prompts[model] if len(p) + PROOF_TOKENS <= longest)
        prompts = list(islice(fitting, 4)) or list(dict.fromkeys(r.prompt_ids for r in requests))[:4]
        useless = {}
        for weights in weighted:
            try:
                prove_adapter(engine, prompts, weights)
            except AdapterError as error:
                useless[weights.name] = str(error)
        self._engine_ready = True
        return useless

    # -- verdicts --------------------------------------------------------------------------------------------------

    def _judge(self, wanted: _Wanted, completion: Completion, measured: Mapping[str, Scores], *, cached: bool) -> None:
        case = wanted.job.case
        try:
            scores = score(completion.text, case, tokens=completion.token_ids, measured=measured)
            verdict = judge(case, scores, completion.finish_reason)
        except HarnessError as error:
            scores, verdict = None, _error("metric", str(error))
        self._attempts[wanted.job.position][wanted.sample] = Attempt(
            sample=wanted.sample,
            answer=completion.text,
            finish_reason=completion.finish_reason,
            scores=scores,
            verdict=verdict,
            generation=wanted.key,
            tokens=len(completion.token_ids),
            seconds=completion.seconds,
            cached=cached,
        )

    def _fail(self, wanted: _Wanted, message: str) -> None:
        verdict = _error("engine", message or "the engine failed without a message")
        self._attempts[wanted.job.position][wanted.sample] = Attempt(
            sample=wanted.sample, answer="", finish_reason=None, scores=None, verdict=verdict
        )

    def _complete(self, run: Run, job: Job) -> Iterator[CaseResult]:
        """Yield and record the job's result if this was the last answer that it waited for."""
        attempts = self._attempts[job.position]
        if len(attempts) < job.case.decoding.samples:
            return
        ordered = tuple(attempts[i] for i in sorted(attempts))
        verdict = combine([a.verdict for a in ordered], job.case.decoding.min_pass)
        yield self._record(run, job, ordered, verdict)

    def _record(self, run: Run, job: Job, attempts: tuple[Attempt, ...], verdict: Verdict) -> CaseResult:
        result = CaseResult(job.case, job.name, attempts, verdict)
        self._unsaved.append((job.position, result))
        # Stored answers come by thousands a second: a transaction for each would be most of the work.
        if self._engine_ready or len(self._unsaved) >= _SAVE_AT_ONCE or time.monotonic() - self._saved > _SAVE_EVERY:
            self._save(run)
        return result

    def _save(self, run: Run) -> None:
        """Record the results that are not yet."""
        unsaved, self._unsaved = self._unsaved, []
        self._store.save_results(run.id, unsaved)
        self._saved = time.monotonic()

    def _all_error(self, run: Run, group: Sequence[_Wanted], error: HarnessError) -> Iterator[CaseResult]:
        for wanted in group:
            if wanted.sample not in self._attempts[wanted.job.position]:
                self._fail(wanted, str(error))
                yield from self._complete(run, wanted.job)

    # -- telling ---------------------------------------------------------------------------------------------------

    def _engine_progress(self, progress: Progress) -> None:
        self._engine_ready = progress.state != "starting"
        running = progress.state == "running" and self._phase == "generating"
        self._tell(progress.tokens if running else 0)

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._tell()

    def _tell(self, tokens: int = 0) -> None:
        # An engine that is still starting is not generating yet, although it was asked to.
        self._on_progress(
            RunnerProgress(
                state=self._phase if self._engine_ready else "starting",
                total=self._total,
                done=self._done,
                stored=self._stored,
                tokens=max(tokens, self._tokens),
                seconds=time.monotonic() - self._began,
            )
        )


def _measured(wanted: Mapping[int, Sequence[_Wanted]], stored: _Stored) -> Mapping[str, Scores]:
    """The stored answers of some jobs and their standard answers, measured together."""
    texts: list[str] = []
    for w in (w for of_job in wanted.values() for w in of_job):
        if (completion := stored.get((w.key, w.limit))) is not None:
            texts += [completion.text, *([w.job.case.standard_answer] if w.job.case.standard_answer else [])]
    return measure_answers(texts)


def _problem(outcome: Outcome) -> str | None:
    """Why an outcome is no answer; None for an answer."""
    return outcome.message if isinstance(outcome, Failure) else completion_problem(outcome)


def _error(rule: str, text: str) -> Verdict:
    return Verdict(Status.ERROR, (Reason(rule=rule, text=text),))


def _by_model(wanted: Sequence[_Wanted]) -> list[list[_Wanted]]:
    """One engine per base model; within one, requests of the same adapter and decoding stay together."""
    groups: dict[Path, list[_Wanted]] = defaultdict(list)
    for item in wanted:
        groups[item.job.usable.model_path].append(item)
    return list(groups.values())


def _as_generator(outcomes: Iterator[Completion | Failure]) -> Generator[Completion | Failure, None, None]:
    """The outcomes as a generator, which can be closed."""
    yield from outcomes
