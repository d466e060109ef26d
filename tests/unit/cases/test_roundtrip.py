"""What is written is read back, and whatever is read is a case or a CaseFileError, soon."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.cases import Case, Message, Thresholds, read_file, write_cases
from harness.cases.decoding import Decoding
from harness.cases.identity import derive_name
from harness.errors import CaseFileError
from tests.support.builders import case
from tests.support.casefiles import put, refusal

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)
names = st.from_regex(r"[\w][\w.-]{0,20}", fullmatch=True)
turns = st.builds(Message, st.sampled_from(["user", "assistant"]), texts)
conversations = st.builds(
    lambda system, middle, last: (*[Message("system", s) for s in system], *middle, Message("user", last)),
    st.lists(texts, max_size=1),
    st.lists(turns, max_size=3),
    texts,
)
shares = st.floats(0, 1)
decodings = st.one_of(
    st.builds(
        Decoding,
        max_tokens=st.integers(1, 9999),
        semantics=st.sampled_from(["hf", "vllm"]),
        early_stopping=st.sampled_from([True, False, "never"]),
        stop=st.lists(texts, max_size=2).map(tuple),
    ),
    st.builds(Decoding, method=st.just("sample"), temperature=st.floats(0.1, 2), samples=st.just(3), top_p=shares),
)
thresholds = st.builds(
    Thresholds,
    max_rep8_excess=shares,
    min_units=st.integers(0, 99),
    allow_cutoff=st.booleans(),
    min_metrics=st.dictionaries(names, st.floats(-9, 9), max_size=2),
)
tags = st.lists(
    st.text("abc 诗\U0001f600", min_size=1).filter(lambda tag: tag == tag.strip()), max_size=3, unique=True
).map(tuple)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    messages = draw(conversations)
    return Case(
        id=f"b/{draw(names | st.just(derive_name(messages)))}",
        folder="b",
        messages=messages,
        standard_answer=draw(st.none() | texts),
        role=draw(st.sampled_from(["fix", "holdout", "guard"])),
        tags=draw(tags),
        decoding=draw(decodings),
        thresholds=draw(thresholds),
        must_include=draw(st.sampled_from([(), ("sea",), ("a|b", r"\d+")])),
        must_not_include=draw(st.sampled_from([(), ("[0-9]",)])),
        chat_template_kwargs=draw(st.sampled_from([{}, {"enable_thinking": False}, {"effort": "low", "n": 2}])),
        skip=draw(st.just("")),
        xfail=draw(st.sampled_from(["", "TICKET-7"])),
        weight=draw(st.floats(0.01, 100)),
        source=draw(st.just("") | texts),
    )


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(cases(), min_size=1, max_size=4, unique_by=lambda c: c.id))
def test_written_cases_are_read_back(tmp_path: Path, written: list[Case]) -> None:
    """Every field of every case survives its file."""
    path = write_cases(tmp_path / "b" / "test.json", written)

    assert read_file(path) == tuple(written)


def test_a_plain_case_is_written_as_people_write_it(tmp_path: Path) -> None:
    """Only what differs from the defaults is said, in readable UTF-8."""
    messages = (Message("user", "写一首诗"),)
    plain = case(f"b/{derive_name(messages)}", "写一首诗", "春眠不觉晓", decoding=Decoding())

    path = write_cases(tmp_path / "b" / "test.json", [plain])

    assert path.read_text(encoding="utf-8") == (
        '[\n  {\n    "text": "写一首诗",\n    "standard_answer": "春眠不觉晓"\n  }\n]\n'
    )


@pytest.mark.parametrize(
    ("written", "part"),
    [
        pytest.param([], "would hold no case", id="none"),
        pytest.param([case("b/x"), case("b/x")], "record 2: would have the id 'x' of record 1", id="twice"),
        pytest.param([case("b/x y")], "record 1, field 'id': is 'x y'", id="bad-id"),
        pytest.param([case("b/x", standard_answer="")], "'standard_answer': is empty", id="empty-answer"),
        pytest.param([case("b/x", "a\ud800")], "'text': holds half of a surrogate pair", id="surrogate"),
        pytest.param([case("b/x", weight=float("nan"))], "'weight': NaN is not a number", id="nan"),
        pytest.param(
            [dataclasses.replace(case("b/x"), messages=(Message("assistant", "a"),))],
            "ends with the assistant's",
            id="turn",
        ),
    ],
)
def test_cases_that_could_not_be_read_are_not_written(tmp_path: Path, written: list[Case], part: str) -> None:
    """A tool hears of it before it leaves a file that the next run refuses; the old file stays."""
    path = put(tmp_path, "b/test.json", "old")

    (line,) = refusal(lambda: write_cases(path, written))

    assert part in line
    assert path.read_text() == "old"


RECORD: dict[str, Any] = {
    "id": "x", "text": "Hi", "standard_answer": "Ho", "system": "s", "tags": ["a"], "role": "fix",
    "decoding": {"max_tokens": 5, "stop": ["."]}, "thresholds": {"min_units": 1}, "must_include": ["a"],
    "must_not_include": "b", "weight": 1.5, "source": "here",
    "messages": [{"role": "user", "content": "Hi"}],
}  # fmt: skip
keys = st.sampled_from([*RECORD, "role", "content", "max_tokens", "txt", "", "\x1b[2J"]) | st.text(max_size=3)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
scalars |= st.sampled_from(["\ud800", "fix", "(", "\0"])
values = st.recursive(
    scalars | st.sampled_from(list(RECORD.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
records = st.dictionaries(keys, values, max_size=4) | st.builds(
    lambda drop, key, value: {**{k: v for k, v in RECORD.items() if k not in (*drop, "messages")}, key: value},
    st.lists(keys, max_size=2),
    keys,
    values,
)


def read_soon(path: Path) -> None:
    """Read, and insist on a case or a proper refusal within a second of computing (the machine may be busy)."""
    started = time.process_time()
    try:
        found: tuple[Case, ...] = read_file(path)
    except CaseFileError as error:
        lines = str(error).split("\n")
        assert all(line.strip().isprintable() and len(line) < 1000 for line in lines)
        assert all(str(path) in line for line in lines[1:] or lines)
    else:
        assert found
        for one in found:
            assert one.prompt.strip()
            assert one.id.startswith("b/")
    assert time.process_time() - started < 1.0


@settings(max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(records, max_size=3) | values)
@example([RECORD])
@example([{**RECORD, "decoding": {"max_tokens": 10**400}}])
@example([{"text": "a", "tags": [[[[]]]]}])
def test_any_json_is_cases_or_a_refusal(tmp_path: Path, document: Any) -> None:
    """1,000 documents that are nearly, or not at all, what a case file holds."""
    read_soon(put(tmp_path, "b/test.json", json.dumps(document)))


GOOD_FILES = {
    "test.json": json.dumps([{k: v for k, v in RECORD.items() if k != "messages"}, {"messages": RECORD["messages"]}]),
    "test.jsonl": "\n".join(json.dumps({"text": f"诗{n}", "tags": ["a"]}, ensure_ascii=False) for n in range(3)),
    "test.csv": 'text,standard_answer,tags,decoding\r\n"a, ""b""",c,d;e,"{""seed"": 3}"\r\n诗,b,,\r\n',
}


