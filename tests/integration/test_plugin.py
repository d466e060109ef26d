"""``pytest badcases`` behaves as any pytest suite, and its exit code tells failing from broken."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import openpyxl
import pytest

from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP, record


def test_a_repeater_fails_and_the_rest_passes(pytester: pytest.Pytester, project: Make) -> None:
    """One looping answer among three is one failed test, exit code 1."""
    project()
    result = pytester.runpytest("badcases", "--adapter", "v4.0")
    result.assert_outcomes(failed=1, passed=2)
    assert result.ret == 1


def test_a_failing_test_shows_prompt_answer_scores_and_standard_answer(
    pytester: pytest.Pytester, project: Make
) -> None:
    """Whoever reads the failure needs nothing else to understand it."""
    project()
    text = pytester.runpytest("badcases").stdout.str()
    assert "Write a few lines about the sea." in text
    assert "The waves roll in again and again tonight" in text
    assert "A sea, and evening light upon it." in text
    assert "Traceback" not in text
    assert "badcase.check()" not in text


def test_the_summary_ends_with_scores_and_gate(pytester: pytest.Pytester, project: Make) -> None:
    """Repetition score, repeater rate, counts and the gate's verdict close the session."""
    project()
    result = pytester.runpytest("badcases")
    result.stdout.fnmatch_lines(
        ["*adapter*repetition*repeaters*", "*v4.0*33*%*", "*gate:*", "*report: reports/runs/*report.html*"]
    )


def test_clean_answers_are_green(pytester: pytest.Pytester, project: Make) -> None:
    """When every case passes the exit code is 0."""
    project(script={"Write": CLEAN})
    result = pytester.runpytest("badcases")
    result.assert_outcomes(passed=3)
    assert result.ret == 0


def test_test_ids_name_case_and_adapter(pytester: pytest.Pytester, project: Make) -> None:
    """Node ids are stable names, so --lf, -k and a link in a ticket go on working."""
    project()
    result = pytester.runpytest("badcases", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["badcases/test_badcases.py::test_badcase?badcase1/sea@v4.0?"])


def test_collect_only_starts_no_engine_and_records_no_run(pytester: pytest.Pytester, project: Make) -> None:
    """Looking at the tests costs nothing."""
    root = project(script={})
    assert pytester.runpytest("badcases", "--collect-only").ret == 0
    assert not (root / "reports").exists()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-k", "hill"], ["hill"]),
        (["-m", "guard"], ["calm"]),
        (["-m", "not guard"], ["sea", "hill"]),
        (["-m", "night"], ["hill"]),
        (["-m", "badcase(role='guard')"], ["calm"]),
    ],
    ids=["k", "m-role", "m-not", "m-tag", "m-badcase"],
)
def test_selection_is_pytests_own(pytester: pytest.Pytester, project: Make, words: list[str], names: list[str]) -> None:
    """Only selected cases go to the engine."""
    project(cases=[record("sea"), record("hill", tags=["night"]), record("calm", role="guard")])
    pytester.runpytest("badcases", *words)
    with Store(pytester.path / "reports" / "harness.sqlite") as store:
        assert [r.case.id for r in store.results("last")] == [f"badcase1/{n}" for n in names]


def test_last_failed_runs_only_what_failed(pytester: pytest.Pytester, project: Make) -> None:
    """--lf after a run with one failure runs one test."""
    project()
    pytester.runpytest("badcases")
    result = pytester.runpytest("badcases", "--lf")
    result.assert_outcomes(failed=1)


def test_exit_first_stops_and_passes_no_gate(pytester: pytest.Pytester, project: Make) -> None:
    """-x stops at the first failure; the run is recorded as interrupted."""
    project()
    result = pytester.runpytest("badcases", "-x")
    result.assert_outcomes(failed=1)
    with Store(pytester.path / "reports" / "harness.sqlite") as store:
        assert store.run("last").facts["complete"] is False


