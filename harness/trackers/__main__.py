"""The process of one tracker: reads its job from a folder, sends the entry, and leaves an answer there.

What the tracker's package prints goes to the process's own log, so no terminal sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.safe.files import write_text
from harness.safe.processes import end_with_parent
from harness.safe.read import read_object
from harness.safe.records import dump, from_data
from harness.trackers import INSTALL, Entry, open_tracker
from harness.trackers.sending import ANSWER, ENTRY

__all__ = ["main"]


def main(words: Sequence[str]) -> int:
    """Send the entry of the folder ``words[0]``, for the process ``words[1]`` and no longer than it lives."""
    folder = Path(words[0])
    end_with_parent(int(words[1]))
    job = read_object(folder / ENTRY)
    name = str(job["tracker"])
    try:
        tracker = open_tracker(name, Path(job["root"]), job["options"])
        answer = {"where": str(tracker.send(from_data(Entry, job["entry"])))}
    except ImportError as error:
        how = INSTALL.get(name, "is it in the project's folder, or installed?")
        answer = {"problem": f"{error}; {how}"}
    except HarnessError as error:
        answer = {"problem": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever the package raises is the caller's warning
        answer = {"problem": f"{type(error).__name__}: {error}"}
    write_text(folder / ANSWER, dump(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
