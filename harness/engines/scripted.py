"""An engine that answers from a script: the shipped fake, for users' tests and for this project's.

It keeps the whole contract of an engine (one outcome for each request, any order, failures as values), so code that
works with it sees nothing that a real engine would not do. Not supported: any imitation of decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.engines.base import Completion, EngineInfo, Failure, Outcome, Request
from harness.errors import EngineError

__all__ = ["Answer", "ScriptedEngine"]

Answer = str | Completion | Failure | Exception
"""A text (ended by itself), a whole outcome (its id is set), or an error to raise as if the engine broke."""
Decode = Callable[[Sequence[int]], str]


def _from_code_points(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


class ScriptedEngine:
    """Answers from a mapping or a function.

    A mapping's keys are prompt ids (exact) or pieces of the prompt's text (the first contained one counts); its values
    are answers, or mappings from an adapter's name (``""``: the model as shipped) to answers. A request that nothing
    matches is a :class:`Failure`. Token ids are Unicode code points unless ``decode`` says otherwise.
    """

    def __init__(
        self,
        script: Mapping[object, object] | Callable[[Request], Answer],
        *,
        decode: Decode = _from_code_points,
        info: EngineInfo | None = None,
    ) -> None:
        self.info = info or EngineInfo("scripted", "1")
        self.requests: list[Request] = []
        """Every request that was answered, in order."""
        self.closed = False
        self._script = script
        self._decode = decode

    def generate(self, requests: Sequence[Request]) -> Iterator[Outcome]:
        """Answer in the order of the requests; raises where the script holds an exception."""
        if self.closed:
            raise EngineError("the scripted engine is closed; open a new one")
        for request in requests:
            self.requests.append(request)
            answer = self._script(request) if callable(self._script) else self._look_up(self._script, request)
            yield self._outcome(request, answer)

    def close(self) -> None:
        self.closed = True

    def _look_up(self, script: Mapping[object, object], request: Request) -> object:
        scripted = script.get(request.prompt_ids)
        if scripted is None:
            text = self._decode(request.prompt_ids)
            scripted = next((value for key, value in script.items() if isinstance(key, str) and key in text), None)
        if isinstance(scripted, Mapping):
            scripted = scripted.get(request.adapter.name if request.adapter else "")
        return scripted if scripted is not None else Failure(request.id, "the script has no answer to this prompt")

    def _outcome(self, request: Request, answer: object) -> Outcome:
        match answer:
            case Exception():
                raise answer
            case Failure():
                return Failure(request.id, answer.message)
            case Completion():
                return Completion(
                    request_id=request.id,
                    text=answer.text,
                    token_ids=answer.token_ids,
                    finish_reason=answer.finish_reason,
                    logprob=answer.logprob,
                    score=answer.score,
                    alternatives=answer.alternatives,
                    seconds=answer.seconds,
                )
            case str():
                return Completion(
                    request_id=request.id, text=answer, token_ids=tuple(map(ord, answer)), finish_reason="stop"
                )
        raise TypeError(f"a script answers with a text, Completion, Failure or exception, not {type(answer).__name__}")
