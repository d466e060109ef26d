"""A case's patterns and a user's own metrics: what they say is recorded, what breaks is never the model's fault."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from harness.cases.model import Case
from harness.errors import CaseFileError, MetricError
from harness.metrics import register_metric, score
from harness.metrics.custom import forget_metrics
from harness.metrics.patterns import UNKNOWN, search
from harness.metrics.published import compression_ratio, sequence_repetition
from tests.support.builders import case


@pytest.fixture(autouse=True)
def _no_metrics_left() -> Iterator[None]:
    forget_metrics()
    yield
    forget_metrics()


def test_patterns_are_scored_one_by_one_and_counted() -> None:
    """Which were found, how many are missing, how many are forbidden."""
    of = replace(case(), must_include=("sea", "moon"), must_not_include=("(?i)WAR", "peace"))
    values = score("The sea is at war.", of).values
    assert [values[f"must_include[{i}]"] for i in (0, 1)] == [1.0, 0.0]
    assert [values[f"must_not_include[{i}]"] for i in (0, 1)] == [1.0, 0.0]
    assert (values["missing_patterns"], values["forbidden_patterns"]) == (1.0, 1.0)


def test_a_pattern_that_backtracks_for_ever_is_stopped() -> None:
    """A nested quantifier on hostile text ends in UNKNOWN, soon."""
    begun = time.perf_counter()
    assert search(r"(?:\w+\s?)+\d+:$", "word " * 60 + "!", time_limit=0.2) in (UNKNOWN, 0.0)
    assert search(r"(a+)+b|(a|aa)+c", "a" * 5000, time_limit=0.2) in (UNKNOWN, 0.0)
    assert time.perf_counter() - begun < 5


def test_a_broken_pattern_is_an_error_of_the_case_file() -> None:
    """It names case, field and pattern."""
    with pytest.raises(CaseFileError, match=r"badcase1/sea: must_include\[0\] '\('"):
        score("x", replace(case(), must_include=("(",)))


def test_a_registered_metric_is_scored_under_its_own_name() -> None:
    """One number under the metric's name, more of them behind a dot; built-in names are safe."""

    @register_metric("politeness")
    def politeness(answer: str, of: Case) -> Mapping[str, float]:
        return {"politeness": float("please" in answer), "rep8": 7}

    values = score("please", case()).values
    assert (values["politeness"], values["politeness.rep8"], values["rep8"]) == (1.0, 7.0, 0.0)
    assert politeness("", case())["politeness"] == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None, True])
def test_a_metric_that_returns_no_finite_number_is_an_error(value: object) -> None:
    """The message names metric and case."""
    register_metric("odd", lambda answer, case: {"odd": value})  # type: ignore[arg-type]
    with pytest.raises(MetricError, match="metric 'odd' on case badcase1/sea"):
        score("x", case())


def test_a_metric_that_raises_is_an_error() -> None:
    """Not a failure of the model."""

    def raises(answer: str, case: Case) -> Mapping[str, float]:
        raise KeyError("no such word")

    register_metric("raises", raises)
    with pytest.raises(MetricError, match=r"metric 'raises' on case badcase1/sea: KeyError"):
        score("x", case())


def test_a_metric_needs_a_name_that_can_be_written() -> None:
    """An identifier: it becomes part of score names."""
    with pytest.raises(MetricError, match="identifier"):
        register_metric("not a name")


@pytest.mark.parametrize(
    ("tokens", "want"), [((1, 2, 3), 0.0), ((1, 1, 1, 1, 1), 0.5), (tuple(range(50)), 0.0), ((1, 2) * 50, 1 - 2 / 97)]
)
def test_seq_rep_4_is_one_minus_distinct_token_4_grams(tokens: tuple[int, ...], want: float) -> None:
    """Welleck et al. 2020."""
    assert sequence_repetition(tokens) == pytest.approx(want)


def test_compression_ratio_is_high_for_loops() -> None:
    """Uncompressed over compressed bytes; nothing for nothing."""
    assert compression_ratio("") == 0.0
    assert compression_ratio("sea " * 500) > 20 > 2.4 > compression_ratio("Copper carries heat better than steel.")


def test_similarity_is_scored_only_with_a_standard_answer() -> None:
    """Without one there is nothing that it could mean."""
    assert "similarity" not in score("The sea.", case(standard_answer=None)).values
    assert score("The sea.", case(standard_answer="The sea.")).values["similarity"] == 1.0
