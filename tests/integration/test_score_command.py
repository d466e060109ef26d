"""``harness score``: lines in, lines out, in their order, whatever the lines."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.cases.model import Case, Message, Thresholds
from harness.cli import main
from harness.judging.lines import as_json, score_lines
from harness.judging.verdict import judge
from harness.metrics.repetition import excesses, measure
from harness.metrics.types import Scores
from tests.support.texts import CLEAN, filler

LOOP = "Sure. " + "I love the sea. " * 30
GOOD = "The tide comes in twice a day."


def run(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[int, list[str]]:
    code = main(["score", str(path), *words])
    return code, capsys.readouterr().out.splitlines()


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    return path


def test_every_line_has_its_verdict_scores_and_loops(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In order, with the given id or the number of the line; loops are offsets of the text."""
    path = write(
        tmp_path / "in.jsonl", {"id": "a", "text": LOOP}, {"text": GOOD, "reference": GOOD}, {"id": 7, "text": "好的。"}
    )
    code, lines = run(capsys, path, "--json")
    found = [json.loads(line) for line in lines]
    assert code == 1
    assert [(f["id"], f["verdict"]) for f in found] == [("a", "FAIL"), (2, "PASS"), (7, "PASS")]
    loop = found[0]["loops"][0]
    assert LOOP[loop["start"] : loop["start"] + loop["period"]] == "I love the sea. "
    assert {"rep1", "rep8", "rep8d", "loop_coverage", "tail_copies", "templated", "repetition"} <= set(
        found[0]["scores"]
    )
    assert found[1]["scores"]["similarity"] == 1
    assert {"rule", "text", "value", "limit"} == set(found[0]["reasons"][0])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(b"nope", "not JSON", id="no json"),
        pytest.param(b'{"text": "\xff"}', "not JSON in UTF-8", id="not utf-8"),
        pytest.param(b"[" * 100_000, "not JSON", id="nested without end"),
        pytest.param(b'{"text": "a", "finish_reason": 5}', "finish_reason must be a string", id="reason"),
        pytest.param(b'{"text": "a", "turns": "b"}', "turns must be a list of strings", id="turns"),
        pytest.param(b"[1]", "not an object", id="no object"),
        pytest.param(b'{"id": "a"}', "text must be a string", id="no text"),
        pytest.param(b'{"text": 5}', "text must be a string", id="text is a number"),
        pytest.param(b'{"text": "x", "reference": 5}', "reference must be a string", id="reference is a number"),
        pytest.param(b'{"text": "x", "id": [1]}', "id must be", id="id is a list"),
    ],
)
def test_a_line_that_cannot_be_read_is_an_error_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, line: bytes, said: str
) -> None:
    """Its reason says what is wrong; the exit code says that the words were."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(line + b"\n\n" + json.dumps({"text": GOOD}).encode())
    code, lines = run(capsys, path, "--json")
    bad, good = map(json.loads, lines)
    assert (code, bad["verdict"], good["verdict"]) == (2, "ERROR", "PASS")
    assert said in bad["reasons"][0]["text"]


def test_people_read_why_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where the loop is, and which rules it broke by how much; then the count."""
    code, lines = run(capsys, write(tmp_path / "in.jsonl", {"text": LOOP}, {"text": GOOD}, {"text": ""}))
    assert code == 1
    assert lines[0].startswith("FAIL   1  repetition 0.9")
    assert "loop at 6..485: 29.9 x 16 characters (exact)  repeats itself: rep8 0." in lines[0]
    assert lines[2].endswith("words: 0 (expected >= 1)")
    assert lines[3] == "1 PASS, 2 FAIL, 0 ERROR"


def test_slow_scores_come_on_request(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """``--all`` adds the compression ratio, near copies, and all similarities to a reference; verdicts stay."""
    path = write(tmp_path / "in.jsonl", {"text": LOOP}, {"text": GOOD, "reference": GOOD})
    plain = [json.loads(line) for line in run(capsys, path, "--json")[1]]
    full = [json.loads(line) for line in run(capsys, path, "--json", "--all")[1]]
    more = [set(b["scores"]) - set(a["scores"]) for a, b in zip(plain, full, strict=True)]
    similarities = {"similarity_characters", "similarity_token_set", "similarity_partial"}
    slow = {"compression_ratio", "near_copies"}
    assert more == [slow, {*slow, *similarities}]
    assert [b["verdict"] for b in full] == [a["verdict"] for a in plain]


@pytest.mark.parametrize(("records", "code"), [([], 2), ([{"text": GOOD}], 0), ([{"text": GOOD}, {"text": ""}], 1)])
def test_the_exit_code_says_whether_all_passed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, records: list[Any], code: int
) -> None:
    """0 all well, 1 when a text fails; an empty file passes nothing."""
    assert run(capsys, write(tmp_path / "in.jsonl", *records))[0] == code


