"""The name under which the parts of a run find each other: given, or the pipeline's own number.

A pipeline that is run again keeps its number, and so its group: a part that failed is run again alone, and takes its
earlier place beside the parts that are there. GitHub counts attempts apart (``GITHUB_RUN_ATTEMPT``); that count is no
part of the name, since "re-run failed jobs" would otherwise leave a group without the parts that passed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

__all__ = ["group_problem", "pipeline_group"]

_NAME = re.compile(r"[\w][\w.:@/+-]{0,99}")
_VARIABLES = (("GITHUB_RUN_ID", "github"), ("CI_PIPELINE_ID", "gitlab"), ("BUILD_TAG", "jenkins"))


def group_problem(name: str) -> str | None:
    """Why ``name`` cannot be a group; None where it can."""
    if name and not _NAME.fullmatch(name):
        return f"run_group = {name!r} (expected up to 100 letters, digits and . : @ / + - _)"
    return None


def pipeline_group(environment: Mapping[str, str] | None = None) -> str:
    """The group of the pipeline that this job belongs to; empty outside of one."""
    variables = os.environ if environment is None else environment
    for variable, system in _VARIABLES:
        name = f"{system}-{variables.get(variable, '')}"
        if variables.get(variable) and group_problem(name) is None:
            return name
    return ""
