"""What the documents' tests need before the first command runs."""

from __future__ import annotations

import tests.support.preload  # noqa: F401
