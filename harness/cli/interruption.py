"""An interrupted command: it ends in order, and says with which command it goes on.

Schedulers and service managers send SIGTERM where a person presses Ctrl-C; both end the processes of a training and
record its state.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["interruptible", "resume_command"]


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def resume_command(words: Sequence[str], *, replace: Sequence[tuple[str, str | None]] = ()) -> str:
    """The command of ``words`` with ``--resume``, ready to paste.

    Args:
        words: what was given to ``harness``.
        replace: options with their new values; None leaves an option out.
    """
    changed = dict(replace)
    kept: list[str] = []
    iterator = iter(words)
    for word in iterator:
        name, equals, _ = word.partition("=")
        if name in changed:
            if not equals:
                next(iterator, None)
        elif name != "--resume":
            kept.append(word)
    given = [part for name, value in replace if value is not None for part in (name, value)]
    return shlex.join(["harness", *kept, *given, "--resume"])
