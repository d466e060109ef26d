"""An engine of one's own gives one outcome for each request, or it is told what it did."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Failure, Request
from harness.engines.outcomes import as_engine_error, checked
from harness.errors import AdapterError, EngineError

REQUESTS = [Request(id=number, prompt_ids=(1,), decoding=Decoding()) for number in range(2)]


def good(number: int = 0, **changes: Any) -> Completion:
    return Completion(**{"request_id": number, "text": "Hi", "token_ids": (1, 2), "finish_reason": "stop", **changes})


def test_outcomes_of_all_requests_pass_as_they_are() -> None:
    """In any order; failures too."""
    outcomes = [Failure(1, "no room"), good(0)]
    assert list(checked("own", iter(outcomes), REQUESTS)) == outcomes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text": None}, "a NoneType as the answer's text"),
        ({"token_ids": (-1,)}, "token ids that are no numbers"),
        ({"token_ids": (True,)}, "token ids that are no numbers"),
        ({"token_ids": "12"}, "token ids that are no numbers"),
        ({"finish_reason": "abort"}, "unknown finish reason 'abort'"),
    ],
    ids=["text", "negative", "truth", "letters", "end"],
)
def test_a_completion_of_the_wrong_form_is_a_failure_of_its_request(changes: dict[str, Any], words: str) -> None:
    """The other requests keep their answers."""
    first, second = checked("own", iter([good(0, **changes), good(1)]), REQUESTS)
    assert isinstance(first, Failure)
    assert first.request_id == 0
    assert words in first.message
    assert second == good(1)


def test_ids_from_0_on_and_no_ids_are_ids() -> None:
    """An empty answer has none."""
    outcomes = [good(0, token_ids=(0,)), good(1, token_ids=(), text="")]
    assert list(checked("own", iter(outcomes), REQUESTS)) == outcomes


def test_a_request_without_an_outcome_is_a_failure() -> None:
    """After all others."""
    assert list(checked("own", iter([good(1)]), REQUESTS)) == [
        good(1), Failure(0, "engine 'own' gave no answer to this request"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ([good(0), good(0)], "request 0, which is not open"),
        ([good(7)], "request 7, which is not open"),
        ([None], "gave a NoneType"),
        (["Hi"], "gave a str"),
    ],
    ids=["twice", "unknown", "nothing", "text"],
)
def test_an_outcome_of_no_request_is_an_error(outcomes: list[Any], words: str) -> None:
    """Nobody knows whose answer it is."""
    with pytest.raises(EngineError, match=words):
        list(checked("own", iter(outcomes), REQUESTS))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("a bug"), "engine 'own' broke: ValueError: a bug"),
        (MemoryError(), "engine 'own' broke: MemoryError"),
        (SystemExit(0), "engine 'own' broke: SystemExit: 0"),
    ],
    ids=["bug", "no text", "exit"],
)
def test_any_other_error_becomes_an_engine_error(error: BaseException, words: str) -> None:
    """It keeps where it came from."""
    told = as_engine_error("own", error)
    assert isinstance(told, EngineError)
    assert str(told) == words
    assert told.__cause__ is error


@pytest.mark.parametrize("error", [AdapterError("damaged"), KeyboardInterrupt()], ids=["harness", "Ctrl-C"])
def test_an_error_of_the_harness_and_an_interruption_stay_what_they_are(error: BaseException) -> None:
    """They say already what is wrong, or that somebody wants to stop."""
    assert as_engine_error("own", error) is error