def test_junit_holds_the_scores_and_is_valid(pytester: pytest.Pytester, project: Make) -> None:
    """--junitxml works with hostile model output, and carries scores as properties."""
    project(script={"sea": LOOP + "\x1b[31m\x00]]>", "hill": CLEAN, "calm": CLEAN})
    pytester.runpytest("badcases", "--junitxml=out.xml")
    suite = ET.parse(pytester.path / "out.xml").getroot()
    names = {p.get("name") for p in suite.iter("property")}
    assert {"repetition", "similarity", "verdict"} <= names
    assert [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None] == [
        "test_badcase[badcase1/sea@v4.0]",
        "gate",
    ]


def junit(pytester: pytest.Pytester, *words: str) -> tuple[ET.Element, dict[str, str], ET.Element]:
    """The suite of the JUnit file that a run leaves, its properties, and the gate's test case."""
    pytester.runpytest("badcases", "--junitxml=out.xml", *words)
    (suite,) = ET.parse(pytester.path / "out.xml").getroot()
    properties = {str(p.get("name")): str(p.get("value")) for p in suite.findall("properties/property")}
    (gate,) = [c for c in suite.iter("testcase") if c.get("name") == "gate"]
    return suite, properties, gate


def test_junit_names_the_run_and_its_gate(pytester: pytest.Pytester, project: Make) -> None:
    """A pipeline that shows only the JUnit file shows what was judged, and how."""
    project(script={"Write": CLEAN})
    suite, properties, gate = junit(pytester)
    assert properties["badcases.adapters"] == "v4.0"
    assert properties["badcases.gate"] == "passed"
    assert properties["badcases.headline"] == "v4.0: all 3 cases pass"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "0")
    assert [child.tag for child in gate] == []
    with Store(pytester.path / "reports" / "harness.sqlite") as store:
        assert properties["badcases.run"] == store.run("last").id


def test_a_red_gate_is_a_failed_test_case_in_junit(pytester: pytest.Pytester, project: Make) -> None:
    """Also where every test passes: too many answers are cut off."""
    project(script={"Write": {"text": CLEAN, "finish_reason": "length"}})
    suite, properties, gate = junit(pytester, "--max-cutoff-rate", "0")
    (failure,) = gate
    assert (suite.get("failures"), properties["badcases.gate"]) == ("1", "failed")
    assert failure.tag == "failure"
    assert str(failure.get("message")).startswith("gate: failed: cut-off rate 1")
    assert "failed: cut-off rate 1" in str(failure.text)


@pytest.mark.parametrize(
    ("script", "words"),
    [(None, ("-k", "hill")), ({"Write": {"failure": "broken \x1b[31m & <tag>"}}, ()), (None, ("-x",))],
    ids=["part", "engine", "stopped"],
)
def test_what_cannot_be_judged_is_an_error_in_junit(
    pytester: pytest.Pytester, project: Make, script: dict[str, object] | None, words: tuple[str, ...]
) -> None:
    """It is no failure of the model, and no pass either."""
    project(script=script)
    _, properties, gate = junit(pytester, *words)
    assert properties["badcases.gate"] == "not judgeable"
    assert [child.tag for child in gate] == ["error"]


def test_the_message_of_a_failure_in_junit_says_what_a_person_sees(pytester: pytest.Pytester, project: Make) -> None:
    """A list of failures in a pipeline can be read without opening any."""
    project()
    suite, _, _ = junit(pytester)
    messages = [str(f.get("message")) for f in suite.iter("failure")]
    assert messages[0].startswith("FAIL badcase1/sea on v4.0: repeats the same 8 words 20 times from character 18 on")


def test_model_output_cannot_steer_the_terminal(pytester: pytest.Pytester, project: Make) -> None:
    """Escape sequences in an answer are shown, not obeyed."""
    project(script={"sea": LOOP + "\x1b[2K\x1b]0;pwned\x07", "hill": CLEAN, "calm": CLEAN})
    text = pytester.runpytest("badcases").stdout.str()
    assert "\x1b" not in text
    assert "pwned" in text or "\\x1b" in text


