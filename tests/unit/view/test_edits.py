"""Changes from the page land in the right file, leave the suite readable, and can be undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import CaseFileError, DataError, HarnessError, StoreError, UsageError
from harness.pairs import import_pairs
from harness.project.settings import read_settings
from harness.project.suite import project_cases
from harness.safe.files import digest_file
from harness.view.edits import Edits
from tests.support.recorded import recorded_project

CASE = "badcase1/sea-0"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return recorded_project(tmp_path, 8)


@pytest.fixture
def edits(project: Path) -> Edits:
    return Edits(read_settings(project, environment={}))


@pytest.fixture
def pairs(project: Path) -> Path:
    return project / "reports" / "trainings" / "v4.2-20261121" / "generalized_dpo_preference_dataset.json"


def test_undo_takes_changes_back_in_their_order(edits: Edits, project: Path) -> None:
    """The newest first, to the byte; then there is nothing left."""
    path = project / "badcases" / "badcase1" / "test.json"
    first = path.read_bytes()
    edits.set_standard_answer(CASE, "One.")
    second = path.read_bytes()
    edits.mark(CASE, "An answer.", "rejected")
    assert "mark" in edits.undo()
    assert path.read_bytes() == second
    edits.undo()
    assert path.read_bytes() == first
    with pytest.raises(UsageError, match="nothing to undo"):
        edits.undo()


def test_undo_never_takes_a_colleagues_edit_along(edits: Edits, project: Path) -> None:
    """A file that was changed since stays as it is."""
    path = project / "badcases" / "badcase1" / "test.json"
    edits.set_standard_answer(CASE, "One.")
    path.write_text(path.read_text("utf-8").replace("One.", "Two."), "utf-8")
    with pytest.raises(StoreError, match="changed since"):
        edits.undo()
    assert "Two." in path.read_text("utf-8")


def test_a_mark_replaces_the_other_one(edits: Edits, project: Path) -> None:
    """An answer is accepted or rejected, never both; without a mark the fields are gone."""
    settings = read_settings(project, environment={})

    def marks() -> tuple[tuple[str, ...], tuple[str, ...]]:
        case = next(c for c in project_cases(settings) if c.id == CASE)
        return case.accepted_answers, case.rejected_answers

    edits.mark(CASE, "An answer.", "rejected")
    edits.mark(CASE, "Another one.", "rejected")
    edits.mark(CASE, "An answer.\n", "accepted")
    assert marks() == (("An answer.\n",), ("Another one.",))
    edits.mark(CASE, "An answer.", "")
    edits.mark(CASE, "Another one.", "")
    assert marks() == ((), ())
    records = json.loads((project / "badcases" / "badcase1" / "test.json").read_text("utf-8"))
    assert not any("answers" in name for record in records for name in record)


def test_an_edit_that_would_break_the_suite_is_put_back(edits: Edits, project: Path) -> None:
    """Half of a surrogate pair cannot be written, and the file is as it was."""
    path = project / "badcases" / "badcase1" / "test.json"
    before = path.read_bytes()
    with pytest.raises((CaseFileError, HarnessError)):
        edits.set_standard_answer(CASE, "half \ud83d")
    assert path.read_bytes() == before


def test_an_unknown_case_is_named(edits: Edits) -> None:
    """It may have been deleted since the page was opened."""
    with pytest.raises(UsageError, match="badcase9/x: the case files hold no such case"):
        edits.set_standard_answer("badcase9/x", "One.")


def test_a_pair_keeps_its_fault_only_while_its_rejected_answer_stays(edits: Edits, pairs: Path) -> None:
    """An edited text has its fault elsewhere, or nowhere."""
    records = json.loads(pairs.read_text("utf-8"))
    records[0]["fault_at"] = 3
    pairs.write_text(json.dumps(records), "utf-8")
    edits.edit_pair(pairs.parent.name, digest_file(pairs), 0, ("Better.", records[0]["rejected"]))
    assert import_pairs(pairs)[0].fault_at == 3
    edits.edit_pair(pairs.parent.name, digest_file(pairs), 0, ("Better.", "Worse worse."))
    assert import_pairs(pairs)[0].fault_at == 0


def test_a_pair_is_an_end_only_while_its_chosen_answer_stays(edits: Edits, pairs: Path) -> None:
    """What a person wrote is learnt whole."""
    records = json.loads(pairs.read_text("utf-8"))
    records[0]["chosen_from"] = 2
    pairs.write_text(json.dumps(records), "utf-8")
    edits.edit_pair(pairs.parent.name, digest_file(pairs), 0, (records[0]["chosen"], "Worse worse."))
    assert import_pairs(pairs)[0].chosen_from == 2
    edits.edit_pair(pairs.parent.name, digest_file(pairs), 0, ("Better.", "Worse worse."))
    assert import_pairs(pairs)[0].chosen_from == 0


@pytest.mark.parametrize(
    ("texts", "number", "problem"),
    [(("", "Bad."), 0, "chosen is empty"), (("Same.", "Same."), 0, "are the same"), (None, 7, "has no pair 8")],
    ids=["empty", "same", "no-such"],
)
def test_a_pair_that_teaches_nothing_is_refused(
    edits: Edits, pairs: Path, texts: tuple[str, str] | None, number: int, problem: str
) -> None:
    """The file stays as it is."""
    before = pairs.read_bytes()
    with pytest.raises((DataError, UsageError), match=problem):
        edits.edit_pair(pairs.parent.name, digest_file(pairs), number, texts)
    assert pairs.read_bytes() == before


def test_pairs_of_a_stale_page_are_not_touched(edits: Edits, pairs: Path) -> None:
    """After a drop, numbers mean other pairs."""
    seen = digest_file(pairs)
    edits.edit_pair(pairs.parent.name, seen, 0, None)
    with pytest.raises(UsageError, match="have changed since"):
        edits.edit_pair(pairs.parent.name, seen, 0, None)
    assert len(import_pairs(pairs)) == 1


def test_pairs_that_were_trained_on_stay(edits: Edits, pairs: Path) -> None:
    """They are the record of what the version learned."""
    (pairs.parent / "trained.json").write_text("{}", "utf-8")
    with pytest.raises(UsageError, match="was trained on these pairs"):
        edits.edit_pair(pairs.parent.name, digest_file(pairs), 0, None)


def test_blessing_without_evidence_is_refused(edits: Edits, project: Path) -> None:
    """The manifest stays as it is."""
    before = (project / "adapters_manifest.toml").read_bytes()
    with pytest.raises(UsageError, match="the whole suite was not run on it"):
        edits.bless("v4.1")
    assert (project / "adapters_manifest.toml").read_bytes() == before
