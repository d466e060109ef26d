"""The style sheet of the HTML report, ``report.css``: system fonts, light and dark, no asset from elsewhere.

The page's content security policy allows exactly this sheet, by its hash. Filters are radio buttons and ``:has()``, so
the page needs no script.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

__all__ = ["style_hash", "style_sheet"]


@cache
def style_sheet() -> str:
    """The style sheet's text."""
    return "\n" + resources.files("harness.reports").joinpath("report.css").read_text("utf-8")


def style_hash() -> str:
    """The source expression that allows exactly :func:`style_sheet` in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()}'"
