"""Runs and trainings reach the experiment trackers, and a tracker that fails never decides anything."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.safe.secrets import keep_secret
from tests.integration.conftest import Make
from tests.support.events import read_scalars
from tests.support.projects import CLEAN, LOOP, record

SCRIPT = {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": CLEAN + " Yes."}}


def needs(package: str) -> pytest.MarkDecorator:
    """Skip without an optional package; it is only imported by the tracker's own process."""
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


@pytest.fixture(autouse=True)
def here(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's folder, with this file importable and no account of any service."""
    monkeypatch.chdir(pytester.path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")


def lines(root: Path) -> list[dict[str, Any]]:
    """What the tracker of JSON lines holds."""
    return [json.loads(line) for line in (root / "reports" / "tracked" / "tracked.jsonl").read_text().splitlines()]


def test_a_run_is_sent_with_ids_and_numbers(project: Make, pytester: pytest.Pytester) -> None:
    """The run's id, gate, version and figures arrive, and the summary says where."""
    root = project(settings='trackers = ["jsonl"]\nmax_repetition = 0.05')
    result = pytester.runpytest("badcases")
    assert result.ret == 1
    (line,) = lines(root)
    assert line["kind"] == "run"
    assert line["facts"]["run"] == line["name"]
    assert line["facts"]["adapters"] == "v4.0"
    assert line["facts"]["gate"] == "failed"
    assert line["facts"]["limit.max_repetition"] == "0.05"
    assert line["metrics"]["v4.0/pass_rate"] == pytest.approx(2 / 3)
    assert line["metrics"]["v4.0/role.guard/failed"] == 0
    assert "v4.0/tokens_median" in line["metrics"]
    result.stdout.fnmatch_lines(["tracker jsonl: *tracked.jsonl"])


def test_verdicts_go_as_a_table_of_cases(project: Make, pytester: pytest.Pytester) -> None:
    """Each case has a row with its verdict and the names of the rules that it broke."""
    root = project(settings='trackers = ["jsonl"]')
    pytester.runpytest("badcases")
    (name,) = lines(root)[0]["files"]
    rows = [json.loads(line) for line in (root / "reports" / "tracked" / name).read_text().splitlines()]
    assert {row["case"]: row["verdict"] for row in rows} == {
        "badcase1/sea": "FAIL", "badcase1/hill": "PASS", "badcase1/calm": "PASS",
    }  # fmt: skip
    assert "loop" in next(row["rules"] for row in rows if row["case"] == "badcase1/sea")


def test_texts_stay_unless_they_are_allowed(project: Make, pytester: pytest.Pytester) -> None:
    """By default no prompt, answer or standard answer leaves; with trackers_send_texts the reports go too."""
    root = project(settings='trackers = ["jsonl"]')
    pytester.runpytest("badcases")
    tracked = root / "reports" / "tracked"
    sent = "".join(p.read_text() for p in tracked.rglob("*") if p.is_file())
    for text in ("Write a few lines", "waves roll", "evening light"):
        assert text not in sent
    (root / "pyproject.toml").write_text(
        (root / "pyproject.toml").read_text().replace("[tool.harness]", "[tool.harness]\ntrackers_send_texts = true")
    )
    pytester.runpytest("badcases")
    names = {Path(name).name for name in lines(root)[1]["files"]}
    assert names == {"verdicts.jsonl", "report.html", "report.json", "report.xlsx", "summary.md"}


def test_a_secret_is_never_sent(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that got into a case's id or a tag is masked."""
    keep_secret("hunter2-hunter2")
    monkeypatch.setenv("HARNESS_RUN_TAGS", "nightly, hunter2-hunter2")
    cases = [record("sea"), record("hunter2-hunter2")]
    root = project(cases=cases, script={"Write": CLEAN}, settings='trackers = ["jsonl"]')
    pytester.runpytest("badcases")
    sent = "".join(p.read_text() for p in (root / "reports" / "tracked").rglob("*") if p.is_file())
    assert "nightly" in sent
    assert "hunter2" not in sent


@pytest.mark.parametrize(
    ("tracker", "words"),
    [
        ("Broken", "ConnectionError: no route to host tracker.example"),
        ("Dying", "its process ended: segfault in a native library"),
        ("Missing", "has no attribute 'Missing'"),
    ],
    ids=["raises", "dies", "is-not-there"],
)
def test_a_failing_tracker_is_a_warning(project: Make, pytester: pytest.Pytester, tracker: str, words: str) -> None:
    """Verdicts and exit code are those without it, the others get the run, and the summary says what to do."""
    root = project(cases=[record("hill")], settings=f'trackers = ["tests.support.trackers:{tracker}", "jsonl"]')
    result = pytester.runpytest("badcases")
    assert result.ret == 0
    assert len(lines(root)) == 1
    result.stdout.fnmatch_lines([f"tracker *{tracker}: not sent: *{words}*", "*send it again: harness track *"])


def test_a_hanging_tracker_is_given_up(project: Make, pytester: pytest.Pytester) -> None:
    """At the deadline it is a warning like any other, although its server never answers."""
    project(
        cases=[record("hill")],
        settings='trackers = ["tests.support.trackers:Hanging"]\n[tool.harness.deadlines]\ntracker = 2',
    )
    result = pytester.runpytest("badcases")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["tracker *Hanging: not sent: no answer within 2 s*"])


def test_a_package_that_is_missing_is_named(project: Make, pytester: pytest.Pytester) -> None:
    """A tracker of one's own in a module that is not there says so."""
    project(cases=[record("hill")], settings='trackers = ["nowhere.at_all:Tracker"]')
    result = pytester.runpytest("badcases")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*not sent: No module named 'nowhere'*"])


def test_a_fix_sends_its_training(project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    """The rerun's entry has both versions, what became of the cases, and the loss by step."""
    root = project(script=SCRIPT, settings='trainer = "scripted"\ntrackers = ["jsonl"]')
    pytester.runpytest("badcases")
    assert main(["fix", "--failed"]) == 0
    entry = lines(root)[1]
    assert entry["facts"]["training.adapter"] == "v4.1"
    assert entry["metrics"]["changes/fixed"] == 1
    assert entry["metrics"]["v4.1/pass_rate"] == 1
    assert entry["series"]["training/loss"]
    assert "tracker jsonl:" in capsys.readouterr().err


def test_a_training_of_its_own_is_sent(project: Make) -> None:
    """``harness train`` leaves an entry with its loss."""
    root = project(settings='trainer = "scripted"\ntrackers = ["jsonl"]')
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]')
    assert main(["train", "sft", "--data", "data.json", "--as", "v5.0"]) == 0
    (entry,) = lines(root)
    assert (entry["name"], entry["kind"], entry["facts"]["stage"]) == ("training-v5.0", "training", "sft")
    assert entry["series"]["training/loss"]


def test_a_recorded_run_is_sent_later(
    project: Make, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """``harness track`` sends what a tracker missed: exit code 0, or 3 where it fails again."""
    root = project()
    pytester.runpytest("badcases")
    assert main(["track"]) == 2
    assert main(["track", "--to", "jsonl"]) == 0
    assert len(lines(root)) == 1
    capsys.readouterr()
    assert main(["track", "--to", "tests.support.trackers:Broken", "--json"]) == 3
    assert "no route" in json.loads(capsys.readouterr().out)["trackers"][0]["problem"]


@needs("mlflow")
def test_mlflow_gets_metrics_tags_and_files(project: Make, pytester: pytest.Pytester) -> None:
    """A store of MLflow's own has the run, its figures, its curve and its table."""
    root = project(script=SCRIPT, settings=(
        'trainer = "scripted"\ntrackers = ["mlflow"]\n[tool.harness.tracker_options.mlflow]\n'
        f'uri = "file://{pytester.path}/store"\nexperiment = "songs"'
    ))  # fmt: skip
    pytester.runpytest("badcases")
    assert main(["fix", "--failed"]) == 0
    names = [p.read_text() for p in (root / "store").rglob("tags/mlflow.runName")]
    assert len(names) == 2
    (rate,) = (root / "store").rglob("metrics/v4.1/pass_rate")
    assert rate.read_text().split()[1] == "1.0"
    (loss,) = (root / "store").rglob("metrics/training/loss")
    assert len(loss.read_text().splitlines()) > 0
    assert len(list((root / "store").rglob("artifacts/verdicts.jsonl"))) == 2
    assert {p.read_text() for p in (root / "store").rglob("tags/harness.gate")} == {"failed", "passed"}


@needs("wandb")
def test_wandb_keeps_a_run_offline(project: Make, pytester: pytest.Pytester) -> None:
    """Without a network wandb leaves a run to upload, which holds the figures and nothing of this machine."""
    root = project(settings='trackers = ["wandb"]')
    result = pytester.runpytest("badcases")
    result.stdout.fnmatch_lines(["tracker wandb: *wandb sync*"])
    (file,) = (root / "reports" / "wandb").glob("offline-run-*/*.wandb")
    content = file.read_bytes()
    assert b"v4.0/pass_rate" in content
    for private in (b"Write a few lines", b"waves roll", b"pytest=="):
        assert private not in content


@needs("tensorboardX")
def test_tensorboard_reads_the_event_file(project: Make, pytester: pytest.Pytester) -> None:
    """The figures and the loss are scalars of an event file."""
    root = project(script=SCRIPT, settings='trainer = "scripted"\ntrackers = ["tensorboard"]')
    pytester.runpytest("badcases")
    assert main(["fix", "--failed"]) == 0
    newest = max((root / "reports" / "tensorboard").iterdir(), key=lambda p: p.stat().st_mtime)
    scalars = read_scalars(newest)
    assert scalars["v4.1/pass_rate"] == [(0, 1.0)]
    assert scalars["training/loss"]
    assert (newest / "verdicts.jsonl").is_file()
