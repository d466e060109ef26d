"""Case files and suites in a few words, for the tests that read them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import CaseFileError

__all__ = ["book", "put", "put_records", "refusal"]


def put(root: Path, name: str, content: str | bytes) -> Path:
    """Write ``root/name``, its folders too."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def put_records(root: Path, *records: Any, name: str = "badcase1/test.json") -> Path:
    """Write records as a JSON case file."""
    return put(root, name, json.dumps(records))


def refusal(read: Callable[[], object]) -> list[str]:
    """The lines of the CaseFileError that ``read`` must end in, the shown problems without their indentation."""
    with pytest.raises(CaseFileError) as caught:
        read()
    return [line.strip() for line in str(caught.value).split("\n")]


def book(*rows: Sequence[object], sheets: dict[str, Sequence[Sequence[object]]] | None = None) -> bytes:
    """An .xlsx workbook of the given rows; texts are kept texts, whatever they begin with."""
    import openpyxl

    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for title, content in (sheets or {"Sheet1": rows}).items():
        sheet = made.create_sheet(title)
        for row in content:
            sheet.append(list(row))
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()
