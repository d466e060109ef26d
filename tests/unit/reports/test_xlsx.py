"""The workbook: the columns that users know first, text that stays text, whole or not at all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from harness.errors import ReportError
from harness.judging.results import Reason, Status, Verdict
from harness.reports import xlsx_report as xlsx
from harness.reports.model import Report, TrainingFacts
from harness.reports.xlsx_report import FIRST_COLUMNS, write_xlsx
from tests.support.builders import attempt, case, failed_gate, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE


def cells(path: Path) -> list[Any]:
    return [cell for sheet in load_workbook(path) for row in sheet.iter_rows() for cell in row]


def rows(path: Path, sheet: str = "results") -> list[dict[str, Any]]:
    head, *body = load_workbook(path)[sheet].iter_rows(values_only=True)
    return [dict(zip(head, row, strict=True)) for row in body]


def test_the_first_columns_are_the_ones_that_users_have(tmp_path: Path) -> None:
    """Scripts that read the old file by position or by name go on working."""
    path = write_xlsx(report(result(case(prompt="Why?", standard_answer="So."), "Thus.")), tmp_path / "report.xlsx")
    (row,) = rows(path)
    assert tuple(row)[:4] == FIRST_COLUMNS == ("adapter_name_or_path", "text", "response", "standard_answer")
    assert tuple(row.values())[:4] == ("v4.0", "Why?", "Thus.", "So.")
    assert row["verdict"] == "PASS"


def test_hostile_text_is_text_in_every_position(tmp_path: Path) -> None:
    """No cell becomes a formula or an error, none exceeds the limit, and the file opens."""
    results = []
    for name, text in HOSTILE.items():
        verdict = Verdict(Status.FAIL, (Reason(rule=text, text=text, value=0.5, limit=0.1, repetition=True),))
        of = case(f"{name}/{text}", text, text, tags=(text,))
        results.append(result(of, text, adapter=text, verdict=verdict))
    facts = {text: text for text in HOSTILE.values()}
    path = write_xlsx(
        report(
            *results,
            gate=failed_gate("=1+1", "@SUM(1)"),
            training=TrainingFacts("=1+1", facts=facts),
        ),
        tmp_path / "report.xlsx",
    )
    found = cells(path)
    assert len(found) > 1_000
    assert {cell.data_type for cell in found} <= {"s", "n", "inlineStr"}
    for cell in found:
        if isinstance(cell.value, str):
            assert len(cell.value.encode("utf-16-le")) // 2 <= 32_767


def test_editing_a_cell_that_looks_like_a_formula_does_not_make_it_one(tmp_path: Path) -> None:
    """Such cells are quoted in their style, as if somebody had typed an apostrophe first."""
    path = write_xlsx(report(result(answer="=cmd|' /C calc'!A0")), tmp_path / "report.xlsx")
    (cell,) = [c for c in cells(path) if c.value == "=cmd|' /C calc'!A0"]
    assert (cell.data_type, cell.quotePrefix) == ("s", True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_a_number_that_is_none_is_shown_and_not_dropped(tmp_path: Path, value: float) -> None:
    """NaN and the infinities are words in their cell."""
    path = write_xlsx(report(result(values={"similarity": value})), tmp_path / "report.xlsx")
    assert rows(path)[0]["similarity"] == str(value)


def test_every_sample_has_its_row(tmp_path: Path) -> None:
    """An answer is never left out because another one is shown."""
    both = (attempt("One.", sample=0), attempt("Two.", sample=1))
    one = result()
    path = write_xlsx(report(type(one)(one.case, "v4.0", both, one.verdict)), tmp_path / "report.xlsx")
    assert [(r["response"], r["sample"]) for r in rows(path)] == [("One.", 0), ("Two.", 1)]


def test_a_case_without_an_answer_has_a_row_all_the_same(tmp_path: Path) -> None:
    """What the engine broke is visible, with its reason."""
    lost = result(verdict=Verdict(Status.ERROR, (Reason(rule="engine", text="out of memory"),)))
    (row,) = rows(write_xlsx(report(lost), tmp_path / "report.xlsx"))
    assert (row["response"], row["verdict"], row["reasons"]) == (None, "ERROR", "engine: out of memory")


def test_two_adapters_are_compared_case_by_case(tmp_path: Path) -> None:
    """A sheet of its own, what got worse first."""
    path = write_xlsx(demo_report(), tmp_path / "report.xlsx")
    compared = rows(path, "comparison")
    assert len(compared) == 40
    assert compared[0]["change"] == "broken"
    assert compared[0]["verdict before"] == "PASS"


def test_one_adapter_has_no_comparison(tmp_path: Path) -> None:
    """There is no empty sheet."""
    assert load_workbook(write_xlsx(report(result()), tmp_path / "report.xlsx")).sheetnames == ["results", "summary"]


def test_the_header_stays_in_sight_and_filters(tmp_path: Path) -> None:
    """Frozen, and every column can be filtered."""
    sheet = load_workbook(write_xlsx(demo_report(), tmp_path / "report.xlsx"))["results"]
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == sheet.dimensions


@pytest.mark.parametrize("empty", [report(), report(result(verdict=Verdict(Status.SKIP)))], ids=["no case", "skipped"])
def test_an_empty_run_makes_a_workbook_that_opens(tmp_path: Path, empty: Report) -> None:
    """Headers and nothing else."""
    assert load_workbook(write_xlsx(empty, tmp_path / "report.xlsx")).sheetnames == ["results", "summary"]


def test_a_damaged_workbook_does_not_replace_the_old_one(tmp_path: Path) -> None:
    """The file is read back before it takes the other's place."""
    path = tmp_path / "report.xlsx"
    path.write_bytes(b"the old one")
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(b"PK not a workbook")
    with pytest.raises(ReportError, match="cannot be read back"):
        xlsx.check(damaged, ("a",), 0)
    written = write_xlsx(report(result()), tmp_path / "other.xlsx")
    with pytest.raises(ReportError, match="1 of 2 rows"):
        xlsx.check(written, ("a",), 2)
    assert path.read_bytes() == b"the old one"
