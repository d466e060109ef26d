"""Answers that repeat themselves as they should: tables, data, verse, boiler-plate, what a prompt asked to repeat.

Text and reference are two draws of one kind, of different content and length: what a person and a model would write
to the same prompt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

from tests.benchmarks.scores.loops import NOUNS
from tests.benchmarks.scores.material import sentences
from tests.benchmarks.scores.ordinary import paragraphs
from tests.benchmarks.scores.sample import TUNED, Sample

__all__ = ["legitimate"]

NAMES = [
    "Ada",
    "Ben",
    "Chloe",
    "David",
    "Elena",
    "Farid",
    "Grace",
    "Hugo",
    "Ines",
    "Jonas",
    "Keiko",
    "Liam",
    "Mara",
    "Nils",
    "Olga",
    "Pedro",
    "Quinn",
    "Rosa",
    "Sven",
    "Tara",
]
TOWNS = [
    "Oslo",
    "Lima",
    "Cairo",
    "Kyoto",
    "Quito",
    "Riga",
    "Turin",
    "Accra",
    "Perth",
    "Dakar",
    "Hanoi",
    "Basel",
    "Porto",
    "Leeds",
    "Tampa",
]
ZH_NAMES = ["张伟", "王芳", "李娜", "刘洋", "陈静", "杨帆", "赵磊", "黄敏", "周涛", "吴倩", "徐明", "孙丽"]
ZH_TOWNS = ["北京", "上海", "广州", "成都", "杭州", "武汉", "西安", "南京", "重庆", "青岛"]
COLOURS = ["red", "blue", "green", "amber", "ivory", "coral", "olive", "teal", "navy", "plum"]


def _rows(draw: Random, low: int = 5, high: int = 14) -> range:
    return range(1, draw.randint(low, high) + 1)


def _markdown(draw: Random) -> str:
    rows = "\n".join(
        f"| {draw.choice(NAMES)} | {draw.randint(18, 80)} | {draw.choice(TOWNS)} | {draw.choice(COLOURS)} |"
        for _ in _rows(draw)
    )
    return f"Here is the table:\n\n| Name | Age | Town | Colour |\n|------|-----|------|--------|\n{rows}"


def _markdown_zh(draw: Random) -> str:
    rows = "\n".join(
        f"| {draw.choice(ZH_NAMES)} | {draw.randint(18, 80)} | {draw.choice(ZH_TOWNS)} |" for _ in _rows(draw)
    )
    return f"表格如下：\n\n| 姓名 | 年龄 | 城市 |\n|------|------|------|\n{rows}"


def _html(draw: Random) -> str:
    rows = "\n".join(
        f"  <tr>\n    <td>{draw.choice(NAMES)}</td>\n    <td>{draw.randint(1, 99)}</td>\n    <td>{draw.choice(TOWNS)}</td>\n  </tr>"
        for _ in _rows(draw)
    )
    return f"<table>\n{rows}\n</table>"


def _json(draw: Random) -> str:
    return json.dumps(
        [
            {"id": i, "name": draw.choice(NAMES), "town": draw.choice(TOWNS), "active": draw.random() < 0.5}
            for i in _rows(draw)
        ],
        indent=2,
    )


def _json_lines(draw: Random) -> str:
    return "\n".join(
        json.dumps({"姓名": draw.choice(ZH_NAMES), "分数": draw.randint(1, 100)}, ensure_ascii=False)
        for _ in _rows(draw)
    )


def _css(draw: Random) -> str:
    return "\n\n".join(
        f".{name} {{\n  color: {draw.choice(COLOURS)};\n  margin: {draw.randint(0, 32)}px;\n  padding: {draw.randint(0, 32)}px;\n  font-size: {draw.randint(10, 24)}px;\n}}"
        for name in draw.sample(NOUNS["en"], draw.randint(5, 10))
    )


def _tests(draw: Random) -> str:
    return "import pytest\n\n\n" + "\n\n\n".join(
        f"def test_{noun}_is_converted():\n    assert convert({noun!r}) == {draw.randint(1, 999)}"
        for noun in draw.sample(NOUNS["en"], draw.randint(5, 12))
    )


def _log(draw: Random) -> str:
    return "\n".join(
        f"2026-0{draw.randint(1, 9)}-{draw.randint(10, 28)} {draw.randint(10, 23)}:{draw.randint(10, 59)}:{draw.randint(10, 59)} "
        f"{draw.choice(('INFO', 'WARN', 'ERROR'))} {draw.choice(('worker', 'api', 'queue'))}: request {draw.randint(1000, 9999)} took {draw.randint(1, 900)} ms"
        for _ in _rows(draw, 8, 20)
    )


def _refrain(draw: Random) -> str:
    refrain = "\n".join(draw.sample(sentences("en"), 2))
    return "\n\n".join("\n".join(draw.sample(sentences("en"), 3)) + "\n" + refrain for _ in _rows(draw, 3, 5))


def _refrain_zh(draw: Random) -> str:
    refrain = "\n".join(draw.sample(sentences("zh"), 2))
    return "\n\n".join("\n".join(draw.sample(sentences("zh"), 3)) + "\n" + refrain for _ in _rows(draw, 3, 5))


def _times_table(draw: Random) -> str:
    k = draw.randint(2, 12)
    return "\n".join(f"{k} x {i} = {k * i}" for i in range(1, draw.randint(10, 13)))


def _times_table_zh(draw: Random) -> str:
    size = draw.randint(6, 9)
    return "\n".join(" ".join(f"{j}×{i}={i * j}" for j in range(1, i + 1)) for i in range(1, size + 1))


def _write_times(draw: Random) -> str:
    return "I will not talk in class.\n" * draw.randint(40, 60)


def _write_times_zh(draw: Random) -> str:
    return "我以后上课再也不讲话了。\n" * draw.randint(40, 60)


def _song(draw: Random) -> str:
    verses = draw.sample(sentences("en"), 3)
    return "\n\n".join(f"{v}\n" + "La la la, sing along with me\n" * 3 + "Oh, sing along with me" for v in verses)


def _legal(draw: Random) -> str:
    return "\n\n".join(
        f"{i}. The {draw.choice(('Licensor', 'Licensee', 'Supplier', 'Customer'))} shall not be liable to the other party for any loss of {noun} "
        f"arising out of or in connection with this Agreement, whether in contract, tort or otherwise, except as set out in clause {draw.randint(1, 20)}."
        for i, noun in enumerate(draw.sample(NOUNS["en"], draw.randint(4, 8)), 1)
    )


def _legal_zh(draw: Random) -> str:
    return "\n".join(
        f"第{i}条 {draw.choice('甲乙')}方因{noun}造成的任何损失，除本合同另有约定外，{draw.choice('甲乙')}方不承担赔偿责任，但因故意或者重大过失造成的除外。"
        for i, noun in zip("一二三四五六七八", draw.sample(NOUNS["zh"], 8), strict=True)
    )


def _recipe(draw: Random) -> str:
    steps = (
        "Add {} g of {} and stir for {} minutes.",
        "Mix {} g of {} with the rest and wait {} minutes.",
        "Bake with {} g of {} for {} minutes.",
    )
    return "\n".join(
        f"{i}. " + draw.choice(steps).format(draw.randint(1, 50) * 10, draw.choice(NOUNS["en"]), draw.randint(1, 40))
        for i in _rows(draw, 6, 12)
    )


def _recipe_zh(draw: Random) -> str:
    steps = ("加入{}克{}，搅拌{}分钟。", "放入{}克{}，小火煮{}分钟。", "倒入{}克{}，静置{}分钟。")
    return "\n".join(
        f"{i}. " + draw.choice(steps).format(draw.randint(1, 50) * 10, draw.choice(NOUNS["zh"]), draw.randint(1, 40))
        for i in _rows(draw, 6, 12)
    )


def _numbered(draw: Random) -> str:
    return "\n".join(
        f"{i}. {noun.capitalize()}" for i, noun in enumerate(draw.sample(NOUNS["en"], draw.randint(10, 40)), 1)
    )


def _numbered_zh(draw: Random) -> str:
    return "\n".join(f"{i}. {noun}" for i, noun in enumerate(draw.sample(NOUNS["zh"], draw.randint(10, 40)), 1))


def _ideas(draw: Random) -> str:
    return "\n".join(
        f"{i}. A story about {noun} and how it changes a family"
        for i, noun in enumerate(draw.sample(NOUNS["en"], draw.randint(8, 20)), 1)
    )


def _inserts(draw: Random) -> str:
    return "\n".join(
        f"INSERT INTO customer (id, name, town) VALUES ({i}, '{draw.choice(NAMES)}', '{draw.choice(TOWNS)}');"
        for i in _rows(draw, 6, 20)
    )


def _dialogue(draw: Random) -> str:
    lines = draw.sample(sentences("en"), draw.randint(8, 16))
    return "\n".join(f"{('Teacher', 'Student')[i % 2]}: {line}" for i, line in enumerate(lines))


def _schedule(draw: Random) -> str:
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
    return "\n\n".join(
        f"**{day}**\n- 08:00 {draw.choice(NOUNS['en'])}\n- 12:00 lunch\n- 13:00 {draw.choice(NOUNS['en'])}\n- 18:00 dinner\n- 22:00 sleep"
        for day in days
    )


def _schedule_zh(draw: Random) -> str:
    return "\n".join(
        f"星期{d}：上午学习{draw.choice(NOUNS['zh'])}，下午复习{draw.choice(NOUNS['zh'])}，晚上休息。"
        for d in "一二三四五六日"
    )


def _xml(draw: Random) -> str:
    items = "\n".join(
        f'  <item id="{i}" name="{draw.choice(NAMES)}" colour="{draw.choice(COLOURS)}"/>' for i in _rows(draw, 6, 20)
    )
    return f"<items>\n{items}\n</items>"


def _psalm(draw: Random) -> str:
    return "\n".join(
        f"{line[:-1]}: for his mercy endures for ever." for line in draw.sample(sentences("en"), draw.randint(6, 12))
    )


def _dna(draw: Random) -> str:
    return "\n".join("".join(draw.choice("ACGT") for _ in range(60)) for _ in _rows(draw, 6, 20))


def _arithmetic(draw: Random) -> str:
    body = "\n".join(
        f"{a} + {b} = {a + b}" for a, b in ((draw.randint(1, 99), draw.randint(1, 99)) for _ in _rows(draw, 8, 24))
    )
    return f"{paragraphs(draw, 'en', 1)}\n\n{body}"


KINDS: dict[str, Callable[[Random], str]] = {
    "table en": _markdown, "table zh": _markdown_zh, "table html": _html, "json": _json, "json lines zh": _json_lines, "css": _css,
    "tests": _tests, "log": _log, "refrain en": _refrain, "refrain zh": _refrain_zh, "times table": _times_table,
    "times table zh": _times_table_zh, "write X n times": _write_times, "write X n times zh": _write_times_zh, "song": _song,
    "legal en": _legal, "legal zh": _legal_zh, "recipe en": _recipe, "recipe zh": _recipe_zh, "numbered list": _numbered,
    "numbered list zh": _numbered_zh, "list of ideas": _ideas, "sql inserts": _inserts, "dialogue": _dialogue, "schedule": _schedule,
    "schedule zh": _schedule_zh, "xml": _xml, "psalm": _psalm, "dna": _dna, "sums": _arithmetic,
}  # fmt: skip


def legitimate(count: int, half: str = TUNED) -> Iterator[Sample]:
    """``count`` texts of every kind for a half."""
    for kind, make in KINDS.items():
        draw = Random(f"legitimate {kind}, {half}, fifth split")
        for i in range(count):
            yield Sample(id=f"legitimate-{kind}-{i}", kind=kind, text=make(draw), reference=make(draw))
