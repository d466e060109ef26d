"""Records of the common logs are understood; what is not is named."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cases.model import Message
from harness.errors import UsageError
from harness.triage.shapes import LogFields, answer_of, conversation_of, detect, dig, finish_of

HI = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
OPENAI = {"choices": [{"message": {"role": "assistant", "content": "Hello."}, "finish_reason": "length"}]}


@pytest.mark.parametrize(
    ("record", "finish"),
    [
        pytest.param({"request": {"messages": HI}, "response": OPENAI}, "length", id="openai request and response"),
        pytest.param({"body": {"messages": HI}, "response": {"body": OPENAI}}, "length", id="openai batch"),
        pytest.param({"messages": HI, **OPENAI}, "length", id="openai flat"),
        pytest.param({"prompt": "Hi", "response": "Hello."}, None, id="prompt and response"),
        pytest.param({"messages": HI, "output": "Hello."}, None, id="messages and output"),
        pytest.param({"messages": [*HI, {"role": "assistant", "content": "Hello."}]}, None, id="one conversation"),
        pytest.param({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}, None,
                     id="sharegpt"),
        pytest.param({"instruction": "Hi", "input": "", "output": "Hello."}, None, id="alpaca"),
        pytest.param({"prompt": "Hi", "predict": "Hello.", "label": "Hey."}, None, id="llama-factory predictions"),
        pytest.param({"input": {"messages": HI}, "output": {"role": "assistant", "content": "Hello."}}, None,
                     id="langfuse"),
        pytest.param({"messages": '[{"role": "user", "content": "Hi"}]', "response": OPENAI}, "length",
                     id="litellm, JSON in a text"),
        pytest.param({"request": {"system": "Be brief.", "messages": HI[1:]},
                      "response": {"content": [{"type": "text", "text": "Hello."}], "stop_reason": "max_tokens"}},
                     "length", id="anthropic"),
        pytest.param({"prompt": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
                                "<|im_start|>assistant\n", "outputs": [{"text": "Hello."}]}, None, id="chatml"),
    ],
)  # fmt: skip
def test_a_known_shape_is_detected(record: dict[str, Any], finish: str | None) -> None:
    """Its prompt, its answer, and how the answer ended."""
    fields = detect([record], "log")
    turns = conversation_of(record, fields)
    assert answer_of(dig(record, fields.response)) == "Hello."
    assert turns[-1] == Message("user", "Hi")
    assert finish_of(dig(record, fields.finish) if fields.finish else None) == finish


def test_unknown_fields_are_named() -> None:
    """So that a person can give them."""
    with pytest.raises(UsageError, match=r"--response FIELD.*'a.deep', 'b.0.c'"):
        detect([{"a": {"deep": "x"}, "b": [{"c": "y"}]}], "log")


def test_a_given_field_is_taken() -> None:
    """Also where another one looks right."""
    record = {"prompt": "Hi", "response": "No.", "raw": {"reply.text": "Hello."}}
    fields = detect([record], "log", response="raw.reply.text")
    assert fields == LogFields(prompt="prompt", response="raw.reply.text")
    assert dig(record, fields.response) == "Hello."


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "user", "content": "Hi"}, {"role": "tool", "content": "4"}], "tools"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "not text"),
        ([{"role": "assistant", "content": "Hello."}], "no user turn"),
        ([{"role": "user", "content": "Hi"}, {"role": "system", "content": "x"}, {"role": "user", "content": "y"}],
         "system turn after"),
        (None, "no prompt"),
    ],
    ids=["tool", "picture", "no user", "late system", "nothing"],
)  # fmt: skip
def test_a_conversation_that_no_case_can_hold_says_why(messages: Any, why: str) -> None:
    """It is counted by this reason."""
    assert why in str(conversation_of({"messages": messages}, LogFields(prompt="messages", response="x")))
