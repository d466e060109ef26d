"""The Chinese catalog and the sentences in the code: neither has what the other lacks."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.language import LANGUAGES, catalog

ROOT = Path(__file__).parents[3]
_SCRIPT_KEY = re.compile(r"""\btr\(\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|`([^`$]*)`)""")


def python_keys() -> Iterator[tuple[str, str]]:
    """Every sentence that Python code gives to ``tr``, with where it stands; a sentence that is no literal is ''."""
    for folder in ("harness", "trainers"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
                if isinstance(node, ast.Call) and name == "tr" and node.args:
                    first = node.args[0]
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
                    yield (str(first.value) if literal else "", where)  # type: ignore[attr-defined]


def script_keys() -> Iterator[tuple[str, str]]:
    """Every sentence that a page's script gives to ``tr``."""
    for path in sorted((ROOT / "harness").rglob("*.js")):
        for match in _SCRIPT_KEY.finditer(path.read_text(encoding="utf-8")):
            text = next(group for group in match.groups() if group is not None)
            yield re.sub(r"\\(.)", r"\1", text), str(path.relative_to(ROOT))


KEYS = {key: where for key, where in (*python_keys(), *script_keys()) if key}
CHINESE = catalog("zh")


def constants() -> Iterator[str]:
    """Every text in the code, since a sentence may reach ``tr`` through a table."""
    for path in sorted(p for folder in ("harness", "trainers") for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in sorted((ROOT / "harness").rglob("*.js")):
        yield from re.findall(r'"([^"\\\n]*)"', path.read_text(encoding="utf-8"))


def fields(sentence: str) -> set[str]:
    """Names of the placeholders of a sentence."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_every_sentence_has_a_chinese_translation() -> None:
    """What a person reads in Chinese is not half English."""
    assert {key: where for key, where in KEYS.items() if key not in CHINESE} == {}


@pytest.mark.parametrize("key", sorted(CHINESE))
def test_a_translation_has_the_same_placeholders(key: str) -> None:
    """No value is lost, and none is asked for that the code does not give."""
    assert fields(CHINESE[key]) == fields(key)
    assert CHINESE[key].strip()


def test_no_translation_is_unused() -> None:
    """A sentence that was changed takes its translation with it."""
    assert sorted(CHINESE.keys() - KEYS.keys() - set(constants())) == []


def test_the_catalog_belongs_to_a_known_language() -> None:
    """Every catalog beside the module is one that the setting offers."""
    files = {p.stem for p in (ROOT / "harness" / "language").glob("*.json")}
    assert files | {"en"} == set(LANGUAGES)
