"""The benchmark of the fix runs to its end with fakes, twice as fast the second time, and counts right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cases import read_suite
from harness.cases.model import Thresholds
from harness.judging.results import Status, Verdict
from harness.project.settings import read_settings
from harness.store import Store
from tests.benchmarks.fix import arms
from tests.benchmarks.fix.arms import ARMS, Bench, Lines, Size, choose_cases, run_arm
from tests.benchmarks.fix.kinds import KINDS, make_suite
from tests.benchmarks.fix.measure import after_rounds, measure, summarise
from tests.support.builders import case, looped, result
from tests.support.projects import CLEAN, LOOP, make_project, record
from trainers.base import OnProgress, TrainRequest, TrainResult
from trainers.scripted import ScriptedTrainer

LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
SOUND = "The sea is wide. It sings at night."
CASES = [record("sea"), record("hill"), record("lake", role="holdout"), record("calm", role="guard")]


class Counting(ScriptedTrainer):
    """Counts how often it trained."""

    count = 0

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        type(self).count += 1
        return ScriptedTrainer().train(request, on_progress)


def counting(_root: Path) -> Counting:
    return Counting()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A project in which both cases to train on loop; one is cured in the first round, the other in the second."""
    Counting.count = 0
    made = [f"{arm}-s1-{size}.{n}" for arm in ARMS for size in ("all", "n1") for n in (1, 2)]
    script: dict[str, Any] = {
        "sea": {"": LOOP} | dict.fromkeys(made, CLEAN),
        "hill": {"": LOOP} | {m: CLEAN if m.endswith("2") else LOOP for m in made},
        "lake": {"": LOOP} | {m: CLEAN if m.endswith("2") else LOOP for m in made},
        "calm": {"": CLEAN} | dict.fromkeys(made, CLEAN + " Yes."),
    }
    root = make_project(tmp_path, CASES, script, 'trainer = "tests.integration.test_bench_fix:counting"')
    settings = read_settings(root)
    with Store(settings.database) as store:
        yield Bench(settings, store, Lines(lambda _: None))


def test_an_arm_is_fixed_in_rounds_and_measured_under_both_decodings(bench: Bench) -> None:
    """Two rounds, each on what still failed; figures of greedy and beam of what was kept."""
    found = run_arm(bench, ARMS["dpo"], 1, Size(), choose_cases(bench, Size()))
    assert [r["status"] for r in found["rounds"]] == ["blessed", "blessed"]
    stands = after_rounds(found, 2)
    assert stands is not None and stands["kept_round"] == 2
    for decoding in ("beam", "greedy"):
        assert stands[decoding]["trained_on"] == {"looped": 2, "cured": 2, "pass": 1.0, "still": []}
        assert (stands[decoding]["holdout"]["before"], stands[decoding]["holdout"]["after"]) == (1, 0)
        assert stands[decoding]["guards"]["broken"] == []


def test_a_second_round_goes_on_from_the_first(bench: Bench) -> None:
    """What one round gave is told beside what two give, and is not trained again for it."""
    cases = choose_cases(bench, Size())
    one = run_arm(bench, ARMS["dpo"], 1, Size(rounds=1), cases)
    two = run_arm(bench, ARMS["dpo"], 1, Size(rounds=2), cases)
    assert (one["most_rounds"], two["most_rounds"], Counting.count) == (1, 2, 2)
    assert after_rounds(one, 1) == after_rounds(two, 1)
    assert after_rounds(two, 1) != after_rounds(two, 2)


@pytest.mark.parametrize(
    ("blessed", "kept"),
    [((True, True), 2), ((True, False), 1), ((False,), 1), ((), None)],
    ids=["both", "second refused", "first refused", "nothing failed"],
)
def test_what_stands_after_two_rounds_is_what_was_blessed_last(blessed: tuple[bool, ...], kept: int | None) -> None:
    """A refused round counts in training time, but its version does not stand in place of a blessed one."""
    rounds = [
        {"round": n, "blessed": yes, "training_seconds": 60.0, "beam": {"of": n}, "greedy": {"of": n}}
        for n, yes in enumerate(blessed, 1)
    ]
    stands = after_rounds({"rounds": rounds}, 2)
    wanted = kept and {
        "kept_round": kept,
        "training_seconds": 60.0 * len(blessed),
        "beam": {"of": kept},
        "greedy": {"of": kept},
    }
    assert stands == wanted


