"""The model's own clean answers to the prompts on which it failed, found by sampling.

Preference training works best on what the model itself would say: chosen answers in its own words, and rejected ones
that it really gives. Every candidate is scored like any answer. Candidates that pass with a margin, ended by themselves
and are similar enough to the standard answer (in script, length and wording) become chosen answers, the most similar
first. Looping candidates become further rejected answers, and others that failed or had to be cut off show where to
end. The bundled prompts of :mod:`harness.pairs.replay_prompts` are answered in the same start of the engine, for
replay. Samples are stored like any generation, so a repeated or resumed fix draws none twice. They come in two rounds:
the second half of a case's samples is drawn only where the first did not give as many clean answers as are kept.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from rapidfuzz import fuzz

from harness.cases.decoding import Decoding
from harness.cases.model import Case
from harness.engines.base import Completion, Engine, Failure, Request
from harness.errors import EngineError
from harness.judging.results import Attempt, CaseResult, Status, Verdict
from harness.judging.verdict import judge
from harness.metrics import measure, score
from harness.metrics.types import Scores
from harness.models.target import Target
from harness.pairs.rejected import before_fault
from harness.pairs.replay_prompts import BUNDLED, EVERYDAY, ORDINARY
from harness.project.sampling import Sampling
from harness.safe.records import to_data
from harness.store import Store

__all__ = ["Candidates", "draw_candidates", "refuses"]

_SAME_ANSWER_RATIO = 90.0
_MAX_REP8_EXCESS = 0.03
"""Far below what fails: a chosen answer must not teach even a mild repetition (excess over the standard answer)."""
_LENGTH_RANGE = (0.3, 4.0)
"""Minimum and maximum length of a chosen answer, in lengths of the standard answer, where that is long enough."""
_MIN_REFERENCE_UNITS = 20
_MIN_SIMILARITY_SHARE = 0.5
"""Minimum similarity of a chosen answer, as a share of the best one's for the same case."""
_MAX_REPLAY_TOKENS = 256
"""Maximum of tokens of an answer to a bundled prompt."""
_REFUSAL = re.compile(
    r"\W*(?:(?:i['’]m|i am) (?:so |very |really )?sorry|sorry\b|i apologi[sz]e|as an? (?:ai|language model|artificial)"
    r"|(?:i['’]m|i am) (?:just |only )?an? (?:ai|language model)|i can(?:no|['’])t|(?:i['’]m|i am) (?:unable|not able)"
    r"|unfortunately,? i|(?:很|非常)?抱歉|对不起|作为(?:一个|一名|一款)?(?:ai|人工智能|语言模型)|我(?:无法|不能))",
    re.IGNORECASE,
)
"""How an answer begins that declines: clean, short, and no cure. Not supported: one that declines later on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The drawn candidates, by case id."""

    clean: Mapping[str, tuple[str, ...]]
    """Passing answers, the most like the standard answer first."""
    branches: Mapping[str, tuple[str, ...]]
    """Whole answers that begin like the failing one and leave it before its fault."""
    looping: Mapping[str, tuple[Attempt, ...]]
    faulty: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    """Answers that do not loop, and failed or had to be cut off."""
    ordinary: Mapping[str, str] = field(default_factory=dict)
    """Clean answers to the bundled prompts."""


@dataclass(frozen=True, slots=True)
class _Draw:
    case: Case
    prefix: str
    key: str
    request: Request
    later: bool = False
    """Drawn only where the case's earlier samples were not enough."""


class _Judged(NamedTuple):
    """What an answer scored."""

    scores: Scores
    verdict: Verdict


