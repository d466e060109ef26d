"""Near-duplicate prompts are one group, in bounded memory."""

from __future__ import annotations

from random import Random

from harness.cases.model import Message
from harness.triage.groups import Example, Groups
from tests.benchmarks.scores.material import sentences


def add(groups: Groups, prompt: str, place: int = 1, severity: float = 0.5) -> None:
    def example() -> Example:
        turns = (Message("user", prompt),)
        return Example(place=place, file="a", messages=turns, answer="x", severity=severity, rules=("loop",))

    groups.add(prompt, severity, ("loop",), example)


def test_prompts_that_differ_in_a_number_or_a_word_are_one_group() -> None:
    """A user who tries again writes nearly the same."""
    groups = Groups(2)
    add(groups, "Write a long poem about the sea, order 17.", 0)
    add(groups, "write a  long poem about the sea, order 18!", 1)
    add(groups, "Please write a long poem about the sea, order 4.", 2)
    add(groups, "How do I cook rice without a lid?")
    assert [g.records for g in groups.ranked()] == [3, 1]
    assert [e.place for e in groups.ranked()[0].examples] == [0, 1]


def test_groups_are_ranked_by_frequency_and_severity() -> None:
    """Two whole loops count more than three small ones."""
    groups = Groups(1)
    for at in range(3):
        add(groups, "How do I cook rice without a lid?", at, severity=0.1)
    for at in range(2):
        add(groups, "Explain photosynthesis to a child.", at, severity=0.9)
    assert [g.records for g in groups.ranked()] == [2, 3]


def test_merged_groups_are_those_of_one_scan() -> None:
    """The number of processes changes no count."""
    prompts = [f"{sentence} ({n})" for sentence in sentences("en")[:20] for n in range(4)]
    whole, first, second = Groups(3), Groups(3), Groups(3)
    for at, prompt in enumerate(prompts):
        add(whole, prompt, at)
        add(first if at < 37 else second, prompt, at)
    first.merge(second)
    assert [(g.form, g.records) for g in first.ranked()] == [(g.form, g.records) for g in whole.ranked()]


def test_more_groups_than_there_is_room_for_are_dropped_and_counted() -> None:
    """The rare ones."""
    draw, groups = Random(1), Groups(1, most=10)
    for _ in range(50):
        add(groups, "".join(draw.choices("abcdefghijklmnop ", k=60)))
        add(groups, "Write a poem about the sea.")
    assert len(groups) <= 20
    assert groups.ranked()[0].records == 50
    assert groups.dropped_records + sum(g.records for g in groups.ranked()) == 100