@pytest.mark.parametrize("name", GOOD_FILES)
def test_any_damage_is_cases_or_a_refusal(tmp_path: Path, name: str) -> None:
    """334 times each: bytes flipped, cut out, doubled, or swapped for what breaks readers."""
    good = GOOD_FILES[name].encode()
    dice = random.Random(name)
    poison = [
        b"\0",
        b"\xff",
        b'"',
        b"\\",
        b"{",
        b"[",
        b"]",
        b"\n",
        b"\r",
        b",",
        b"1e999",
        b"NaN",
        b"\\ud800",
        b"\xe2\x80\xa8",
    ]
    for _ in range(334):
        data = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            at, length = dice.randrange(len(data)), dice.randint(0, 4)
            match dice.randrange(4):
                case 0:
                    data[at] ^= 1 << dice.randrange(8)
                case 1:
                    del data[at : at + length * 10]
                case 2:
                    data[at:at] = copy.copy(data[at : at + length * 10])
                case _:
                    data[at : at + length] = dice.choice(poison)
            data = data or bytearray(b" ")
        read_soon(put(tmp_path, f"b/{name}", bytes(data)))


def test_a_large_suite_is_read_in_seconds(tmp_path: Path) -> None:
    """20,000 records are no reason to wait."""
    lines = (json.dumps({"text": f"Say {n}.", "standard_answer": f"{n}."}) for n in range(20_000))
    path = put(tmp_path, "b/cases.jsonl", "\n".join(lines))
    started = time.process_time()

    assert len(read_file(path)) == 20_000

    assert time.process_time() - started < 15.0


def test_twenty_thousand_problems_are_counted_in_seconds(tmp_path: Path) -> None:
    """A file that is wrong throughout, in unknown names most of all, is refused as fast as a good one is read."""
    record = {"text": "a", **{f"unknown field number {n}": n for n in range(20)}}
    path = put(tmp_path, "b/test.json", json.dumps([{**record, "id": f"{n}"} for n in range(1000)]))
    started = time.process_time()

    first, *_ = refusal(lambda: read_file(path))

    assert first == "20000 problems in case files, the first 20:"
    assert time.process_time() - started < 5.0
