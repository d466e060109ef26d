"""Logs as production writes them: mostly sound answers of many kinds, a few repeaters of every kind.

Records are OpenAI chat completions with the fields that such logs have (ids, times, usage, headers), in the order in
which they come. Every answer is drawn with a seed; about half are prose in English or Chinese, the rest code, lists,
tables and verse.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.benchmarks.scores.handmade_loops import handmade_loops
from tests.benchmarks.scores.legitimate import legitimate
from tests.benchmarks.scores.loops import looping
from tests.benchmarks.scores.ordinary import answer
from tests.benchmarks.scores.sample import REPORTED, TUNED
from tests.support.texts import labelled

__all__ = ["REPEATERS", "records", "write_logs"]

REPEATERS = 0.005
_ASKS = (
    "Write a poem about {}.", "How do I cook {}?", "Explain {} to a child.", "Translate into English: {}",
    "Fix this function that computes {}.", "写一首关于{}的诗。", "请用三句话介绍{}。", "Give me ten ideas about {}.",
)  # fmt: skip
_TOPICS = (
    "the sea",
    "autumn",
    "rice",
    "photosynthesis",
    "a bridge",
    "秋天",
    "长城",
    "prime numbers",
    "invoices",
    "tax",
)
_BLOCK = 4_000
"""Different answers; the log repeats them with other prompts."""


def records(size: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Records until their answers and fields have about ``size`` bytes."""
    draw = Random(seed)
    sound = [answer(draw, draw.choice(("en", "en", "zh", "zh", "code"))) for _ in range(_BLOCK)]
    sound += [s.text for s in legitimate(6, TUNED)]
    loops = [s.text for half in (TUNED, REPORTED) for s in looping(6, half)]
    loops += [s.text for s in handmade_loops()] + [row["text"] for row in labelled(looping=True)]
    written = number = 0
    while written < size:
        number += 1
        loop = draw.random() < REPEATERS
        text = draw.choice(loops if loop else sound)
        prompt = draw.choice(_ASKS).format(draw.choice(_TOPICS)) + f" ({draw.randint(1, 10**6)})"
        yield {
            "id": f"chatcmpl-{draw.getrandbits(96):024x}",
            "created": 1_760_000_000 + number,
            "request": {
                "model": "support-v4", "temperature": 0.7, "max_tokens": 2048, "stream": False,
                "messages": [
                    {"role": "system", "content": "You are the assistant of a shop. Answer in the user's language."},
                    {"role": "user", "content": prompt},
                ],
            },
            "response": {
                "object": "chat.completion", "model": "support-v4",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                             "finish_reason": "length" if loop and draw.random() < 0.8 else "stop"}],
                "usage": {"prompt_tokens": 40, "completion_tokens": len(text) // 4},
            },
            "client": {"ip": f"10.0.3.{draw.randint(0, 255)}", "agent": "shop/3.2", "region": "eu"},
        }  # fmt: skip
        written += len(text.encode()) + 700


def write_logs(folder: Path, size: int) -> dict[str, Path]:
    """The same records as JSON lines, gzip, CSV and Parquet; by kind."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"log.{name}" for name in ("jsonl", "csv", "parquet")}
    schema = pa.schema([(name, pa.string()) for name in ("id", "prompt", "response", "finish_reason")])
    with (
        paths["jsonl"].open("w", encoding="utf-8") as lines,
        paths["csv"].open("w", encoding="utf-8", newline="") as file,
        ParquetWriter(paths["parquet"], schema) as parquet,
    ):
        table = csv.writer(file)
        table.writerow(schema.names)
        rows: list[dict[str, str]] = []
        for record in records(size):
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            choice = record["response"]["choices"][0]
            row = {
                "id": record["id"],
                "prompt": record["request"]["messages"][-1]["content"],
                "response": choice["message"]["content"],
                "finish_reason": choice["finish_reason"],
            }
            table.writerow(row.values())
            rows.append(row)
            if len(rows) == 20_000:
                parquet.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        parquet.write_table(pa.Table.from_pylist(rows, schema))
    paths["jsonl.gz"] = folder / "log.jsonl.gz"
    with paths["jsonl"].open("rb") as plain, gzip.open(paths["jsonl.gz"], "wb", 1) as packed:
        shutil.copyfileobj(plain, packed, 2**20)
    return paths
