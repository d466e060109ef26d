"""Every format of case file holds the same cases, and a file that is none is refused with its place and a remedy."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from harness.cases import Message, read_file, read_folder
from harness.cases import formats as case_formats
from tests.support.casefiles import book, put, put_records, refusal

FULL = {
    "id": "sea",
    "text": "Write about the sea, please.",
    "standard_answer": 'The sea is "wide",\nthe sea is deep.',
    "system": "You are a poet.",
    "tags": ["poem", "english"],
    "role": "guard",
    "decoding": {"max_tokens": 64, "beam_width": 3},
    "thresholds": {"min_units": 2},
    "must_include": ["sea", "wide|deep"],
    "must_not_include": ["[0-9]"],
    "weight": 2.5,
    "source": "ticket 17",
}
CELLS = {
    **FULL,
    "tags": "poem; english",
    "decoding": json.dumps(FULL["decoding"]),
    "thresholds": json.dumps(FULL["thresholds"]),
    "must_include": "sea\nwide|deep",
    "must_not_include": "[0-9]",
}


def csv_of(*rows: dict[str, object]) -> str:
    def quoted(value: object) -> str:
        return '"' + str(value).replace('"', '""') + '"'

    lines = [",".join(rows[0]), *(",".join(quoted(v) for v in row.values()) for row in rows)]
    return "\r\n".join(lines) + "\r\n"


SAME = [
    pytest.param("test.json", json.dumps([FULL]), id="json"),
    pytest.param("test.jsonl", json.dumps(FULL) + "\n", id="jsonl"),
    pytest.param("test.csv", csv_of(CELLS), id="csv"),
    pytest.param("test.xlsx", book(list(CELLS), list(CELLS.values())), id="xlsx"),
]


@pytest.mark.parametrize(("name", "content"), SAME)
def test_every_format_holds_every_field(tmp_path: Path, name: str, content: str | bytes) -> None:
    """JSON, JSONL, CSV and XLSX give the same case."""
    (case,) = read_file(put(tmp_path, f"badcase1/{name}", content))

    assert case.id == "badcase1/sea"
    assert case.folder == "badcase1"
    assert case.messages == (Message("system", "You are a poet."), Message("user", FULL["text"]))  # type: ignore[arg-type]
    assert case.standard_answer == FULL["standard_answer"]
    assert (case.role, case.tags, case.weight, case.source) == ("guard", ("poem", "english"), 2.5, "ticket 17")
    assert (case.decoding.max_tokens, case.decoding.beam_width) == (64, 3)
    assert case.thresholds.min_units == 2
    assert (case.must_include, case.must_not_include) == (("sea", "wide|deep"), ("[0-9]",))


MESSAGES = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "爱"},
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("test.json", json.dumps([{"messages": MESSAGES}]), id="json"),
        pytest.param("test.jsonl", json.dumps({"messages": MESSAGES}), id="jsonl"),
        pytest.param("test.csv", csv_of({"messages": json.dumps(MESSAGES)}), id="csv"),
        pytest.param("test.xlsx", book(["messages"], [json.dumps(MESSAGES)]), id="xlsx"),
    ],
)
def test_every_format_holds_conversations(tmp_path: Path, name: str, content: str | bytes) -> None:
    """A conversation is the same in every format; in a table it is JSON in one cell."""
    (case,) = read_file(put(tmp_path, f"b/{name}", content))

    assert [(m.role, m.content) for m in case.messages] == [(m["role"], m["content"]) for m in MESSAGES]
    assert case.prompt == "爱"


def test_a_folder_of_today_works_unchanged(tmp_path: Path) -> None:
    """A test.json with only text and standard_answer is a case with all defaults."""
    put_records(tmp_path, {"text": "问题", "standard_answer": "回答"})

    (case,) = read_folder(tmp_path / "badcase1")

    assert (case.prompt, case.standard_answer, case.role, case.tags) == ("问题", "回答", "fix", ())


def test_text_is_kept_to_the_last_blank(tmp_path: Path) -> None:
    """Blanks, line ends and separators in a text are the user's; U+2028 ends no record of a JSONL file."""
    text = "  a\r\n\tb\u2028c\u0085d  \n"
    path = put(tmp_path, "b/test.jsonl", json.dumps({"text": text}, ensure_ascii=False) + "\n")

    assert read_file(path)[0].prompt == text


@pytest.mark.parametrize("name", ["test.json", "test.jsonl", "test.csv"])
def test_a_byte_order_mark_is_no_content(tmp_path: Path, name: str) -> None:
    """A UTF-8 file may begin with a byte order mark, as Windows programs write it."""
    content = {"test.json": '[{"text": "a"}]', "test.jsonl": '{"text": "a"}', "test.csv": "text\na\n"}[name]

    assert read_file(put(tmp_path, f"b/{name}", b"\xef\xbb\xbf" + content.encode()))[0].prompt == "a"


