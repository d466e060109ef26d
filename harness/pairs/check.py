"""Checks every pair before a training starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from harness.cases.model import Case, Message
from harness.errors import DataError
from harness.pairs.model import Pair
from harness.pairs.prompts import same_prompt

__all__ = ["check_pairs"]


def check_pairs(pairs: Sequence[Pair], protected: Iterable[Case]) -> None:
    """Refuse pairs that would teach nothing, teach wrongly, or teach the test.

    Args:
        pairs: what is to be trained on.
        protected: holdout and guard cases; neither they nor a prompt that is all but theirs may occur.

    Raises:
        DataError: the first ten problems, one line.
    """
    problems: list[str] = []
    guarded = [c for c in protected if c.role != "fix"]
    ids = {c.id: c for c in guarded}
    chosen_of: dict[tuple[object, ...], set[str]] = defaultdict(set)
    rejected_of: dict[tuple[object, ...], set[str]] = defaultdict(set)
    prompts: dict[tuple[Message, ...], str] = {}
    for number, pair in enumerate(pairs, 1):
        where = f"pair {number} ({pair.case_id})"
        if not pair.chosen.strip() or not pair.rejected.strip():
            problems.append(f"{where}: {'chosen' if not pair.chosen.strip() else 'rejected'} is empty")
        if pair.chosen.strip() == pair.rejected.strip():
            problems.append(f"{where}: chosen and rejected are the same")
        if pair.case_id in ids:
            problems.append(f"{where}: a {ids[pair.case_id].role} case may not be trained on")
        prompts.setdefault(pair.messages, where)
        chosen_of[pair.messages].add(pair.chosen.strip())
        rejected_of[pair.messages].add(pair.rejected.strip())
    for messages, where in prompts.items():
        for case in guarded:
            if same_prompt(messages, case.messages):
                problems.append(f"{where}: its prompt is that of the {case.role} case {case.id}")
    for asked, texts in chosen_of.items():
        for text in texts & rejected_of[asked]:
            problems.append(f"the answer {text[:40]!r} is both chosen and rejected for the same prompt")
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{len(problems)} problems with the pairs: " + "; ".join(problems[:10]) + more)
