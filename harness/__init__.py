"""An evaluation-first regression harness for fine-tuned language models."""

from __future__ import annotations

from harness.badcase import BadCase

__all__ = ["BadCase", "__version__"]

__version__ = "0.1.0"
