"""A stored step of a fix is taken for the same inputs, and only then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cases.model import Message
from harness.errors import DataError
from harness.fix.checkpoints import Selection
from harness.fix.journal import Journal
from harness.fix.plan import FixPlan
from harness.pairs import Pair
from harness.pairs.files import DATASET
from harness.project.manifest import Adapter
from harness.project.sampling import Sampling
from harness.store import Run, Store
from tests.support.builders import result
from trainers.recipe import Recipe

PAIRS = (
    Pair(case_id="f/a", messages=(Message("user", "Sing."),), chosen="La.", rejected="La la la.", origin="standard"),
)
SELECTION = Selection(step=2, steps=3)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return open_journal(tmp_path)


def open_journal(tmp_path: Path, *, resume: bool = True) -> Journal:
    run: Any = Run(id="r", started="", finished=None, status="finished", planned=1, facts={})
    plan = FixPlan(
        run=run,
        parent=Adapter(name="v1", model="m"),
        name="v2",
        failures=(result(),),
        others=(),
        passing=(),
        results=(result(),),
        recipe=Recipe(),
        sampling=Sampling(),
    )
    return Journal(plan, tmp_path / "v2-r", Store(tmp_path / "db"), resume=resume)


def test_pairs_are_taken_for_the_same_inputs_only(journal: Journal) -> None:
    """Other inputs, or nothing stored, are made again."""
    assert journal.pairs("a") is None
    journal.save_pairs(PAIRS, "a")
    assert journal.pairs("a") == PAIRS
    assert journal.pairs("b") is None


def test_edited_pairs_are_taken_for_the_same_inputs_and_refused_for_others(journal: Journal) -> None:
    """A person's work is used where it belongs, and never overwritten."""
    journal.save_pairs(PAIRS, "a")
    path = journal.folder / DATASET
    path.write_text(path.read_text("utf-8").replace("La.", "Lo."), "utf-8")
    assert journal.pairs("a") == (replace(PAIRS[0], chosen="Lo."),)
    with pytest.raises(DataError, match="was edited"):
        journal.pairs("b")


def test_a_selection_is_taken_with_resume_and_for_the_same_checkpoints_only(journal: Journal, tmp_path: Path) -> None:
    """A new call chooses again."""
    journal.save_selection(SELECTION, "a")
    assert journal.selection("a") == SELECTION
    assert journal.selection("b") is None
    assert open_journal(tmp_path, resume=False).selection("a") is None


def test_a_state_that_was_changed_counts_as_absent(journal: Journal, tmp_path: Path) -> None:
    """A checkpoint's folder with one wrong character would be another one's."""
    journal.save_selection(SELECTION, "a")
    path = journal.folder / "selected.json"
    text = path.read_text("utf-8")
    path.write_text(text.replace('\\"a\\"', '\\"b\\"', 1), "utf-8")
    assert path.read_text("utf-8") != text
    again = open_journal(tmp_path)
    assert (again.selection("a"), again.selection("b")) == (None, None)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"7"], ids=["empty", "binary", "deep", "object", "number"]
)
def test_a_damaged_state_file_counts_as_absent(journal: Journal, content: bytes) -> None:
    """A full disk costs a step, and gives no traceback."""
    journal.save_pairs(PAIRS, "a")
    for name in ("trained.json", "selected.json", "made_from.json"):
        (journal.folder / name).write_bytes(content)
    assert journal.trained("a") is None
    assert journal.selection("a") is None
    with pytest.raises(DataError, match="was edited"):
        journal.pairs("a")
