"""JSON keeps everything exactly, Markdown is short and safe, and one failing report does not cost the others."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from harness.errors import ReportError
from harness.judging.results import Reason, Status, Verdict
from harness.reports import write_all
from harness.reports.json_report import SCHEMA, to_json
from harness.reports.markdown_report import to_markdown
from tests.support.builders import case, failed_gate, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

hostile = pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
MARKUP = re.compile(r"[!\"#$&*:<>@\[\]^_`{|}~\\\n]")


@hostile
def test_json_keeps_the_exact_text(text: str) -> None:
    """Not one character of an answer is changed, lone surrogates included, and the file is plain ASCII."""
    written = to_json(report(result(case(prompt=text), text)))
    assert written.isascii()
    (found,) = json.loads(written)["adapters"][0]["results"]
    assert found["attempts"][0]["answer"] == text
    assert found["case"]["messages"][-1]["content"] == text


def test_json_says_its_schema_and_what_every_reader_needs() -> None:
    """A program need not derive what the reports agree on."""
    data = json.loads(to_json(demo_report()))
    assert data["schema"] == SCHEMA
    assert data["headline"].startswith("v4.1 against v4.0: 1 broken")
    assert data["changes"][0]["kind"] == "broken"
    assert data["adapters"][1]["figures"]["failed"] == 11
    assert data["gate"]["passed"] is False


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=str)
def test_json_has_no_number_that_json_does_not_know(value: float) -> None:
    """NaN and the infinities are null, as in every other JSON output."""
    (found,) = json.loads(to_json(report(result(values={"similarity": value}))), parse_constant=pytest.fail)[
        "adapters"
    ][0]["results"]
    assert found["attempts"][0]["scores"]["values"]["similarity"] is None


def test_markdown_begins_with_the_verdict_and_names_what_changed() -> None:
    """Half a minute of reading."""
    text = to_markdown(demo_report())
    assert text.splitlines()[0] == "## ❌ Gate: failed"
    assert text.index("**Broken** (1)") < text.index("<b>Fixed</b> (15)")
    assert "| holdout | 6 | 1 | 1 | 3 | 1 |" in text


def test_markdown_of_one_adapter_names_the_failing_cases() -> None:
    """There is nothing to compare, so failures stand where changes would."""
    text = to_markdown(
        report(result(case("f/a"), verdict=Verdict(Status.FAIL, (Reason(rule="loop", text="it loops"),))))
    )
    assert "**FAIL** (1)" in text
    assert "<code>f/a</code>: <code>it loops</code>" in text


def test_markdown_stays_short() -> None:
    """A thousand cases are counted, not listed."""
    assert len(to_markdown(demo_report(1000))) < 12_000


_CODE = re.compile(r"<code>.*?</code>", re.DOTALL)


def _page_of(text: str) -> str:
    verdict = Verdict(Status.FAIL, (Reason(rule=text, text=text, value=0.5, limit=0.1, repetition=True),))
    gate = failed_gate(text)
    return to_markdown(report(result(case(f"f/{text}", text), text, adapter=text, verdict=verdict), gate=gate))


@hostile
def test_markdown_gives_hostile_text_no_meaning(text: str) -> None:
    """No sign that Markdown or GitHub acts on is left in what was read from outside."""
    page = _page_of(text)
    inside = re.findall(r"<code>(.*?)</code>", page, re.DOTALL)
    assert len(inside) >= 5
    assert not [part for part in inside if MARKUP.search(re.sub(r"&#\d+;", "", part))]
    assert _CODE.sub("", page) == _CODE.sub("", _page_of("word"))


def test_all_reports_are_written(tmp_path: Path) -> None:
    """Four files, in a folder that need not exist."""
    paths = write_all(demo_report(8), tmp_path / "runs" / "one")
    assert [p.name for p in paths] == ["report.html", "report.xlsx", "report.json", "summary.md"]
    assert all(p.stat().st_size > 500 for p in paths)


def test_one_report_that_fails_is_named_and_the_others_are_written(tmp_path: Path) -> None:
    """A folder in the place of the workbook costs the workbook only."""
    (tmp_path / "report.xlsx").mkdir()
    (tmp_path / "report.xlsx" / "in the way").write_text("x")
    with pytest.raises(ReportError, match=r"report\.xlsx"):
        write_all(demo_report(4), tmp_path)
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "report.json").is_file()
    assert (tmp_path / "summary.md").is_file()
    assert not list(tmp_path.glob(".tmp-*"))
