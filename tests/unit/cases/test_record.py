"""Each field of a record is taken as it was meant or refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cases import Message, read_file
from tests.support.casefiles import put, put_records, refusal

TURN = {"role": "user", "content": "Hi"}
BAD_RECORDS: list[Any] = [
    # the record itself
    pytest.param("a", "record 1: is a string; expected an object", id="string"),
    pytest.param(None, "record 1: is null; expected an object", id="null"),
    pytest.param(["a"], "record 1: is a list; expected an object", id="list"),
    pytest.param({}, "field 'text': is missing; write the prompt here", id="empty"),
    # unknown fields
    pytest.param({"text": "a", "standart_answer": "b"}, "did you mean 'standard_answer'?", id="misspelt"),
    pytest.param({"text": "a", "Tags": []}, "field 'Tags': unknown field; did you mean 'tags'?", id="upper-case"),
    pytest.param({"text": "a", " text": "b"}, "field ' text': unknown field; did you mean 'text'?", id="blank-in-name"),
    pytest.param({"text": "a", "answer": "b"}, "did you mean 'standard_answer'?", id="other-name"),
    pytest.param({"text": "a", "response": "b"}, "a column of a report, not of a case file", id="report"),
    pytest.param({"text": "a", "xyzzy": "b"}, "known are: id, text, messages, standard_answer", id="nothing-near"),
    # text and standard_answer
    pytest.param({"text": ""}, "field 'text': is empty", id="empty-text"),
    pytest.param({"text": " \n\u3000"}, "field 'text': is empty", id="blank-text"),
    pytest.param({"text": None}, "field 'text': is null; expected a string", id="null-text"),
    pytest.param({"text": 7}, "field 'text': is a number; expected a string", id="number-text"),
    pytest.param({"text": True}, "field 'text': is true or false; expected a string", id="true-text"),
    pytest.param({"text": ["a"]}, "field 'text': is a list; expected a string", id="list-text"),
    pytest.param({"text": {"a": 1}}, "field 'text': is an object; expected a string", id="object-text"),
    pytest.param({"text": "a\0b"}, "field 'text': holds a NUL at character 2", id="nul-text"),
    pytest.param({"text": "ab\ud83d"}, "half of a surrogate pair at character 3", id="lone-surrogate"),
    pytest.param({"text": "a", "standard_answer": ""}, "field 'standard_answer': is empty", id="empty-answer"),
    pytest.param({"text": "a", "standard_answer": None}, "'standard_answer': is null", id="null-answer"),
    pytest.param({"text": "a", "standard_answer": "\udc00"}, "'standard_answer': holds half", id="surrogate-answer"),
    pytest.param({"text": "a", "messages": [TURN]}, "'text' and 'messages' are both given; keep one", id="both"),
    # messages
    pytest.param({"messages": []}, "field 'messages': is an empty list; expected a list of turns", id="no-turns"),
    pytest.param({"messages": "Hi"}, "field 'messages': is a string; expected a list", id="string-messages"),
    pytest.param({"messages": ["Hi"]}, "field 'messages[0]': is a string; expected a turn", id="string-turn"),
    pytest.param({"messages": [{"role": "user"}]}, "'messages[0].content': is missing", id="no-content"),
    pytest.param({"messages": [{"content": "a"}]}, "'messages[0].role': is missing", id="no-role"),
    pytest.param({"messages": [{**TURN, "name": "x"}]}, "'messages[0].name': unknown field", id="unknown-in-turn"),
    pytest.param({"messages": [TURN, {**TURN, "content": ""}]}, "'messages[1].content': is empty", id="empty-content"),
    pytest.param({"messages": [{**TURN, "role": "usr"}]}, "is 'usr'; did you mean 'user'?", id="wrong-speaker"),
    pytest.param({"messages": [{**TURN, "role": "tool"}]}, "known are: system, user, assistant", id="tool"),
    pytest.param(
        {"messages": [TURN, {"role": "assistant", "content": "a"}]}, "ends with the assistant's turn", id="ends-wrong"
    ),
    pytest.param({"messages": [{"role": "system", "content": "a"}]}, "ends with the system's turn", id="only-system"),
    pytest.param(
        {"messages": [TURN, {"role": "system", "content": "a"}, TURN]},
        "'messages[1].role': is 'system' after the first turn",
        id="system-later",
    ),
    pytest.param(
        {"system": "a", "messages": [{"role": "system", "content": "b"}, TURN]},
        "field 'system': is given here and as the first of 'messages'",
        id="system-twice",
    ),
    pytest.param({"text": "a", "system": ""}, "field 'system': is empty", id="empty-system"),
    # id
    pytest.param({"text": "a", "id": ""}, "field 'id': is empty", id="empty-id"),
    pytest.param({"text": "a", "id": 7}, "field 'id': is a number; expected a string", id="number-id"),
    pytest.param({"text": "a", "id": "a b"}, "field 'id': is 'a b'; expected letters, digits", id="blank-in-id"),
    pytest.param({"text": "a", "id": "a/b"}, "field 'id': is 'a/b'", id="slash-in-id"),
    pytest.param({"text": "a", "id": "a::b"}, "field 'id': is 'a::b'", id="colons-in-id"),
    pytest.param({"text": "a", "id": "a[0]"}, "field 'id': is 'a[0]'", id="bracket-in-id"),
    pytest.param({"text": "a", "id": "../x"}, "field 'id': is '../x'", id="path-as-id"),
    pytest.param({"text": "a", "id": "-x"}, "field 'id': is '-x'", id="option-as-id"),
    pytest.param({"text": "a", "id": "x" * 101}, "has 101 characters; expected 100 at most", id="long-id"),
    # role, weight, tags
    pytest.param({"text": "a", "role": "gaurd"}, "field 'role': is 'gaurd'; did you mean 'guard'?", id="wrong-role"),
    pytest.param({"text": "a", "role": 1}, "field 'role': is a number", id="number-role"),
    pytest.param({"text": "a", "weight": 0}, "field 'weight': is 0; expected a finite number above 0", id="no-weight"),
    pytest.param({"text": "a", "weight": -1.5}, "field 'weight': is -1.5", id="negative-weight"),
    pytest.param({"text": "a", "weight": "2"}, "field 'weight': is a string; expected a number", id="string-weight"),
    pytest.param({"text": "a", "weight": True}, "field 'weight': is true or false", id="true-weight"),
    pytest.param({"text": "a", "weight": float("nan")}, "field 'weight': NaN is not a number", id="nan-weight"),
    pytest.param({"text": "a", "weight": float("-inf")}, "field 'weight': -Infinity is not", id="infinite-weight"),
    pytest.param({"text": "a", "weight": 10**30}, "field 'weight': a whole number too large", id="huge-weight"),
    pytest.param(
        {"text": "a", "tags": "poem"}, "field 'tags': is a string; expected a list of strings", id="string-tags"
    ),
    pytest.param({"text": "a", "tags": [7]}, "field 'tags[0]': is a number", id="number-tag"),
    pytest.param({"text": "a", "tags": ["b", ""]}, "field 'tags[1]': is empty", id="empty-tag"),
    pytest.param({"text": "a", "tags": ["b,c"]}, "field 'tags[0]': is 'b,c'; expected no ','", id="comma-in-tag"),
    pytest.param({"text": "a", "tags": ["b", "b"]}, "field 'tags[1]': is 'b' again", id="tag-twice"),
    # expressions
    pytest.param({"text": "a", "must_include": ""}, "field 'must_include': is empty", id="empty-pattern"),
    pytest.param(
        {"text": "a", "skip": True}, "field 'skip': is true or false; expected a string", id="skip-without-reason"
    ),
    pytest.param(
        {"text": "a", "skip": "b", "xfail": "c"}, "field 'xfail': is given beside 'skip'", id="skip-and-xfail"
    ),
    pytest.param({"text": "a", "must_include": 7}, "is a number; expected a string or a list", id="number-pattern"),
    pytest.param({"text": "a", "must_include": ["b", "("]}, "pattern 2, '(', is not a regular", id="no-regex"),
    pytest.param({"text": "a", "must_not_include": "[z-a]"}, "field 'must_not_include': pattern 1", id="bad-range"),
    pytest.param({"text": "a", "must_include": "x{9999999999999}"}, "is not a regular expression", id="huge-repeat"),
    pytest.param({"text": "a", "must_include": "(" * 9000 + ")" * 900}, "not a regular expression", id="deep-pattern"),
    pytest.param({"text": "a", "must_include": "x" * 10_001}, "has 10001 characters", id="long-pattern"),
    # decoding and thresholds
    pytest.param(
        {"text": "a", "decoding": 5}, "field 'decoding': is a number; expected an object", id="number-decoding"
    ),
    pytest.param({"text": "a", "decoding": {"beam_with": 5}}, "did you mean 'beam_width'?", id="unknown-decoding"),
    pytest.param({"text": "a", "decoding": {"beam_width": 0}}, "beam_width = 0 (expected", id="wrong-decoding"),
    pytest.param({"text": "a", "decoding": {"beam_width": True}}, "beam_width = True (expected", id="true-decoding"),
    pytest.param({"text": "a", "decoding": {"temperature": 0.7}}, "needs method = 'sample'", id="contradiction"),
    pytest.param({"text": "a", "decoding": {"top_p": {}}}, "top_p = {} (expected a number", id="object-decoding"),
    pytest.param({"text": "a", "decoding": {"stop": [{}]}}, "'decoding.stop': holds an object", id="nested-decoding"),
    pytest.param(
        {"text": "a", "thresholds": {"min_metrics": {"f1": "0.5"}}},
        "expected names of scores with finite",
        id="string-limit",
    ),
    pytest.param(
        {"text": "a", "thresholds": {"max_metrics": {"f1": float("nan")}}},
        "'thresholds.max_metrics': NaN",
        id="nan-limit",
    ),
    pytest.param(
        {"text": "a", "thresholds": {"min_metrics": 1}}, "min_metrics = 1 (expected names of", id="bare-limit"
    ),
    pytest.param({"text": "a", "decoding": {"method": "x" * 5000}}, "method = 'xxx", id="long-value"),
    pytest.param({"text": "a", "decoding": {"seed": 2**63}}, "'decoding.seed': a whole number too", id="huge-decoding"),
    pytest.param({"text": "a", "decoding": {"stop": ["\ud800"]}}, "'decoding.stop': holds half", id="surrogate-stop"),
    pytest.param({"text": "a", "decoding": {"top_p": float("nan")}}, "'decoding.top_p': NaN is", id="nan-decoding"),
    pytest.param(
        {"text": "a", "thresholds": []}, "field 'thresholds': is a list; expected an object", id="list-thresholds"
    ),
    pytest.param({"text": "a", "thresholds": {"min_unit": 1}}, "did you mean 'min_units'?", id="unknown-threshold"),
    pytest.param(
        {"text": "a", "thresholds": {"min_similarity": 80}}, "80 (expected a number 0..1)", id="wrong-threshold"
    ),
    pytest.param({"text": "a", "thresholds": {"max_rep8_excess": "0.3"}}, "'0.3' (expected", id="string-threshold"),
    # source
    pytest.param({"text": "a", "source": 17}, "field 'source': is a number; expected a string", id="number-source"),
]


@pytest.mark.parametrize(("record", "part"), BAD_RECORDS)
def test_a_wrong_field_is_named(tmp_path: Path, record: Any, part: str) -> None:
    """The error names file, record and field, what is wrong and what to do; and nothing else is wrong."""
    path = put_records(tmp_path, record)

    (line,) = refusal(lambda: read_file(path))

    assert line.startswith(f"{path}, record 1")
    assert part in line
    assert len(line) < len(str(path)) + 400


@pytest.mark.parametrize(
    ("content", "part"),
    [
        pytest.param('[{"text": "a", "text": "b"}]', "record 1: the key 'text' is given twice; keep one", id="record"),
        pytest.param(
            '[{"text": "a", "decoding": {"seed": 1, "seed": 1}}]', "'decoding': the key 'seed' is given", id="nested"
        ),
        pytest.param('[{"text": "a", "weight": 1e999}]', "'weight': a number too large", id="infinite"),
        pytest.param(f'[{{"text": "a", "weight": {"9" * 5000}}}]', "'weight': a whole number too large", id="digits"),
        pytest.param('[{"text": Infinity}]', "'text': Infinity is not a number", id="constant"),
        pytest.param(f'[{{"text": {"[" * 400}{"]" * 400}}}]', "'text': is a list; expected a string", id="deep"),
        pytest.param('[{"text": "a", "\\ud800": 1}]', "field '\\ud800': unknown field", id="surrogate-name"),
        pytest.param('[{"text": "a", "\\u001b[2J": 1}]', "field '\\x1b[2J': unknown field", id="escape-name"),
    ],
)
def test_what_json_would_let_through_is_refused(tmp_path: Path, content: str, part: str) -> None:
    """Doubled keys, endless numbers and strange names do not pass for values."""
    (line,) = refusal(lambda: read_file(put(tmp_path, "b/test.json", content)))

    assert part in line


def test_all_problems_of_a_record_are_told_at_once(tmp_path: Path) -> None:
    """One reading finds every wrong field."""
    path = put_records(tmp_path, {"text": "", "weight": -1, "role": "x", "xyz": 1, "must_include": "("})

    first, *lines = refusal(lambda: read_file(path))

    assert first == "5 problems in case files:"
    assert [line.split("field ")[1].split(":")[0] for line in lines] == [
        "'xyz'", "'text'", "'role'", "'must_include'", "'weight'",
    ]  # fmt: skip


def test_messages_stay_one_line_whatever_they_quote(tmp_path: Path) -> None:
    """Content that would break out of its line, or drive the terminal, is shown escaped and cut."""
    path = put_records(tmp_path, {"text": "a", "role": "x\n2 problems\x1b[2J\u202e" + "y" * 1000})

    (line,) = refusal(lambda: read_file(path))

    assert "\\n2 problems\\x1b[2J\\u202e" in line
    assert line.isprintable()
    assert len(line) < len(str(path)) + 200


GOOD: list[Any] = [
    pytest.param({"text": "a", "must_include": "b"}, lambda c: c.must_include == ("b",), id="one-pattern"),
    pytest.param({"text": "a", "must_include": []}, lambda c: c.must_include == (), id="no-patterns"),
    pytest.param({"text": "a", "skip": "later"}, lambda c: (c.skip, c.xfail) == ("later", ""), id="skip"),
    pytest.param({"text": "a", "xfail": "known"}, lambda c: (c.skip, c.xfail) == ("", "known"), id="xfail"),
    pytest.param({"text": "a", "weight": 3}, lambda c: c.weight == 3.0 and type(c.weight) is float, id="whole-weight"),
    pytest.param({"text": "a", "id": "诗_1.x-y"}, lambda c: c.id == "badcase1/诗_1.x-y", id="chinese-id"),
    pytest.param({"text": "a", "decoding": {"stop": ["\n"]}}, lambda c: c.decoding.stop == ("\n",), id="stop-newline"),
    pytest.param({"text": "a", "decoding": {}}, lambda c: c.decoding.max_tokens == 4096, id="empty-decoding"),
    pytest.param(
        {"text": "a", "thresholds": {"max_rep8_excess": 1}}, lambda c: c.thresholds.max_rep8_excess == 1, id="1"
    ),
    pytest.param(
        {"text": "a", "thresholds": {"min_metrics": {"f1": 0.5}}},
        lambda c: c.thresholds.min_metrics == {"f1": 0.5},
        id="limit-by-name",
    ),
    pytest.param({"text": "\ud83d\ude00"}, lambda c: c.prompt == "😀", id="surrogate-pair"),
    pytest.param(
        {"messages": [{"role": "system", "content": "s"}, TURN]},
        lambda c: c.messages == (Message("system", "s"), Message("user", "Hi")),
        id="system-turn",
    ),
]


@pytest.mark.parametrize(("record", "holds"), GOOD)
def test_what_is_allowed_is_taken(tmp_path: Path, record: Any, holds: Callable[[Any], bool]) -> None:
    """The shorter and the rarer ways to write a field mean what they say."""
    (case,) = read_file(put_records(tmp_path, record))

    assert holds(case)


def test_a_pattern_that_python_warns_of_is_taken(tmp_path: Path) -> None:
    """An expression that compiles is good, even where warnings are errors."""
    with warnings.catch_warnings(action="error"):
        (case,) = read_file(put_records(tmp_path, {"text": "a", "must_include": "[[a]"}))

    assert case.must_include == ("[[a]",)


@pytest.mark.parametrize("own", [True, False], ids=["own-system", "no-own-system"])
def test_a_conversations_own_system_prompt_wins(tmp_path: Path, own: bool) -> None:
    """The project's system prompt is for conversations that bring none."""
    path = put_records(tmp_path, {"text": "a", **({"system": "mine"} if own else {})})

    (case,) = read_file(path, system="theirs")

    assert case.messages[0] == Message("system", "mine" if own else "theirs")
    assert len(case.messages) == 2
