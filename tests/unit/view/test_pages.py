"""The pages around a run's page, as they come from the server: complete without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from harness.project.settings import read_settings
from harness.store import Store
from harness.view.app import create_app
from tests.support.recorded import recorded_project

PORT, TOKEN = 8790, "a-token-of-this-test"
HEADERS = {"X-Harness": "1", "Content-Type": "application/json", "Origin": f"http://127.0.0.1:{PORT}"}
TRAINING = "v4.2-20261121"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return recorded_project(tmp_path / "project", 8)


@pytest.fixture
def page(project: Path) -> Iterator[TestClient]:
    app = create_app(read_settings(project, environment={}), token=TOKEN, port=PORT)
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}") as client:
        assert client.get(f"/?token={TOKEN}").status_code == 200
        yield client


def change(page: TestClient, path: str, **facts: Any) -> tuple[int, Any]:
    """Status and reply of a change."""
    answer = page.post(path, headers=HEADERS, content=json.dumps(facts))
    return answer.status_code, answer.json() if answer.status_code == 200 else answer.text


def run_of(project: Path) -> str:
    with Store(project / "reports" / "harness.sqlite") as store:
        return store.run("last").id


def progress(project: Path, *lines: dict[str, Any]) -> Path:
    """Write what a training has told so far."""
    attempt = project / "reports" / "trainings" / TRAINING / "attempt-1"
    attempt.mkdir()
    path = attempt / "progress.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_list_of_runs_counts_what_passed_by_version(page: TestClient, project: Path) -> None:
    """With a link to each run and to each version."""
    text = page.get("/").text
    assert f'href="/run/{run_of(project)}"' in text
    assert 'href="/version/v4.1"' in text


def test_a_project_without_a_run_says_how_to_start_one(tmp_path: Path) -> None:
    """The page opens in a new project."""
    project = recorded_project(tmp_path, 8)
    (project / "reports" / "harness.sqlite").unlink()
    app = create_app(read_settings(project, environment={}), token=TOKEN, port=PORT)
    with TestClient(app, base_url=f"http://127.0.0.1:{PORT}") as client:
        assert "pytest badcases" in client.get(f"/?token={TOKEN}").text


def test_a_version_shows_what_it_is_and_what_speaks_for_it(page: TestClient) -> None:
    """Its parent, its method, its lineage, and whether it can be blessed."""
    text = page.get("/version/v4.1").text
    assert "v4.0 → v4.1" in text
    assert "dpo" in text
    assert 'data-action="bless"' in text


@pytest.mark.parametrize("path", ["/version/v9.9", "/training/nothing", "/run/nothing"])
def test_what_does_not_exist_is_named(page: TestClient, path: str) -> None:
    """And nothing else is shown."""
    answer = page.get(path)
    assert answer.status_code in (404, 409)
    assert path.rpartition("/")[2] in answer.text


def test_the_versions_are_those_of_the_manifest(page: TestClient) -> None:
    """With their status."""
    text = page.get("/versions").text
    assert 'href="/version/v4.0"' in text
    assert "candidate" in text


def test_a_training_that_has_not_begun_shows_its_pairs_for_editing(page: TestClient) -> None:
    """They are used as they stand here."""
    assert f'href="/training/{TRAINING}"' in page.get("/trainings").text
    text = page.get(f"/training/{TRAINING}").text
    assert "The tide comes in, and the boats rise with it." in text
    assert 'data-action="drop-pair"' in text


def test_a_training_under_way_tells_its_step_loss_and_time_left(page: TestClient, project: Path) -> None:
    """On its own page, in the list, and to the script of every page."""
    progress(
        project,
        {"phase": "training", "time": 1.0, "step": 10, "total_steps": 40, "loss": 0.5, "remaining": 90.0},
    )
    assert "10 / 40" in page.get("/trainings").text
    assert "0.500" in page.get(f"/training/{TRAINING}").text
    [told] = page.get("/live.json").json()["trainings"]
    assert (told["name"], told["step"], told["total"], told["loss"]) == (TRAINING, 10, 40, 0.5)


def test_a_training_that_failed_says_why(page: TestClient, project: Path) -> None:
    """And it is not under way any more."""
    progress(project, {"phase": "failed", "message": "out of memory"})
    assert "out of memory" in page.get(f"/training/{TRAINING}").text
    assert page.get("/live.json").json()["trainings"] == []


def test_a_damaged_progress_file_is_no_training(page: TestClient, project: Path) -> None:
    """The page of its pairs opens all the same."""
    progress(project).write_text('{"phase": "training", "step": "ten"}\n[]\n')
    assert page.get(f"/training/{TRAINING}").status_code == 200


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999"])
@pytest.mark.parametrize("name", ["loss", "remaining", "time"])
def test_a_figure_that_is_no_number_costs_its_line(page: TestClient, project: Path, name: str, value: str) -> None:
    """A damaged line; the page goes on with the one before."""
    good = {"phase": "training", "time": 1.0, "step": 3, "total_steps": 40, "loss": 0.5, "remaining": 90.0}
    path = progress(project, good)
    with path.open("a") as file:
        file.write(json.dumps({**good, "step": 4, name: "X"}).replace('"X"', value) + "\n")
    [told] = page.get("/live.json").json()["trainings"]
    assert (told["step"], told["loss"]) == (3, 0.5)


def test_damaged_pairs_are_told_on_their_page(page: TestClient, project: Path) -> None:
    """Nothing is guessed from half a file."""
    for path in (project / "reports" / "trainings" / TRAINING).glob("*.json*"):
        path.write_text("{")
    assert 'class="bad"' in page.get(f"/training/{TRAINING}").text


def test_a_run_under_way_tells_how_far_it_is(page: TestClient, project: Path) -> None:
    """By the run's own page."""
    run = run_of(project)
    told = page.get(f"/live.json?run={run}").json()["run"]
    assert told == {"id": run, "status": "finished", "done": 16, "planned": 16, "left": ""}


