"""What must hold for every pair before a minute of training is spent on it."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from rapidfuzz import fuzz

from harness.cases.model import Case
from harness.errors import DataError
from harness.pairs.model import Pair

__all__ = ["check_pairs"]

_SAME_PROMPT = 97.0
"""rapidfuzz token_sort_ratio from which two prompts count as the same: siblings differ by more than that."""


def check_pairs(pairs: Sequence[Pair], protected: Iterable[Case]) -> None:
    """Refuse pairs that would teach nothing, teach wrongly, or teach the test.

    Args:
        pairs: what is to be trained on.
        protected: holdout and guard cases; neither they nor a prompt that is all but theirs may occur.

    Raises:
        DataError: the first ten problems, one line.
    """
    problems: list[str] = []
    guarded = [(c, _plain(c.prompt)) for c in protected if c.role != "fix"]
    ids = {c.id: c for c, _ in guarded}
    chosen_of: dict[tuple[object, ...], set[str]] = defaultdict(set)
    rejected_of: dict[tuple[object, ...], set[str]] = defaultdict(set)
    prompts: dict[str, str] = {}
    for number, pair in enumerate(pairs, 1):
        where = f"pair {number} ({pair.case_id})"
        if not pair.chosen.strip() or not pair.rejected.strip():
            problems.append(f"{where}: {'chosen' if not pair.chosen.strip() else 'rejected'} is empty")
        if pair.chosen.strip() == pair.rejected.strip():
            problems.append(f"{where}: chosen and rejected are the same")
        if pair.case_id in ids:
            problems.append(f"{where}: a {ids[pair.case_id].role} case may not be trained on")
        prompts.setdefault(_plain(pair.prompt), where)
        chosen_of[pair.messages].add(pair.chosen.strip())
        rejected_of[pair.messages].add(pair.rejected.strip())
    for prompt, where in prompts.items():
        for case, other in guarded:
            if fuzz.token_sort_ratio(prompt, other, score_cutoff=_SAME_PROMPT):
                problems.append(f"{where}: its prompt is that of the {case.role} case {case.id}")
    for messages, texts in chosen_of.items():
        for text in texts & rejected_of[messages]:
            problems.append(f"the answer {text[:40]!r} is both chosen and rejected for the same prompt")
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{len(problems)} problems with the pairs: " + "; ".join(problems[:10]) + more)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