def test_a_second_identical_run_asks_no_engine(pytester: pytest.Pytester, project: Make) -> None:
    """What was generated is not generated again: an engine that would break is never asked."""
    root = project()
    pytester.runpytest("badcases")
    with Store(root / "reports" / "harness.sqlite") as store:
        generated = [a.generation for r in store.results("last") for a in r.attempts]
    result = pytester.runpytest("badcases")
    result.assert_outcomes(failed=1, passed=2)
    with Store(root / "reports" / "harness.sqlite") as store:
        attempts = [a for r in store.results("last") for a in r.attempts]
    assert [a.generation for a in attempts] == generated
    assert all(a.cached for a in attempts)


def test_no_cache_generates_anew(pytester: pytest.Pytester, project: Make) -> None:
    """--no-cache asks the engine although the answers are stored."""
    root = project()
    pytester.runpytest("badcases")
    pytester.runpytest("badcases", "--no-cache")
    with Store(root / "reports" / "harness.sqlite") as store:
        assert not any(a.cached for r in store.results("last") for a in r.attempts)


def test_thresholds_change_without_generating_again(pytester: pytest.Pytester, project: Make) -> None:
    """A verdict is derived: other thresholds judge the stored answers."""
    root = project(script={"Write": CLEAN})
    assert pytester.runpytest("badcases").ret == 0
    (root / "badcases" / "badcase1" / "case.toml").write_text("[thresholds]\nmin_similarity = 0.99\n")
    result = pytester.runpytest("badcases")
    result.assert_outcomes(failed=3)
    with Store(root / "reports" / "harness.sqlite") as store:
        assert all(a.cached for r in store.results("last") for a in r.attempts)


def test_an_engine_failure_is_an_error_and_exit_code_3(pytester: pytest.Pytester, project: Make) -> None:
    """The harness broke is never told as the model failed."""
    project(script={"sea": {"failure": "out of blocks"}, "hill": CLEAN, "calm": CLEAN})
    result = pytester.runpytest("badcases")
    result.assert_outcomes(errors=1, passed=2)
    assert result.ret == 3
    assert "out of blocks" in result.stdout.str()


def test_an_engine_that_breaks_ends_the_session(pytester: pytest.Pytester, project: Make) -> None:
    """When the engine dies, what is left is not run, the reason is one line, exit code 3."""
    root = project(script={"sea": LOOP, "hill": {"error": "engine died: see engine.log"}, "calm": CLEAN})
    result = pytester.runpytest("badcases")
    assert result.ret == 3
    assert "engine died: see engine.log" in result.stdout.str() + result.stderr.str()
    with Store(root / "reports" / "harness.sqlite") as store:
        assert store.run("last").status == "failed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--adapter", "v9"], "*adapter 'v9' is not in adapters_manifest.toml; known: v4.0, v3.9*"),
        (["--engine", "warp"], "*engine 'warp' is unknown*"),
        (["--baseline", "v1"], "*adapter 'v1' is not in adapters_manifest.toml*"),
        (["--max-repetition", "3"], "*3 is not a share 0..1; did you mean 0.03 or 3%?*"),
        (["--max-regressions", "some"], "*some is not a whole number*"),
        (["--shard", "3/2"], "*3/2 is not I/N*"),
    ],
    ids=["adapter", "engine", "baseline", "limit", "count", "shard"],
)
def test_wrong_words_are_one_line_and_exit_code_4(
    pytester: pytest.Pytester, project: Make, words: list[str], message: str
) -> None:
    """pytest's own code for a wrong call, before anything is generated."""
    project()
    result = pytester.runpytest("badcases", *words)
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{]", "*badcase1/test.json*"),
        (b'[{"text": "a"}, {"text": "a"}]', "*badcase1/test.json*"),
        (b"[]", "*badcase1/test.json*"),
        (b'[{"text": "caf\xe9"}]', "*badcase1/test.json*UTF-8*"),
        (b'[{"txt": "a"}]', "*badcase1/test.json*'txt'*"),
    ],
    ids=["malformed", "duplicate", "empty", "not-utf8", "unknown-field"],
)
def test_a_broken_case_file_is_named_and_nothing_runs(
    pytester: pytest.Pytester, project: Make, content: bytes, message: str
) -> None:
    """A case file that cannot be read is an error of the call, with the file's name."""
    root = project()
    (root / "badcases" / "badcase1" / "test.json").write_bytes(content)
    result = pytester.runpytest("badcases")
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


