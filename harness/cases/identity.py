r"""Names of cases: checked where given, derived from the conversation otherwise, never from a position.

A name stands in node ids, in ``--lf``, in the run database and in a case's history. It must not change when a neighbour
is added, a file is sorted, or a folder gets a system prompt. Only the record's own turns count, up to canonical
equivalence (NFC). Derived names are plain ASCII, because pytest writes anything else in node ids as ``\uXXXX``, which
``-k`` does not find. A prompt without ASCII words is ``case-<digest>``.

Not supported: a readable derived name for a Chinese prompt. Give it an id; ids may be Chinese.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence

from harness.cases.model import Message

__all__ = ["MAX_ID_LENGTH", "derive_name", "id_problem"]

MAX_ID_LENGTH = 100
_GIVEN = re.compile(r"\w[\w.-]*")
_MAX_WORDS = 5
_MAX_SLUG_LENGTH = 32


def id_problem(name: str) -> str | None:
    """Why ``name`` cannot be a given id, or None when it can."""
    if not name:
        return "is empty; give a name, or leave the field out"
    if len(name) > MAX_ID_LENGTH:
        return f"has {len(name)} characters; expected {MAX_ID_LENGTH} at most"
    if not _GIVEN.fullmatch(name):
        return "expected letters, digits, '.', '_' and '-' only, the first one a letter or digit"
    return None


def derive_name(messages: Sequence[Message]) -> str:
    """``<slug>-<8 hex digits>``: the last turn's first words, and sha256 over the turns' roles and NFC content.

    Args:
        messages: the record's own turns; a system prompt that it only inherits does not count.
    """
    turns = [[m.role, unicodedata.normalize("NFC", m.content)] for m in messages]
    # The form of these bytes is part of every derived id: changing it renames cases.
    content = json.dumps(turns, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return f"{_slug(messages[-1].content)}-{hashlib.sha256(content).hexdigest()[:8]}"


def _slug(prompt: str) -> str:
    # Only the start is looked at: a prompt may be a book.
    plain = unicodedata.normalize("NFKD", prompt[:400]).encode("ascii", "ignore").decode("ascii").lower()
    slug = ""
    for word in re.findall(r"[a-z0-9]+", plain.replace("'", ""))[:_MAX_WORDS]:
        longer = f"{slug}-{word}" if slug else word[:_MAX_SLUG_LENGTH]
        if len(longer) > _MAX_SLUG_LENGTH:
            break
        slug = longer
    return slug or "case"
