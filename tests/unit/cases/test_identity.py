"""A case keeps its id whatever happens around it."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases import Message, read_file, read_folder
from harness.cases.identity import MAX_ID_LENGTH, derive_name, id_problem
from tests.support.casefiles import put, put_records, refusal


def user(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        pytest.param("Write a poem about the sea.", "write-a-poem-about-the-e65b3fbe", id="english"),
        pytest.param("写一首诗", "case-5681a848", id="chinese"),
        pytest.param("用 Python 写 3 首诗", "python-3-3940a781", id="mixed"),
        pytest.param("Écris un poème, s'il te plaît", "ecris-un-poeme-sil-te-4819b358", id="accents"),
    ],
)
def test_derived_names_never_change(prompt: str, name: str) -> None:
    """These names are in people's histories: a change here renames every case without an id."""
    assert derive_name(user(prompt)) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_derived_names_are_plain_and_allowed(prompt: str) -> None:
    """A derived name is short ASCII that could be given as an id and that pytest shows as it is."""
    name = derive_name(user(prompt))

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}", name)
    assert len(name) <= 41 < MAX_ID_LENGTH
    assert id_problem(name) is None


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_equivalent_texts_have_one_name(prompt: str) -> None:
    """Composed and decomposed writings of a text are the same text."""
    composed, decomposed = (unicodedata.normalize(form, prompt) for form in ("NFC", "NFD"))

    assert derive_name(user(composed))[-8:] == derive_name(user(decomposed))[-8:]


def test_turns_do_not_run_together() -> None:
    """Where one turn ends and the next begins is part of the conversation."""
    one = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    other = (Message("user", "a"), Message("assistant", "bc"), Message("user", "c"))
    system = (Message("system", "a"), Message("user", "c"))

    assert len({derive_name(m)[-8:] for m in (one, other, system, user("c"))}) == 4


def test_ids_do_not_depend_on_position(tmp_path: Path) -> None:
    """Adding, removing and reordering records renames nobody."""
    records = [{"text": f"Say the number {n}."} for n in range(30)]
    before = {case.prompt: case.id for case in read_file(put_records(tmp_path, *records))}

    random.Random(7).shuffle(records)
    after = read_file(put_records(tmp_path, {"text": "A new one."}, *records[:20]))

    assert {case.prompt: case.id for case in after[1:]} == {r["text"]: before[r["text"]] for r in records[:20]}


def test_ids_do_not_depend_on_anything_but_the_conversation(tmp_path: Path) -> None:
    """A better standard answer, a tag, a folder's system prompt: the case stays the same case."""
    (before,) = read_file(put_records(tmp_path, {"text": "Hi"}))
    put(tmp_path, "badcase1/case.toml", 'system = "Be kind."\nrole = "guard"\n')
    (after,) = read_file(put_records(tmp_path, {"text": "Hi", "standard_answer": "Ho", "tags": ["a"]}))

    assert after.id == before.id
    assert after.messages[0].role == "system"


def test_a_records_own_system_prompt_is_part_of_its_conversation(tmp_path: Path) -> None:
    """The same text under two system prompts is two cases; how the prompt is written does not matter."""
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    path = put_records(tmp_path, {"text": "Hi"}, {"text": "Hi", "system": "Be kind."})

    plain, kind = read_file(path)
    (same,) = read_file(put_records(tmp_path, {"messages": turns}))

    assert plain.id != kind.id == same.id


def test_the_same_conversation_twice_is_refused(tmp_path: Path) -> None:
    """Both records are named; whether they are meant is not guessed."""
    path = put_records(tmp_path, {"text": "Café"}, {"text": "b"}, {"text": "Cafe\u0301"})

    (line,) = refusal(lambda: read_file(path))

    assert line == (f"{path}, record 3: the same conversation as {path}, record 1; remove one, or give each an 'id'")


def test_the_same_conversation_under_two_ids_is_two_cases(tmp_path: Path) -> None:
    """With ids of their own two records may ask the same, under other decoding for example."""
    path = put_records(tmp_path, {"text": "a", "id": "x"}, {"text": "a", "id": "y"}, {"text": "a"})

    assert len({case.id for case in read_file(path)}) == 3


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    """Ids are unique over all files of a folder, and up to how their characters are composed."""
    put_records(tmp_path, {"text": "a", "id": "caf\u00e9가"}, name="b/test.json")
    put(tmp_path, "b/cases.jsonl", json.dumps({"text": "b", "id": "caf\u00e9\u1100\u1161"}))

    (line,) = refusal(lambda: read_folder(tmp_path / "b"))

    assert "test.json, record 1, field 'id': " in line
    assert "is the id of " in line
    assert "cases.jsonl, record 1 (line 1) too; ids are unique" in line


def test_a_given_id_may_not_be_another_cases_derived_one(tmp_path: Path) -> None:
    """Given and derived ids share one namespace."""
    derived = derive_name(user("a"))

    (line,) = refusal(lambda: read_file(put_records(tmp_path, {"text": "a"}, {"text": "b", "id": derived})))

    assert f"record 2, field 'id': '{derived}' is the id of" in line


def test_one_id_in_two_folders_is_two_cases(tmp_path: Path) -> None:
    """The folder is part of the id."""
    put_records(tmp_path, {"text": "a", "id": "x"}, name="a/test.json")
    put_records(tmp_path, {"text": "a", "id": "x"}, name="b/test.json")

    assert [read_folder(tmp_path / name)[0].id for name in "ab"] == ["a/x", "b/x"]
