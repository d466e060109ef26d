"""Requests and outcomes as plain JSON data, for the pipe between the harness and an engine's process.

JSON and not pickle: a process that runs a model and other people's code sends data, and data are never executed.
Invariant: ``read_x(write_x(value)) == value`` for every value of :mod:`harness.engines.base`, floats to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.engines.base import Completion, Failure, Outcome, Progress, Request
from harness.safe.records import from_data, to_data

__all__ = ["read_outcome", "read_progress", "read_request", "write_outcome", "write_value"]

Data = dict[str, Any]


def write_value(value: Request | Progress | Completion | Failure) -> Data:
    """A value as a mapping of its fields."""
    return dict(to_data(value))


def write_outcome(outcome: Outcome) -> Data:
    """An outcome and its kind."""
    return {"kind": "failure" if isinstance(outcome, Failure) else "completion", "value": write_value(outcome)}


def read_request(data: Mapping[str, Any]) -> Request:
    """The request that :func:`write_value` wrote."""
    return from_data(Request, data)


def read_outcome(data: Mapping[str, Any]) -> Outcome:
    """The outcome that :func:`write_outcome` wrote."""
    value = data["value"]
    return from_data(Failure, value) if data["kind"] == "failure" else from_data(Completion, value)


def read_progress(data: Mapping[str, Any]) -> Progress:
    """The progress that :func:`write_value` wrote."""
    return from_data(Progress, data)
