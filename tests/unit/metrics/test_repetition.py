"""Repetition scores against brute force, in both ways that the kernels run, and where loops are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import kernels, measure, repetition
from harness.metrics.kernels import unit_bounds
from harness.metrics.repetition import USUAL
from harness.metrics.types import Scores

PIECES = ["a ", "b ", "cc ", "1 ", "27. ", "好", "的", "。", ", ", "x\n", "- ", "第三，"]
WORDS = st.lists(st.sampled_from(PIECES), max_size=30)
TEXTS = st.builds(
    lambda before, period, copies, after: "".join(before) + "".join(period[:8]) * copies + "".join(after[:12]),
    WORDS,
    WORDS,
    st.integers(0, 9),
    WORDS,
)


@pytest.fixture(params=["interpreted", "compiled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the kernels run."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    monkeypatch.setenv("HARNESS_KERNELS", request.param)
    return str(request.param)


def score(text: str) -> Scores:
    (scores,) = measure([text])
    return scores


def brute_repeats(units: list[str], n: int) -> float:
    grams = [tuple(units[i : i + n]) for i in range(len(units) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def brute_run(units: list[str], least: int) -> int:
    """Length of the longest run of three copies or more of one period."""
    best = 0
    for period in range(1, len(units) // 3 + 1):
        length = period
        for i in range(period, len(units)):
            length = length + 1 if units[i] == units[i - period] else period
            if length >= 3 * period:
                best = max(best, length)
    return best if best >= least else 0


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_n_gram_scores_are_those_of_brute_force(text: str) -> None:
    """rep-1..rep-8 and the digit-normalised rep-8, exactly."""
    values = score(text).values
    units = [text[a:b] for a, b in unit_bounds(text)]
    for n in range(1, 9):
        assert math.isclose(values[f"rep{n}"], brute_repeats(units, n), abs_tol=1e-12)
    if "第" not in text:
        plain = ["0" if unit.isdigit() else unit for unit in units]
        assert math.isclose(values["rep8d"], brute_repeats(plain, 8), abs_tol=1e-12)


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_the_longest_run_is_that_of_brute_force(text: str) -> None:
    """On units from 12 on, on units with digits taken for one sign, and on characters within two words' length."""
    values = score(text).values
    units = [text[a:b] for a, b in unit_bounds(text)]
    assert values["loop_units"] == brute_run(units, 12)
    if "第" not in text and sum(u.isdigit() for u in units) > 2:
        assert values["numbered_units"] == brute_run(["0" if u.isdigit() else u for u in units], 12)
    if len(text) <= 3 * 64:
        assert values["char_loop_length"] == brute_run(list(text), 24)


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_compiled_and_interpreted_kernels_agree(texts: list[str]) -> None:
    """Every value and every loop, alone or in a batch."""
    pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_KERNELS", "interpreted")
        slow = [score(text) for text in texts]
        patch.setenv("HARNESS_KERNELS", "compiled")
        assert list(measure(texts)) == slow


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_every_value_is_finite_and_every_share_a_share(text: str) -> None:
    """Whatever the text, lone surrogates and unassigned characters included."""
    scores = repetition(text, "The sea is wide.")
    assert all(math.isfinite(v) for v in scores.values.values())
    shares = (
        "rep1",
        "rep8",
        "rep8d",
        "loop_coverage",
        "char_loop_coverage",
        "tail_coverage",
        "templated",
        "repetition",
    )
    assert all(0.0 <= scores.values[name] <= 1.0 for name in shares)
    assert all(0 <= x.start < x.end <= len(text) and x.period > 0 for x in scores.loops)


