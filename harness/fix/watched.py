"""The texts by which every checkpoint is compared with its parent: what a fix must not forget.

    guard      the parent's own answers to the guards that pass; no training ever sees them
    ordinary   running text that has nothing to do with the suite: prose, technical text, code, in English and Chinese

A training that cures repetition by ruining the model is not seen by the failing cases. The divergence of its
distributions on these texts shows it, before any verdict changes. Written for this project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.judging.results import CaseResult, Status
from harness.models.prompts import PromptRenderer
from harness.pairs.build import spread
from trainers import WatchedText

__all__ = ["ORDINARY_TEXTS", "watched_texts"]

MAX_GUARDS = 16
"""More guards' answers cost time at every checkpoint and change the mean little."""
MAX_TOKENS = 128
"""Of a text; the rest is not measured."""

ORDINARY_TEXTS = (
    "The ferry left the harbour a little after six, when the fog was still lying on the water. Two men leaned on the "
    "rail and argued quietly about the price of apples. Behind them a girl was feeding crumbs to the gulls, although a "
    "sign next to her asked the passengers not to.",
    "Before you open the case, switch the device off and pull the plug. The capacitors on the board hold their charge "
    "for several minutes. Remove the four screws at the corners, lift the cover at the back, and set it aside; the fan "
    "cable is short, so do not pull.",
    "In the second quarter, revenue rose by four percent while costs stayed flat. The board expects the new plant to "
    "start production in autumn, one month later than planned, because a supplier of valves could not deliver in time. "
    "No change to the dividend has been proposed.",
    "def median(values):\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n    if len(ordered) % 2:\n"
    "        return ordered[middle]\n    return (ordered[middle - 1] + ordered[middle]) / 2\n",
    "春天到了，河边的柳树发出了嫩芽。孩子们脱下厚厚的棉衣，在草地上放风筝。老人坐在长椅上晒太阳，说今年的花开得比往年早。",
    "使用前请先检查电源线是否完好。把机器放在平稳的地方，离墙至少十厘米。第一次使用时会有轻微的气味，这是正常现象，几分钟后就会消失。",
)


def watched_texts(parent: Sequence[CaseResult], renderer: PromptRenderer) -> tuple[WatchedText, ...]:
    """What every checkpoint of a training on ``parent``'s failures is compared on."""
    return (*_guards(parent, renderer), *_ordinary(renderer))


def _guards(parent: Sequence[CaseResult], renderer: PromptRenderer) -> Iterator[WatchedText]:
    passing = [
        (r, r.attempts[0].answer)
        for r in parent
        if r.case.role == "guard" and r.verdict.status is Status.PASS and r.attempts and r.attempts[0].answer.strip()
    ]
    for result, answer in spread(passing, MAX_GUARDS):
        case = result.case
        prompt = renderer.prompt_ids(case.messages, case.chat_template_kwargs)
        yield WatchedText(kind="guard", prompt=prompt, answer=renderer.answer_ids(answer)[:MAX_TOKENS])


def _ordinary(renderer: PromptRenderer) -> Iterator[WatchedText]:
    for text in ORDINARY_TEXTS:
        ids = renderer.answer_ids(text)[:MAX_TOKENS]
        if len(ids) > 1:
            yield WatchedText(kind="ordinary", prompt=ids[:1], answer=ids[1:])
