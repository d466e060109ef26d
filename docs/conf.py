"""Sphinx configuration: ``make docs`` builds the site into docs/_build/html; every warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import __version__

sys.path.insert(0, str(Path(__file__).parent))  # for documented_parser.py

project = "badcase-harness"
copyright = "the badcase-harness authors"  # noqa: A001 - Sphinx's name
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinxarg.ext"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"badcase-harness {__version__}"
# System fonts and no asset from elsewhere: the site can be read offline.
html_theme_options = {"source_repository": "", "navigation_with_keys": True}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
copybutton_prompt_text = "$ "