def test_several_adapters_share_one_session(pytester: pytest.Pytester, project: Make) -> None:
    """--adapter twice runs every case on both and compares them."""
    project()
    result = pytester.runpytest("badcases", "--adapter", "v3.9", "--adapter", "v4.0")
    result.assert_outcomes(failed=2, passed=4)
    result.stdout.fnmatch_lines(["*v3.9*", "*v4.0*", "*still failing*"])


def test_a_limit_that_is_kept_still_fails_with_a_failing_case(pytester: pytest.Pytester, project: Make) -> None:
    """A generous gate does not turn a failed test green."""
    project()
    assert pytester.runpytest("badcases", "--max-repetition", "1").ret == 1


def test_a_broken_limit_fails_although_every_test_passes(pytester: pytest.Pytester, project: Make) -> None:
    """The gate has the last word: similarity and loops may pass while too many answers are cut off."""
    project(script={"Write": {"text": CLEAN, "finish_reason": "length"}})
    result = pytester.runpytest("badcases", "--max-cutoff-rate", "0")
    result.assert_outcomes(passed=3)
    assert result.ret == 1


def test_shards_part_the_cases_without_overlap(pytester: pytest.Pytester, project: Make) -> None:
    """Every case is in exactly one shard, on whatever machine."""
    project(cases=[record(f"place{i}") for i in range(12)], script={"Write": CLEAN})
    seen: list[str] = []
    for part in (1, 2, 3):
        pytester.runpytest("badcases", "--shard", f"{part}/3")
        with Store(pytester.path / "reports" / "harness.sqlite") as store:
            seen += [r.case.id for r in store.results("last")]
    assert sorted(seen) == sorted(f"badcase1/place{i}" for i in range(12))


def test_reports_are_written(pytester: pytest.Pytester, project: Make) -> None:
    """Every run leaves a page, a workbook, a JSON export and a summary."""
    root = project()
    pytester.runpytest("badcases")
    (run,) = (root / "reports" / "runs").iterdir()
    assert {"report.html", "report.xlsx", "report.json", "summary.md"} <= {p.name for p in run.iterdir()}


@pytest.mark.parametrize("words", [(), ("-x",)], ids=["whole", "interrupted"])
def test_latest_is_the_last_run(pytester: pytest.Pytester, project: Make, words: tuple[str, ...]) -> None:
    """Whatever became of it; writing the reports of an older run again does not move it."""
    root = project()
    pytester.runpytest("badcases")
    pytester.runpytest("badcases", *words)
    with Store(root / "reports" / "harness.sqlite") as store:
        last, first = (run.id for run in store.runs())
    assert (root / "reports" / "latest").resolve().name == last
    assert pytester.runpython_c(f"import harness.cli; harness.cli.main(['report', '{first}'])").ret == 0
    assert (root / "reports" / "latest").resolve().name == last
    assert last in (root / "reports" / "latest" / "summary.md").read_text("utf-8")


def test_tb_line_is_one_line_a_failure(pytester: pytest.Pytester, project: Make) -> None:
    """--tb=line keeps to its word: the case and the first rule that it broke."""
    project()
    text = pytester.runpytest("badcases", "--tb=line").stdout.str()
    assert "FAIL badcase1/sea on v4.0: " in text
    assert "standard answer\n" not in text


