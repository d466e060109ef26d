"""What a fix will take is told by what earlier work took, and not told where there was none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.fix.estimate import seconds_of_judging
from harness.judging.results import CaseResult
from harness.store import Run
from tests.support.builders import case, result


def results(generated: int, cached: int) -> list[CaseResult]:
    made = [result(case(f"badcase1/c{i}"), "Fine.") for i in range(generated + cached)]
    return [
        replace(r, attempts=tuple(replace(a, cached=number >= generated) for a in r.attempts))
        for number, r in enumerate(made)
    ]


def run(seconds: object) -> Run:
    return Run(id="r", started="", finished="", status="finished", planned=10, facts={"seconds": seconds})


def test_answers_take_as_long_as_those_of_the_run() -> None:
    """Stored answers took no time and do not count."""
    assert seconds_of_judging(run(60.0), results(10, 90), 25) == pytest.approx(150.0)


@pytest.mark.parametrize(
    ("seconds", "generated"), [(60.0, 3), (None, 10), ("?", 10), (0.0, 10)], ids=["few", "none", "text", "zero"]
)
def test_a_run_that_tells_nothing_gives_no_estimate(seconds: object, generated: int) -> None:
    """No figure is better than one from three answers."""
    assert seconds_of_judging(run(seconds), results(generated, 5), 25) is None
