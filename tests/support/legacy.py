"""Folders as people keep them before they have a project: scripts, test.json, workbooks of results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.projects import CLEAN, LOOP

MODEL = "/data/models/Qwen2-72B-Instruct"
SCRIPT = """\
#!/bin/bash
set -e
MODEL={model}
export CUDA_VISIBLE_DEVICES=0,1,2,3
# The adapter of last week.
FORCE_TORCHRUN=1 llamafactory-cli train \\
    --stage dpo --do_train --model_name_or_path $MODEL --template qwen \\
    --adapter_name_or_path {adapters}/v3.9 --finetuning_type lora --lora_rank 8 --lora_target all \\
    --dataset badcase --output_dir "{adapters}/v4.0" --per_device_train_batch_size 1 \\
    --gradient_accumulation_steps 2 --learning_rate 5e-6 --num_train_epochs 3 --bf16 --use_unsloth \\
    --deepspeed examples/deepspeed/ds_z2_config.json 2>&1 | tee train.log
"""
INFERENCE = """\
import pandas as pd
from vllm import LLM
from vllm.lora.request import LoRARequest
from vllm.sampling_params import BeamSearchParams

ADAPTERS = ["{adapters}/v3.9", "{adapters}/v4.0"]
SYSTEM = "You are brief."
llm = LLM(model="{model}", enable_lora=True, tensor_parallel_size=4)
params = BeamSearchParams(beam_width=4, max_tokens=1024)
rows = []
for number, path in enumerate(ADAPTERS):
    request = LoRARequest(path.split("/")[-1], number + 1, path)
    raise SystemExit("this script must never run")
pd.DataFrame(rows).to_excel("result.xlsx")
"""
COLUMNS = ("adapter_name_or_path", "text", "response", "standard_answer")


def prompt(name: str) -> str:
    return f"Write a few lines about the {name}."


def standard(name: str) -> str:
    return f"A {name}, and evening light upon it."


def workbook(path: Path, rows: Sequence[Sequence[object]], columns: Sequence[str] = COLUMNS, **more: Any) -> Path:
    """A workbook of results as pandas writes it; ``more``: further sheets by title, each with its rows."""
    from openpyxl import Workbook

    book = Workbook()
    for sheet, content in ((book.active, rows), *((book.create_sheet(title), rows_) for title, rows_ in more.items())):
        sheet.append(list(columns))
        for row in content:
            sheet.append(list(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def legacy_folder(
    root: Path,
    names: Sequence[str] = ("sea", "hill"),
    *,
    adapters: str = "/data/adapters",
    model: str = MODEL,
    answers: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:
    """A case folder with everything that people have; returns ``root``.

    Args:
        root: made when absent.
        names: of the cases.
        adapters: folder of the adapters v3.9 and v4.0.
        model: of the scripts.
        answers: by the last part of an adapter's path, then by case; by default v3.9 is fine, and v4.0 loops on the
            first case.
    """
    root.mkdir(parents=True, exist_ok=True)
    cases = [{"text": prompt(name), "standard_answer": standard(name)} for name in names]
    (root / "test.json").write_text(json.dumps(cases), "utf-8")
    pair = {"instruction": prompt(names[0]), "input": "", "chosen": standard(names[0]), "rejected": LOOP}
    (root / "generalized_dpo_preference_dataset.json").write_text(json.dumps([pair]), "utf-8")
    entry = {
        "file_name": "generalized_dpo_preference_dataset.json", "ranking": True,
        "columns": {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"},
    }  # fmt: skip
    (root / "dataset_info.json").write_text(json.dumps({"badcase": entry}), "utf-8")
    values = {"model": model, "adapters": adapters}
    (root / "dpo fine-tuning script.sh").write_text(SCRIPT.format(**values), "utf-8")
    (root / "Inference.py").write_text(INFERENCE.format(**values), "utf-8")
    if answers is None:
        answers = {
            "v3.9": {name: f"{CLEAN} {name}" for name in names},
            "v4.0": {name: LOOP if name == names[0] else f"{CLEAN} {name}" for name in names},
        }
    rows = [
        (f"{adapters}/{version}", prompt(name), answer, standard(name))
        for version, by_name in answers.items()
        for name, answer in by_name.items()
    ]
    workbook(root / "result_2024-08-01.xlsx", rows)
    return root
