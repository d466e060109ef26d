"""Requests and outcomes as plain JSON, for the pipe between a host and its engine's process.

Why not pickle: what comes out of a process that runs a model and other people's code is read as data, never executed.
Invariant: ``read_x(write_x(value)) == value`` for every value of :mod:`harness.engines.base`, floats to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cases.decoding import Decoding
from harness.engines.base import Completion, Failure, Outcome, Progress, Request
from harness.models.weights import AdapterWeights

__all__ = [
    "read_outcome",
    "read_progress",
    "read_request",
    "write_outcome",
    "write_request",
    "write_value",
]

Data = dict[str, Any]


def write_value(value: Progress | Completion | Failure) -> Data:
    """A flat value as a mapping of its fields."""
    return dataclasses.asdict(value)


def write_request(request: Request) -> Data:
    """A request, its adapter's folder as text."""
    data = dataclasses.asdict(request)
    if request.adapter is not None:
        data["adapter"]["path"] = str(request.adapter.path)
    return data


def read_request(data: Mapping[str, Any]) -> Request:
    """The request that :func:`write_request` wrote."""
    adapter = data["adapter"]
    weights = AdapterWeights(adapter["name"], Path(adapter["path"]), adapter["digest"]) if adapter else None
    decoding = Decoding(**{**data["decoding"], "stop": tuple(data["decoding"]["stop"])})
    return Request(**{**data, "prompt_ids": tuple(data["prompt_ids"]), "decoding": decoding, "adapter": weights})


def write_outcome(outcome: Outcome) -> Data:
    """An outcome and its kind."""
    return {"kind": "failure" if isinstance(outcome, Failure) else "completion", "value": write_value(outcome)}


def read_outcome(data: Mapping[str, Any]) -> Outcome:
    """The outcome that :func:`write_outcome` wrote."""
    value = data["value"]
    if data["kind"] == "failure":
        return Failure(**value)
    alternatives = tuple(tuple(ids) for ids in value["alternatives"])
    return Completion(**{**value, "token_ids": tuple(value["token_ids"]), "alternatives": alternatives})


def read_progress(data: Mapping[str, Any]) -> Progress:
    """The progress that :func:`write_value` wrote."""
    return Progress(**data)