def test_a_corrected_standard_answer_stands_beside_the_recorded_run(page: TestClient, project: Path) -> None:
    """Until it is taken back."""
    run = run_of(project)
    case, before = next((k, v["standard"]) for k, v in page.get(f"/run/{run}/now.json").json().items() if v["standard"])
    assert change(page, "/edit/standard-answer", case=case, text="Another one.")[0] == 200
    assert page.get(f"/run/{run}/now.json").json()[case]["standard"] == "Another one."
    assert change(page, "/undo")[0] == 200
    assert page.get(f"/run/{run}/now.json").json()[case]["standard"] == before


def test_an_answer_is_marked_and_shown_as_marked(page: TestClient, project: Path) -> None:
    """The mark goes into the case file, so the next run knows it."""
    run = run_of(project)
    case = next(iter(page.get(f"/run/{run}/now.json").json()))
    facts = {"run": run, "case": case, "version": "v4.1", "sample": 0}
    assert page.get(f"/run/{run}/answer.json", params={"case": case, "version": "v4.1"}).json()["text"]
    assert change(page, "/edit/mark", **facts, mark="rejected")[0] == 200
    assert page.get(f"/run/{run}/now.json").json()[case]["answers"]["v4.1"] == {"0": "rejected"}


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        pytest.param("/edit/mark", {"version": "v4.1", "sample": 7, "mark": "rejected"}, id="no-such-answer"),
        pytest.param("/edit/mark", {"version": "v4.1", "sample": 0, "mark": "lovely"}, id="no-such-mark"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused(
    page: TestClient, project: Path, path: str, facts: dict[str, Any]
) -> None:
    """The case files stay as they are."""
    run = run_of(project)
    case = next(iter(page.get(f"/run/{run}/now.json").json()))
    files = {p: p.read_bytes() for p in (project / "badcases").rglob("*.json")}
    assert change(page, path, run=run, case=case, **facts)[0] == 404
    assert {p: p.read_bytes() for p in files} == files


def test_a_version_is_refused_with_a_reason(page: TestClient, project: Path) -> None:
    """It stands in the manifest."""
    assert change(page, "/edit/version", name="v4.1", blessed=False, reason="too short")[0] == 200
    assert "too short" in (project / "adapters_manifest.toml").read_text()
