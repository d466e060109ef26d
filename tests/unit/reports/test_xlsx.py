"""The workbook: the columns that users know first, text that stays text, whole or not at all."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook, load_workbook

from harness.errors import ReportError
from harness.judging.results import Reason, Status, Verdict
from harness.reports.model import Report, TrainingFacts
from harness.reports.workbook import check_workbook
from harness.reports.xlsx_report import FIRST_COLUMNS, MAX_SCORED, write_xlsx
from tests.support.builders import attempt, case, failed_gate, looped, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

LOOPING = looped("The sea is blue.\n", "The waves roll in and out again,\n", 41.5)
SHEETS = ["results", "summary", "scores"]


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
    told = (row["response"], row["verdict"], row["reason"])
    assert told == (None, "ERROR", "the engine failed: out of memory")


def test_verdict_and_reason_stand_beside_the_answer(tmp_path: Path) -> None:
    """Before any score, in words."""
    path = write_xlsx(report(result(case(), *LOOPING)), tmp_path / "report.xlsx")
    (row,) = rows(path)
    assert tuple(row)[4:10] == ("verdict", "reason", "repetition", "rep8", "loop_coverage", "similarity")
    assert row["reason"].startswith("repeats the same 7 words 41.5 times from character 18 on")


def test_the_loop_is_marked_in_the_answer(tmp_path: Path) -> None:
    """The first copy and what repeats it have a colour each and are bold; the text is the answer's own."""
    path = write_xlsx(report(result(case(), *LOOPING)), tmp_path / "report.xlsx")
    cell = load_workbook(path, rich_text=True)["results"]["C2"].value
    before, first, repeats = cell
    assert str(cell) == LOOPING[0]
    assert str(before) == "The sea is blue.\n"
    assert str(first) == "The waves roll in and out again,\n"
    assert (first.font.b, first.font.color.rgb) == (True, "FF9C5700")
    assert (repeats.font.b, repeats.font.color.rgb) == (True, "FFC00000")


def test_a_loop_that_no_rule_blames_is_not_marked(tmp_path: Path) -> None:
    """The table of an answer that passes is no fault."""
    answer, loops = looped("", "| a | b |\n", 30)
    passed = result(answer=answer, loops=loops, verdict=Verdict(Status.PASS))
    path = write_xlsx(report(passed), tmp_path / "report.xlsx")
    assert load_workbook(path, rich_text=True)["results"]["C2"].value == answer


@pytest.mark.parametrize(
    "text",
    [
        "<r></r>", "<r><t>a</t></r>", '<r></r></is></c><c r="D2"><f>1+1</f></c><c t="inlineStr"><is><r></r>',
        "_x000D_", "a_x000D_x000D_b", "_x005F_x000D_", "_", "a & <b>", " leading", "trailing\n", "=1+1", "_x0041_ " * 9,
    ],
)  # fmt: skip
@pytest.mark.parametrize("marked", [False, True], ids=["plain", "marked"])
def test_text_of_the_format_itself_is_read_back_as_it_was(tmp_path: Path, text: str, marked: bool) -> None:
    """Markup and escapes of spreadsheet files are only text in an answer, with and without a marked loop in it."""
    unit = f"{text} again\n"
    answer, loops = looped(text, unit, 40) if marked else (text, ())
    path = write_xlsx(report(result(answer=answer, loops=loops)), tmp_path / "report.xlsx")
    with ZipFile(path) as archive:
        sheet = ET.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    (cell,) = [c for c in sheet.iter(f"{space}c") if c.get("r") == "C2"]
    pieces = [piece.text or "" for piece in cell.iter(f"{space}t")]
    assert not [p for p in pieces if re.search("_x[0-9A-Fa-f]{4}_", p)]
    assert "".join(pieces) == answer


def test_a_marked_answer_that_is_too_long_is_cut_with_its_marks(tmp_path: Path) -> None:
    """A cell holds 32,767 units, and the note about the rest stands unmarked at its end."""
    answer, loops = looped("\U0001f600 Before. ", "again and again, \U0001f600 ", 4_000)
    path = write_xlsx(report(result(answer=answer, loops=loops)), tmp_path / "report.xlsx")
    cell = load_workbook(path, rich_text=True)["results"]["C2"].value
    assert len(str(cell).encode("utf-16-le")) // 2 <= 32_767
    assert answer.startswith(str(cell[2])[:900], len(str(cell[0])) + len(str(cell[1])))
    assert "see the JSON report" in str(cell[3])


