"""Runs that several processes make: each records its part, and the last one to finish ends the run.

The parts of a group share one row in ``runs`` and one set of results. The first part to begin makes that row out of
what all parts must have in common. A later part with other settings is refused before it generates anything. What is a
part's own (command, machine, seconds) stands in a row of ``parts``.

A part that runs again, after a crash or because a pipeline is run again, takes its earlier place. The run is then
under way once more, until that part is complete.

Trade-off: a part that never ends leaves the run under way for ever. That is never green; ``harness merge --group``
names the missing part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.errors import UsageError
from harness.safe.records import to_data
from harness.store.base import Base, with_seal
from harness.store.records import Part, PartRecord, RunStatus
from harness.store.seal import sealed

__all__ = ["Parts", "differing", "end_facts", "own_facts", "require_same", "shared_facts"]

_OWN = ("command", "process", "tags", "cases", "python", "machine", "system", "cores", "seconds", "complete")
"""Facts of a part that the other parts need not share."""
_PART = ("run", "number", "started", "finished", "status", "planned", "facts")


class Parts(Base):
    """Rows of ``parts`` and ``groups``."""

    def parts(self, run_id: str) -> tuple[PartRecord, ...]:
        """The parts of a run that have begun, by number; none of a run that one process makes.

        Raises:
            StoreError: one of them was changed.
        """
        return tuple(self._part(row) for row in self._database.all(self._database.sql.parts, run=run_id))

    def costs_run(self, group: str, choose: Callable[[], str], *, keep: bool = True) -> str:
        """Id of the run by whose costs the parts of ``group`` are balanced; empty: by none.

        The first part to ask chooses; the others get the same answer, however many runs were recorded since.

        Args:
            group: of the parts.
            choose: gives the id, where the group has none.
            keep: False for a look that begins nothing.
        """
        row = self._database.one(self._database.sql.group, name=group)
        if row is None and not keep:
            return choose()
        if row is None:
            self._database.write(self._database.sql.add_group, **with_seal(("name", "costs"), group, choose()))
            row = self._database.one(self._database.sql.group, name=group)
        if row is None or not sealed(row):
            raise self._changed(f"the group {group!r}")
        return str(row[1])

    def _save_part(
        self, run_id: str, part: Part, started: str, finished: str | None, status: RunStatus, facts: Mapping[str, Any]
    ) -> None:
        values = (run_id, part.number, started, finished, status, part.planned, json.dumps(to_data(facts)))
        self._database.write(self._database.sql.save_part, **with_seal(_PART, *values))

    def _part(self, row: Sequence[Any]) -> PartRecord:
        if not sealed(row):
            raise self._changed(f"part {row[1]} of run {row[0]}")
        return PartRecord(
            run=row[0], number=row[1], started=row[2], finished=row[3], status=row[4], planned=row[5],
            facts=json.loads(row[6]),
        )  # fmt: skip


def shared_facts(facts: Mapping[str, Any], part: Part) -> dict[str, Any]:
    """What all parts of a run have in common: without it, their results are not one run's."""
    common = {name: value for name, value in facts.items() if name not in _OWN}
    group = {"group": part.group} if part.group else {}
    return {**common, **group, "parts": {"sizes": list(part.sizes), "plan": part.plan}}


def own_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is a part's own."""
    return {name: value for name, value in facts.items() if name in _OWN}


def require_same(group: str, begun: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a part whose settings are not those with which its run was begun.

    Raises:
        UsageError: names what differs.
    """
    if names := differing(begun, here):
        raise UsageError(
            f"run group {group!r} was begun with other {', '.join(names)}: its parts would not be one run; use the "
            "same files and options for every part, or another --run-group"
        )


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of the facts that two parts do not share."""
    return sorted(n for n in {*one, *other} if one.get(n) != other.get(n) and n not in (*_OWN, "group", "part_runs"))


def end_facts(parts: Sequence[PartRecord]) -> dict[str, Any]:
    """What a whole run says of its parts together."""
    last = max(parts, key=lambda p: p.finished or "")
    tags = dict.fromkeys(tag for p in parts for tag in p.facts.get("tags", ()))
    about = [
        {"number": p.number, "host": (p.facts.get("process") or {}).get("host"), "seconds": p.facts.get("seconds"),
         "command": p.facts.get("command")}
        for p in parts
    ]  # fmt: skip
    seconds = [p.facts["seconds"] for p in parts if isinstance(p.facts.get("seconds"), int | float)]
    own = {n: v for n, v in last.facts.items() if n not in ("process", "tags", "cases", "seconds", "complete")}
    return {
        **own,
        **({"tags": list(tags)} if tags else {}),
        **({"seconds": max(seconds)} if seconds else {}),
        "complete": all(p.complete for p in parts),
        "part_runs": about,
    }
