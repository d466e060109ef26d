"""A report as a real run leaves it: loops in English and Chinese, hostile text, every kind of change.

Used by the tests of the reports, by the benchmark of their size and speed, and for looking at them. The loops have
the shapes that small models fall into; nothing here was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.cases.model import Role
from harness.judging.results import CaseResult, Reason, Status, Verdict
from harness.metrics.types import Loop, LoopKind
from harness.reports.model import Report, TrainingFacts
from harness.suite.gate import GateCheck, GateOutcome, GateVerdict
from tests.support.builders import case, looped, report, result

__all__ = ["demo_pairs", "demo_report"]

_NUMBERED = "".join(f"{n}. The importance of honesty and integrity in personal relationships.\n" for n in range(1, 61))

# folder, prompt, standard answer, (before the loop, unit, copies, kind), what a cured model says
_TEXTS: tuple[tuple[str, str, str, tuple[str, str, float, LoopKind], str], ...] = (
    (
        "badcase1",
        "Write a poem about the sea.",
        "The sea is wide, the sea is deep,\nit sings the sailors into sleep,\nand when the morning gulls complain\n"
        "it hums, and rocks them home again.",
        ("The sea is a place of wonder and awe,\n", "Where the waves crash and the winds do blow,\n", 41.4, "exact"),
        "The sea is grey before the dawn,\nand silver when the sun is drawn\nacross its back like threads of light\n"
        "that hold the day against the night.",
    ),
    (
        "badcase1",
        "Explain to a child why the sky is blue.",
        "Sunlight looks white, but it is made of many colours. When it meets the air, the blue part is scattered in "
        "all directions much more than the red part, so blue light comes to us from everywhere in the sky.",
        (
            "The sky is blue because of a phenomenon called Rayleigh scattering. ",
            "The shorter wavelengths of light are scattered more than the longer wavelengths of light. ",
            22.7,
            "exact",
        ),
        "Sunlight is a mix of colours. The air bounces the blue light around more than the other colours, so when you "
        "look up, blue comes from every side.",
    ),
    (
        "badcase2",
        "List ten things that make a friendship last.",
        "1. Honesty\n2. Time together\n3. Listening\n4. Forgiveness\n5. Humour\n6. Trust\n7. Small favours\n"
        "8. Respect\n9. Patience\n10. Showing up when it is hard",
        ("Here are ten things:\n", "1. The importance of honesty in personal relationships.\n", 60.0, "numbered"),
        "1. Honesty\n2. Trust\n3. Listening\n4. Shared laughter\n5. Patience\n6. Respect\n7. Time\n8. Help in need\n"
        "9. Forgiveness\n10. Curiosity about each other",
    ),
    (
        "badcase2",
        "Name the planets of the solar system as a comma-separated list.",
        "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune",
        ("Mercury, Venus, Earth, ", "Mars, Jupiter, Saturn, Uranus, Neptune, ", 25.4, "exact"),
        "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune",
    ),
    (
        "badcase3",
        "请写一首关于大海的短诗。",
        "大海无边无际，\n浪花拍打着礁石，\n海鸥掠过天边，\n把黄昏带回了岸。",
        ("大海，你是生命的源泉，", "你是力量的象征，你是希望的灯塔，", 38.6, "exact"),
        "大海辽阔，波光粼粼，\n晚风吹来咸咸的气息，\n渔火一盏一盏亮起，\n像落在水面上的星星。",
    ),
    (
        "badcase3",
        "用三句话介绍北京。",
        "北京是中国的首都，也是一座有三千多年历史的古城。这里有故宫、长城等世界闻名的古迹。今天的北京是中国的政治和文化中心。",
        ("北京是中国的首都，", "是中国的政治中心、文化中心、国际交往中心，", 30.2, "exact"),
        "北京是中国的首都。城里有故宫和天坛，城外有长城。如今它是一座两千多万人口的大都市。",
    ),
    (
        "badcase3",
        "怎样才能睡得更好？",
        "每天在同一时间上床，睡前一小时不看手机，下午以后不喝咖啡，卧室保持安静、黑暗和凉爽。",
        ("", "好", 420, "characters"),
        "固定作息，睡前远离屏幕，少喝咖啡，保持房间安静凉爽。",
    ),
)
_NAMES = ("sea", "sky", "friends", "planets", "poem", "beijing", "sleep")
_HOSTILE = (
    "<script>alert('owned')</script> & <b>bold</b> \"quoted\"",
    "=cmd|' /C calc'!A0",
    "\x1b[2K\rALL CASES PASSED \x1b]8;;http://evil\x07click\x1b]8;;\x07",
    "invoice\u202egnp.exe and \x00 a nul, [red]markup[/red] :smile:",
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467 flag \U0001f1e9\U0001f1ea broken \ud83d",
)


def demo_report(cases: int = 40) -> Report:
    """A run of ``cases`` cases on v4.0 and on the v4.1 that was trained on its failures."""
    pairs = list(demo_pairs(cases))
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    broken = sum(b.verdict.status is Status.PASS and a.verdict.status is Status.FAIL for b, a in pairs)
    good, bad, few = GateOutcome.PASSED, GateOutcome.FAILED, GateOutcome.INSUFFICIENT
    gate = GateVerdict(
        outcome=bad,
        checks=(
            GateCheck(name="repetition", outcome=good, text="repetition score 0.21, expected <= 0.3", value=0.21),
            GateCheck(name="repeater_rate", outcome=good, text="repeater rate 0.225, expected <= 0.3", value=0.225),
            GateCheck(
                name="regressions",
                outcome=bad,
                text=f"regressions: {broken}, expected <= 0",
                value=float(broken),
                limit=0.0,
            ),
            GateCheck(name="cutoff_rate", outcome=few, text="cut-off rate 0.1, expected <= 0.2; too few cases"),
        ),
    )
    return report(*before, *after, gate=gate, training=_training())


def demo_pairs(cases: int) -> Iterator[tuple[CaseResult, CaseResult]]:
    """Every case on v4.0 and on v4.1."""
    roles: tuple[Role, ...] = ("fix", "fix", "holdout", "fix", "guard", "fix", "holdout")
    for n in range(cases):
        folder, prompt, standard, loop, cured = _TEXTS[n % len(_TEXTS)]
        role = roles[(n + n // 7) % 7]
        of = case(f"{folder}/{_NAMES[n % 7]}-{n}", prompt, standard,
                  role=role, tags=("verse",) if "poem" in prompt or "诗" in prompt else ())  # fmt: skip
        looping = _looping(loop, n)
        if n == 3:
            yield result(of, _HOSTILE[0], adapter="v4.0"), result(of, "\n".join(_HOSTILE), adapter="v4.1")
        elif n == 8:
            lost = Verdict(Status.ERROR, (Reason(rule="engine", text="the engine ran out of memory at 4,096 tokens"),))
            yield result(of, *looping, adapter="v4.0"), result(of, adapter="v4.1", verdict=lost)
        elif n == 12:
            yield result(of, cured, adapter="v4.0"), result(of, *looping, adapter="v4.1")
        elif role == "guard" or n % 5 == 4:
            yield result(of, standard, adapter="v4.0"), result(of, cured, adapter="v4.1")
        elif n % 3 == 2:
            yield result(of, *looping, adapter="v4.0"), result(of, *_looping(loop, n + 5), adapter="v4.1")
        else:
            yield result(of, *looping, adapter="v4.0"), result(of, cured, adapter="v4.1")


def _looping(loop: tuple[str, str, float, LoopKind], n: int) -> tuple[str, tuple[Loop, ...]]:
    before, unit, copies, kind = loop
    if kind == "numbered":
        answer = before + _NUMBERED
        return answer, (
            Loop(start=len(before), end=len(answer), period=_NUMBERED.index("\n") + 1, copies=60.0, kind=kind),
        )
    return looped(before, unit, copies + n % 4, kind=kind)


def _training() -> TrainingFacts:
    losses = tuple((step, 0.69 * math.exp(-step / 18) + 0.06 + 0.03 * math.sin(step * 1.7)) for step in range(1, 49))
    facts = {"method": "DPO, LoRA rank 8", "pairs": "63 (24 on-policy, 18 replay)", "epochs": "3", "steps": "48",
             "learning rate": "2e-4", "time": "8 min 12 s", "run": "20261121-094410-99ffe0"}  # fmt: skip
    return TrainingFacts(adapter="v4.1", parent="v4.0", facts=facts, losses=losses)