def draw_candidates(
    failures: Sequence[CaseResult],
    target: Target,
    store: Store,
    sampling: Sampling,
    open_engine: Callable[[int], Engine],
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Candidates:
    """Sample answers to the prompts of ``failures`` from the model that failed.

    Args:
        failures: the failing results; the caller chooses them by role.
        target: the adapter that failed.
        store: where samples are kept and looked up.
        sampling: how many and how.
        open_engine: called with the longest prompt plus answer in tokens, only if something must be drawn.
        on_progress: called with samples done and wanted.

    Raises:
        EngineError: the engine broke.
    """
    sampling = sampling.for_cases(len(failures))
    draws = _plan(failures, target, sampling)
    longest = max((len(d.request.prompt_ids) + d.request.decoding.max_tokens for d in draws), default=0)
    with _Drawing(store, lambda: open_engine(longest), on_progress) as drawing:
        drawing.draw([d for d in draws if not d.later])
        judged: dict[int, _Judged] = {}
        found = _sort(draws, drawing.answers, sampling, judged)
        short = {r.case.id for r in failures if len(found.clean.get(r.case.id, ())) < sampling.keep}
        if more := [d for d in draws if d.later and d.case.id in short]:
            drawing.draw(more)
            found = _sort(draws, drawing.answers, sampling, judged)
    return found


class _Drawing:
    """Answers to draws, from the store or else from an engine that is opened at the first need."""

    def __init__(
        self, store: Store, open_engine: Callable[[], Engine], on_progress: Callable[[int, int], None]
    ) -> None:
        self.answers: dict[int, Completion] = {}
        """By the request's id."""
        self.wanted = 0
        self._store = store
        self._open = open_engine
        self._engine: Engine | None = None
        self._on_progress = on_progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()

    def draw(self, draws: Sequence[_Draw]) -> None:
        """Raises EngineError where the engine broke; a bundled prompt without an answer is left out."""
        self.wanted += len(draws)
        by_id = {d.request.id: d for d in draws}
        for index, draw in by_id.items():
            if (known := self._store.generation(draw.key)) is not None:
                self.answers[index] = known
        self._on_progress(len(self.answers), self.wanted)
        missing = [d.request for index, d in by_id.items() if index not in self.answers]
        if not missing:
            return
        self._engine = self._engine or self._open()
        for outcome in self._engine.generate(missing):
            draw = by_id[outcome.request_id]
            if isinstance(outcome, Failure):
                if draw.case.folder == BUNDLED:
                    continue  # Replay has other prompts; this one is optional.
                raise EngineError(f"sampling failed: {outcome.message}")
            completion = dataclasses.replace(outcome, request_id=0)
            self._store.save_generation(draw.key, {"sampling": to_data(draw.request.decoding)}, completion)
            self.answers[outcome.request_id] = completion
            self._on_progress(len(self.answers), self.wanted)


def _plan(failures: Sequence[CaseResult], target: Target, sampling: Sampling) -> list[_Draw]:
    wanted = [(r.case, prefix, decoding) for r in failures for prefix, decoding in _wanted(r, sampling)]
    if failures:
        wanted += [(c, "", c.decoding) for c in _bundled(failures[0].case.decoding.stop)]
    draws: list[_Draw] = []
    for case, prefix, decoding in wanted:
        ids = target.renderer.prompt_ids(case.messages, case.chat_template_kwargs) + (
            target.renderer.answer_ids(prefix) if prefix else ()
        )
        for sample in range(decoding.samples):
            identity = [target.digest, to_data(decoding), list(ids), sample]
            key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
            draws.append(
                _Draw(
                    case,
                    prefix,
                    key,
                    Request(id=len(draws), prompt_ids=ids, decoding=decoding, adapter=target.weights, sample=sample),
                    later=not prefix and sample >= _in_first_round(decoding.samples),
                )
            )
    return draws


def _in_first_round(samples: int) -> int:
    """How many of a prompt's samples are drawn whatever they give: half of them, and at least two."""
    return max(2, (samples + 1) // 2)


def _wanted(result: CaseResult, sampling: Sampling) -> Iterator[tuple[str, Decoding]]:
    """What is drawn for a failing case: beginnings of the answer, with how each is gone on with."""
    case = result.case
    if sampling.answers:
        yield "", sampling.decoding(case, sampling.answers)
    if sampling.continuations and (prefix := before_fault(result)):
        yield prefix, sampling.decoding(case, sampling.continuations)
    if sampling.greedy and case.decoding.method != "greedy":
        most = min(case.decoding.max_tokens, sampling.max_tokens)
        yield "", Decoding(method="greedy", max_tokens=most, stop=case.decoding.stop)


def _bundled(stop: tuple[str, ...]) -> list[Case]:
    """The bundled prompts as cases; their written answers may repeat themselves."""
    decoding = Decoding(method="greedy", max_tokens=_MAX_REPLAY_TOKENS, stop=stop)
    return [
        Case(id=o.id, folder=BUNDLED, messages=o.messages, standard_answer=o.answer or None, decoding=decoding)
        for o in (*ORDINARY, *EVERYDAY)
    ]


def _sort(
    draws: Sequence[_Draw], answers: Mapping[int, Completion], sampling: Sampling, judged: dict[int, _Judged]
) -> Candidates:
    """Sort what was drawn; ``judged`` keeps what was scored, for the next round of samples."""
    clean: dict[str, list[tuple[float, str]]] = defaultdict(list)
    branches: dict[str, list[tuple[float, str]]] = defaultdict(list)
    looping: dict[str, list[Attempt]] = defaultdict(list)
    faulty: dict[str, list[Attempt]] = defaultdict(list)
    ordinary: dict[str, str] = {}
    for index, draw in enumerate(draws):
        if (completion := answers.get(index)) is None:
            continue
        case = draw.case
        text = draw.prefix + completion.text
        if index not in judged:
            scores = score(text, case, tokens=completion.token_ids)
            judged[index] = _Judged(scores, judge(case, scores, completion.finish_reason))
        scores, verdict = judged[index]
        good = verdict.status is Status.PASS and completion.finish_reason == "stop"
        if (
            good
            and scores.values["rep8"] <= scores.values.get("rep8_reference", 0.0) + _MAX_REP8_EXCESS
            and _alike(text, case)
        ):
            if case.folder == BUNDLED:
                ordinary[case.id] = text
            elif not refuses(text) or refuses(case.standard_answer or ""):
                (branches if draw.prefix else clean)[case.id].append((scores.values.get("similarity", 0.0), text))
        elif not draw.prefix and (verdict.status is Status.FAIL or completion.finish_reason == "length"):
            (looping if verdict.repeater else faulty)[case.id].append(
                Attempt(
                    sample=index,
                    answer=text,
                    finish_reason=completion.finish_reason,
                    scores=scores,
                    verdict=verdict,
                    generation=draw.key,
                    tokens=len(completion.token_ids),
                )
            )
    return Candidates(
        clean={i: _best(candidates, sampling.keep) for i, candidates in clean.items()},
        branches={i: _best(candidates, 1) for i, candidates in branches.items()},
        looping={i: tuple(candidates[:2]) for i, candidates in looping.items()},
        faulty={i: tuple(candidates) for i, candidates in faulty.items()},
        ordinary=ordinary,
    )


def refuses(answer: str) -> bool:
    """Whether an answer begins with a refusal."""
    return bool(_REFUSAL.match(answer))


def _alike(text: str, case: Case) -> bool:
    """Whether an answer has the script and length of the standard answer.

    A model that is poor at a language likes to answer in another one: clean, and no cure.
    """
    reference = case.standard_answer
    if not reference:
        return True
    expected, scripts = _scripts(reference), _scripts(text)
    main, share = max(expected.items(), key=lambda item: item[1], default=("", 0.0))
    if scripts.get(main, 0.0) < share / 2:
        return False
    standard, length = (float(scores.values["units"]) for scores in measure([reference, text]))
    return standard < _MIN_REFERENCE_UNITS or _LENGTH_RANGE[0] <= length / standard <= _LENGTH_RANGE[1]


def _scripts(text: str) -> dict[str, float]:
    """Shares of the letters by script, as the first word of their Unicode names."""
    letters = Counter(unicodedata.name(c, "?").split(" ")[0] for c in text if c.isalpha())
    return {name: count / letters.total() for name, count in letters.items()}


def _best(answers: list[tuple[float, str]], keep: int) -> tuple[str, ...]:
    kept: list[str] = []
    least = _MIN_SIMILARITY_SHARE * max((similarity for similarity, _ in answers), default=0.0)
    for _, text in sorted((p for p in answers if p[0] >= least), key=lambda pair: -pair[0]):
        if len(kept) < keep and all(fuzz.ratio(text, other) < _SAME_ANSWER_RATIO for other in kept):
            kept.append(text)
    return tuple(kept)
