"""``harness fix`` turns failures into a registered version, and leaves nothing half-done behind."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.project.manifest import read_manifest
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP, record
from trainers.base import OnProgress, TrainRequest, TrainResult
from trainers.scripted import ScriptedTrainer

TRAINER = 'trainer = "scripted"'
SEVERAL = 'trainer = "tests.integration.test_fix:several"'
"""Leaves checkpoints at steps 1, 2 and 3."""


def several(_root: Path) -> ScriptedTrainer:
    return ScriptedTrainer(steps=3, keep=(1, 2))


class Stopped:
    """A trainer that is not asked twice: its training was finished before."""

    def __init__(self, _root: Path) -> None:
        """Nothing is needed."""

    def check(self) -> None:
        """Nothing is needed."""

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        """Never again."""
        raise AssertionError("it was trained already")


@pytest.fixture
def failing(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A project with a recorded run, one of whose cases loops on v4.0 and not on v4.1."""

    def make(**fields: Any) -> Path:
        fields.setdefault(
            "script", {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": CLEAN + " Yes."}}
        )
        root = project(**{"settings": TRAINER, **fields})
        monkeypatch.chdir(root)
        pytester.runpytest("badcases", "--adapter", "v4.0")
        return root

    return make


def test_a_fix_trains_registers_runs_again_and_blesses(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole loop, from a failing case to a blessed version, exit code 0."""
    root = failing()
    assert main(["fix", "--failed"]) == 0
    adapter = read_manifest(root / "adapters_manifest.toml").adapter("v4.1")
    assert (adapter.parent, adapter.status, adapter.method) == ("v4.0", "blessed", "dpo")
    assert adapter.facts["after"]["failing"] == 0
    assert {p.name for p in (root / "adapters" / "v4.1").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert "v4.1 is blessed" in capsys.readouterr().out


def test_pairs_are_left_for_people_and_for_llamafactory(failing: Make) -> None:
    """The dataset and its registry lie in the training's folder, in the columns that people know."""
    root = failing()
    main(["fix", "--failed"])
    (folder,) = (root / "reports" / "trainings").iterdir()
    pairs = json.loads((folder / "generalized_dpo_preference_dataset.json").read_text())
    assert {"instruction", "input", "chosen", "rejected"} <= pairs[0].keys()
    assert "generalized_dpo_preference_dataset" in json.loads((folder / "dataset_info.json").read_text())
    assert {p["case_id"] for p in pairs if p["origin"] == "standard"} == {"badcase1/sea"}


def test_a_fix_that_breaks_a_guard_is_not_blessed(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Something fixed and a guard broken is a candidate: exit code 1, and the guard is named."""
    root = failing(script={"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": LOOP}})
    assert main(["fix", "--failed"]) == 1
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "candidate"
    assert "broken guard cases: 1 (badcase1/calm)" in capsys.readouterr().out


def test_an_adapter_without_effect_is_refused(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """When the engine answers with the adapter exactly as without, nothing is judged: exit code 3."""
    failing(script={"sea": LOOP, "hill": CLEAN, "calm": CLEAN})
    assert main(["fix", "--failed"]) == 3
    assert "effect" in capsys.readouterr().err


def test_nothing_to_fix_is_said_and_is_fine(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """A green suite needs no fix: exit code 0, nothing is trained."""
    root = failing(script={"Write": CLEAN})
    assert main(["fix", "--failed"]) == 0
    assert "nothing to fix" in capsys.readouterr().out
    assert not (root / "adapters").exists()


def test_failing_holdout_and_guard_cases_are_never_trained_on(
    failing: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run in which only those fail has nothing to fix."""
    failing(cases=[record("sea", role="holdout"), record("hill"), record("calm", role="guard")])
    assert main(["fix", "--failed"]) == 0
    assert "nothing to fix" in capsys.readouterr().out


def test_without_a_run_the_call_says_what_to_do(
    project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to fix before something was run: exit code 3 and the command."""
    monkeypatch.chdir(project(settings=TRAINER))
    assert main(["fix", "--failed"]) == 3
    assert "run first: pytest badcases" in capsys.readouterr().err


def test_dry_run_shows_the_pairs_and_trains_nothing(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be done is shown; manifest and adapters stay as they are."""
    root = failing()
    before = (root / "adapters_manifest.toml").read_text()
    assert main(["fix", "--failed", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "badcase1/sea" in out
    assert "nothing was trained" in out
    assert (root / "adapters_manifest.toml").read_text() == before
    assert not (root / "adapters").exists()


@pytest.mark.parametrize("name", ["v4.0", "../x", "a b"], ids=["taken", "path", "space"])
def test_a_name_that_cannot_be_is_refused(failing: Make, name: str) -> None:
    """A version that exists, or a name that is no folder's, is an error of the call."""
    failing()
    assert main(["fix", "--failed", "--as", name]) == 2


def test_json_output_is_one_document(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives a program what the table gives a person."""
    failing()
    capsys.readouterr()
    main(["fix", "--failed", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["adapter"] == "v4.1"
    assert data["roles"]["fix"]["fixed"] == ["badcase1/sea"]


def test_the_training_is_recorded(failing: Make) -> None:
    """The store knows which run a version learned from."""
    root = failing()
    main(["fix", "--failed"])
    with Store(root / "reports" / "harness.sqlite") as store:
        (training,) = store.trainings("v4.1")
        assert training.status == "registered"
        assert training.run in {r.id for r in store.runs()}


def test_compare_tells_fixed_and_broken(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Two recorded versions are compared without any engine."""
    failing()
    main(["fix", "--failed"])
    capsys.readouterr()
    assert main(["compare", "v4.0", "v4.1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["total"]["fixed"] == ["badcase1/sea"]


def test_a_hand_edited_pair_is_what_is_trained_on(failing: Make) -> None:
    """Pairs in the training's folder are taken as they are, and checked like any."""
    root = failing()
    main(["fix", "--failed", "--dry-run"])
    (folder,) = (root / "reports" / "trainings").iterdir()
    path = folder / "generalized_dpo_preference_dataset.json"
    pairs = json.loads(path.read_text())
    pairs[0]["chosen"] = "The sea, in my own words."
    path.write_text(json.dumps(pairs))
    assert main(["fix", "--failed"]) == 0
    assert tomllib.loads((root / "adapters_manifest.toml").read_text())["adapters"]["v4.1"]["pairs"] == len(pairs)
    assert json.loads(path.read_text())[0]["chosen"] == "The sea, in my own words."


def test_exported_pairs_come_back_edited(failing: Make) -> None:
    """harness pairs writes them, a person edits them, harness fix --pairs trains on exactly those."""
    root = failing()
    assert main(["pairs", "--failed", "--out", "mine"]) == 0
    path = root / "mine" / "generalized_dpo_preference_dataset.json"
    kept = json.loads(path.read_text())[:1]
    path.write_text(json.dumps(kept))
    assert main(["fix", "--failed", "--pairs", str(path)]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").facts["pairs"] == 1


def checkpoints(sea: dict[str, str], calm: dict[str, str]) -> dict[str, Any]:
    """A script in which the checkpoints of v4.1 answer as is said by step, and v4.1 as the one that is named."""
    steps = {"sea": sea, "calm": calm}
    script: dict[str, Any] = {"hill": {"": CLEAN, "v4.1": CLEAN + " Good night."}}
    for piece, said in steps.items():
        script[piece] = {"": LOOP if piece == "sea" else CLEAN, "v4.1": said.pop("v4.1")}
        script[piece] |= {f"v4.1-step-{step}": answer for step, answer in said.items()}
    for step in "123":
        script["hill"][f"v4.1-step-{step}"] = CLEAN + " Good night."
    return script


def test_the_best_checkpoint_is_published_not_the_last(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """The last one cures the case and breaks a guard, the one before does not; manifest and output say which."""
    root = failing(
        settings=SEVERAL,
        script=checkpoints(
            {"1": LOOP, "2": CLEAN, "3": CLEAN, "v4.1": CLEAN}, {"1": CLEAN, "2": CLEAN, "3": LOOP, "v4.1": CLEAN}
        ),
    )
    assert main(["fix", "--failed"]) == 0
    adapter = read_manifest(root / "adapters_manifest.toml").adapter("v4.1")
    assert adapter.facts["checkpoint"] == "step 2 of 3"
    assert adapter.path is not None
    (kept,) = (root / "reports" / "trainings").glob("*/attempt-1/checkpoints/step-2")
    name = "adapter_model.safetensors"
    assert (adapter.path / name).read_bytes() == (kept / name).read_bytes()
    out = capsys.readouterr().out
    assert "comparing 3 checkpoints on 3 cases" in out
    assert "step 2 <- kept" in out
    with Store(root / "reports" / "harness.sqlite") as store:
        assert store.trainings("v4.1")[0].facts["checkpoint"] == "step 2 of 3"


def test_checkpoints_are_no_suite_run(failing: Make) -> None:
    """Runs that people see are of versions, not of what was looked at to make one."""
    script = checkpoints(dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN), dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN))
    root = failing(settings=SEVERAL, script=script)
    main(["fix", "--failed"])
    with Store(root / "reports" / "harness.sqlite") as store:
        assert [r.adapters for r in store.runs()] == [("v4.1",), ("v4.0",)]
        assert len(store.runs(kinds=("selection",))) == 1


def test_among_equals_the_earliest_checkpoint_is_kept(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """It moved least away from its parent."""
    script = checkpoints(dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN), dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN))
    failing(settings=SEVERAL, script=script)
    capsys.readouterr()
    assert main(["fix", "--failed", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["selection"]["step"], data["selection"]["steps"]) == (1, 3)
    assert [c["fixed"] for c in data["selection"]["checkpoints"]] == [1, 1, 1]


@pytest.mark.parametrize("stage", ["kto", "sft"])
def test_other_stages_have_recipes_of_their_own(failing: Make, stage: str) -> None:
    """The version says how it was made."""
    root = failing()
    assert main(["fix", "--failed", "--stage", stage]) == 0
    adapter = read_manifest(root / "adapters_manifest.toml").adapter("v4.1")
    assert (adapter.method, adapter.recipe) == (stage, f"fix-{stage}")
    (rows,) = (root / "reports" / "trainings").glob("*/attempt-1/examples.jsonl")
    keys = {"kto": {"prompt", "answer", "label", "kl"}, "sft": {"ids", "spans"}}[stage]
    assert all(json.loads(line).keys() == keys for line in rows.read_text().splitlines())


def test_a_recipe_that_does_not_go_with_the_stage_is_refused(failing: Make) -> None:
    """An SFT with a preference loss is no SFT: exit code 2, and nothing was drawn."""
    failing()
    assert main(["fix", "--failed", "--stage", "sft", "--recipe", "fix"]) == 2


def test_what_became_of_lengths_and_similarity_is_told(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Fixed is not enough: answers may have become short, or unlike the standard answer."""
    failing()
    capsys.readouterr()
    main(["fix", "--failed", "--json"])
    effects = {e["role"]: e for e in json.loads(capsys.readouterr().out)["effects"]}
    assert effects["fix"]["repeaters"] == [1, 0]
    assert effects["guard"]["length_ratio"] > 1
    assert effects["all"]["similarity"][1] > effects["all"]["similarity"][0]


def test_a_fix_that_broke_in_its_rerun_goes_on_there(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Training, choice and registration are not done again; the version is judged under its own name."""
    good = checkpoints(dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN), dict.fromkeys(("1", "2", "3", "v4.1"), CLEAN))
    broken = json.loads(json.dumps(good))
    broken["sea"]["v4.1"] = {"error": "out of memory"}
    root = failing(settings=SEVERAL + "\ncache = false", script=broken)
    assert main(["fix", "--failed"]) == 3
    assert "after" not in read_manifest(root / "adapters_manifest.toml").adapter("v4.1").facts
    project = root / "pyproject.toml"
    project.write_text(project.read_text().replace(":several", ":Stopped"))
    (root / "script.json").write_text(json.dumps(good))
    assert main(["fix", "--failed", "--resume"]) == 0
    manifest = read_manifest(root / "adapters_manifest.toml")
    assert set(manifest.adapters) == {"v4.0", "v3.9", "v4.1"}
    assert manifest.adapter("v4.1").status == "blessed"
    assert "step 1 <- kept" in capsys.readouterr().out


def test_rounds_go_on_until_green(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Each round learns from what the version before still fails, and stands on it; the last one is green."""
    root = failing(script={
        "sea": {"": LOOP, "v4.1": CLEAN, "v4.2": CLEAN}, "hill": {"": LOOP, "v4.1": LOOP, "v4.2": CLEAN},
        "calm": {"": CLEAN, "v4.1": CLEAN + " Yes.", "v4.2": CLEAN + " No."},
    })  # fmt: skip
    assert main(["fix", "--failed", "--rounds", "5"]) == 0
    manifest = read_manifest(root / "adapters_manifest.toml")
    assert [(a.parent, a.on_top_of) for a in manifest.adapters.values()] == [
        (None, None), (None, None), ("v4.0", None), ("v4.1", "v4.1"),
    ]  # fmt: skip
    assert "v4.2 is blessed" in capsys.readouterr().out


def test_rounds_end_when_nothing_gets_better(failing: Make) -> None:
    """A round that fixes nothing is a candidate, and no third one is trained on top of it: exit code 1."""
    root = failing(script={
        "sea": {"": LOOP, "v4.1": CLEAN, "v4.2": CLEAN + " Yes."}, "hill": LOOP,
        "calm": {"": CLEAN, "v4.1": CLEAN + " Yes.", "v4.2": CLEAN + " No."},
    })  # fmt: skip
    assert main(["fix", "--failed", "--rounds", "5"]) == 1
    manifest = read_manifest(root / "adapters_manifest.toml")
    assert {n: a.status for n, a in manifest.adapters.items() if a.parent} == {"v4.1": "blessed", "v4.2": "candidate"}


def test_pairs_are_shown_and_go_where_they_are_wanted(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out a person only looks; a name that ends in .json is the file itself."""
    root = failing()
    assert main(["pairs", "--failed"]) == 0
    assert re.search(r"^badcase1/sea +standard ", capsys.readouterr().out, re.MULTILINE)
    assert main(["pairs", "--failed", "--out", "mine/pairs.json"]) == 0
    assert (root / "mine" / "pairs.json").is_file()
    assert main(["fix", "--failed", "--pairs", "mine/pairs.json"]) == 0


def test_pairs_that_hold_a_guards_prompt_abort(failing: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody edits the test into the training: exit code, the guard's name, and nothing was trained."""
    root = failing()
    main(["pairs", "--failed", "--out", "mine.json"])
    pairs = json.loads((root / "mine.json").read_text())
    pairs[0]["instruction"] = "Please write a few lines about the calm!"
    (root / "mine.json").write_text(json.dumps(pairs))
    assert main(["fix", "--failed", "--pairs", "mine.json"]) != 0
    assert "guard case badcase1/calm" in capsys.readouterr().err
    assert not (root / "adapters").exists()
