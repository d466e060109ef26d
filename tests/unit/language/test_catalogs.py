"""Every sentence that people read has its Chinese, with the same values in it."""

from __future__ import annotations

import ast
import string
from pathlib import Path

from harness.language import catalog

HARNESS = Path(__file__).parents[3] / "harness"


def _sentences() -> set[str]:
    """The sentences that stand in calls of ``tr`` as they are."""
    calls = (
        node
        for path in HARNESS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr" and node.args
    )
    first = (call.args[0] for call in calls)
    return {node.value for node in first if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _values(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_every_sentence_is_translated() -> None:
    """What is missing is named here, and not found by a reader."""
    assert sorted(_sentences() - set(catalog("zh"))) == []


def test_a_translation_holds_the_same_values() -> None:
    """A value that a translation lacks, or does not get, would be lost or break the report."""
    assert {key: text for key, text in catalog("zh").items() if _values(key) != _values(text)} == {}
