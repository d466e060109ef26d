"""What a fix leaves for a later call: every rule of ``--resume`` is here.

    <reports>/trainings/<version>-<run>/   dataset         the pairs, for people to read and edit
                                           made_from.json  digests of the pairs and of what they were made from
                                           trained.json    the training's result
                                           selected.json   the chosen checkpoint
    table ``trainings``                                    the state of the training

Each file carries a digest of everything that decided it, and is taken only for the same digest. Pairs are taken in
every call, since drawing candidates is slow, and a person may have edited them. An edited file whose inputs have
changed is neither used nor overwritten: the user decides. The rest is taken with ``resume`` only. A state file that
cannot be read, or was changed, counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import DataError, HarnessError
from harness.fix.checkpoints import Selection
from harness.fix.plan import FixPlan
from harness.models.adapters.folder import check
from harness.pairs import Pair, export_pairs, import_pairs
from harness.pairs.files import DATASET
from harness.project.manifest import Adapter
from harness.safe.files import digest_file, write_text
from harness.safe.read import read_text
from harness.safe.records import digest, dump, load
from harness.store import Store, Training
from trainers import TrainResult

__all__ = ["Journal"]


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _MadeFrom:
    """Where the pairs in the folder come from."""

    inputs: str
    """Digest of what they were made from."""
    pairs: str
    """Digest of the file as it was written; another one means that a person edited it."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """A finished training, as stored for a later call."""

    asked: str
    """Digest of what was asked for."""
    result: TrainResult


@dataclass(frozen=True, slots=True)
class _Selected:
    """A chosen checkpoint, as stored for a later call."""

    asked: str
    """Digest of what it was chosen among."""
    selection: Selection


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A stored state with the digest of its content: a damaged one counts as absent, and its step is done again."""

    state: str
    seal: str


class Journal:
    """The stored steps of one fix."""

    def __init__(self, plan: FixPlan, folder: Path, store: Store, *, resume: bool) -> None:
        self.folder = folder
        self.resume = resume
        self._plan = plan
        self._store = store

    @property
    def registered(self) -> Adapter | None:
        """The version, where an earlier call had registered it."""
        return self._plan.registered if self.resume else None

    def pairs(self, inputs: str) -> tuple[Pair, ...] | None:
        """The pairs of an earlier call with the same ``inputs``, edited or not; None where there are none.

        Raises:
            DataError: the file is damaged, or it was edited and its inputs have changed since.
        """
        path = self.folder / DATASET
        if not path.is_file():
            return None
        made_from = self._load(_MadeFrom, "made_from.json")
        if made_from is not None and made_from.inputs == inputs:
            if not (pairs := import_pairs(path)):
                raise DataError(f"{path}: holds no pair to train on; delete it, and new ones are made")
            return pairs
        if made_from is None or made_from.pairs != digest_file(path):
            raise DataError(
                f"{path}: was edited, and the failing cases, settings or hand-made pairs that it was made from have "
                f"changed since; train on it with --pairs {path}, or delete it"
            )
        return None

    def save_pairs(self, pairs: Sequence[Pair], inputs: str) -> None:
        """Keep the pairs, as a dataset of LLaMA-Factory."""
        path = export_pairs(pairs, self.folder)
        self._save(_MadeFrom(inputs, digest_file(path)), "made_from.json")

    def trained(self, asked: str) -> TrainResult | None:
        """The result of an earlier training of what is ``asked`` for, if its checkpoints are whole."""
        stored = self._load(_Trained, "trained.json") if self.resume else None
        if stored is None or stored.asked != asked:
            return None
        try:
            for checkpoint in stored.result.checkpoints:
                check(checkpoint.path)
        except HarnessError:
            return None
        return stored.result

    def save_trained(self, result: TrainResult, asked: str) -> None:
        """Keep the result of a training."""
        self._save(_Trained(asked, result), "trained.json")

    def selection(self, asked: str) -> Selection | None:
        """The checkpoint that an earlier call chose among the same ones."""
        stored = self._load(_Selected, "selected.json") if self.resume else None
        return stored.selection if stored is not None and stored.asked == asked else None

    def save_selection(self, selection: Selection, asked: str) -> None:
        """Keep the chosen checkpoint."""
        self._save(_Selected(asked, selection), "selected.json")

    def record(self, status: str, facts: Mapping[str, Any]) -> None:
        """Write the state of the training into the store; it keeps its first start."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = [t for t in self._store.trainings(self._plan.name) if t.id == self._plan.folder_name]
        self._store.save_training(
            Training(
                id=self._plan.folder_name,
                started=before[0].started if before else now,
                finished=None if status == "started" else now,
                status=status,
                run=self._plan.run.id,
                adapter=self._plan.name,
                facts={"parent": self._plan.parent.name, "recipe": self._plan.recipe.name, **facts},
            )
        )

    def _load(self, kind: type[T], name: str) -> T | None:
        """A state file; None where it is absent, damaged, or of another version."""
        try:
            sealed = load(_Sealed, read_text(self.folder / name))
            return load(kind, sealed.state) if sealed.seal == digest(sealed.state) else None
        except (OSError, ValueError, RecursionError, HarnessError):
            return None

    def _save(self, value: object, name: str) -> None:
        state = dump(value)
        write_text(self.folder / name, dump(_Sealed(state, digest(state))))
