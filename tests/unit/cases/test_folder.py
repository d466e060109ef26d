"""A suite is all cases of all its folders, in a person's order, or an error that names every problem."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.cases import Message, Thresholds, read_file, read_folder, read_suite
from harness.cases.decoding import Decoding
from tests.support.casefiles import book, put, put_records, refusal

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")


def ids(root: Path) -> list[str]:
    return [case.id for case in read_suite(root)]


def test_folders_and_files_come_in_natural_order(tmp_path: Path) -> None:
    """badcase2 is before badcase10; within a folder files by name, within a file records as they stand."""
    for folder in ("badcase10", "badcase2", "badcase1", "Apples", "诗"):
        put_records(tmp_path, {"text": "b", "id": "z"}, {"text": "a", "id": "a"}, name=f"{folder}/test.json")
    put(tmp_path, "badcase2/cases.csv", "text,id\nc,c\n")

    assert ids(tmp_path) == [
        "Apples/z", "Apples/a", "badcase1/z", "badcase1/a", "badcase2/c", "badcase2/z", "badcase2/a",
        "badcase10/z", "badcase10/a", "诗/z", "诗/a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "test.json",
        "test.jsonl",
        "test.csv",
        "test.xlsx",
        "cases.json",
        "cases.jsonl",
        "cases.csv",
        "cases.xlsx",
        "Test.XLSX",
    ],
)
def test_files_called_test_or_cases_are_read(tmp_path: Path, name: str) -> None:
    """Each name that a case file may have is found."""
    contents: dict[str, str | bytes] = {
        ".json": '[{"text": "a"}]', ".jsonl": '{"text": "a"}', ".csv": "text\na\n", ".xlsx": book(["text"], ["a"]),
    }  # fmt: skip
    put(tmp_path, f"b/{name}", contents[Path(name).suffix.lower()])

    assert len(ids(tmp_path)) == 1


@pytest.mark.parametrize(
    "name",
    [
        "b/dataset_info.json",
        "b/generalized_dpo_preference_dataset.json",
        "b/results.xlsx",
        "b/test.json.bak",
        "b/.test.json",
        "b/.hidden/test.json",
        "b/__pycache__/test.json",
        "b/run.sh",
        ".hidden/test.json",
        "__pycache__/test.json",
        "test_badcases.py",
        "helpers/tools.py",
        "pairs/dataset_info.json",
    ],
)
def test_everything_else_in_a_suite_is_left_alone(tmp_path: Path, name: str) -> None:
    """Other files of today's folders, hidden folders and caches are not read."""
    put_records(tmp_path, {"text": "a", "id": "x"}, name="b/test.json")
    put(tmp_path, name, "not a case file")

    assert ids(tmp_path) == ["b/x"]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        pytest.param("c/", "c: is empty; add test.json", id="empty"),
        pytest.param("c/tests.json", "c: holds no case file but 'tests.json'; name it test.json", id="misnamed"),
        pytest.param("c/case.toml", "c: holds no case file but 'case.toml'", id="only-settings"),
        pytest.param("c/d/test.json", "c: holds no case file but the folder 'd' does", id="nested"),
        pytest.param("test.json", "test.json: lies in no case folder; move it into one", id="no-folder"),
        pytest.param("c::d/test.json", "has a name that cannot be part of a test's id", id="colons"),
        pytest.param("c\nd/test.json", "c\\nd: has a name that cannot be part of", id="newline"),
    ],
)
def test_cases_that_would_be_missed_are_an_error(tmp_path: Path, name: str, part: str) -> None:
    """A folder that looks like cases but gives none does not vanish from the run."""
    put_records(tmp_path, {"text": "a", "id": "x"}, name="b/test.json")
    if name.endswith("/"):
        (tmp_path / name).mkdir()
    else:
        put(tmp_path, name, '[{"text": "a"}]')

    (line,) = refusal(lambda: read_suite(tmp_path))

    assert part in line


def test_a_suite_without_folders_is_an_error(tmp_path: Path) -> None:
    """No cases at all is never a suite that passes."""
    put(tmp_path, "test_badcases.py", "")

    (line,) = refusal(lambda: read_suite(tmp_path))

    assert line == f"{tmp_path}: has no case folder; make one, e.g. {tmp_path}/badcase1/test.json"


@pytest.mark.parametrize(
    ("read", "part"),
    [
        pytest.param(read_suite, "No such file or directory", id="suite"),
        pytest.param(read_folder, "No such file or directory", id="folder"),
    ],
)
def test_a_missing_folder_is_named(tmp_path: Path, read: Any, part: str) -> None:
    """A wrong path is an error of the call."""
    (line,) = refusal(lambda: read(tmp_path / "nowhere"))

    assert line == f"{tmp_path}/nowhere: cannot be read as a folder: {part}; give a folder of bad cases"


