"""Runs from Python: evaluated, opened, compared; and the example notebook."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import harness
from harness.errors import EngineError, UsageError
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "examples" / "analysis.ipynb"


def test_an_evaluation_is_a_recorded_run(project: Make) -> None:
    """It returns what open_run reads back, judged and reported."""
    root = project()
    run = harness.evaluate(root)
    assert [(r.case.id, str(r.verdict.status)) for r in run.results] == [
        ("badcase1/sea", "FAIL"), ("badcase1/hill", "PASS"), ("badcase1/calm", "PASS"),
    ]  # fmt: skip
    again = harness.open_run(run.id, root=root)
    assert again.results == run.results
    assert (root / "reports" / "runs" / run.id / "report.html").is_file()
    assert repr(run) == f"<run {run.id} (finished) of v4.0: 2 of 3 pass>"
    assert list(run.frame()["verdict"]) == ["FAIL", "PASS", "PASS"]


def test_cases_adapters_and_settings_are_chosen(project: Make) -> None:
    """Patterns of ids, several versions, and settings by name."""
    root = project()
    run = harness.evaluate(root, cases="*/[sc]*", adapters=["v3.9", "v4.0"], max_repetition=0.5)
    assert [(r.adapter, r.case.id) for r in run.results] == [
        ("v3.9", "badcase1/sea"), ("v3.9", "badcase1/calm"), ("v4.0", "badcase1/sea"), ("v4.0", "badcase1/calm"),
    ]  # fmt: skip
    assert run.run.facts["limits"]["max_repetition"] == 0.5


def test_runs_are_compared(project: Make) -> None:
    """From the earlier one to this one; a case that only one of them ran does not count."""
    root = project()
    before = harness.evaluate(root)
    (root / "script.json").write_text(json.dumps({"sea": CLEAN, "hill": LOOP, "calm": CLEAN}))
    after = harness.evaluate(root, cases=["badcase1/sea", "badcase1/hill"])
    comparison = after.compare(before)
    assert (comparison.fixed, comparison.broken) == (("badcase1/sea",), ("badcase1/hill",))
    assert sorted(comparison.frame()["change"]) == ["broken", "fixed"]
    assert repr(comparison) == "<1 fixed, 1 broken, 0 still failing of 2 cases>"
    with pytest.raises(UsageError, match=r"has no adapter 'v9'; it has: v4\.0"):
        after.compare(before, adapter="v9")


def test_versions_of_one_run_are_compared(project: Make) -> None:
    """Without another run the first version is compared with the last."""
    run = harness.evaluate(project(), adapters=["v3.9", "v4.0"])
    assert run.compare().still_failing == ("badcase1/sea",)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"cases": "nothing/*"}, "no case 'nothing/*'"),
        ({"adapters": "v9"}, "adapter 'v9' is not in"),
        ({"max_repetiton": 0.1}, "max_repetiton"),
        ({"max_repetition": 7}, "max_repetition = 7"),
    ],
    ids=["case", "adapter", "setting", "value"],
)
def test_a_wrong_word_is_a_usage_error(project: Make, words: dict[str, object], says: str) -> None:
    """With the same sentences as on the command line."""
    with pytest.raises(UsageError) as caught:
        harness.evaluate(project(), **words)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_an_engine_that_breaks_raises(project: Make) -> None:
    """Nobody takes the rest of a table for all of it."""
    with pytest.raises(EngineError, match="out of memory"):
        harness.evaluate(project(script={"sea": {"error": "out of memory"}}))


def test_progress_is_told_in_lines(project: Make) -> None:
    """A long evaluation in a notebook says how far it is."""
    lines: list[str] = []
    harness.evaluate(project(), progress=lines.append)
    assert any("3 answers" in line for line in lines)


def test_the_example_notebook_runs(project: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of docs/examples/analysis.ipynb works in a project."""
    root = project()
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(root)}}).execute()
    assert "still failing" in str(notebook.cells)


def test_the_example_notebook_holds_no_output() -> None:
    """What it prints belongs to a machine."""
    cells = [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
