"""The tokenised dataset that LLaMA-Factory reads, built from the examples that the harness wrote.

LLaMA-Factory's own data loading silently cuts the ends of prompts, drops records and renders another prompt than the
tests. So the dataset is built here from ids, and checked to hold exactly the ids that were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["IGNORED", "OtherIds", "columns", "prepare"]

IGNORED = -100
"""Label of a token that is not trained on (torch's cross-entropy default)."""


class OtherIds(Exception):
    """The dataset holds other ids than were sent."""

    training_reason = "prompt"


def prepare(job: dict[str, Any]) -> None:
    """Build LLaMA-Factory's tokenised dataset from ``examples.jsonl`` (and ``validation.jsonl``), once."""
    target = Path(job["dataset"])
    if (target / "dataset_dict.json").exists():
        return
    failed = target.with_suffix(".failed")
    failed.unlink(missing_ok=True)
    try:
        from datasets import Dataset, DatasetDict, disable_progress_bars

        disable_progress_bars()
        splits = {"train": job["examples"], "validation": job.get("validation")}
        cache = str(target.with_suffix(".cache"))
        DatasetDict(
            {
                name: Dataset.from_generator(_rows, gen_kwargs={"path": path}, cache_dir=cache, keep_in_memory=False)
                for name, path in splits.items()
                if path
            }
        ).save_to_disk(str(target.with_suffix(".part")))
        _check_copy(job, target.with_suffix(".part"))
        target.with_suffix(".part").rename(target)
    except BaseException as error:
        failed.write_text(f"{type(error).__name__}: {error}", "utf-8")
        raise


def _check_copy(job: dict[str, Any], folder: Path) -> None:
    """What lies on the disk is what was asked for: as many rows, the first and the last of the same ids."""
    from datasets import load_from_disk

    rows = load_from_disk(str(folder))["train"]
    if len(rows) != job["rows"]:
        raise RuntimeError(f"the dataset has {len(rows)} rows, {job['rows']} were sent")
    wanted = list(_ends(Path(job["examples"])))
    for row, example in zip((rows[0], rows[len(rows) - 1]), (wanted[0], wanted[-1]), strict=True):
        asked = columns(example)
        if any(row[name] != asked[name] for name in asked):
            raise OtherIds("the training data hold other ids than were sent")


def _ends(path: Path) -> Iterator[dict[str, Any]]:
    """The first and the last example."""
    with path.open("rb") as file:
        first = last = file.readline()
        for last in file:  # noqa: B007 - the last one is wanted
            pass
    yield json.loads(first)
    yield json.loads(last)


def _rows(path: str) -> Iterator[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            yield columns(json.loads(line))


def columns(example: dict[str, Any]) -> dict[str, Any]:
    """One example in the columns that LLaMA-Factory's collators read, by its keys.

    ``prompt, chosen, rejected``: DPO, with the number of ids of the rejected answer that are ``sound`` and not
    unlearned, and of the chosen one's that are ``context`` and not learnt; ``prompt, answer, kl, label``: KTO (``kl``:
    another example's answer, which estimates the divergence); ``ids, spans``: SFT, with the half-open spans that are
    trained on.
    """
    row: dict[str, Any] = {"images": None, "videos": None, "audios": None}
    if "chosen" in example:
        start = len(example["prompt"])
        for side, skipped in (("chosen", "context"), ("rejected", "sound")):
            counted = [(start + example.get(skipped, 0), None)]
            row |= _sequence(f"{side}_", example["prompt"] + example[side], counted)
    elif "label" in example:
        row |= _sequence("", example["prompt"] + example["answer"], [(len(example["prompt"]), None)])
        row |= _sequence("kl_", example["prompt"] + example["kl"], [(len(example["prompt"]), None)])
        row["kto_tags"] = example["label"]
    else:
        row |= _sequence("", example["ids"], example["spans"])
    return row


def _sequence(prefix: str, ids: list[int], spans: list[Any]) -> dict[str, list[int]]:
    labels = [IGNORED] * len(ids)
    for start, end in spans:
        labels[start:end] = ids[start:end]
    return {f"{prefix}input_ids": ids, f"{prefix}attention_mask": [1] * len(ids), f"{prefix}labels": labels}