def test_a_jsonl_file_may_have_blank_lines(tmp_path: Path) -> None:
    """Blank lines are no records, and a record's line number counts them."""
    path = put(tmp_path, "b/test.jsonl", '\n{"text": "a"}\r\n\n{"text": 7}\n')

    (line,) = refusal(lambda: read_file(path))

    assert "test.jsonl, record 2 (line 4), field 'text': is a number" in line


DEEP = 20_000
BAD_FILES = [
    pytest.param("test.json", b"", ["is empty", "expected a list of records"], id="empty-json"),
    pytest.param("test.json", b" \n", ["is empty"], id="blank-json"),
    pytest.param("test.json", b"[]", ["holds no case", "write one"], id="empty-list"),
    pytest.param("test.json", b"{}", ["holds an object", "expected a list of records"], id="object"),
    pytest.param("test.json", b'"a"', ["holds a string"], id="string"),
    pytest.param("test.json", b"null", ["holds null"], id="null"),
    pytest.param("test.json", b"5", ["holds a number"], id="number"),
    pytest.param("test.json", b"NaN", ["NaN is not a number"], id="nan-document"),
    pytest.param("test.json", b'[{"text": "a"},]', ["not JSON at line 1, column"], id="trailing-comma"),
    pytest.param("test.json", b'[{"text":\n "a"', ["not JSON at line 2, column"], id="cut-off"),
    pytest.param("test.json", b"[{'text': 'a'}]", ["not JSON at line 1, column 3"], id="single-quotes"),
    pytest.param("test.json", b'[{"text": "a\nb"}]', ["not JSON at line 1", "control character"], id="raw-newline"),
    pytest.param("test.json", b'{"text": "a"}\n{"text": "b"}', ["line 2, column 1", ".jsonl"], id="jsonl-named-json"),
    pytest.param("test.json", b"[" * DEEP + b"]" * DEEP, ["nested too deep"], id="deep-lists"),
    pytest.param("test.json", b'{"a":' * DEEP + b"1" + b"}" * DEEP, ["nested too deep"], id="deep-objects"),
    pytest.param("test.json", b"\x00", ["not JSON at line 1, column 1"], id="nul"),
    pytest.param("test.json", "[]".encode("utf-16"), ["looks like UTF-16", "save it as UTF-8"], id="utf-16"),
    pytest.param("test.json", "[]".encode("utf-16-le"), ["not JSON at line 1"], id="utf-16-no-mark"),
    pytest.param(
        "test.json",
        '[{"text":\n"中文"}]'.encode("gb18030"),
        ["not UTF-8: byte 0xd6 at offset 11 (line 2)", "iconv -f GB18030 -t UTF-8"],
        id="gb18030",
    ),
    pytest.param(
        "test.json", b"\xef\xbb\xbf[\xff]", ["not UTF-8: byte 0xff at offset 4"], id="bad-byte-after-byte-order-mark"
    ),
    pytest.param("test.json", b'[{"text": "\xed\xa0\x80"}]', ["not UTF-8", "offset 11"], id="surrogate-bytes"),
    pytest.param("test.jsonl", b"", ["holds no case"], id="empty-jsonl"),
    pytest.param("test.jsonl", b"\n\n", ["holds no case"], id="blank-jsonl"),
    pytest.param("test.jsonl", b'{"text": "a"', ["record 1 (line 1)", "not JSON at column"], id="jsonl-cut-off"),
    pytest.param("test.jsonl", b'{"text": "a"} {}', ["record 1 (line 1)", "column 15"], id="jsonl-two-in-a-line"),
    pytest.param(
        "test.jsonl", b'[{"text": "a"}]', ["record 1 (line 1)", "is a list; expected an object"], id="jsonl-list"
    ),
    pytest.param("test.jsonl", b"[" * DEEP, ["record 1 (line 1)", "nested too deep"], id="jsonl-deep"),
    pytest.param("test.csv", b"", ["is empty", "first row"], id="empty-csv"),
    pytest.param("test.csv", b"text,standard_answer\n", ["holds no case"], id="csv-header-only"),
    pytest.param("test.csv", b"standard_answer\na\n", ["line 1", "no column 'text'"], id="csv-no-text"),
    pytest.param("test.csv", b"text;standard_answer\na;b\n", ["separate columns by commas"], id="csv-semicolons"),
    pytest.param("test.csv", b"text,txet\na,b\n", ["line 1", "'txet'", "did you mean 'text'?"], id="csv-unknown"),
    pytest.param("test.csv", b"text,text\na,b\n", ["line 1", "'text' has two columns"], id="csv-column-twice"),
    pytest.param("test.csv", b"text,\na,b\n", ["line 1", "column 2 has no name"], id="csv-nameless-column"),
    pytest.param("test.csv", b"text\na,b\n", ["record 1 (line 2)", "has 2 cells"], id="csv-long-row"),
    pytest.param("test.csv", b"text,tags\na\n", ["record 1 (line 2)", "has 1 cells"], id="csv-short-row"),
    pytest.param("test.csv", b'text\n"a\nb', ["line 2", "not CSV"], id="csv-open-quote"),
    pytest.param("test.csv", b'text\n"a"b\n', ["line 2", "not CSV"], id="csv-text-after-quote"),
    pytest.param("test.csv", b"text\na\x00b\n", ["record 1 (line 2)", "NUL at character 2"], id="csv-nul"),
    pytest.param("test.xlsx", b"", ["not an .xlsx workbook"], id="empty-xlsx"),
    pytest.param("test.xlsx", b"text\na\n", ["not an .xlsx workbook"], id="csv-named-xlsx"),
    pytest.param("test.xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 600, ["old .xls or has a password"], id="old-xls"),
    pytest.param("test.xlsx", book(["text"], ["a"])[:-400], ["not an .xlsx workbook"], id="xlsx-cut-off"),
    pytest.param("test.txt", b"a", ["a case file ends with .json, .jsonl, .csv, .xlsx"], id="other-suffix"),
    pytest.param("test.yaml", b"- text: a", ["a case file ends with"], id="yaml"),
]


@pytest.mark.parametrize(("name", "content", "parts"), BAD_FILES)
def test_a_malformed_file_is_refused(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    """The error is one line that names the file, the place in it and what is wrong, within a second of computing."""
    path = put(tmp_path, f"badcase1/{name}", content)
    started = time.process_time()

    (line,) = refusal(lambda: read_file(path))

    assert time.process_time() - started < 1.0
    assert line.startswith(str(path))
    for part in parts:
        assert part in line


def test_the_good_lines_of_a_jsonl_file_are_checked_beside_the_bad(tmp_path: Path) -> None:
    """A malformed line does not hide the problems of the lines after it."""
    path = put(tmp_path, "b/test.jsonl", '{"text": "a"\n{"text": ""}\n{"txt": "c", "text": "c"}\n')

    first, *lines = refusal(lambda: read_file(path))

    assert first.startswith("3 problems in case files")
    assert [line.split(", ")[1].split(":")[0] for line in lines] == [f"record {n} (line {n})" for n in (1, 2, 3)]


def test_at_most_twenty_problems_are_spelled_out(tmp_path: Path) -> None:
    """The first line says how many there are, twenty follow in the order of the file."""
    path = put_records(tmp_path, *[{"text": ""}] * 33)

    first, *lines = refusal(lambda: read_file(path))

    assert first == "33 problems in case files, the first 20:"
    assert [f"record {n}," in line for n, line in enumerate(lines, 1)] == [True] * 20


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    """A file of more than 64 MiB is refused by its size."""
    path = put(tmp_path, "b/test.json", b"")
    with path.open("r+b") as handle:
        handle.truncate(case_formats.MAX_FILE_SIZE + 1)

    (line,) = refusal(lambda: read_file(path))

    assert "larger than 64 MiB; split it" in line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("test.json", "[" + "0," * 1_000_000 + "0]", id="json"),
        pytest.param("test.jsonl", "0\n" * 1_000_001, id="jsonl"),
    ],
)
def test_a_file_of_endless_records_is_not_gone_through(tmp_path: Path, name: str, content: str) -> None:
    """More than a million records are refused before each of them becomes a problem."""
    (line,) = refusal(lambda: read_file(put(tmp_path, f"b/{name}", content)))

    assert "holds more than 1,000,000 records; split it" in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that does not exist is an error of the call, not a traceback."""
    (line,) = refusal(lambda: read_file(tmp_path / "b" / "test.json"))

    assert line == f"{tmp_path}/b/test.json: cannot be read: No such file or directory; give a readable file"


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    """A folder called test.json is no case file."""
    (tmp_path / "b" / "test.json").mkdir(parents=True)

    (line,) = refusal(lambda: read_folder(tmp_path / "b"))

    assert "test.json: " in line
    assert "directory" in line or "not a regular file" in line


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    """A FIFO that nobody writes to does not hang the reading."""
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / "test.json")

    (line,) = refusal(lambda: read_folder(tmp_path / "b"))

    assert "is not a regular file" in line


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
@pytest.mark.parametrize("name", ["test.json", "case.toml"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    """What a case folder reads lies in it; a link to elsewhere is not followed."""
    put_records(tmp_path, {"text": "a"}, name="b/cases.json")
    secret = put(tmp_path, "secret", "[]")
    (tmp_path / "b" / name).symlink_to(secret)

    (line,) = refusal(lambda: read_folder(tmp_path / "b"))

    assert f"{name}: is a symbolic link that leaves its folder" in line


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    """A link to a file of the same folder is that file."""
    put_records(tmp_path, {"text": "a"}, name="b/2024.json")
    (tmp_path / "b" / "test.json").symlink_to("2024.json")

    assert [case.prompt for case in read_folder(tmp_path / "b")] == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    """A link to itself is an unreadable file."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "test.json").symlink_to("test.json")

    (line,) = refusal(lambda: read_folder(tmp_path / "b"))

    assert "test.json: cannot be read: " in line
