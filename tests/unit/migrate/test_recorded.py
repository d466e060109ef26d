"""Old answers find their cases and versions, and their runs hold what the files say."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases.model import Case, Message
from harness.migrate.answers import AnswerFile, OldAnswer
from harness.migrate.recorded import cases_of, match, name_versions
from harness.project.manifest import Adapter, Manifest, Model


def case(name: str, text: str, folder: str = "b", standard: str | None = None) -> Case:
    return Case(id=f"{folder}/{name}", folder=folder, messages=(Message("user", text),), standard_answer=standard)


def file(name: str, *answers: OldAnswer) -> AnswerFile:
    return AnswerFile(path=Path(name), name=name, sha256="", answers=answers, names_adapters=True)


def answer(text: str, response: str = "R", adapter: str = "v1", **more: str) -> OldAnswer:
    return OldAnswer(place="row", adapter=adapter, text=text, response=response, **more)  # type: ignore[arg-type]


def matched(files: list[AnswerFile], cases: list[Case], folders: dict[Path, str] | None = None):  # type: ignore[no-untyped-def]
    return match(files, cases, lambda _, a: a.adapter, folders)


def test_an_answer_belongs_to_the_case_with_its_prompt() -> None:
    """White space apart; a prompt of no case is left over."""
    found = matched([file("r", answer(" Hi  you\n"), answer("Else"))], [case("a", "Hi you")])
    assert [list(r.answers) for r in found.rounds] == [[("b/a", "v1")]]
    assert [a.text for a in found.unmatched] == ["Else"]


@pytest.mark.parametrize(
    ("row", "folder", "expected"),
    [
        (answer("Hi"), "", None),
        (answer("Hi"), "c", "c/a"),
        (answer("Hi", standard_answer="Two"), "", "c/a"),
        (answer("Hi", case_id="b/a"), "", "b/a"),
    ],
    ids=["unclear", "folder", "standard answer", "id"],
)
def test_of_two_cases_with_one_prompt_the_right_one_is_taken_or_none(
    row: OldAnswer, folder: str, expected: str | None
) -> None:
    """A row that may belong to either is named and not given to one of them."""
    cases = [case("a", "Hi", "b", "One"), case("a", "Hi", "c", "Two")]
    found = matched([file("r", row)], cases, {Path("r"): folder})
    assert [key[0] for r in found.rounds for key in r.answers] == ([expected] if expected else [])
    assert bool(found.notes) is (expected is None)


def test_files_of_several_versions_make_one_run() -> None:
    """So the report compares them."""
    files = [file("r_v1.xlsx", answer("Hi")), file("r_v2.xlsx", answer("Hi", adapter="v2"))]
    (only,) = matched(files, [case("a", "Hi")]).rounds
    assert only.versions == ("v1", "v2")


def test_older_answers_make_a_run_before() -> None:
    """The date in the name decides; the newest answer of each case is in the last run."""
    cases = [case("a", "Hi"), case("b", "Ho")]
    files = [
        file("result_2024-08-05.xlsx", answer("Hi", "new")),
        file("result_2024-08-01.xlsx", answer("Hi", "old"), answer("Ho", "only")),
    ]
    rounds = matched(files, cases).rounds
    assert [[a.response for answers in r.answers.values() for a in answers] for r in rounds] == [
        ["old"],
        ["new", "only"],
    ]


def test_different_answers_of_one_file_are_samples_and_equal_ones_are_one() -> None:
    """Scripts that sample write a row for each."""
    found = matched([file("r", answer("Hi", "A"), answer("Hi", "B"), answer("Hi", "A"))], [case("a", "Hi")])
    assert [a.response for a in found.rounds[0].answers["b/a", "v1"]] == ["A", "B"]


def test_cases_are_made_of_answers() -> None:
    """One for each prompt, with the standard answer where some row has it."""
    made = cases_of([answer("Hi"), answer("Hi", standard_answer="Yes"), answer("Ho", system="S")], "old")
    assert [(c.prompt, c.standard_answer, len(c.messages)) for c in made] == [("Hi", "Yes", 1), ("Ho", None, 2)]
    assert all(c.id.startswith("old/") for c in made)


def test_versions_are_named_by_the_manifest_or_by_their_path() -> None:
    """Two paths never share a name, and the model itself is no adapter."""
    manifest = Manifest(
        path=Path("/p/adapters_manifest.toml"),
        models={"m": Model(name="m", path="/m/q")},
        adapters={
            "shipped": Adapter(name="shipped", model="m"),
            "release": Adapter(name="release", model="m", path=Path("/a/v4.0"), sha256="0" * 64),
        },
    )
    written = ["/a/v4.0", "/b/v4.0/", "release", "", "/m/q", "/out/v5/checkpoint-300", "C:\\x\\v6", "/c/v4.0"]
    assert name_versions(written, manifest) == {
        "/a/v4.0": "release", "/b/v4.0/": "v4.0", "release": "release", "": "shipped", "/m/q": "shipped",
        "/out/v5/checkpoint-300": "v5-checkpoint-300", "C:\\x\\v6": "v6", "/c/v4.0": "c-v4.0",
    }  # fmt: skip
    assert name_versions(["/a/v4.0", "", "/a/base"]) == {"/a/v4.0": "v4.0", "": "base", "/a/base": "a-base"}
