"""datatrove's Gopher repetition statistics on the same texts; runs in an environment of its own.

    python gopher.py time TEXTS.json    [{"name", "language": "en", "texts": [...]}, ...] in, microseconds a text out
    python gopher.py judge TEXTS.json   [{"language": "en", "text": "..."}, ...] in, whether the filter drops each, out

For times all statistics of ``GopherRepetitionFilter`` with its defaults are made, none left out by an early exit, as a
score needs them.
Nothing of the harness is imported: datatrove's dependencies are not the harness's.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters.gopher_repetition_filter import (
    GopherRepetitionFilter,
    find_all_duplicate,
    find_duplicates,
    find_top_duplicate,
    get_n_grams,
)
from datatrove.utils.text import split_into_words
from datatrove.utils.typeshelper import Languages

LANGUAGES = {"en": Languages.english, "zh": Languages.mandarin_chinese}


def statistics(text: str, language: str) -> list[float]:
    """Duplicate lines and paragraphs, top 2..4-grams, duplicate 5..10-grams, as shares of the characters."""
    found: list[float] = []
    for parts in (re.split(r"\n{2,}", text.strip()), re.split(r"\n+", text)):
        duplicates, characters = find_duplicates(parts)
        found += [duplicates / len(parts), characters / len(text)]
    words = split_into_words(text, language)
    found += [find_top_duplicate(get_n_grams(words, n)) / len(text) for n in (2, 3, 4)]
    found += [find_all_duplicate(words, n) / len(text) for n in range(5, 11)]
    return found


def judge(rows: list[dict[str, str]]) -> list[bool]:
    """Whether the filter, with its defaults, drops each text."""
    filters = {name: GopherRepetitionFilter(language=language) for name, language in LANGUAGES.items()}
    told = []
    for k, row in enumerate(rows):
        kept = filters[row["language"]].filter(Document(text=row["text"], id=str(k)))
        told.append((kept if isinstance(kept, bool) else kept[0]) is not True)
    return told


def time_groups(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Time each group of texts; the first text is there to warm up."""
    times: dict[str, Any] = {"datatrove": version("datatrove")}
    for group in groups:
        language = LANGUAGES[group["language"]]
        statistics(group["texts"][0], language)
        best = []
        for text in group["texts"]:
            rounds = []
            for _ in range(3):
                begun = time.perf_counter()
                statistics(text, language)
                rounds.append(time.perf_counter() - begun)
            best.append(min(rounds))
        times[group["name"]] = 1e6 * sum(best) / len(best)
    return times


def main() -> None:
    """Print what the mode makes of the file, as JSON."""
    material = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    sys.stdout.write(json.dumps(judge(material) if sys.argv[1] == "judge" else time_groups(material)))


if __name__ == "__main__":
    main()