def test_a_folder_that_is_asked_for_must_hold_cases(tmp_path: Path) -> None:
    """What a suite may leave alone is an error when it is named itself."""
    put(tmp_path, "helpers/tools.py", "")

    (line,) = refusal(lambda: read_folder(tmp_path / "helpers"))

    assert "helpers: holds no case file; expected test.json" in line


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    """One run of the reader finds the mistakes of the whole suite."""
    put_records(tmp_path, {"text": ""}, name="a/test.json")
    put(tmp_path, "b/test.jsonl", "{")
    put(tmp_path, "c/case.toml", "=")
    put_records(tmp_path, {"text": "ok"}, name="c/test.json")

    first, *lines = refusal(lambda: read_suite(tmp_path))

    assert first == "3 problems in case files:"
    assert [Path(line.split(":")[0].split(",")[0]).parent.name for line in lines] == ["a", "b", "c"]


def test_later_settings_win_field_by_field(tmp_path: Path) -> None:
    """Defaults, then the project's settings, then case.toml, then the record."""
    put(
        tmp_path,
        "b/case.toml",
        'system = "folder"\ntags = ["folder"]\nrole = "holdout"\nweight = 2\n'
        "[decoding]\nbeam_width = 3\nmax_tokens = 30\n[thresholds]\nmin_units = 3\nmin_similarity = 0.3\n",
    )
    own = {"system": "own", "tags": ["own"], "role": "guard", "weight": 4, "decoding": {"max_tokens": 40},
           "thresholds": {"min_similarity": 0.4}}  # fmt: skip
    path = put_records(tmp_path, {"text": "a"}, {"text": "b", **own}, name="b/test.json")
    put_records(tmp_path, {"text": "c"}, name="c/test.json")

    inherits, overrides, elsewhere = read_suite(
        tmp_path,
        decoding=Decoding(beam_width=2, max_tokens=20, seed=20),
        thresholds=Thresholds(min_units=2, max_loop_excess=0.2),
        system="project",
    )

    assert inherits.messages[0] == Message("system", "folder")
    assert (inherits.tags, inherits.role, inherits.weight) == (("folder",), "holdout", 2.0)
    assert inherits.decoding == Decoding(beam_width=3, max_tokens=30, seed=20)
    assert inherits.thresholds == Thresholds(min_units=3, min_similarity=0.3, max_loop_excess=0.2)
    assert overrides.messages[0] == Message("system", "own")
    assert (overrides.tags, overrides.role, overrides.weight) == (("own",), "guard", 4.0)
    assert overrides.decoding == Decoding(beam_width=3, max_tokens=40, seed=20)
    assert overrides.thresholds == Thresholds(min_units=3, min_similarity=0.4, max_loop_excess=0.2)
    assert elsewhere.messages[0] == Message("system", "project")
    assert (elsewhere.tags, elsewhere.role, elsewhere.weight) == ((), "fix", 1.0)
    assert elsewhere.decoding == Decoding(beam_width=2, max_tokens=20, seed=20)
    assert read_file(path)[0].decoding == Decoding(beam_width=3, max_tokens=30)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param(b"rolle = 'fix'", "field 'rolle': unknown field; did you mean 'role'?", id="unknown"),
        pytest.param(b"text = 'a'", "field 'text': unknown field; known are: decoding, thresholds", id="record-field"),
        pytest.param(b"role = 'fixed'", "field 'role': is 'fixed'; did you mean 'fix'?", id="role"),
        pytest.param(b"weight = inf", "field 'weight': is inf; expected a finite number", id="infinite"),
        pytest.param(b"weight = nan", "field 'weight': is nan; expected a finite number", id="nan"),
        pytest.param(b"weight = 2024-05-01", "field 'weight': is date", id="date"),
        pytest.param(b"tags = 'a'", "field 'tags': is a string; expected a list", id="tags"),
        pytest.param(b"system = ''", "field 'system': is empty", id="system"),
        pytest.param(b"decoding = 5", "field 'decoding': is a number; expected an object", id="no-table"),
        pytest.param(b"[decoding]\nmax_tokens = '5'", "max_tokens = '5' (expected a whole number", id="string"),
        pytest.param(b"[decoding]\nmax_token = 5", "'decoding.max_token': unknown field", id="unknown-decoding"),
        pytest.param(
            b"[thresholds]\nmin_similarity = 2", "min_similarity = 2 (expected a number 0..1)", id="threshold"
        ),
        pytest.param(b"[thresholds]\nmin_similarity = nan", "min_similarity = nan (expected", id="nan-threshold"),
        pytest.param(b"[decoding]\nseed = 99999999999999999999", "'decoding.seed': a whole number too", id="huge"),
        pytest.param(b"weight = " + b"9" * 5000, "not TOML: a number too large", id="digits"),
        pytest.param(b"role = 'fix'\nrole = 'fix'", "not TOML: Cannot overwrite a value (at ", id="twice"),
        pytest.param(b"a = " + b"[" * 20_000, "not TOML: nested too deep", id="deep"),
        pytest.param(b"role = fix", "not TOML: Invalid value (at line 1, column 8)", id="no-quotes"),
        pytest.param(b"role = '\xff'", "not UTF-8: byte 0xff at offset 8 (line 1)", id="not-utf-8"),
    ],
)
def test_a_wrong_case_toml_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    """A folder's settings are checked like a record's fields."""
    path = put(tmp_path, "b/case.toml", content)
    put_records(tmp_path, {"text": "a"}, name="b/test.json")

    (line,) = refusal(lambda: read_suite(tmp_path))

    assert line.startswith(str(path))
    assert part in line


