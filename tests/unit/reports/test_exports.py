"""JSON keeps everything exactly, Markdown is short and safe, and one failing report does not cost the others."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import ReportError, UsageError
from harness.judging.results import Reason, Status, Verdict
from harness.language import language, set_language
from harness.reports import Report, write_all
from harness.reports.json_report import MAX_RESULTS, SCHEMA, json_schema, read_report, to_json, write_json
from harness.reports.markdown_report import to_markdown
from tests.support.builders import case, failed_gate, looped, report, result
from tests.support.demo_report import demo_report
from tests.support.hostile import HOSTILE

hostile = pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])


@pytest.fixture
def chinese() -> Iterator[None]:
    set_language("zh")
    yield
    set_language("en")


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


def _strict(schema: Any) -> Any:
    """The schema without leave to add fields, so that an undescribed field is found."""
    if isinstance(schema, dict):
        closed = {"additionalProperties": False} if "properties" in schema else {}
        return {**{key: _strict(value) for key, value in schema.items()}, **closed}
    return [_strict(item) for item in schema] if isinstance(schema, list) else schema


REPORTS = {
    "demo": demo_report,
    "empty": report,
    "one": lambda: report(result(values={"similarity": math.nan}), status="interrupted"),
    "error": lambda: report(result(verdict=Verdict(Status.ERROR, (Reason(rule="engine", text="lost"),)))),
    "hostile": lambda: report(*(result(case(f"f/{text}", text, text), text) for text in HOSTILE.values())),
    "gate": lambda: report(result(), gate=failed_gate("regressions")),
}


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_the_published_schema_describes_every_field(make: Callable[[], Report]) -> None:
    """A report is valid, and holds nothing that its schema does not name."""
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(_strict(json_schema())).validate(json.loads(to_json(make())))


def test_the_schema_has_the_number_that_reports_have() -> None:
    """One of them cannot rise alone."""
    assert json_schema()["properties"]["schema"]["const"] == SCHEMA


def test_json_is_english_for_programs(chinese: None) -> None:
    """Whatever its reader's language is."""
    data = json.loads(to_json(report(result())))
    assert data["adapters"][0]["results"][0]["reason"] == "passes"
    assert language() == "zh"


def test_a_large_run_is_lines_that_read_as_the_same_report(tmp_path: Path) -> None:
    """The run's facts first, then a line for each result; both forms are one report to a reader."""
    large = report(*(result(case(f"f/{n}"), f"Answer {n}.") for n in range(MAX_RESULTS + 1)))
    (tmp_path / "report.json").write_text("an older one")
    path = write_json(large, tmp_path / "report.json")
    assert path == tmp_path / "report.jsonl.gz"
    assert [p.name for p in tmp_path.iterdir()] == ["report.jsonl.gz"]
    head, *lines = gzip.decompress(path.read_bytes()).splitlines()
    assert len(lines) == MAX_RESULTS + 1
    schema = _strict(json_schema())
    jsonschema.Draft202012Validator(schema).validate(json.loads(head))
    line = {"$ref": "#/$defs/result", "$defs": schema["$defs"]}
    jsonschema.Draft202012Validator(line).validate(json.loads(lines[0]))
    assert read_report(tmp_path) == read_report(path) == json.loads(to_json(large))


def test_equal_runs_are_equal_files(tmp_path: Path) -> None:
    """No time of writing hides in them."""
    large = report(*(result(case(f"f/{n}")) for n in range(MAX_RESULTS + 1)))
    one, two = (write_json(large, tmp_path / name / "report.json").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.json", b"{"),
        ("report.json", b'{"schema": 1}'),
        ("report.json", b"[]"),
        ("report.jsonl.gz", b"no gzip"),
        ("report.jsonl.gz", gzip.compress(b'{"schema": 2, "adapters": [{"count": 2}]}\n{}\n')),
        ("report.jsonl.gz", gzip.compress(b'{"schema": 2, "adapters": []}\n')[:-6]),
        ("report.jsonl.gz", gzip.compress(b"")[:10] + b"\xff" * 20),
        ("report.jsonl.gz", gzip.compress(b'{"schema": 2, "adapters": []}')),
        ("other.json", b"{}"),
    ],
    ids=["half", "older", "list", "no-gzip", "lines-lost", "cut", "damaged-inside", "line-lost", "absent"],
)
def test_a_damaged_report_is_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    """With the command that writes it again."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="harness report"):
        read_report(tmp_path)


def test_markdown_begins_with_the_verdict_and_names_what_changed() -> None:
    """Half a minute of reading."""
    text = to_markdown(demo_report())
    assert text.splitlines()[0] == "## ❌ Gate: failed"
    assert text.index("Broken (1):") < text.index("Fixed (15):")
    assert re.search(r"^holdout +6 +1 +1 +3 +1$", text, re.MULTILINE)


def test_markdown_of_one_adapter_names_the_failing_cases() -> None:
    """There is nothing to compare, so failures stand where changes would, each with its reason below it."""
    text = to_markdown(report(result(case("f/a"), *looped("", "again and again ", 40))))
    assert "FAIL (1):\n\n```\n- f/a\n    repeats the same 3 words 40 times from the beginning on" in text


def test_markdown_stays_short() -> None:
    """A thousand cases are counted, not listed."""
    assert len(to_markdown(demo_report(1000))) < 12_000


def test_markdown_reads_well_without_being_rendered() -> None:
    """In a mail or a chat: no HTML, no tables of pipes, no line wider than a mail, aligned columns."""
    lines = to_markdown(demo_report()).splitlines()
    assert max(map(len, lines)) <= 88
    assert not [line for line in lines if re.search(r"</?\w+>|\|--|\*\*|&#", line) and "script" not in line]
    first = next(n for n, line in enumerate(lines) if line.startswith("adapter "))
    head, before, after = lines[first : first + 3]
    assert len(head) == len(before) == len(after)


def _page_of(text: str) -> str:
    verdict = Verdict(Status.FAIL, (Reason(rule=text, text=text, value=0.5, limit=0.1, repetition=True),))
    gate = failed_gate(text)
    return to_markdown(report(result(case(f"f/{text}", text), text, adapter=text, verdict=verdict), gate=gate))


@hostile
def test_markdown_gives_hostile_text_no_meaning(text: str) -> None:
    """What was read from outside stands in code blocks only, and cannot end one."""
    inside, outside = False, []
    for line in _page_of(text).split("\n"):
        if re.match(r" {0,3}(```|~~~)", line):
            assert line == "```"
            inside = not inside
        elif not inside and line:
            outside.append(line)
    assert not inside
    assert outside == ["## ❌ Gate: failed", "FAIL (1):"]


def test_markdown_is_in_the_language_of_the_reader(chinese: None) -> None:
    """Titles and reasons; columns stay aligned, since a Chinese character is two columns wide."""
    text = to_markdown(demo_report())
    assert text.splitlines()[0] == "## ❌ 门禁：失败"
    assert "起，同样的" in text


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
