"""What a fix leaves for a later call: every rule of ``--resume`` is here.

    <reports>/trainings/<version>-<run>/   dataset        the pairs, for people to read and edit
                                           trained.json   the training's result, with a digest of what was asked for
                                           selected.json  the chosen checkpoint
    table ``trainings``                                   the state of the training

Pairs are taken from the folder in every call, because drawing candidates costs more than anything else before the
training. The rest is taken with ``resume`` only, and a training only when it was asked for the same pairs, stage and
recipe, and its checkpoints are still whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.fix.checkpoints import Selection
from harness.fix.plan import FixPlan
from harness.models.adapters.folder import check
from harness.pairs import Pair, export_pairs, import_pairs
from harness.pairs.files import DATASET
from harness.project.manifest import Adapter
from harness.safe.files import write_text
from harness.safe.records import dump, load
from harness.store import Store, Training
from trainers import TrainResult
from trainers.recipe import Recipe

__all__ = ["Journal"]


@dataclass(frozen=True, slots=True)
class _Trained:
    """A finished training, as stored for a later call."""

    asked: str
    """Digest of pairs, stage and recipe."""
    result: TrainResult


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

    def pairs(self) -> tuple[Pair, ...] | None:
        """The pairs of an earlier call, edited or not.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / DATASET
        return import_pairs(path) if path.is_file() else None

    def save_pairs(self, pairs: Sequence[Pair]) -> None:
        """Keep the pairs, as a dataset of LLaMA-Factory."""
        export_pairs(pairs, self.folder)

    def trained(self, pairs: Sequence[Pair], recipe: Recipe) -> TrainResult | None:
        """The result of an earlier training on the same pairs with the same recipe, if it is complete."""
        if not self.resume:
            return None
        try:
            stored = load(_Trained, (self.folder / "trained.json").read_text("utf-8"))
            for checkpoint in stored.result.checkpoints:
                check(checkpoint.path)
        except (OSError, HarnessError):
            return None
        return stored.result if stored.asked == self._asked(pairs, recipe) else None

    def save_trained(self, result: TrainResult, pairs: Sequence[Pair], recipe: Recipe) -> None:
        """Keep the result of a training."""
        write_text(self.folder / "trained.json", dump(_Trained(self._asked(pairs, recipe), result)))

    def selection(self) -> Selection | None:
        """The checkpoint that an earlier call chose."""
        path = self.folder / "selected.json"
        return load(Selection, path.read_text("utf-8")) if self.resume and path.is_file() else None

    def save_selection(self, selection: Selection) -> None:
        """Keep the chosen checkpoint."""
        write_text(self.folder / "selected.json", dump(selection))

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

    def _asked(self, pairs: Sequence[Pair], recipe: Recipe) -> str:
        return hashlib.sha256(dump([self._plan.stage, recipe.to_mapping(), pairs]).encode()).hexdigest()
