"""Reads the scalars of TensorBoard's event files, by the format itself: length, checksum, record, checksum."""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path

__all__ = ["read_scalars"]


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) by name, in the order of the files in ``folder``."""
    from tensorboardX.proto.event_pb2 import Event

    scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        at = 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += length + 16
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars[value.tag].append((event.step, value.simple_value))
    return scalars
