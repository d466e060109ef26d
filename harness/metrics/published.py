"""Scores for comparison with published ones; no verdict uses them.

    seq_rep4            1 - distinct 4-grams / 4-grams of *model tokens* (Welleck et al. 2020); 0 without tokens
    compression_ratio   bytes of UTF-8 / bytes of zlib's output, level 6; above 2.4 Whisper retries (Radford 2022)

Token n-grams change with the tokenizer, and the compression ratio with language and length.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ["compression_ratio", "sequence_repetition"]


def sequence_repetition(tokens: Sequence[int], order: int = 4) -> float:
    """seq-rep-n of token ids, 0..1; 0 where there are fewer than ``order`` tokens."""
    grams = len(tokens) - order + 1
    if grams < 1:
        return 0.0
    return 1.0 - len(set(zip(*(tokens[k:] for k in range(order)), strict=False))) / grams


def compression_ratio(text: str) -> float:
    """Uncompressed over compressed size, about 1..1000; 0 for an empty text."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data) / len(zlib.compress(data, 6)) if data else 0.0
