"""Pairs as files: for people to read and edit, and for plain LLaMA-Factory.

``generalized_dpo_preference_dataset.json`` is the file that many users have today (alpaca ranking: instruction, input,
chosen, rejected). Conversations with a system prompt or several turns keep them in ``system`` and ``history``. Reading
is :mod:`trainers.formats`, so ``harness fix`` and ``harness train`` take and refuse the same files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from harness.cases.model import Case
from harness.errors import DataError
from harness.metrics import repetition
from harness.pairs.model import Origin, Pair
from harness.safe.escape import for_json, for_utf8
from harness.safe.files import write_text
from trainers.dataset_info import REGISTRY, dataset_files
from trainers.formats import Source, TrainingRecord

__all__ = ["DATASET", "export_pairs", "import_pairs", "read_hand_made"]

_TAIL_COPIES = 3.0

DATASET = "generalized_dpo_preference_dataset.json"
_NAME = "generalized_dpo_preference_dataset"


def export_pairs(pairs: Sequence[Pair], place: Path) -> Path:
    """Write the pairs and LLaMA-Factory's registry beside them; returns the dataset's path.

    Args:
        pairs: what to write.
        place: a folder, or a file that ends in .json.
    """
    records = [_record(p) for p in pairs]
    folder, name = (place.parent, place.name) if place.suffix == ".json" else (place, DATASET)
    path = write_text(folder / name, for_json(json.dumps(records, ensure_ascii=False, indent=2)) + "\n")
    columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
    columns |= {"system": "system", "history": "history"}
    info = {_NAME: {"file_name": name, "ranking": True, "columns": columns}}
    write_text(folder / "dataset_info.json", json.dumps(info, indent=2) + "\n")
    return path


def import_pairs(path: Path, note: Callable[[str], None] = lambda _: None) -> tuple[Pair, ...]:
    """Read pairs, edited or hand-made, in any form that ``harness train dpo`` reads.

    Args:
        path: a data file, read with the dataset_info.json beside it, or a dataset_info.json with one preference set.
        note: called with what the user should know, such as the fields that are not used.

    Raises:
        DataError: unreadable, or wrong records; all problems at once.
    """
    named = dataset_files(path, (), "dpo") if path.name == REGISTRY else ()
    source = Source(paths=tuple(d.path for d in named) or (path,), stage="dpo", registered=named)
    problems: list[str] = []
    pairs = [_pair(record, problems) for record in source]
    if problems:
        raise DataError(f"{path}: " + "; ".join(problems[:20]))
    for line in source.notes():
        note(f"{path.name}: {line}")
    return tuple(pairs)


def read_hand_made(
    badcases: Path, cases: Sequence[Case], note: Callable[[str], None] = lambda _: None
) -> tuple[Pair, ...]:
    """Hand-made pairs in the folders of ``cases``; arguments and errors as :func:`import_pairs`."""
    written: list[Pair] = []
    for folder in dict.fromkeys(c.folder for c in cases):
        path = badcases / folder / DATASET
        if path.is_file():
            written += import_pairs(path, note)
    return tuple(written)


def _record(pair: Pair) -> dict[str, Any]:
    turns = list(pair.messages)
    system = turns.pop(0).content if turns and turns[0].role == "system" else ""
    *before, last = turns
    history = [[u.content, a.content] for u, a in zip(before[::2], before[1::2], strict=True)]
    return {
        "instruction": last.content, "input": "", "chosen": pair.chosen, "rejected": pair.rejected,
        "system": system, "history": history, "case_id": pair.case_id, "origin": pair.origin,
        "rejected_finished": pair.rejected_finished, "fault_at": pair.fault_at,
        **({"chosen_from": pair.chosen_from} if pair.chosen_from else {}),
        **({"chat_template_kwargs": dict(pair.chat_template_kwargs)} if pair.chat_template_kwargs else {}),
    }  # fmt: skip


def _pair(record: TrainingRecord, problems: list[str]) -> Pair:
    case_id, origin = record.fields.get("case_id", "hand-made"), record.fields.get("origin", "hand-made")
    if origin not in get_args(Origin):
        problems.append(f"{record.source}: origin = {origin!r}; use one of {', '.join(get_args(Origin))}")
    if not isinstance(case_id, str):
        problems.append(f"{record.source}: case_id = {case_id!r} must be text")
    if any(_not_text(text) for text in (record.chosen, record.rejected, *(m.content for m in record.messages))):
        problems.append(f"{record.source}: holds half of a surrogate pair, which no tokenizer takes; remove it")
    # A hand-made rejected answer was written to its end, unless its author says otherwise or it ends in a loop.
    said = "rejected_finished" in record.fields
    return Pair(
        case_id=case_id,
        messages=record.messages,
        chosen=record.chosen,
        rejected=record.rejected,
        origin=origin,
        chat_template_kwargs=record.chat_template_kwargs,
        rejected_finished=record.rejected_finished if said else not _ends_in_loop(record.rejected),
        fault_at=record.fault_at,
        chosen_from=record.chosen_from,
    )


def _not_text(text: str) -> bool:
    return for_utf8(text) != text


def _ends_in_loop(text: str) -> bool:
    """Whether a hand-written answer breaks off in the middle of a loop, so that no model ended it by itself."""
    return repetition(text).values["tail_copies"] >= _TAIL_COPIES