def test_a_text_with_what_no_cell_may_hold_keeps_its_marks(tmp_path: Path) -> None:
    """Control characters are shown, and the loop is still found by its colour."""
    answer, loops = looped("a\x1b[2K", "again\x00 and on ", 60)
    path = write_xlsx(report(result(answer=answer, loops=loops)), tmp_path / "report.xlsx")
    cell = load_workbook(path, rich_text=True)["results"]["C2"].value
    assert [str(piece)[:9] for piece in cell] == ["a\\x1b[2K", "again\\x00", "again\\x00"]


def test_inner_scores_have_a_sheet_of_their_own(tmp_path: Path) -> None:
    """Every score by name, and the rules that were broken."""
    path = write_xlsx(report(result(case(), *LOOPING, values={"lines": 42.0})), tmp_path / "report.xlsx")
    (row,) = rows(path, "scores")
    assert (row["case_id"], row["verdict"], row["rules"], row["lines"]) == ("badcase1/sea", "FAIL", "loop, rep8", 42)
    assert "lines" not in rows(path)[0]


def test_of_a_large_run_only_what_did_not_pass_has_inner_scores(tmp_path: Path) -> None:
    """And the sheet says so."""
    many = [result(case(f"f/{n}"), "Fine.") for n in range(MAX_SCORED)]
    path = write_xlsx(report(*many, result(case("f/x"), *LOOPING)), tmp_path / "report.xlsx")
    row, note = rows(path, "scores")
    assert row["case_id"] == "f/x"
    assert note["adapter"].startswith("1 of 1,001 answers")


def test_a_sheet_prints_on_paper(tmp_path: Path) -> None:
    """Landscape, as wide as the page, the header on every page."""
    sheet = load_workbook(write_xlsx(demo_report(), tmp_path / "report.xlsx"))["results"]
    assert (sheet.page_setup.orientation, sheet.page_setup.fitToHeight) == ("landscape", 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$1:$1"


def test_two_adapters_are_compared_case_by_case(tmp_path: Path) -> None:
    """A sheet of its own, what got worse first."""
    path = write_xlsx(demo_report(), tmp_path / "report.xlsx")
    compared = rows(path, "changes")
    assert len(compared) == 40
    assert compared[0]["change"] == "broken"
    assert compared[0]["verdict before"] == "PASS"


def test_one_adapter_has_no_comparison(tmp_path: Path) -> None:
    """There is no empty sheet."""
    assert load_workbook(write_xlsx(report(result()), tmp_path / "report.xlsx")).sheetnames == SHEETS


def test_the_header_stays_in_sight_and_filters(tmp_path: Path) -> None:
    """Frozen, and every column can be filtered."""
    sheet = load_workbook(write_xlsx(demo_report(), tmp_path / "report.xlsx"))["results"]
    assert sheet["E2"].fill.fgColor.rgb == "FFFFD9D6"
    assert sheet.freeze_panes == "B2"
    assert sheet.auto_filter.ref == sheet.dimensions


@pytest.mark.parametrize("empty", [report(), report(result(verdict=Verdict(Status.SKIP)))], ids=["no case", "skipped"])
def test_an_empty_run_makes_a_workbook_that_opens(tmp_path: Path, empty: Report) -> None:
    """Headers and nothing else."""
    assert load_workbook(write_xlsx(empty, tmp_path / "report.xlsx")).sheetnames == SHEETS


def test_a_damaged_workbook_does_not_replace_the_old_one(tmp_path: Path) -> None:
    """The file is read back before it takes the other's place."""
    damaged = tmp_path / "damaged.xlsx"
    damaged.write_bytes(b"PK not a workbook")
    with pytest.raises(ReportError, match="cannot be read back"):
        check_workbook(damaged, [1])
    written = write_xlsx(report(result()), tmp_path / "other.xlsx")
    with pytest.raises(ReportError, match=r"have \[2, .* of \[3, "):
        check_workbook(written, [3, 1, 1])


def test_a_workbook_with_a_formula_is_refused(tmp_path: Path) -> None:
    """Whatever made it one."""
    book = Workbook()
    book.active.append(["=1+1"])
    book.save(tmp_path / "formula.xlsx")
    with pytest.raises(ReportError, match="became a formula"):
        check_workbook(tmp_path / "formula.xlsx", [1])
