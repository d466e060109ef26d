"""Damaged state files of every kind: an error of one line that names the file, or a cache that is made again.

A try damages one file of a project that has them all, and runs the commands that read it, in this process. Wrong is a
traceback, a hang, an exit code outside the contract, an error without the file's name, a green gate (the project's is
red), and for a cache any other exit code than that of the sound project.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from harness.errors import HarnessError
from harness.safe.records import digest
from tests.soak.damage import damaged
from tests.soak.places import Said, environment, here
from tests.soak.record import Campaign
from tests.soak.state_files import KINDS, StateFile, make_everything

__all__ = ["corruption"]

_SECONDS_TO_HANG = 60
_PLACES = ("folder", "fifo", "loop", "gone", "large")
"""What may stand in a file's place."""
_ODD = 0.06
"""Share of tries in which the file is no file any more."""
_FIX = {"HARNESS_TRAINER": "scripted"}


class _Hang(BaseException):
    pass


def corruption(campaign: Campaign, count: int, only: str = "", processes: int = 2) -> None:
    """``count`` damaged files, spread over the kinds by their shares."""
    kinds = [name for name in KINDS if only in ("", name)]
    shares = sum(KINDS[name].share for name in kinds)
    tries = [
        (name, campaign.seed if count == 1 else campaign.seed * 1_000_003 + number)
        for name in kinds
        for number in range(max(1, round(count * KINDS[name].share / shares)))
    ]
    random.Random(campaign.seed).shuffle(tries)
    with tempfile.TemporaryDirectory(prefix="soak-") as top:
        template = make_everything(Path(top) / "template")
        usual = {name: _codes(KINDS[name], template, Path(top) / "usual") for name in kinds}
        campaign.say(f"{len(kinds)} kinds of file, {len(tries)} tries")
        work = ((name, seed, str(template), usual[name]) for name, seed in tries)
        for name, seed, problems in _all(work, processes):
            campaign.tried(name, seed, problems)
            if campaign.over:
                break


def _all(work: Iterator[tuple[str, int, str, list[int]]], processes: int) -> Iterator[tuple[str, int, list[str]]]:
    if processes == 1:
        yield from map(_try, work)
        return
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_lean) as pool:
        yield from pool.imap_unordered(_try, work, chunksize=4)


def _lean() -> None:
    import tests.soak.lean  # noqa: F401


def _codes(kind: StateFile, template: Path, place: Path) -> list[int]:
    """Exit codes of the commands on the sound project."""
    codes = []
    for read in kind.reads:
        _copy(template, place)
        kind.prepare(place)
        codes.append(_read(read, place).code)
    _gone(place)
    return codes


def _try(job: tuple[str, int, str, list[int]]) -> tuple[str, int, list[str]]:
    name, seed, template, usual = job
    kind, draw = KINDS[name], random.Random(seed)
    top = Path(template).parent / f"try-{os.getpid()}"
    problems = []
    number = draw.randrange(len(kind.reads))
    place = top / "project"
    _copy(Path(template), place)
    kind.prepare(place)
    how = _harm(_file(kind, place), draw)
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(_SECONDS_TO_HANG)
    words = kind.reads[number]
    try:
        said = _read(words, place)
        problems = _wrong(kind, said, usual[number], words, _file(kind, place))
        # What is no file is not written over, and the error names it.
        if how in ("folder", "fifo", "loop") and said.code in (2, 3) and _named(_file(kind, place), said):
            problems = [problem for problem in problems if problem.startswith("a traceback")]
    except _Hang as stack:
        problems = [f"no end within {_SECONDS_TO_HANG} s: {stack}"]
    except Exception as error:  # noqa: BLE001 - whatever a reader raises is the finding
        problems = [f"{type(error).__name__}: {error}"]
    finally:
        signal.alarm(0)
        _gone(top / "project")
    called = " ".join(words) if not callable(words) else "read"
    return name, seed, [f"{called} ({how}): {problem}" for problem in problems]


def _hang(_: int, frame: FrameType | None) -> None:
    # A thread that waits for a writer of a pipe would keep this process.
    for path in Path(tempfile.gettempdir()).glob(f"soak-*/try-{os.getpid()}/project/**/*"):
        if path.is_fifo():
            with suppress(OSError):
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    raise _Hang("".join(traceback.format_stack(frame)[-6:]))


def _copy(template: Path, place: Path) -> None:
    _gone(place)
    shutil.copytree(template, place, symlinks=True)
    shutil.copytree(template.parent / f"{template.name}-beside", place.parent / f"{place.name}-beside")
    # What a fix keeps of its training names folders, and the copy's are to be read.
    for path in place.glob("reports/trainings/*/trained.json"):
        state = json.loads(path.read_text("utf-8"))["state"].replace(str(template), str(place))
        path.write_text(json.dumps({"state": state, "seal": digest(state)}), "utf-8")


def _gone(place: Path) -> None:
    for left in (place, place.parent / f"{place.name}-beside"):
        shutil.rmtree(left, ignore_errors=True)


def _file(kind: StateFile, place: Path) -> Path:
    if kind.path.startswith("BESIDE/"):
        place, pattern = Path(environment(place)["HOME"]), kind.path.removeprefix("BESIDE/")
    else:
        pattern = kind.path
    found = sorted(place.glob(pattern))
    return found[0] if found else place / pattern


def _harm(path: Path, draw: random.Random) -> str:
    """Damage the file; returns how, in a word."""
    data = path.read_bytes()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    if draw.random() >= _ODD:
        path.write_bytes(damaged(data, path.suffix, draw))
        return "content"
    path.unlink()
    what = draw.choice(_PLACES)
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "large":
        with path.open("wb") as file:
            file.truncate(300 * 2**20)
    return what


def _read(read: object, place: Path) -> Said:
    if callable(read):
        try:
            said: Said = read(place)
        except HarnessError as error:
            return Said(str(error), error.exit_code)
        return said
    assert isinstance(read, Sequence)
    words = [str(word) for word in read]
    if words[0] == "fix":
        folder = next((place / "reports" / "trainings").glob("v4.2-*"))
        return here([folder.name.removeprefix("v4.2-") if w == "RUN" else w for w in words], place, _FIX)
    return here(words, place)


def _wrong(kind: StateFile, said: Said, usual: int, words: object, path: Path) -> list[str]:
    problems = []
    if "Traceback" in said:
        problems.append(f"a traceback: {said.strip()[-1500:]}")
    elif said.code not in (0, 1, 2, 3):
        problems.append(f"exit code {said.code}: {said[-500:]}")
    elif kind.cache and said.code != usual:
        problems.append(f"exit code {said.code} instead of {usual}: {said[-500:]}")
    elif not callable(words) and isinstance(words, Sequence) and words[0] == "gate" and said.code == 0 != usual:
        problems.append(f"a green gate: {said[-500:]}")
    elif said.code in (2, 3) and said.code != usual and not _named(path, said):
        problems.append(f"the file is not named: {said[-700:]}")
    return problems


def _named(path: Path, said: Said) -> bool:
    """Whether the output names the file, or the folder that it describes, or finds that a sound file has changed."""
    names = {path.name, path.parent.name, path.parent.parent.name, *(p.name for p in path.parent.glob("*.json"))}
    found = ("have changed since", "no finished run", "not judgeable", "the whole suite was not run on it")
    return any(text in said for text in found) or any(name in said.replace("\n", "") for name in names)
