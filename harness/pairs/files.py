"""Pairs as files: for people to read and edit, and for plain LLaMA-Factory.

``generalized_dpo_preference_dataset.json`` is the file that many users have today (alpaca ranking: instruction, input,
chosen, rejected). Conversations with a system prompt or several turns keep them in ``system`` and ``history``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from harness.cases.model import Case, Message
from harness.errors import DataError
from harness.metrics import repetition
from harness.pairs.model import Origin, Pair
from harness.safe.files import write_text
from harness.safe.read import read_json, reason

__all__ = ["DATASET", "export_pairs", "import_pairs", "read_hand_made"]

_TAIL_COPIES = 3.0

DATASET = "generalized_dpo_preference_dataset.json"
_NAME = "generalized_dpo_preference"
_FIELDS = {"instruction", "input", "chosen", "rejected", "system", "history", "case_id", "origin", "rejected_finished"}


def export_pairs(pairs: Sequence[Pair], place: Path) -> Path:
    """Write the pairs and LLaMA-Factory's registry beside them; returns the dataset's path.

    Args:
        pairs: what to write.
        place: a folder, or a file that ends in .json.
    """
    records = [_record(p) for p in pairs]
    folder, name = (place.parent, place.name) if place.suffix == ".json" else (place, DATASET)
    path = write_text(folder / name, json.dumps(records, ensure_ascii=False, indent=2) + "\n")
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    columns |= {"system": "system", "history": "history"}
    info = {_NAME: {"file_name": name, "ranking": True, "columns": columns}}
    write_text(folder / "dataset_info.json", json.dumps(info, indent=2) + "\n")
    return path


def import_pairs(path: Path) -> tuple[Pair, ...]:
    """Read pairs back, edited or hand-made.

    Raises:
        DataError: not UTF-8 JSON, or a record with a missing, unknown or wrongly typed field; all problems at once.
    """
    try:
        records = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON pairs: {reason(error)}") from error
    if not isinstance(records, list):
        raise DataError(f"{path}: must be a list of records with instruction, input, chosen, rejected")
    problems: list[str] = []
    pairs = [p for i, r in enumerate(records, 1) if (p := _pair(r, f"record {i}", problems)) is not None]
    if problems:
        raise DataError(f"{path}: " + "; ".join(problems[:20]))
    return tuple(pairs)


def read_hand_made(badcases: Path, cases: Sequence[Case]) -> tuple[Pair, ...]:
    """Hand-made pairs in the folders of ``cases``."""
    written: list[Pair] = []
    for folder in dict.fromkeys(c.folder for c in cases):
        path = badcases / folder / DATASET
        if path.is_file():
            written += import_pairs(path)
    return tuple(written)


def _record(pair: Pair) -> dict[str, Any]:
    turns = list(pair.messages)
    system = turns.pop(0).content if turns and turns[0].role == "system" else ""
    *before, last = turns
    history = [[u.content, a.content] for u, a in zip(before[::2], before[1::2], strict=True)]
    return {
        "instruction": last.content, "input": "", "chosen": pair.chosen, "rejected": pair.rejected,
        "system": system, "history": history, "case_id": pair.case_id, "origin": pair.origin,
        "rejected_finished": pair.rejected_finished,
    }  # fmt: skip


def _pair(record: Any, where: str, problems: list[str]) -> Pair | None:
    if not isinstance(record, dict):
        problems.append(f"{where} is not an object")
        return None
    before = len(problems)
    for name in sorted(set(record) - _FIELDS):
        problems.append(f"{where}: unknown field {name!r}; known: {', '.join(sorted(_FIELDS))}")
    for name in ("instruction", "chosen", "rejected"):
        if not isinstance(record.get(name), str) or not record[name].strip():
            problems.append(f"{where}: {name} must be text and not empty")
    history = record.get("history") or []
    turn = isinstance(history, list) and all(
        isinstance(h, list) and len(h) == 2 and all(isinstance(t, str) for t in h) for h in history
    )
    if not turn:
        problems.append(f"{where}: history must be a list of [user, assistant] texts")
    origin = record.get("origin", "hand-made")
    if origin not in get_args(Origin):
        problems.append(f"{where}: origin = {origin!r}; use one of {', '.join(get_args(Origin))}")
    # A hand-made rejected answer was written to its end, unless its author says otherwise or it ends in a loop.
    finished = record.get("rejected_finished", not _ends_in_loop(record.get("rejected")))
    if not isinstance(finished, bool):
        problems.append(f"{where}: rejected_finished must be true or false")
    if len(problems) > before:
        return None
    system = record.get("system") or ""
    query = record.get("input") or ""
    messages = [Message("system", system)] if system else []
    for user, assistant in history:
        messages += [Message("user", user), Message("assistant", assistant)]
    messages.append(Message("user", f"{record['instruction']}\n{query}" if query else record["instruction"]))
    case_id = str(record.get("case_id") or "hand-made")
    return Pair(
        case_id=case_id,
        messages=tuple(messages),
        chosen=record["chosen"],
        rejected=record["rejected"],
        origin=origin,
        rejected_finished=finished,
    )


def _ends_in_loop(text: Any) -> bool:
    """Whether a hand-written answer breaks off in the middle of a loop, so that no model ended it by itself."""
    return isinstance(text, str) and bool(text.strip()) and repetition(text).values["tail_copies"] >= _TAIL_COPIES
