"""What people change from the page: case files, pairs, the status of versions. Every change can be undone.

A change is the file before and the file after. Undo puts the file before back, if nobody has changed it since, so it
never takes a colleague's edit along. Changes are kept for as long as the page runs; version control keeps the rest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from harness.cases.edit import edit_record
from harness.cases.folder import locate_cases
from harness.cases.model import Case
from harness.errors import DataError, StoreError, UsageError
from harness.fix.blessing import bless, refuse
from harness.pairs import check_pairs, import_pairs
from harness.pairs.files import DATASET, export_pairs
from harness.pairs.model import Pair
from harness.project.manifest import read_manifest
from harness.project.settings import Settings
from harness.project.suite import project_cases
from harness.safe.files import digest_file, locked, write_bytes

__all__ = ["Edits", "Mark", "pairs_file"]

Mark = Literal["accepted", "rejected", ""]
_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    label: str
    path: Path
    before: bytes
    after: str
    """sha256 of the file after the change."""


class Edits:
    """The changes of one page; safe to call from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._changes: deque[_Change] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    # -- cases -------------------------------------------------------------------------------------------------------

    def set_standard_answer(self, case_id: str, text: str) -> None:
        """Write a new standard answer into the case's file; an empty text removes it.

        Raises:
            UsageError: no such case.
            CaseFileError: the file has changed, cannot be edited, or the case would be refused.
        """
        self._edit(case_id, "standard_answer", text if text.strip() else None, f"standard answer of {case_id}")

    def mark(self, case_id: str, answer: str, mark: Mark) -> None:
        """Accept an answer although it repeats, reject it although it passes, or take such a mark away.

        Raises:
            UsageError: no such case, or an empty answer.
            CaseFileError: as :meth:`set_standard_answer`.
        """
        if not answer.strip():
            raise UsageError(f"{case_id}: an empty answer cannot be marked")
        case = self._case(case_id)
        label = f"mark of an answer of {case_id}"
        kept = {"accepted": case.accepted_answers, "rejected": case.rejected_answers}
        with self._lock:
            # An answer may not stand in both lists, so it is taken out first.
            for name, answers in sorted(kept.items(), key=lambda item: item[0] == mark):
                others = [a for a in answers if a.strip() != answer.strip()]
                wanted = [*others, answer] if mark == name else others
                if wanted != list(answers):
                    self._write(case_id, f"{name}_answers", wanted or None, label)

    def _case(self, case_id: str) -> Case:
        case = next((c for c in project_cases(self._settings) if c.id == case_id), None)
        if case is None:
            raise UsageError(f"{case_id}: the case files hold no such case now")
        return case

    def _edit(self, case_id: str, field: str, value: str | list[str] | None, label: str) -> None:
        self._case(case_id)
        with self._lock:
            self._write(case_id, field, value, label)

    def _write(self, case_id: str, field: str, value: str | list[str] | None, label: str) -> None:
        place = locate_cases(self._settings.badcases)[case_id]
        with self._recorded(place.path, label):
            edit_record(place, field, value)
            # The suite must read as before, with this case in it.
            self._case(case_id)

    # -- pairs -------------------------------------------------------------------------------------------------------

    def edit_pair(self, training: str, digest: str, number: int, texts: tuple[str, str] | None) -> None:
        """Give a pair other texts (chosen, rejected); without any, drop it.

        Args:
            training: name of its folder.
            digest: sha256 of the pairs' file, as the page showed it.
            number: of the pair in the file, from 0.
            texts: None drops the pair.

        Raises:
            UsageError: no such training or pair, the file has changed since, or the training has begun.
            DataError: the pair would teach nothing.
        """
        path = pairs_file(self._settings, training)
        with self._lock:
            if digest_file(path) != digest:
                raise UsageError(f"the pairs of {training} have changed since; reload the page")
            pairs = list(import_pairs(path))
            if not 0 <= number < len(pairs):
                raise UsageError(f"{training} has no pair {number + 1}; reload the page")
            if texts is None:
                del pairs[number]
                label = f"dropped pair {number + 1} of {training}"
                if not pairs:
                    raise DataError("the last pair cannot be dropped; delete the training's folder instead")
            else:
                pairs[number] = _changed(pairs[number], *texts)
                label = f"pair {number + 1} of {training}"
            check_pairs(pairs, project_cases(self._settings))
            with self._recorded(path, label):
                export_pairs(pairs, path)

    # -- versions ----------------------------------------------------------------------------------------------------

    def bless(self, name: str) -> None:
        """Bless a version on its recorded evidence; raises as :func:`harness.fix.blessing.bless`."""
        with self._lock, self._recorded(self._settings.manifest_path, f"blessing of {name}"):
            bless(name, self._settings, read_manifest(self._settings.manifest_path))

    def refuse(self, name: str, reason: str) -> None:
        """Refuse a version with a reason; raises as :func:`harness.fix.blessing.refuse`."""
        with self._lock, self._recorded(self._settings.manifest_path, f"refusal of {name}"):
            refuse(name, reason, self._settings)

    # -- undo --------------------------------------------------------------------------------------------------------

    def undo(self) -> str:
        """Take the newest change back; returns what it was.

        Raises:
            UsageError: there is none.
            StoreError: the file was changed by someone else since.
        """
        with self._lock:
            if not self._changes:
                raise UsageError("there is nothing to undo")
            change = self._changes[-1]
            with locked(change.path):
                if digest_file(change.path) != change.after:
                    raise StoreError(f"{change.path.name} was changed since; undo it by hand")
                write_bytes(change.path, change.before)
            self._changes.pop()
            return change.label

    @contextmanager
    def _recorded(self, path: Path, label: str) -> Iterator[None]:
        """Keep the file as it was; an error puts it back."""
        before = path.read_bytes()
        try:
            yield
        except BaseException:
            if path.read_bytes() != before:
                write_bytes(path, before)
            raise
        self._changes.append(_Change(label=label, path=path, before=before, after=digest_file(path)))


def pairs_file(settings: Settings, training: str) -> Path:
    """The file of a training's pairs, which may be edited until it is trained on.

    Raises:
        UsageError: no such training, or it is done.
    """
    folders = {p.name: p for p in (settings.reports / "trainings").glob("*") if (p / DATASET).is_file()}
    if training not in folders:
        raise UsageError(f"{training}: no such training has pairs; make them: harness fix --failed --dry-run")
    if (folders[training] / "trained.json").exists():
        raise UsageError(f"{training} was trained on these pairs; edit the pairs of the next one")
    return folders[training] / DATASET


def _changed(pair: Pair, chosen: str, rejected: str) -> Pair:
    """The pair with other texts; where the rejected one changed, nothing is known of its beginning."""
    learnt = pair.chosen_from if chosen.strip() == pair.chosen.strip() else 0
    if rejected.strip() == pair.rejected.strip():
        return replace(pair, chosen=chosen, chosen_from=learnt)
    return replace(pair, chosen=chosen, chosen_from=learnt, rejected=rejected, fault_at=0)
