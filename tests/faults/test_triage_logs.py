"""``harness triage`` on logs of every kind, and on what is none."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.cases import read_folder
from harness.cli import main
from harness.triage.groups import Example
from harness.triage.logs import inspect_logs, scan_logs
from harness.triage.scan import ScanResult
from harness.triage.sources import MAX_RECORD
from tests.support.projects import CLEAN, LOOP

PAIRS = [("Write about the sea.", LOOP), ("Write about a hill.", CLEAN), ("写一首诗。", "秋天来了，" * 40)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows() -> list[dict[str, str]]:
    return [{"prompt": prompt, "response": answer} for prompt, answer in PAIRS]


def lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records).encode()


def triage(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main(["triage", *words, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


def table(rows: list[dict[str, str]]) -> str:
    with Path("made.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["prompt", "response"])
        writer.writeheader()
        writer.writerows(rows)
    return "made.csv"


def parquet() -> str:
    import pandas as pd

    pd.DataFrame(rows()).to_parquet("made.parquet")
    return "made.parquet"


def zstd() -> str:
    import zstandard

    Path("made.jsonl.zst").write_bytes(zstandard.compress(lines(rows())))
    return "made.jsonl.zst"


def spread() -> bytes:
    return "\n".join(json.dumps(row, indent=1) for row in rows()).encode()


def stamped() -> bytes:
    return b"".join(b"2026-07-01 INFO " + row + b"\n" for row in lines(rows()).splitlines())


def server_log() -> str:
    text = ""
    for at, (prompt, answer) in enumerate(PAIRS):
        start = f"INFO 07-01 12:00:0{at} [logger.py:39]"
        response = f"{start} Generated response cmpl-{at}-0"
        text += f"{start} Received request cmpl-{at}-0: prompt: {prompt!r}, params: X\n"
        text += f"{response} (streaming delta): output: 'a', finish_reason: None\n"
        text += f"{response} (streaming complete): output: {answer!r}, output_token_ids: None, finish_reason: length\n"
    return write("server.log", text.encode())


def write(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: write("a.jsonl", lines(rows())), id="jsonl"),
        pytest.param(lambda: write("a.log", b"\xef\xbb\xbf" + lines(rows())), id="byte order mark"),
        pytest.param(lambda: write("a.json", json.dumps(rows(), indent=2).encode()), id="array"),
        pytest.param(lambda: write("a.json", spread()), id="objects"),
        pytest.param(lambda: write("a.jsonl.gz", gzip.compress(lines(rows()))), id="gzip"),
        pytest.param(zstd, id="zstd"),
        pytest.param(lambda: table(rows()), id="csv"),
        pytest.param(lambda: write("a.tsv", b"prompt\tresponse\n" + "\n".join(f"{p}\t{a}" for p, a in PAIRS).encode()),
                     id="tsv"),
        pytest.param(parquet, id="parquet"),
        pytest.param(lambda: write("a.txt", stamped()),
                     id="text with JSON"),
        pytest.param(server_log, id="vLLM"),
    ],
)  # fmt: skip
def test_repeaters_of_every_kind_of_file_become_cases(make: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Which the reader accepts, with the file and place that they came from."""
    name = make()
    code, data = triage(capsys, name)
    assert code == 0
    assert (data["counts"]["answers"], data["counts"]["repeaters"], data["counts"]["broken"]) == (3, 2, 0)
    cases = read_folder(Path("badcases/triage"))
    assert {case.prompt for case in cases} == {PAIRS[0][0], PAIRS[2][0]}
    assert all(case.source.startswith(f"{name}:") and case.standard_answer is None for case in cases)


def test_broken_lines_are_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Garbage, invalid UTF-8, deep nesting, wrong types: the others are judged."""
    deep = b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b', "response": "x"}\n'
    wrong = b'{"prompt": "a", "response": 7}\n{"prompt": "b"}\n[1]\n"text"\n\n'
    bad = b'\x00\xff\xfe binary\n{"prompt": "x", "response": "\xff\xfe"}\n'
    name = write("a.jsonl", lines(rows()[:1]) + bad + deep + wrong + lines(rows()[1:]))
    code, data = triage(capsys, name)
    assert code == 0
    assert data["counts"]["repeaters"] == 2
    assert data["counts"]["broken"] >= 2
    assert data["broken"][0]["place"] == 2
    assert data["counts"]["without_answer"] >= 3


def test_a_line_over_the_limit_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """It is never held whole, and the places after it are right."""
    huge = b'{"prompt": "' + b"x" * (MAX_RECORD + 9 * 2**20) + b'", "response": "y"}\n'
    code, data = triage(capsys, write("a.jsonl", lines(rows()[1:2]) + huge + lines(rows()[:1])))
    assert code == 0
    assert (data["counts"]["too_long"], data["counts"]["repeaters"]) == (1, 1)
    assert data["groups"][0]["examples"][0]["source"] == "a.jsonl:3"


def scanned(names: list[str], **options: Any) -> tuple[ScanResult, list[Example]]:
    """The result of a scan, and the first example of each group."""
    logs = inspect_logs([Path(name) for name in names], lambda _: None)
    result = scan_logs(logs, per_group=3, redacted=True, **{"workers": 1, **options})
    return result, [group.examples[0] for group in result.groups.ranked()]


@pytest.mark.parametrize("size", [997, 5_000])
def test_parts_find_what_the_whole_finds(size: int) -> None:
    """No line is lost or read twice at the end of a part, and places count from the file's beginning."""
    records = [{"prompt": f"{PAIRS[at % 3][0]} ({at})", "response": PAIRS[at % 3][1]} for at in range(300)]
    name = write("a.jsonl", lines(records))
    whole, examples = scanned([name])
    parts, same = scanned([name], part_size=size)
    assert (parts.records, parts.answers, parts.repeaters) == (whole.records, whole.answers, whole.repeaters)
    assert parts.records == 300
    assert same == examples