def test_a_skipped_case_is_not_generated(pytester: pytest.Pytester, project: Make) -> None:
    """The verdict is SKIP with the case's reason, although the engine has no answer to its prompt."""
    root = project(cases=[record("hill"), record("moon", skip="needs a tool")], script={"hill": CLEAN})
    result = pytester.runpytest("badcases", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*needs a tool*"])
    with Store(root / "reports" / "harness.sqlite") as store:
        verdicts = {r.case.id: r.verdict.status.value for r in store.results(store.run("last").id)}
    assert verdicts == {"badcase1/hill": "PASS", "badcase1/moon": "SKIP"}


def test_nothing_but_skipped_cases_is_not_green(pytester: pytest.Pytester, project: Make) -> None:
    """A suite that judged nothing passes no gate."""
    project(cases=[record("moon", skip="needs a tool")], script={})
    assert pytester.runpytest("badcases").ret == 3


def test_an_expected_failure_does_not_fail_the_suite(pytester: pytest.Pytester, project: Make) -> None:
    """pytest counts it as xfailed, the exit code is 0, and the reason is shown."""
    project(cases=[record("hill"), record("sea", xfail="TICKET-7")], script={"hill": CLEAN, "sea": LOOP})
    result = pytester.runpytest("badcases", "-rx")
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*badcase1/sea: expected failure: TICKET-7*", "XFAIL*badcase1/sea*TICKET-7*"])


def test_an_unexpected_pass_is_reported_and_does_not_fail(pytester: pytest.Pytester, project: Make) -> None:
    """pytest counts it as xpassed, and the terminal says that the mark can go."""
    project(cases=[record("hill", xfail="TICKET-7")], script={"hill": CLEAN})
    result = pytester.runpytest("badcases")
    result.assert_outcomes(xpassed=1)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*badcase1/hill: passes although it is marked xfail (TICKET-7); remove the mark*"])


def test_pattern_rates_by_tag_reach_terminal_and_reports(pytester: pytest.Pytester, project: Make) -> None:
    """How often answers miss what they must say, and say what they must not."""
    root = project(
        cases=[
            record("hill", tags=["overreach"], must_not_include="boat"),
            record("calm", tags=["red-flag"], must_include="doctor"),
        ],
        script={"hill": CLEAN, "calm": CLEAN},
    )
    result = pytester.runpytest("badcases")
    result.stdout.fnmatch_lines(["patterns on v4.0*lacks required*matches forbidden*", "overreach*-*100.0% of 1*"])
    (run,) = (root / "reports" / "runs").iterdir()
    assert re.search(r"^overreach +- +100.0% of 1$", (run / "summary.md").read_text("utf-8"), re.MULTILINE)
    assert "matches forbidden" in (run / "report.html").read_text("utf-8")
    groups = json.loads((run / "report.json").read_text("utf-8"))["adapters"][0]["groups"]
    assert groups["tag:red-flag"]["missing_rate"] == 1.0
    rows = openpyxl.load_workbook(run / "report.xlsx")["summary"].iter_rows(values_only=True)
    columns = next(rows)
    by_group = {row[1]: dict(zip(columns, row, strict=True)) for row in rows if row[1]}
    assert by_group["tag:overreach"]["forbidden_rate"] == 1


def test_a_project_without_bad_cases_does_not_import_the_harness(pytester: pytest.Pytester) -> None:
    """pytest loads the plugin everywhere; it must cost such a project next to nothing."""
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            heavy = {"numpy", "pandas", "rapidfuzz", "rich", "transformers", "harness.runs", "harness.cases"}
            assert heavy & set(sys.modules) == set()
        """
    )
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1)


def test_other_suites_are_untouched(pytester: pytest.Pytester) -> None:
    """Without the fixture nothing is read, opened or written."""
    pytester.makepyfile("def test_ok(): pass")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "reports").exists()
    assert "bad cases" not in result.stdout.str()


def test_plain_folder_of_today_works_unchanged(pytester: pytest.Pytester, project: Make) -> None:
    """A folder with only text and standard_answer needs nothing else."""
    project(
        cases=[{"text": "Tell of the sea.", "standard_answer": "It is wide."}], script={"sea": "It is deep and wide."}
    )
    result = pytester.runpytest("badcases")
    result.assert_outcomes(passed=1)


def test_progress_is_shown_by_plain_pytest(pytester: pytest.Pytester, project: Make) -> None:
    """While answers are made, plain pytest says how far it is."""
    project()
    result = pytester.runpytest("badcases")
    result.stdout.fnmatch_lines(["*generating*answers*"])


def test_cases_are_selected_by_id_and_pattern(pytester: pytest.Pytester, project: Make) -> None:
    """``--case`` takes ids and patterns; a part of the suite passes no gate."""
    project()
    result = pytester.runpytest("badcases", "--case", "badcase1/hill", "--case", "*/c*")
    result.assert_outcomes(passed=2, deselected=1)
    assert result.ret == 3
