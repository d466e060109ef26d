"""The records of a training as files for people, and for plain LLaMA-Factory, beside the token ids.

The training uses ids; people read, edit or train on these files. They are JSONL in LLaMA-Factory's sharegpt form.
``dataset_info.json`` names every column and tag, because as soon as it names one, the others count as absent.
LLaMA-Factory's own template renders other ids than the tests', so the harness does not use it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.safe.escape import for_json
from harness.safe.files import new_file, write_text
from trainers.formats import TrainingRecord

__all__ = ["DATASETS", "keep_readable"]

DATASETS = {
    "dpo": "generalized_dpo_preference_dataset", "sft": "generalized_sft_dataset", "kto": "generalized_kto_dataset",
}  # fmt: skip
_TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
         "system_tag": "system", "observation_tag": "observation", "function_tag": "function_call"}  # fmt: skip


def keep_readable(records: Iterable[TrainingRecord], folder: Path, stage: str) -> Iterator[TrainingRecord]:
    """Pass records on and write each down; the files appear when the last one has passed."""
    name = DATASETS[stage]
    with new_file(folder / f"{name}.jsonl") as part, part.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(for_json(json.dumps(_plain(record, stage), ensure_ascii=False)) + "\n")
            yield record
    columns = {"messages": "messages"}
    if stage == "dpo":
        columns |= {"chosen": "chosen", "rejected": "rejected"}
    elif stage == "kto":
        columns["kto_tag"] = "label"
    info: dict[str, Any] = {
        "file_name": f"{name}.jsonl",
        "formatting": "sharegpt",
        "columns": columns,
        "tags": _TAGS,
    }
    if stage == "dpo":
        info["ranking"] = True
    write_text(folder / "dataset_info.json", json.dumps({name: info}, indent=2) + "\n")


def _plain(record: TrainingRecord, stage: str) -> dict[str, Any]:
    turns = [{"role": m.role, "content": m.content} for m in record.messages]
    if stage == "sft":
        return {"messages": turns}
    if stage == "kto":
        return {"messages": [*turns, _said(record.chosen)], "label": record.label}
    return {"messages": turns, "chosen": _said(record.chosen), "rejected": _said(record.rejected),
            "rejected_finished": record.rejected_finished, "fault_at": record.fault_at,
            "chosen_from": record.chosen_from}  # fmt: skip


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
