"""``harness import``: old answers are judged like new ones, and never taken for answers of an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.project.settings import read_settings
from harness.store import IMPORTED, SHOWN, Store
from harness.view.pages import home_page
from harness.view.reading import Reading
from tests.integration.conftest import Make
from tests.support.legacy import prompt, standard, workbook
from tests.support.projects import CLEAN, LOOP


@pytest.fixture
def root(project: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the cases sea, hill and calm, and a workbook of old answers to two of them."""
    folder = project()
    monkeypatch.chdir(folder)
    rows = [("/a/v3.8", prompt("sea"), LOOP, standard("sea")), ("/a/v3.8", prompt("hill"), CLEAN, standard("hill"))]
    workbook(folder / "old.xlsx", rows)
    return folder


def imported(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["import", *words, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_old_answers_are_judged_as_a_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the rules of the suite; how they ended is unknown."""
    assert main(["import", "old.xlsx"]) == 0
    out = capsys.readouterr().out
    assert "Imported answers: v3.8: 1 of 2 cases fail (1 repeat themselves)" in out
    assert "report: reports/latest/report.html" in out
    with Store(root / "reports" / "harness.sqlite") as store:
        (run,) = store.runs(kinds=(IMPORTED,))
        results = {r.case.id: r for r in store.results(run.id)}
    assert run.facts["files"][0]["name"] == "old.xlsx"
    assert "engine" not in run.facts
    assert {i: str(r.verdict.status) for i, r in results.items()} == {"badcase1/sea": "FAIL", "badcase1/hill": "PASS"}
    (attempt,) = results["badcase1/sea"].attempts
    assert (attempt.generation, attempt.finish_reason, attempt.tokens) == ("", None, 0)


def test_every_report_says_that_the_answers_are_imported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A forwarded file must not pass for a run of an engine."""
    imported("old.xlsx", capsys=capsys)
    latest = root / "reports" / "latest"
    data = json.loads((latest / "report.json").read_text())
    assert (data["run"]["imported"], data["run"]["engine"], data["gate"]) == (["old.xlsx"], None, None)
    assert data["headline"].startswith("Imported answers: ")
    assert "repeats the same 8 words 20 times" in data["adapters"][0]["results"][0]["reason"]
    for name in ("report.html", "summary.md"):
        text = (latest / name).read_text("utf-8")
        assert "Imported answers: v3.8" in text
        assert "old.xlsx" in text


def test_no_engine_takes_an_imported_answer_for_its_own(
    root: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run afterwards generates everything."""
    imported("old.xlsx", "--adapter", "v4.0", capsys=capsys)
    done = pytester.runpytest("badcases", "--adapter", "v4.0")
    done.assert_outcomes(passed=2, failed=1)
    with Store(root / "reports" / "harness.sqlite") as store:
        (run,) = store.runs()
        assert not any(a.cached for r in store.results(run.id) for a in r.attempts)
        assert store.run("last").id == run.id


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("gate",), 3, "imported answers are not one"),
        (("gate", "RUN"), 3, "no engine gave them here"),
        (("fix", "--failed"), 3, "run first: pytest badcases"),
        (("fix", "--failed", "--run", "RUN"), 2, "run first: pytest badcases --adapter v4.0"),
        (("pairs", "--failed"), 3, "run first: pytest badcases"),
        (("baseline", "write", "v4.0"), 2, "the whole suite was not run on it"),
        (("adapters", "bless", "v4.0"), None, "v4.0"),
    ],
    ids=["gate", "gate of the run", "fix", "fix of the run", "pairs", "baseline", "bless"],
)
def test_what_needs_an_engine_refuses_imported_answers(
    root: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], code: int | None, says: str
) -> None:
    """They are no proof of what a version answers."""
    (run,) = imported("old.xlsx", "--adapter", "v4.0", capsys=capsys)["runs"]
    ended = main([run if word == "RUN" else word for word in command])
    assert ended == code if code is not None else ended != 0
    done = capsys.readouterr()
    assert says in done.out + done.err


def test_history_and_compare_show_them_as_imported(
    root: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version that is not in the manifest can be compared; an engine's results go before imported ones."""
    imported("old.xlsx", capsys=capsys)
    imported("old.xlsx", "--adapter", "v4.0", capsys=capsys)
    pytester.runpytest("badcases", "--adapter", "v4.0")
    capsys.readouterr()
    assert main(["history"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [("imported" in row) for row in rows[1:4]] == [False, True, True]
    assert "1/2" in rows[2]
    assert main(["compare", "v3.8", "v4.0"]) == 0
    out = capsys.readouterr().out
    assert "v3.8: imported answers; no engine gave them here" in out
    assert "v4.0: imported answers" not in out
    assert main(["compare", "v3.8", "v4.0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"] == ["v3.8"]


def test_the_local_page_shows_them_as_imported(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the list of runs, with their files; a version that is not in the manifest has no page of its own."""
    (run,) = imported("old.xlsx", capsys=capsys)["runs"]
    reading = Reading(read_settings(root))
    page = home_page(reading)
    assert '<span class="chip" title="old.xlsx">imported</span>' in page
    assert "/version/v3.8" not in page
    assert reading.conclusion(run).report.run.imported == ("old.xlsx",)


def test_a_baseline_of_imported_answers_says_so(
    root: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its file, and in the comparison with it."""
    found = imported("old.xlsx", "--baseline", capsys=capsys)
    (path,) = map(Path, found["baselines"])
    data = json.loads(path.read_text())
    assert (path.relative_to(root), data["imported"], data["engine"]) == (
        Path("baselines/v3.8.json"),
        ["old.xlsx"],
        None,
    )
    pytester.runpytest("badcases", "--adapter", "v4.0", "--baseline", "baselines/v3.8.json", "--max-regressions", "0")
    page = (root / "reports" / "latest" / "summary.md").read_text("utf-8")
    assert "v3.8 (baseline file of imported answers)" in " ".join(page.split())


def test_a_baseline_of_an_engine_is_never_replaced(
    root: Path, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is recorded either."""
    pytester.runpytest("badcases", "--adapter", "v4.0")
    assert main(["baseline", "write", "v4.0"]) == 0
    before = (root / "baselines" / "v4.0.json").read_bytes()
    assert main(["import", "old.xlsx", "--adapter", "v4.0", "--baseline"]) == 2
    assert "is no baseline of imported answers" in capsys.readouterr().err
    assert (root / "baselines" / "v4.0.json").read_bytes() == before
    with Store(root / "reports" / "harness.sqlite") as store:
        assert len(store.runs(kinds=SHOWN)) == 1


def test_rows_without_a_case_are_named_or_become_cases(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new folder of cases is written once and never over another."""
    rows = [("/a/v3.8", prompt("sea"), LOOP, None), ("/a/v3.8", "Sing of the moon.", CLEAN, "A moon.")]
    workbook(root / "more.xlsx", rows)
    found = imported("more.xlsx", capsys=capsys)
    assert "1 rows answer no case" in "\n".join(found["notes"])
    found = imported("more.xlsx", "--cases", "november", capsys=capsys)
    assert json.loads((root / "badcases" / "november" / "test.json").read_text())[0]["standard_answer"] == "A moon."
    with Store(root / "reports" / "harness.sqlite") as store:
        assert {r.case.folder for r in store.results(found["runs"][0])} == {"badcase1", "november"}
    workbook(root / "again.xlsx", [("/a/v3.8", "Sing of rain.", CLEAN, None)])
    assert main(["import", "again.xlsx", "--cases", "november"]) == 2
    assert "november exists" in capsys.readouterr().err


def test_the_same_answers_twice_are_one_run(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Importing again is harmless, and says which run it is."""
    first = imported("old.xlsx", capsys=capsys)
    second = imported("old.xlsx", capsys=capsys)
    assert (second["runs"], second["already_imported"]) == ([], first["runs"])


@pytest.mark.parametrize(
    ("columns", "words", "code", "says"),
    [
        (("问题", "模型回答", "标准答案", "版本"), (), 0, "v3.8"),
        (("q", "a", "standard_answer", "version"), ("--prompt", "q", "--response", "a"), 0, "v3.8"),
        (("q", "a", "b", "c"), (), 2, "name them with --prompt and --response"),
        (("text", "response", "standard_answer", "note"), (), 2, "name it with --adapter NAME"),
        (("text", "response", "standard_answer", "note"), ("--adapter", "v3.7"), 0, "v3.7"),
    ],
    ids=["Chinese", "named", "unknown", "no adapter", "adapter"],
)
def test_columns_are_found_or_asked_for(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    columns: tuple[str, ...],
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    """People's scripts call them as they like."""
    workbook(root / "mine.xlsx", [(prompt("sea"), LOOP, standard("sea"), "v3.8")], columns)
    assert main(["import", "mine.xlsx", *words]) == code
    done = capsys.readouterr()
    assert says in done.out + done.err


def test_an_answer_that_is_known_to_be_cut_off_is_judged_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column finish_reason counts; any other word is unknown."""
    rows = [
        {"text": prompt("sea"), "response": CLEAN, "finish_reason": "length"},
        {"text": prompt("hill"), "response": CLEAN, "finish_reason": "abort"},
    ]
    (root / "r.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    imported("r.jsonl", "--adapter", "v3.8", capsys=capsys)
    data = json.loads((root / "reports" / "latest" / "report.json").read_text())
    ends = [r["attempts"][0]["finish_reason"] for r in data["adapters"][0]["results"]]
    assert ends == ["length", None]
    assert data["adapters"][0]["figures"]["cutoff_rate"] == 1.0