@pytest.mark.parametrize(
    ("before", "period", "kind"),
    [
        pytest.param("Sure. ", "I love the sea. ", "exact", id="english sentence"),
        pytest.param("好的。", "我很喜欢大海。", "exact", id="chinese sentence"),
        pytest.param("はい。", "海が好きです。", "exact", id="japanese"),
        pytest.param("네. ", "나는 바다를 좋아해요. ", "exact", id="korean"),
        pytest.param("ครับ ", "ฉันรักทะเล", "exact", id="thai"),
        pytest.param("نعم. ", "أحب البحر كثيرا. ", "exact", id="arabic"),
        pytest.param("Да. ", "Я люблю море. ", "exact", id="cyrillic"),
        pytest.param("ok ", "😂👍🏽", "exact", id="emoji"),
        pytest.param("import os\n", "return x + 1\n", "exact", id="code"),
        pytest.param("The number is ", "05", "characters", id="digits in one number"),
        pytest.param("Well, ", "ha", "characters", id="letters in one word"),
    ],
)
def test_a_loop_is_found_where_it_starts_and_by_its_period(way: str, before: str, period: str, kind: str) -> None:
    """Onset and period are character offsets of the answer, the cut last copy counted as a part."""
    text = before + period * 30 + period[: len(period) // 2]
    loop = repetition(text).loops[0]
    assert (loop.start, loop.period, loop.kind) == (len(before), len(period), kind)
    assert text[loop.start : loop.start + loop.period] == period
    assert loop.end >= len(before) + 30 * len(period) - 1


@pytest.mark.parametrize(
    ("template", "words", "kind"),
    [
        pytest.param("{i}. Pleasure\n", "", "numbered", id="numbered lines"),
        pytest.param("{i}. Pleasure ", "", "numbered", id="numbered in a line"),
        pytest.param("第{i}步，继续等待。", "", "numbered", id="numbered chinese"),
        pytest.param("He is haunted by {w}. ", "grief guilt rain love war salt", "templated", id="sentences"),
        pytest.param("- The {w} of the sea\n", "grief guilt rain love war salt", "templated", id="lines"),
        pytest.param("他被{w}所困扰。", "快乐 悲伤 音乐 记忆 冬天 勇气", "templated", id="chinese sentences"),
        pytest.param(
            "if {w}:\n    return False\n", "grief guilt rain love war salt", "templated", id="records of two lines"
        ),
    ],
)
def test_loops_that_differ_in_a_number_or_a_word_are_named_as_such(
    way: str, template: str, words: str, kind: str
) -> None:
    """Numbered and templated loops are found, and say which they are."""
    choice = words.split() or [""]
    text = "Here it is:\n" + "".join(
        template.format(i=i, w=choice[i % len(choice) - (i // 7) % 2]) for i in range(1, 30)
    )
    kinds = {loop.kind for loop in repetition(text).loops}
    assert kind in kinds


def test_unrelated_lines_are_not_templated() -> None:
    """Lines that share their bullets, or numbers more than words, are a list, a table, sums."""
    lists = [
        "- apples\n- salt\n- a ferry ticket\n- two old chairs\n- the book of hours\n- rope\n",
        "\n".join(f"{k} x 7 = {7 * k}" for k in range(12)),
    ]
    assert [scores.values["templated"] for scores in measure(lists)] == [0.0, 0.0]


def told(template: str, rows: str) -> str:
    """The template filled with each row; rows are apart by ``;``, their fields by ``/``."""
    return "".join(template.format(*row.split("/")) for row in rows.split(";"))


PLANETS = "Mercury/first/58;Venus/second/108;Earth/third/150;Mars/fourth/228;Jupiter/fifth/778;Saturn/sixth/1430"
MONTHS = "January/31;February/28;March/31;April/30;May/31;June/30;July/31;August/31;September/30;October/31"
ZH_PLANETS = "水/58;金/108;地/150;火/228;木/778;土/1430;天王/2870;海王/4500"
CAPITALS = "Peru/Lima;Chile/Santiago;Cuba/Havana;Kenya/Nairobi;Spain/Madrid;Italy/Rome;Norway/Oslo;Japan/Tokyo"
VERBS = ("take", "find", "hold", "lose", "carry")
THINGS = ("rain", "salt", "music", "bread", "silver")
MOVES = "1950/York;1951/Bath;1952/Hull;1953/Ely;1954/York;1955/Bath;1956/Hull;1957/Ely;1958/York;1959/Bath"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(told("{} is the {} planet from the Sun, at {} million km. ", PLANETS), id="planets"),
        pytest.param(told("{}星是一颗行星，距离太阳{}百万公里。", ZH_PLANETS), id="planets in chinese"),
        pytest.param(told("The capital of {} is {}. ", CAPITALS), id="one fact each"),
        pytest.param(told("{} has {} days.\n", MONTHS), id="numbers that are facts"),
    ],
)
def test_a_list_of_facts_is_no_loop(way: str, text: str) -> None:
    """Sentences that differ in two places, one of them new, say something each time; no reference need say so."""
    values = repetition(text).values
    assert values["templated"] < 0.4
    assert values["templated_likely"] > 0.5


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(told("In {} he moved to {}. ", MOVES), id="a year that counts on"),
        pytest.param(told("{} is the {} planet, at {} million km. ", f"{PLANETS};" * 5 + PLANETS), id="facts again"),
        pytest.param(
            "".join(f"He will {v} the {THINGS[(i + k) % 5]}. " for k in range(8) for i, v in enumerate(VERBS)),
            id="two places out of a few words",
        ),
        pytest.param(told("Oh {0}, sweet {0}, where are you? ", "rain;love;war;salt;pain;time;gold"), id="said twice"),
        pytest.param(told("I have never seen such {}. ", "grief;guilt;rain;love;war;salt;pain;time"), id="one place"),
    ],
)  # fmt: skip
def test_a_list_that_says_nothing_new_is_a_loop(way: str, text: str) -> None:
    """What differs in one place, or goes through the same values again, is templated."""
    assert repetition(text).values["templated"] > 0.6


