"""The early FAIL never changes a verdict: what it cuts fails in full, what it leaves alone is untouched."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cases.decoding import Semantics
from harness.engines.beam.proof import LoopProof, settled, tail_run
from harness.judging.references import loop_units
from harness.judging.results import Status
from harness.judging.verdict import judge
from harness.metrics import score
from harness.metrics.kernels import unit_bounds
from harness.metrics.repetition import measure
from tests.support.beam_tables import make_trial, run_search
from tests.support.builders import case

UNITS = 13


def _text(ids: Sequence[int]) -> str:
    """One word a token, one unit a word."""
    return " ".join(chr(97 + token // 26) + chr(97 + token % 26) for token in ids)


def _fails(ids: Sequence[int]) -> bool:
    (scores,) = measure([_text(ids)])
    return scores.values["loop_units"] >= UNITS


@pytest.mark.parametrize("semantics", ["hf", "vllm"])
def test_verdicts_with_and_without_the_cut_are_identical(semantics: Semantics) -> None:
    """Over 1,000 random models in all: the cut answer and the full answer both fail, or both do not."""
    cuts = fails = 0
    for seed in range(400 if semantics == "vllm" else 600):
        trial = make_trial(seed, widths=range(1, 4), penalties=(0, 1, 2), lengths=(32, 40), loops=0.8)
        full, _ = run_search(trial, semantics)
        proof = LoopProof(UNITS, _text)
        found, search = run_search(trial, semantics, watch=proof)
        failed = _fails(full[0][1])
        fails += failed
        if search.done:
            assert found[0] == full[0], f"seed {seed}: not cut, and yet another winner"
        else:
            cuts += 1
            assert failed, f"seed {seed}: cut, but the full answer does not fail"
            assert all(_fails(h.tokens()) for h in search.contenders())
    assert cuts > 50, "the cut hardly ever came; this test shows nothing"
    assert fails > cuts


@given(st.text(alphabet="ab '\u2019.,1二三第、好é\u0301\u200d👍-", max_size=40), st.text(max_size=20))
@settings(max_examples=400, deadline=None)
def test_settled_units_stay_as_they_are_whatever_follows(before: str, after: str) -> None:
    """Every unit of the settled part is a unit of the longer text."""
    part = settled(before)
    bounds = unit_bounds(part)
    assert unit_bounds(before + after)[: len(bounds)] == bounds


@given(
    st.text(alphabet="ab。三", min_size=1, max_size=4), st.integers(3, 20), st.text(max_size=15), st.text(max_size=30)
)
@settings(max_examples=300, deadline=None)
def test_a_proven_run_is_in_every_longer_text(period: str, copies: int, before: str, after: str) -> None:
    """The longest run never gets shorter when text is added."""
    text = before + period * copies
    (early,) = measure([settled(text)])
    (late,) = measure([text + after])
    assert late.values["loop_units"] >= early.values["loop_units"]


@given(st.lists(st.integers(0, 2), max_size=24))
@settings(max_examples=400, deadline=None)
def test_tail_run_is_the_longest_run_at_the_end(tokens: list[int]) -> None:
    """Against brute force over all periods."""
    best = 0
    for period in range(1, len(tokens) // 3 + 1):
        length = period
        while length < len(tokens) and tokens[-1 - length] == tokens[-1 - length + period]:
            length += 1
        if length >= 3 * period:
            best = max(best, length)
    assert tail_run(tokens) == best


def test_a_loop_that_is_diluted_later_is_still_there() -> None:
    """A proof does not hang on the loop being at the end or on its share of the text."""
    proof = LoopProof(UNITS, _text)
    assert proof.of([1, 2] * 8 + list(range(5, 80)))
    assert not proof.of([1, 2] * 6 + list(range(5, 80)))


@given(
    period=st.sampled_from(["sea ", "a b ", "the sea is blue. ", "好，", "12, ", "- "]),
    before=st.text(alphabet="ab ,.\n海", max_size=30),
    after=st.text(alphabet="xyz ,.\n海1-", max_size=200),
    dilution=st.sampled_from([0, 3000]),
    reference=st.sampled_from(
        [None, "The sea is wide, and deep, and blue.", "go go go go go go go go go go go go go go"]
    ),
)
@settings(max_examples=100, deadline=None)
def test_what_is_proven_fails_the_verdict_however_the_answer_goes_on(
    period: str, before: str, after: str, dilution: int, reference: str | None
) -> None:
    """The proof's limit comes from the verdict, and the verdict is FAIL for every continuation."""
    judged = case(standard_answer=reference)
    units = loop_units(judged)
    assert units is not None
    text = before + period * 300
    assert LoopProof(units, lambda ids: "".join(map(chr, ids))).of(list(map(ord, text)))
    text += after + " ".join(f"w{chr(97 + k % 26)}{k}" for k in range(dilution))
    verdict = judge(judged, score(text, judged), "stop")
    assert verdict.status is Status.FAIL
    assert any(reason.repetition for reason in verdict.reasons)
