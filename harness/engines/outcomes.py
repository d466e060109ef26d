"""Holds an engine of the user's own to the contract of an engine: one outcome for each request, of the right type.

What a request cannot have been answered with becomes a :class:`~harness.engines.base.Failure` of that request alone. An
answer to a request that was never made, or was answered before, is an error: nobody knows whose answer it is.

Trade-off: texts and token ids are checked by type and sign only. That the ids are those of the text is not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.engines.base import FINISH_REASONS, Completion, Failure, Outcome, Request
from harness.errors import EngineError, HarnessError

__all__ = ["as_engine_error", "checked", "completion_problem"]


def checked(name: str, outcomes: Iterator[object], requests: Sequence[Request]) -> Iterator[Outcome]:
    """The outcomes, and a Failure for each request that has none.

    Args:
        name: of the engine, for messages.
        outcomes: what the engine gives.
        requests: what it was asked.

    Raises:
        EngineError: an outcome of another type, of no request, or the second one of a request.
    """
    open_ids = {request.id for request in requests}
    for outcome in outcomes:
        if not isinstance(outcome, (Completion, Failure)):
            kind = type(outcome).__name__
            raise EngineError(f"engine {name!r}: generate() gave a {kind}; it must give Completion or Failure")
        if outcome.request_id not in open_ids:
            raise EngineError(f"engine {name!r}: an answer to request {outcome.request_id!r}, which is not open")
        open_ids.discard(outcome.request_id)
        problem = completion_problem(outcome) if isinstance(outcome, Completion) else None
        yield Failure(outcome.request_id, problem) if problem else outcome
    for request in requests:
        if request.id in open_ids:
            yield Failure(request.id, f"engine {name!r} gave no answer to this request")


def as_engine_error(name: str, error: BaseException) -> BaseException:
    """An error of the harness or an interruption as it is; any other one as an EngineError that names it."""
    if isinstance(error, (HarnessError, KeyboardInterrupt, GeneratorExit)):
        return error
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    wrapped = EngineError(f"engine {name!r} broke: {told}")
    wrapped.__cause__ = error
    return wrapped


def completion_problem(completion: Completion) -> str | None:
    """Why a completion is no answer; None for an answer."""
    if not isinstance(completion.text, str):
        return f"the engine gave a {type(completion.text).__name__} as the answer's text"
    ids = completion.token_ids
    if not isinstance(ids, (tuple, list)) or not all(type(i) is int and i >= 0 for i in ids):
        return "the engine gave token ids that are no numbers from 0 on"
    if completion.finish_reason not in FINISH_REASONS:
        return f"the engine ended the answer with the unknown finish reason {completion.finish_reason!r}"
    return None
