"""kill -9 at a random moment of every command that writes state, and then the same command again.

After the kill: every state file is the old one or the new one, no process remains. After the second call: the same
outcome as of an undisturbed one, and no temporary file anywhere. Moments are uniform over the measured duration of the
whole command. Commands that take most of their time to start are called again and again in one process, so that kills
meet their work (:mod:`tests.soak.again`).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.soak import killed_commands as commands
from tests.soak.places import copy_project, environment, living, start, stop
from tests.soak.record import Campaign
from tests.soak.whole import strays, unsound

__all__ = ["KINDS", "kills"]

_SECONDS_TO_END = 15.0
"""That a child gets to notice that its parent is dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A command, what it leaves, and its share of the tries."""

    make: Callable[[Path], None]
    """Fill a new project."""
    words: tuple[str, ...]
    share: int
    outcome: Callable[[Path], object]
    """What a whole call leaves, without times and paths."""
    again: Callable[[Path], list[str]]
    """Call it to its end; returns what was wrong with that."""
    begins: str = ""
    """File that appears when the command's own work begins; empty: from its start."""
    until: str = ""
    """Text that a command without an end writes when its work is done; kills fall up to a second after it."""
    after: Callable[[Path], list[str]] = lambda _: []
    """More that must hold after the kill."""
    variables: Callable[[Path], dict[str, str]] = lambda _: {}
    """What the command finds in its environment."""


KINDS: dict[str, Kind] = {
    "run": Kind(
        make=commands.fresh, words=commands.RUN, share=6, outcome=commands.run_outcome,
        again=commands.again(1, *commands.RUN),
    ),
    "fix": Kind(
        make=commands.failed, words=commands.FIX, share=4, outcome=commands.fix_outcome,
        again=commands.again(0, *commands.FIX),
    ),
    "training": Kind(
        make=commands.trainable, words=commands.TRAIN, share=4, outcome=commands.training_outcome,
        again=commands.again(0, *commands.TRAIN), variables=commands.trainer,
    ),
    "manifest": Kind(
        make=commands.fresh, words=commands.REGISTER, share=5, outcome=commands.manifest_outcome, begins="begun",
        again=commands.finish_registering, after=commands.acknowledged,
    ),
    "report": Kind(
        make=commands.failed, words=commands.REPORT, share=4, outcome=commands.report_outcome, begins="begun",
        again=commands.again(0, "report", "last"),
    ),
    "baseline": Kind(
        make=commands.failed, words=commands.BASELINE, share=4, outcome=commands.baseline_outcome, begins="begun",
        again=commands.again(0, "baseline", "write", "v4.0"),
    ),
    "merge": Kind(
        make=commands.in_parts, words=commands.MERGE, share=3, outcome=commands.run_outcome, begins="begun",
        again=commands.again(1, "merge", "part-1.sqlite", "part-2.sqlite"),
    ),
    "serve": Kind(
        make=commands.servable, words=commands.SERVE, share=2, outcome=commands.serve_outcome,
        again=commands.serve_again, after=commands.no_server, variables=commands.vllm, until='"address"',
    ),
}  # fmt: skip


def kills(campaign: Campaign, count: int, only: str = "") -> None:
    """Make ``count`` tries, spread over the kinds by their shares."""
    kinds = {name: kind for name, kind in KINDS.items() if only in ("", name)}
    shares = sum(kind.share for kind in kinds.values())
    for name, kind in kinds.items():
        tries = max(1, round(count * kind.share / shares))
        with tempfile.TemporaryDirectory(prefix="soak-") as top, campaign.kind(name):
            template, expected, seconds = _undisturbed(kind, Path(top))
            for number in range(tries):
                if campaign.over:
                    break
                # One try alone is made again by its own seed.
                seed = campaign.seed if count == 1 else campaign.seed * 1_000_003 + number
                place = Path(top) / f"try-{number}"
                copy_project(template, place)
                killed, problems = _try(kind, place, seed, seconds, expected)
                if killed:
                    campaign.tried(name, seed, problems)
                else:
                    campaign.counts["ended before the kill"] += 1
                    if problems:
                        campaign.tried(name, seed, problems)
                for left in (place, place.parent / f"{place.name}-beside"):
                    shutil.rmtree(left, ignore_errors=True)


def _undisturbed(kind: Kind, top: Path) -> tuple[Path, object, float]:
    """A template, the outcome of a whole call, and the seconds from its work's begin that a kill is drawn from."""
    template = top / "template"
    kind.make(template)
    whole = copy_project(template, top / "whole")
    problems = kind.again(whole)
    assert not problems, problems
    expected = kind.outcome(whole)
    durations = []
    for number in range(2):
        place = copy_project(template, top / f"timed-{number}")
        process = start(kind.words, place, **kind.variables(place))
        _begun(process, kind, place)
        began = time.monotonic()
        _ended(process, kind, place)
        durations.append(time.monotonic() - began)
        stop(process)
    return template, expected, min(durations)


def _begun(process: subprocess.Popen[bytes], kind: Kind, place: Path) -> None:
    end = time.monotonic() + 60
    while kind.begins and not (place / kind.begins).exists() and time.monotonic() < end:
        time.sleep(0.005)


def _ended(process: subprocess.Popen[bytes], kind: Kind, place: Path) -> None:
    """Wait until it ends, or has done what it does."""
    if kind.until:
        said = Path(environment(place)["HOME"]) / "said.txt"
        end = time.monotonic() + 120
        while kind.until not in said.read_text("utf-8") and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(1.0)
        return
    # A command that repeats itself has no end: its third second is as good as any.
    with suppress(subprocess.TimeoutExpired):
        process.wait(3.0 if kind.begins else 120.0)


def _try(kind: Kind, place: Path, seed: int, seconds: float, expected: object) -> tuple[bool, list[str]]:
    """Whether the kill met the command, and what was wrong."""
    draw = random.Random(seed)
    mark = f"{os.getpid()}-{seed}-{place.name}"
    process = start(kind.words, place, mark, **kind.variables(place))
    _begun(process, kind, place)
    time.sleep(draw.uniform(0, seconds))
    killed = process.poll() is None
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    problems = [f"a process remains: {line}" for line in living(mark, _SECONDS_TO_END)]
    problems += unsound(place) + kind.after(place)
    problems += kind.again(place)
    if not problems and (found := kind.outcome(place)) != expected:
        problems.append(f"another outcome: {found!r} instead of {expected!r}")
    problems += unsound(place)
    problems += [f"left behind: {path}" for path in strays(place, Path(environment(place)["HOME"]))]
    return killed, problems