def test_an_empty_case_toml_changes_nothing(tmp_path: Path) -> None:
    """An empty file, with or without a byte order mark, sets nothing."""
    put(tmp_path, "b/case.toml", b"\xef\xbb\xbf# nothing yet\n")
    put_records(tmp_path, {"text": "a"}, name="b/test.json")

    assert read_suite(tmp_path)[0].decoding == Decoding()


@needs_links
def test_a_folder_linked_from_elsewhere_is_refused(tmp_path: Path) -> None:
    """A case folder that lies outside of the suite is not read through a link."""
    put_records(tmp_path, {"text": "a"}, name="elsewhere/test.json")
    put_records(tmp_path, {"text": "a"}, name="suite/b/test.json")
    (tmp_path / "suite" / "c").symlink_to(tmp_path / "elsewhere")

    (line,) = refusal(lambda: read_suite(tmp_path / "suite"))

    assert "suite/c: is a symbolic link that leaves the suite; put the folder itself here" in line


@needs_links
def test_a_linked_folder_without_cases_is_left_alone(tmp_path: Path) -> None:
    """A link to model weights beside the case folders is nobody's case folder; nor is a broken link."""
    (tmp_path / "weights").mkdir()
    put_records(tmp_path, {"text": "a", "id": "x"}, name="suite/b/test.json")
    (tmp_path / "suite" / "model").symlink_to(tmp_path / "weights")
    (tmp_path / "suite" / "gone").symlink_to(tmp_path / "nowhere")

    assert ids(tmp_path / "suite") == ["b/x"]


@needs_links
def test_a_suite_may_itself_be_a_link(tmp_path: Path) -> None:
    """Where the suite lies is the user's matter; a link within it is followed."""
    put_records(tmp_path, {"text": "a", "id": "x"}, name="real/b/test.json")
    (tmp_path / "real" / "c").symlink_to("b")
    (tmp_path / "badcases").symlink_to("real")

    assert ids(tmp_path / "badcases") == ["b/x", "c/x"]


def test_a_folder_is_named_as_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path, even ".", gives the same ids."""
    put_records(tmp_path, {"text": "a", "id": "x"}, name="b/test.json")
    monkeypatch.chdir(tmp_path / "b")

    for case in (
        *read_folder(Path()),
        *read_folder(Path("../b")),
        *read_file(Path("test.json")),
        *read_suite(Path("..")),
    ):
        assert (case.id, case.folder) == ("b/x", "b")


def test_case_toml_sets_patterns_and_reasons(tmp_path: Path) -> None:
    """Patterns of case.toml and of a record add up; a record's own reason replaces its folder's."""
    put(
        tmp_path,
        "b/case.toml",
        """
        must_include = ["sea"]
        must_not_include = "lake"
        skip = "model without tools"
        """,
    )
    put(
        tmp_path,
        "b/test.json",
        """[
        {"text": "one"},
        {"text": "two", "must_include": ["sea", "wave"], "xfail": "TICKET-7"}
    ]""",
    )

    plain, own = read_folder(tmp_path / "b")

    assert (plain.must_include, plain.must_not_include) == (("sea",), ("lake",))
    assert (plain.skip, plain.xfail) == ("model without tools", "")
    assert own.must_include == ("sea", "wave")
    assert (own.skip, own.xfail) == ("", "TICKET-7")