def test_what_was_trained_is_not_trained_again(bench: Bench) -> None:
    """An arm whose result file was lost is measured again from what is kept, and is the same."""
    cases = choose_cases(bench, Size())
    first = run_arm(bench, ARMS["dpo"], 1, Size(), cases)
    assert Counting.count == 2
    assert run_arm(bench, ARMS["dpo"], 1, Size(), cases) == first
    assert Counting.count == 2


def test_the_peers_arm_learns_four_written_pairs_once(bench: Bench) -> None:
    """One round, hand-made pairs, no more of them than failing cases."""
    found = run_arm(bench, ARMS["peers"], 1, Size(), choose_cases(bench, Size()))
    (only,) = found["rounds"]
    assert only["origins"] == {"hand-made": 2}


def test_a_part_of_the_suite_has_cases_of_every_role(bench: Bench) -> None:
    """--limit takes so many of each; --failing leaves failing cases out, not others."""
    assert [c.role for c in choose_cases(bench, Size(limit=1))] == ["fix", "holdout", "guard"]
    assert [c.role for c in choose_cases(bench, Size(failing=1))] == ["fix", "holdout", "guard"]


def test_figures_are_counted_right() -> None:
    """Only what pairs were made from counts as trained on; a guard that broke is named."""
    ids = {"fix": 3, "holdout": 2, "guard": 2}
    of = {f"{role}{i}": case(f"s/{role}{i}", role=role) for role, n in ids.items() for i in range(n)}  # type: ignore[arg-type]
    loops_before = {"fix0", "fix1", "fix2", "holdout0", "holdout1"}
    loops_after = {"fix1", "fix2", "holdout1", "guard1"}

    def side(loops: set[str]) -> list[Any]:
        return [result(c, LOOPING, LOOPS) if i in loops else result(c, SOUND) for i, c in of.items()]

    found = measure(side(loops_before), side(loops_after), {"s/fix0", "s/fix1"})
    assert found["trained_on"] == {"looped": 2, "cured": 1, "pass": 0.5, "still": ["s/fix1"]}
    assert found["holdout"] == {"before": 2, "after": 1, "of": 2, "reduction": 0.5, "still": ["s/holdout1"]}
    assert found["guards"] == {"passed": 2, "broken": ["s/guard1"], "broken_share": 0.5}
    assert found["cutoffs"]["reduction"] == pytest.approx(1 / 5)


def test_a_summary_has_no_spread_of_one_seed() -> None:
    """Mean and sample standard deviation over seeds; what was not measured is no number."""
    row = {
        "trained_on": {"pass": 1.0}, "holdout": {"reduction": None}, "cutoffs": {"reduction": 0.5},
        "guards": {"broken_share": 0.0}, "length_ratio": 1.0, "length_all": 1.0, "similarity": {"rise": 0.1},
    }  # fmt: skip
    one = {"training_seconds": 60.0, "beam": row, "greedy": row}
    assert summarise([one])["training_minutes"] == {"mean": 1.0, "spread": None, "n": 1}
    two = summarise([one, json.loads(json.dumps(one)) | {"training_seconds": 180.0}])
    assert two["training_minutes"] == {"mean": 2.0, "spread": 1.4142, "n": 2}
    assert two["beam"]["holdout.reduction"] == {"mean": None, "spread": None, "n": 0}


@pytest.mark.parametrize("name", KINDS)
def test_a_suite_of_every_kind_can_be_read(tmp_path: Path, name: str) -> None:
    """Each has cases to train on, held-out ones and guards, and only guards are judged as before."""
    make_suite(KINDS[name], Path(arms.__file__).with_name("suite"), tmp_path)
    cases = read_suite(tmp_path)
    usual = Thresholds()
    by_role = {role: [c for c in cases if c.role == role] for role in ("fix", "holdout", "guard")}
    assert all(len(found) >= 20 for found in by_role.values())
    changed = {c.role for c in cases if c.thresholds != usual or c.must_not_include}
    assert changed == (set() if name == "repetition" else {"fix", "holdout"})


def test_another_kind_of_failure_is_counted_by_its_verdict() -> None:
    """What is fixed is what failed, whether it looped or not."""
    of = [case(f"s/fix{i}") for i in range(2)]
    before = [result(c, SOUND, verdict=Verdict(Status.FAIL)) for c in of]
    after = [result(of[0], SOUND), before[1]]
    found = measure(before, after, {"s/fix0", "s/fix1"}, failed=KINDS["length"].failed)
    assert (found["trained_on"]["looped"], found["trained_on"]["cured"]) == (2, 1)
