"""Disks that are full or read-only, files that vanish, and a clock that jumps, under every command that writes state.

The disk is a real tmpfs of eight megabytes in a mount namespace of its own (``unshare``), filled so that between
nothing and a few hundred kilobytes are free. A read-only project is a read-only bind mount, which binds root as well.
The clock is a library of a few lines of C in LD_PRELOAD: after so many questions it is years later or earlier, while
the kernel's own times of files stay true.

A try must end with an exit code of the contract and an error of one line that says what to do. Every file is then whole
and still there, and once the fault is gone the same command ends as it does undisturbed. Without ``unshare`` or a C
compiler those kinds are skipped with a reason.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.safe.files import digest_file
from tests.soak import killed_commands as commands
from tests.soak.places import Said, copy_project, environment, failing_project, here, start_and_wait
from tests.soak.record import ROOT, Campaign
from tests.soak.whole import unsound

__all__ = ["WRITERS", "disk"]

_MEGABYTES = 8
_REMEDIES = {
    "full": ("space", "full"),
    "read-only": ("rights", "Read-only", "read-only", "readonly"),
}
"""What an error must say, by fault."""
_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static long asked;
int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, now);
    if (which == CLOCK_REALTIME && ++asked > atol(getenv("SOAK_CLOCK_AFTER"))) now->tv_sec += atol(getenv("SOAK_CLOCK_BY"));
    return code;
}
"""  # noqa: E501
_JUMPS = (-10 * 365 * 86_400, -86_400, -3_600, 3_600, 86_400, 10 * 365 * 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A command that writes state."""

    words: tuple[str, ...]
    code: int = 0
    """Of a call that nothing disturbs."""


WRITERS: dict[str, Writer] = {
    "run": Writer(words=("pytest", "badcases", "-q", "-p", "no:cacheprovider"), code=1),
    "fix": Writer(words=("fix", "--failed", "--as", "v4.1", "--resume")),
    "training": Writer(words=("train", "sft", "--data", "data.json", "--as", "v5.0", "--resume")),
    "report": Writer(words=("report", "last", "--table", "results.xlsx")),
    "baseline": Writer(words=("baseline", "write", "v4.0")),
    "pairs": Writer(words=("pairs", "--failed")),
    "add": Writer(words=("adapters", "add", "v6.0", "weights", "--copy")),
    "bless": Writer(words=("adapters", "bless", "v4.0")),
    "export": Writer(words=("adapters", "export", "v3.8")),
    "track": Writer(words=("track", "--to", "jsonl")),
    "merge": Writer(words=("merge", "part-1.sqlite", "part-2.sqlite"), code=1),
    "import": Writer(words=("import", "answers.csv", "--adapter", "v4.0")),
    "triage": Writer(words=("triage", "logs.jsonl", "--workers", "1")),
    "init": Writer(words=("init", "another", "--model", "model")),
}


def disk(campaign: Campaign, count: int, only: str = "") -> None:
    """``count`` tries, a quarter of each fault."""
    with tempfile.TemporaryDirectory(prefix="soak-") as top:
        template = make_template(Path(top) / "template")
        each = max(1, count // 4)
        for kind in ("full", "read-only"):
            if only in ("", kind):
                _in_namespace(campaign, kind, template, each)
        if only in ("", "vanishing"):
            with campaign.kind("vanishing"):
                _vanishing(campaign, template, Path(top), each)
        if only in ("", "clock"):
            with campaign.kind("clock"):
                _clock(campaign, template, Path(top), each)


def make_template(root: Path) -> Path:
    """A project on which every one of the commands ends as it should."""
    commands.in_parts(root.parent / "parts")
    tracked = 'trackers = []\n[tool.harness.tracker_options.jsonl]\nfolder = "tracked"\n'
    failing_project(root, cases=20, settings=tracked, run=True)
    for part in ("1", "2"):
        shutil.copy(root.parent / "parts" / f"part-{part}.sqlite", root)
    shutil.rmtree(root.parent / "parts")
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]', "utf-8")
    said = here(("train", "sft", "--data", "data.json", "--as", "v3.8"), root)
    assert said.code == 0, said
    shutil.copytree(root / "adapters" / "v3.8", root / "weights")
    (root / "answers.csv").write_text("text,response\nWrite a few lines about the sea.,The sea is calm.\n", "utf-8")
    loop = "Round and round it goes, and round it goes again. " * 30
    (root / "logs.jsonl").write_text(json.dumps({"prompt": "Tell me more.", "response": loop}) + "\n", "utf-8")
    return root


# -- full and read-only ------------------------------------------------------------------------------------------------


def _in_namespace(campaign: Campaign, kind: str, template: Path, count: int) -> None:
    """Run the tries in a process with mounts of its own; each answers with a line."""
    unshare = shutil.which("unshare")
    allowed = unshare and subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False).returncode == 0
    if not unshare or not allowed:
        campaign.skip(kind, "needs unshare and the right to make a mount namespace")
        return
    words = [kind, str(template), str(count), str(campaign.seed)]
    command = [unshare, "-rm", sys.executable, "-m", "tests.soak.disk", *words]
    with campaign.kind(kind), subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            name, seed, problems = json.loads(line)
            campaign.tried(f"{kind}: {name}", seed, problems)
            if campaign.over:
                process.kill()
    if process.returncode and not campaign.over:
        campaign.tried(kind, campaign.seed, [f"the process of the tries ended with {process.returncode}"])


def _inside(kind: str, template: Path, count: int, first: int) -> None:
    """In the namespace: mount, try, and tell."""
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as top:
        mount = Path(top) / "disk"
        mount.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={_MEGABYTES}m", "tmpfs", str(mount))
        for number in range(count):
            seed = first if count == 1 else first * 1_000_003 + number
            name = [*WRITERS][number % len(WRITERS)]
            place = copy_project(template, mount / "project")
            problems = (_full if kind == "full" else _read_only)(WRITERS[name], place, random.Random(seed))
            print(json.dumps([name, seed, problems]), flush=True)
            for left in mount.iterdir():
                shutil.rmtree(left, ignore_errors=True)
        subprocess.run(["umount", "-l", str(mount)], check=False)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _full(writer: Writer, place: Path, draw: random.Random) -> list[str]:
    environment(place)
    filler, free = place.parent / "filler", draw.choice((0, 0, 4, 16, 64, 160, 320)) * 1024
    with filler.open("wb", buffering=0) as file:
        left = shutil.disk_usage(place).free - free
        file.write(bytes(max(0, left)))
    before = _files(place)
    said = here(writer.words, place)
    problems = _ended(said, writer, "full")
    # SQLite cannot open a database without room for its index of the log.
    filler.unlink()
    problems += _kept(place, before)
    return [f"{free // 1024} KiB free: {p}" for p in problems + _again(writer, place, said)]


def _read_only(writer: Writer, place: Path, _: random.Random) -> list[str]:
    environment(place)
    before = {path: digest_file(path) for path in _files(place)}
    _mount("--bind", str(place), str(place))
    _mount("-o", "remount,ro,bind", str(place))
    try:
        said = here(writer.words, place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    problems = _ended(said, writer, "read-only")
    if {path: digest_file(path) for path in _files(place)} != before:
        problems.append("a file has changed all the same")
    return problems + _again(writer, place, said)


def _files(place: Path) -> list[Path]:
    passing = ("-wal", "-shm", ".lock")
    return [p for p in sorted(place.rglob("*")) if p.is_file() and not p.name.endswith(passing)]


def _ended(said: Said, writer: Writer, fault: str) -> list[str]:
    """What is wrong with how a command ended: it succeeded, or said in one line what to do."""
    if "Traceback" in said or "INTERNALERROR" in said:
        return [f"{' '.join(writer.words)}: a traceback: {said.strip()[-1500:]}"]
    if said.code == writer.code and fault != "read-only":
        return []
    if said.code not in (1, 2, 3, 4):
        return [f"{' '.join(writer.words)}: exit code {said.code}: {said[-600:]}"]
    if not any(word in said for word in _REMEDIES[fault]):
        return [f"{' '.join(writer.words)}: exit code {said.code}, and no word of what to do: {said[-900:]}"]
    return []


def _kept(place: Path, before: Sequence[Path]) -> list[str]:
    """Files that are gone or half."""
    gone = [p for p in before if not p.exists() and not p.parent.name.startswith("attempt-")]
    return [f"{p.relative_to(place)} is gone" for p in gone] + unsound(place)


def _again(writer: Writer, place: Path, first: Said) -> list[str]:
    """The same command, undisturbed; one that has succeeded is not called twice."""
    if first.code == writer.code:
        return []
    said = here(writer.words, place)
    wrong = [] if said.code == writer.code else [f"{' '.join(writer.words)}: then exit code {said.code}: {said[-900:]}"]
    return wrong + unsound(place)


# -- vanishing files ---------------------------------------------------------------------------------------------------


def _vanishing(campaign: Campaign, template: Path, top: Path, count: int) -> None:
    """A file or folder is taken away before a command, or while it works; then everything is put back."""
    for number in range(count):
        if campaign.over:
            return
        seed = campaign.seed * 1_000_003 + number
        draw = random.Random(seed)
        name = [*WRITERS][number % len(WRITERS)]
        place = copy_project(template, top / "vanishing")
        victims = [p for p in sorted(place.rglob("*")) if "__pycache__" not in p.parts]
        victim, delay = draw.choice(victims), draw.choice((None, draw.uniform(0, 0.5)))
        if delay is None:
            _remove(victim)
            said = here(WRITERS[name].words, place)
        else:
            thread = threading.Timer(delay, _remove, (victim,))
            thread.start()
            said = here(WRITERS[name].words, place)
            thread.join()
        what = f"without {victim.relative_to(place)}{'' if delay is None else f', gone after {delay:.2f} s'}"
        problems = []
        if "Traceback" in said or "INTERNALERROR" in said:
            problems.append(f"{name} {what}: a traceback: {said.strip()[-1500:]}")
        elif said.code not in range(6):
            problems.append(f"{name} {what}: exit code {said.code}: {said[-500:]}")
        campaign.tried(f"vanishing: {name}", seed, problems)
        for left in (place, place.parent / f"{place.name}-beside"):
            shutil.rmtree(left, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


# -- the clock ---------------------------------------------------------------------------------------------------------


def _clock(campaign: Campaign, template: Path, top: Path, count: int) -> None:
    """The clock jumps by an hour to ten years, forwards or backwards, after so many questions for the time."""
    library = _compiled(top)
    if library is None:
        campaign.skip("clock", "needs a C compiler (cc)")
        return
    steps: dict[str, Callable[[Path, Mapping[str, str]], Said]] = {
        name: lambda place, more, name=name: start_and_wait(  # type: ignore[misc]
            _command(WRITERS[name].words), place, **more
        )
        for name in ("run", "fix", "training", "report", "merge")
    }
    for number in range(count):
        if campaign.over:
            return
        seed = campaign.seed * 1_000_003 + number
        draw = random.Random(seed)
        name = [*steps][number % len(steps)]
        place = copy_project(template, top / "clock")
        jump, after = draw.choice(_JUMPS), draw.randrange(2000)
        more = {"LD_PRELOAD": str(library), "SOAK_CLOCK_AFTER": str(after), "SOAK_CLOCK_BY": str(jump)}
        said = steps[name](place, more)
        problems = [] if said.code == WRITERS[name].code else [f"exit code {said.code}: {said[-1200:]}"]
        problems += ["a traceback: " + said[-1200:]] if "Traceback" in said else []
        problems += unsound(place)
        shown = here(("history",), place)
        problems += [] if shown.code == 0 else [f"then history: exit code {shown.code}: {shown[-600:]}"]
        campaign.tried(f"clock: {name}", seed, [f"{jump} s after {after} questions: {p}" for p in problems])
        for left in (place, place.parent / f"{place.name}-beside"):
            shutil.rmtree(left, ignore_errors=True)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", *(["pytest", *words[1:]] if words[0] == "pytest" else ["harness", *words])]


def _compiled(top: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    (top / "clock.c").write_text(_CLOCK, "utf-8")
    library = top / "clock.so"
    words = ["-shared", "-fPIC", "-o", str(library), str(top / "clock.c"), "-ldl"]
    done = subprocess.run([compiler, *words], check=False, capture_output=True)
    return library if done.returncode == 0 else None


if __name__ == "__main__":
    _inside(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
