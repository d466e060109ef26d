"""The same labelled texts, judged by us and by the checks that others publish.

    ours                     the verdict, with the texts' standard answers and without
    Whisper                  bytes of UTF-8 / bytes of zlib above 2.4 (Radford et al. 2022)
    seq-rep-4                1 - distinct 4-grams / 4-grams of tokens, at least 0.5 (Welleck et al. 2020)
    vLLM                     a period of 1 to 64 tokens that the text ends with eight times (its RepetitionDetectionParams)
    Gopher                   datatrove's filter with its defaults, in an environment of its own (gopher.py)

Tokens are those of the embedded model. A file is JSON lines ``{"id", "text", "reference"?, "looping", "kind"?, "lang"?}``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.judging.lines import score_lines
from harness.judging.results import Status
from harness.metrics.published import compression_ratio, sequence_repetition
from tests.benchmarks.scores.gopher_run import run_datatrove

__all__ = ["peers"]

FORMS = Path(__file__).parent / "material" / "forms.jsonl"
WHISPER = 2.4
SEQ_REP = 0.5
PERIODS, COPIES = 64, 8


def peers(files: Sequence[str] = ()) -> dict[str, Any]:
    """Found loops and refused sound texts, of each file."""
    named = {Path(name).name: _rows(Path(name)) for name in files or [str(FORMS)]}
    gopher = _gopher([row for rows in named.values() for row in rows])
    tables = {}
    for name, rows in named.items():
        dropped = [next(gopher) for _ in rows] if gopher is not None else None
        tables[name] = _table(rows, dropped)
    return tables


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [row for row in rows if "looping" in row]


def _gopher(rows: Sequence[dict[str, Any]]) -> Iterator[bool] | None:
    told = run_datatrove("judge", [{"language": _gopher_language(row), "text": row["text"]} for row in rows])
    if isinstance(told, str):
        print(told, file=sys.stderr)
        return None
    return iter([bool(one) for one in told])


def _table(rows: Sequence[dict[str, Any]], dropped: Sequence[bool] | None) -> dict[str, Any]:
    told: dict[str, Sequence[bool]] = {
        "ours, with references": _ours(rows, ("text", "reference", "finish_reason")),
        "ours, without": _ours(rows, ("text", "finish_reason")),
        "Whisper, zlib ratio > 2.4": [compression_ratio(row["text"]) > WHISPER for row in rows],
    }
    if (encode := _tokens()) is not None:
        ids = [encode(row["text"]) for row in rows]
        told["seq-rep-4 >= 0.5, tokens"] = [sequence_repetition(one) >= SEQ_REP for one in ids]
        told["vLLM, period 1-64, 8 copies"] = [_ends_in_copies(one) for one in ids]
    if dropped is not None:
        told["Gopher, datatrove's filter"] = dropped
    loops = sum(row["looping"] for row in rows)
    table: dict[str, Any] = {
        name: {
            f"loops found, of {loops}": sum(f for f, row in zip(flags, rows, strict=True) if row["looping"]),
            f"sound texts refused, of {len(rows) - loops}": sum(
                f for f, row in zip(flags, rows, strict=True) if not row["looping"]
            ),
        }
        for name, flags in told.items()
    }
    table["told wrongly by ours, without references"] = _wrong(rows, told["ours, without"])
    return table


def _ours(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[bool]:
    lines = [json.dumps({key: row.get(key) for key in keys}).encode() for row in rows]
    return [line.verdict.status is Status.FAIL for line in score_lines(lines)]


def _wrong(rows: Sequence[dict[str, Any]], flags: Sequence[bool]) -> dict[str, int]:
    wrong: dict[str, int] = defaultdict(int)
    for flag, row in zip(flags, rows, strict=True):
        if flag is not row["looping"]:
            wrong[f"{'loop' if row['looping'] else 'sound'}: {row.get('kind', '?')}"] += 1
    return dict(wrong)


@cache
def _tokens() -> Callable[[str], list[int]] | None:
    """The embedded model's tokenizer; None where it is not installed."""
    from harness.errors import EngineMissing
    from harness.models.embedded import EMBEDDED, embedded_model

    try:
        folder = embedded_model(next(iter(EMBEDDED)))
    except EngineMissing as error:
        print(error, file=sys.stderr)
        return None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return lambda text: list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _ends_in_copies(ids: Sequence[int]) -> bool:
    return any(
        len(ids) >= COPIES * p and all(ids[-k] == ids[-k - p] for k in range(1, (COPIES - 1) * p + 1))
        for p in range(1, PERIODS + 1)
    )


def _gopher_language(row: dict[str, Any]) -> str:
    return "zh" if row.get("lang") in ("zh", "ja") else "en"