def test_a_file_that_is_not_there_is_a_wrong_word(tmp_path: Path) -> None:
    """Exit code 2, one line."""
    assert main(["score", str(tmp_path / "none.jsonl")]) == 2


def test_people_read_a_line_a_text_and_no_escape_sequence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """An id is hostile too."""
    _, lines = run(capsys, write(tmp_path / "in.jsonl", {"id": "\x1b[2J\nx", "text": LOOP}))
    assert lines[0].startswith("FAIL ")
    assert "\x1b" not in lines[0]
    assert "29.9 x 16 characters" in lines[0]
    assert lines[1:] == ["0 PASS, 1 FAIL, 0 ERROR"]


def test_standard_input_is_read_for_a_dash() -> None:
    """As part of a pipe; and one line takes less than two seconds of a processor, from the start of Python.

    The clock on the wall would also count what else the machine does.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "score", "-", "--json"],
        input=json.dumps({"text": LOOP}).encode(),
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0
    assert json.loads(done.stdout)["verdict"] == "FAIL"


PIECES = st.sampled_from(
    ["sea ", "the ", "好", "。", "1. ", "x\n", "- ", "and so on, ", "A rather longer sentence stands here. "]
)
TEXT = st.builds(
    lambda a, b, k: "".join(a) + "".join(b) * k,
    st.lists(PIECES, max_size=20),
    st.lists(PIECES, max_size=4),
    st.integers(0, 30),
)


@given(TEXT, st.none() | TEXT)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_fast_way_to_a_pass_agrees_with_the_whole_judgement(text: str, reference: str | None) -> None:
    """What ``harness score`` says of a line is what :func:`harness.judging.verdict.judge` says of its scores."""
    (line,) = score_lines([json.dumps({"text": text, "reference": reference}).encode()])
    case = Case(
        id="1",
        folder="",
        messages=(Message("user", ""),),
        standard_answer=reference if reference and reference.strip() else None,
        thresholds=Thresholds(reference_may_repeat=True),
    )
    own, *other = measure([text] if case.standard_answer is None else [text, case.standard_answer])
    scores = Scores({**own.values, **excesses(own.values, other[0].values if other else None)}, own.loops)
    assert line.verdict == judge(case, scores, None)
    assert json.loads(as_json(line))["verdict"] == line.verdict.status.value


def test_a_reference_that_repeats_itself_is_marked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It excuses what it holds, since there is no prompt to ask; the reader is told."""
    _, lines = run(capsys, write(tmp_path / "in.jsonl", {"text": LOOP, "reference": LOOP}), "--json")
    found = json.loads(lines[0])
    assert found["verdict"] == "PASS"
    assert found["reference_repeats"] is True


@pytest.mark.parametrize(
    ("reason", "verdict"), [("stop", "PASS"), ("length", "FAIL"), (None, "PASS"), ("tool_calls", "PASS")]
)
def test_the_reason_of_the_end_decides_about_a_loop_at_the_end(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, reason: str | None, verdict: str
) -> None:
    """An answer that was cut off in a short loop did not end it; another word is as good as none."""
    text = filler(120) + " This is a part of the work that we all do." * 4
    _, lines = run(capsys, write(tmp_path / "in.jsonl", {"text": text, "finish_reason": reason}), "--json")
    assert json.loads(lines[0])["verdict"] == verdict


def test_each_loop_says_whether_it_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One in an answer that passes does not."""
    short = f"{CLEAN} {'go on ' * 4}{CLEAN[::-1]}"
    _, lines = run(capsys, write(tmp_path / "in.jsonl", {"text": LOOP}, {"text": short}), "--json")
    assert [[loop["counts"] for loop in json.loads(line)["loops"]] for line in lines] == [[True], [False]]


def test_reasoning_and_earlier_turns_are_judged(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Neither hides behind a clean answer."""
    thought = {"text": f"<think>{LOOP}</think>{GOOD}", "reference": GOOD}
    again = {"text": CLEAN, "turns": ["Good morning.", CLEAN]}
    code, lines = run(capsys, write(tmp_path / "in.jsonl", thought, again, {"text": CLEAN, "turns": []}))
    assert code == 1
    assert [line.split()[0] for line in lines[:3]] == ["FAIL", "FAIL", "PASS"]