def test_processes_find_what_one_finds() -> None:
    """The number of workers changes no figure."""
    names = [write(f"{at}.jsonl", lines(rows())) for at in range(3)]
    result, examples = scanned(names, workers=2, small=0)
    assert (result.repeaters, len(examples)) == (6, 2)
    assert examples == scanned(names)[1]


def test_personal_data_is_redacted_unless_it_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """In the case, the table and the JSON."""
    name = write("a.jsonl", lines([{"prompt": "I am ann@shop.com, write about the sea.", "response": LOOP}]))
    main(["triage", name])
    assert "ann@shop.com" not in capsys.readouterr().out + Path("badcases/triage/test.json").read_text()
    _, data = triage(capsys, name, "--as", "raw", "--no-redact")
    assert "ann@shop.com" in data["groups"][0]["examples"][0]["prompt"]


def test_an_existing_folder_is_never_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before the logs are read."""
    name = write("a.jsonl", lines(rows()))
    assert main(["triage", name]) == 0
    before = Path("badcases/triage/test.json").read_bytes()
    assert main(["triage", name]) == 2
    assert "exists; give another name with --as" in capsys.readouterr().err
    assert Path("badcases/triage/test.json").read_bytes() == before


def test_a_prompt_that_the_suite_has_is_not_written_again(capsys: pytest.CaptureFixture[str]) -> None:
    """A second search in the same logs finds nothing new."""
    name = write("a.jsonl", lines(rows()))
    triage(capsys, name)
    code, data = triage(capsys, name, "--as", "again")
    assert (code, data["written"], data["cases"]) == (0, None, 0)
    assert all(group["known_case"].startswith("triage/") for group in data["groups"])


def test_prompts_that_no_case_file_takes_as_they_are_become_cases(capsys: pytest.CaptureFixture[str]) -> None:
    """NUL and half of a surrogate pair are shown as text; terminal escapes do not reach the terminal."""
    raw = b'{"prompt": "a\\u0000b \\ud83d \\u001b[31mred", "response": ' + json.dumps(LOOP).encode() + b"}\n"
    name = write("a.jsonl", raw)
    assert main(["triage", name]) == 0
    assert "\x1b" not in capsys.readouterr().out
    (case,) = read_folder(Path("badcases/triage"))
    assert case.prompt.startswith("a\\x00b \\ud83d")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"", "is empty"),
        ("a.bin", os.urandom(64) + b"\0" * 64, "no log of a known kind"),
        ("a.jsonl.gz", b"\x1f\x8b" + b"\0" * 30, "expected a readable log"),
        ("a.parquet", b"PAR1 nothing", "holds an answer"),
        ("a.jsonl", b'{"x": "y"}\n', "--response FIELD"),
        ("a.csv", b"prompt\n", "holds an answer"),
    ],
    ids=["empty", "binary", "damaged gzip", "damaged parquet", "unknown fields", "no rows"],
)
def test_what_is_no_log_is_refused(name: str, data: bytes, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason and what to do."""
    assert main(["triage", write(name, data)]) == 2
    assert message in capsys.readouterr().err


def test_a_cut_gzip_file_gives_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A log that is still written, or was copied in part."""
    whole = gzip.compress(lines(rows() * 200), 1)
    code, data = triage(capsys, write("a.jsonl.gz", whole[:-20]))
    assert code == 0
    assert data["counts"]["repeaters"] > 0
    assert "the rest cannot be read" in data["broken"][0]["reason"]


def test_a_link_out_of_a_folder_is_not_followed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Only what lies in the folder is read; a pipe would never end."""
    outside = tmp_path / "outside.jsonl"
    outside.write_bytes(lines(rows()))
    Path("logs").mkdir()
    (Path("logs") / "link.jsonl").symlink_to(outside)
    assert main(["triage", "logs"]) == 2
    os.mkfifo("pipe.jsonl")
    assert main(["triage", "pipe.jsonl"]) == 2
    assert "not a regular file" in capsys.readouterr().err


def test_a_long_answer_is_judged_by_its_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """A loop of a megabyte takes no more time than one of 200,000 characters."""
    _, data = triage(capsys, write("a.jsonl", lines([{"prompt": "Write.", "response": CLEAN + "la " * 400_000}])))
    assert (data["counts"]["long_answers"], data["counts"]["repeaters"]) == (1, 1)
    assert len(data["groups"][0]["examples"][0]["answer"]) < 2_000