ROWS = "12/8/1;13/31/7;19/2/25;40/5/3;22/17/11;35/9/60;16/44/8"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param(told("In year {} we earned {} million and paid {} in tax.\n", ROWS), True, id="results"),
        pytest.param(told("{}年公司营业收入{}亿元，净利润{}亿元，有所增长。\n", ROWS), True, id="in chinese"),
        pytest.param("".join(f"Step {i}: wait {i * 5} minutes and look.\n" for i in range(1, 12)), False, id="steps"),
        pytest.param("".join(f"{i}. Mars\n{i + 1}. Sun\n{i + 2}. Moon\n" for i in range(1, 40, 3)), False, id="turns"),
        pytest.param("".join(f"第{i}步，再等一会儿，然后继续。\n" for i in range(1, 12)), False, id="steps in chinese"),
        pytest.param(f"I have {'9' * 5000} of them and {'8' * 5000} more. " * 4, False, id="numbers without end"),
    ],
)  # fmt: skip
def test_rows_of_numbers_are_data_and_not_a_numbered_loop(way: str, text: str, data: bool) -> None:
    """Two numbers a copy that do not count are what the copy says, however many words stand between them."""
    values = repetition(text).values
    assert values["numbered_coverage"] > 0.9
    assert (values["numbered_excess"] <= 0.0 and values["rep8d_excess"] <= 0.0) is data


def test_lines_labelled_by_letters_are_numbered(way: str) -> None:
    """``E. Fish``, ``F. Fish`` is the loop that ``5. Fish``, ``6. Fish`` is."""
    text = "".join(f"{letter}. Fish\n" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert repetition(text).values["numbered_coverage"] > 0.9


def test_the_excess_is_measured_against_the_reference() -> None:
    """The same table is no excess over a table, and a large one over prose."""
    names = ("Ada", "Ben", "Chloe", "David", "Elena", "Farid", "Grace")
    table = "\n".join(f"| {name} | a town by the sea | yes | no |" for name in names)
    own = repetition(table, table).values
    assert own["repetition"] == 0.0
    assert (
        repetition(table, "The sea is wide, and deep, and old.").values["rep8_excess"]
        == own["rep8"] - USUAL["rep8"]
        > 0.1
    )


def test_a_reference_excuses_no_more_than_a_few_times_its_own_length() -> None:
    """Asked for ten lines, five hundred of them are a loop."""
    line = "I will not talk in class.\n"
    assert repetition(line * 30, line * 10).values["repetition"] < 0.1
    assert repetition(line * 500, line * 10).values["repetition"] > 0.8


def test_lines_said_before_are_counted(way: str) -> None:
    """A line counts as a duplicate when it says all that an earlier line says, and no more."""
    assert score("one two\nthree\none two\none two three\none\n").values["duplicate_lines"] == 1 / 5


@pytest.mark.parametrize("seed", ["a", "ab", "aab ", "海", "sea 海。\n"])
def test_a_long_text_takes_time_in_proportion(seed: str) -> None:
    """A megabyte that is one loop, in one call, exact to its ends."""
    pytest.importorskip("numba")
    text = seed * (300_000 // len(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_KERNELS", "compiled")
        loop = repetition(text).loops[0]
    assert (loop.start, loop.end) == (0, len(text.rstrip()))


def test_few_characters_are_scored_without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line must not pay for a compiler; many lines may."""
    monkeypatch.delenv("HARNESS_KERNELS", raising=False)
    assert kernels.COMPILE_AFTER >= 500_000
