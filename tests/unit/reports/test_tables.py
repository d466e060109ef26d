"""Results as tables: every case a row, every score a column, no text a formula."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest

import harness
from harness.errors import UsageError
from harness.reports.tables import changes_frame, results_frame, write_table
from harness.store import Store
from harness.suite.compare import changes
from tests.support.builders import case, result


def test_a_row_holds_the_case_its_answer_its_verdict_and_its_scores() -> None:
    """As a notebook wants them."""
    frame = results_frame([result(case("f/a", tags=("x", "y")), "An answer.")], run="r1")
    (row,) = frame.to_dict("records")
    assert (row["run"], row["id"], row["folder"], row["tags"]) == ("r1", "f/a", "f", "x, y")
    assert (row["answer"], row["verdict"]) == ("An answer.", "PASS")
    assert {"repetition", "rep8", "similarity", "seconds", "finish_reason"} <= set(frame.columns)


def test_a_comparison_has_both_sides_in_a_row() -> None:
    """Class, verdicts, scores and answers."""
    frame = changes_frame(changes([result(case("f/a"), adapter="v1")], [result(case("f/a"), adapter="v2")]))
    (row,) = frame.to_dict("records")
    assert (row["change"], row["adapter_before"], row["adapter_after"]) == ("still passing", "v1", "v2")


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_a_table_is_read_back(tmp_path: Path, suffix: str) -> None:
    """Each format holds the same rows and the same text."""
    frame = results_frame([result(case("f/a"), "One."), result(case("f/b"), 'Two,\n"three".')])
    path = write_table(frame, tmp_path / f"table{suffix}")
    read = {".csv": pd.read_csv, ".xlsx": pd.read_excel, ".parquet": pd.read_parquet}[suffix](path)
    assert list(read["id"]) == ["f/a", "f/b"]
    assert list(read["answer"]) == ["One.", 'Two,\n"three".']


def test_no_answer_becomes_a_formula(tmp_path: Path) -> None:
    """A model's text that begins like a formula stays text in CSV and XLSX."""
    frame = results_frame([result(case("f/a"), "=1+1")])
    book = openpyxl.load_workbook(write_table(frame, tmp_path / "table.xlsx"))
    assert {cell.data_type for row in book.active.iter_rows() for cell in row} <= {"s", "inlineStr", "n"}
    assert "'=1+1" in write_table(frame, tmp_path / "table.csv").read_text("utf-8")


def test_another_ending_is_a_usage_error(tmp_path: Path) -> None:
    """With the endings that there are."""
    with pytest.raises(UsageError, match=r"a table ends with \.csv, \.xlsx, \.parquet"):
        write_table(results_frame([]), tmp_path / "table.ods")


def test_a_recorded_run_is_loaded_for_a_notebook(tmp_path: Path) -> None:
    """``harness.load_run`` finds the newest run of a project."""
    with Store(tmp_path / "reports" / "harness.sqlite") as store:
        run = store.begin_run(1, {"adapters": ["v4.0"]})
        store.save_result(run.id, 0, result(case("f/a"), "An answer."))
        store.finish_run(run.id, "finished")
    loaded = harness.load_run("last", root=tmp_path)
    assert (loaded.run.id, list(loaded.to_frame()["answer"])) == (run.id, ["An answer."])
