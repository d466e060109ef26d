"""What goes over the pipe comes back equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from harness.cases.decoding import Decoding
from harness.engines import messages
from harness.engines.base import Completion, Failure, Progress, Request
from harness.models.weights import AdapterWeights

_ids = st.lists(st.integers(0, 2**31), max_size=5).map(tuple)
_floats = st.none() | st.floats(allow_nan=False, allow_infinity=False)


def _sent(data: Any) -> Any:
    return json.loads(json.dumps(data))


@given(
    prompt=_ids,
    stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
    early=st.sampled_from([True, False, "never"]),
    adapter=st.none() | st.builds(AdapterWeights, st.text(), st.just(Path("some folder/v1")), st.text()),
    units=_floats,
)
def test_requests_survive(prompt: Any, stop: Any, early: Any, adapter: Any, units: Any) -> None:
    """Tuples, paths, adapters and every decoding field."""
    request = Request(
        id=3,
        prompt_ids=prompt,
        decoding=Decoding(stop=stop, early_stopping=early),
        adapter=adapter,
        sample=2,
        loop_units=units,
    )
    assert messages.read_request(_sent(messages.write_value(request))) == request


@given(
    st.builds(
        Completion,
        request_id=st.integers(-(2**63), 2**63 - 1),
        text=st.text(),
        token_ids=_ids,
        finish_reason=st.sampled_from(["stop", "length", "loop"]),
        logprob=_floats,
        score=_floats,
        alternatives=st.lists(_ids, max_size=3).map(tuple),
        seconds=st.floats(0, 1e6),
    )
)
def test_completions_survive(completion: Completion) -> None:
    """Every bit of every number, every character of the text, lone surrogates included."""
    assert messages.read_outcome(_sent(messages.write_outcome(completion))) == completion


def test_failures_and_progress_survive() -> None:
    """The other two things that an engine says."""
    failure, progress = (
        Failure(1, "no\nroom"),
        Progress(state="running", requests_done=1, requests=2, tokens=3, seconds=0.5),
    )
    assert messages.read_outcome(_sent(messages.write_outcome(failure))) == failure
    assert messages.read_progress(_sent(messages.write_value(progress))) == progress
