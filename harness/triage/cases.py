"""Groups of repeaters as cases of one new folder.

A case has no standard answer, since nobody has written one: it is judged by what no answer may do. Its source is the
file and line that it came from. A prompt that the suite has already is not written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.cases.identity import derive_name
from harness.cases.model import Case, Message
from harness.cases.write import write_cases
from harness.triage.groups import Example, Group

__all__ = ["known_prompts", "new_cases", "write_groups"]


def known_prompts(cases: Iterable[Case]) -> dict[str, str]:
    """Ids of the suite's cases by their last turn, white space apart."""
    return {_bare(case.prompt): case.id for case in cases}


def new_cases(groups: Sequence[Group], folder: str, known: dict[str, str]) -> list[Case]:
    """A case for each example whose prompt is not known."""
    chosen: dict[tuple[Message, ...], Example] = {}
    for group in groups:
        for example in group.examples:
            if _bare(example.prompt) not in known:
                chosen.setdefault(example.messages, example)
    return [
        Case(
            id=f"{folder}/{derive_name(messages)}",
            folder=folder,
            messages=messages,
            standard_answer=None,
            source=f"{example.file}:{example.place}",
        )
        for messages, example in chosen.items()
    ]


def write_groups(folder: Path, cases: Sequence[Case]) -> Path:
    """Write the cases as ``test.json`` in ``folder``.

    Raises:
        CaseFileError: a case that no case file can hold; nothing was written.
        StoreError: the file could not be written.
    """
    return write_cases(folder / "test.json", cases)


def _bare(prompt: str) -> str:
    return " ".join(prompt.split())
