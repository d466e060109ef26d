"""Many writers at once on a machine under load: the manifest, both kinds of run database, suites, fixes and servers.

Sixteen processes share the updates. As many further processes as there are cores do nothing but use them, so that a
writer waits for the processor as well as for its turn. An update counts as lost when its call returned and it is not
there, and as refused when its call raised.

Trade-off: the database's updates are made through :class:`harness.store.Store`, as the runner makes them, and not by
whole runs.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from harness.engines.server.warm_server import find_server
from harness.errors import HarnessError
from harness.judging.results import CaseResult
from harness.project.manifest import MANIFEST_NAME, Adapter, read_manifest, register
from harness.store import Store
from tests.soak import killed_commands as commands
from tests.soak.fake_vllm import vllm_path
from tests.soak.places import command, copy_project, environment, failing_project, start, stop
from tests.soak.record import Campaign
from tests.soak.whole import strays, unsound
from tests.support.postgres import PASSWORD, postgres_server
from tests.unit.store.test_database import COMPLETION, result

__all__ = ["WRITERS", "concurrency"]

WRITERS = 16
_SPAWN = multiprocessing.get_context("spawn")
_PAIRS = 10
"""Times that two commands run at once, for each 2,000 updates."""


def concurrency(campaign: Campaign, count: int, only: str = "", writers: int = WRITERS) -> None:
    """``count`` updates of the manifest and of each database, then commands in pairs."""
    each = -(-count // writers)
    pairs = max(1, round(_PAIRS * count / 2000))
    kinds: dict[str, Callable[[Path], None]] = {
        "manifest": lambda top: _manifest(campaign, top, writers, each),
        "sqlite": lambda top: _database(campaign, "sqlite", str(top / "harness.sqlite"), writers, each),
        "postgresql": lambda _: _server_database(campaign, writers, each),
        "two suites": lambda top: _two_suites(campaign, top, pairs),
        "two fixes": lambda top: _two_fixes(campaign, top, pairs, named=False),
        "two fixes of one name": lambda top: _two_fixes(campaign, top, pairs, named=True),
        "two servers": lambda top: _two_servers(campaign, top, max(1, pairs // 2)),
    }
    for name, work in kinds.items():
        if only in ("", name) and not campaign.over:
            with tempfile.TemporaryDirectory(prefix="soak-") as top, campaign.kind(name):
                work(Path(top))


# -- writers ---------------------------------------------------------------------------------------------------------


def _burn() -> None:
    while True:
        pass


@contextmanager
def _load() -> Iterator[None]:
    """Every core has something else to do."""
    busy = [_SPAWN.Process(target=_burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def _together(work: Callable[..., None], arguments: Sequence[tuple[object, ...]]) -> list[BaseProcess]:
    processes: list[BaseProcess] = [_SPAWN.Process(target=work, args=given) for given in arguments]
    with _load():
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    return processes


def _note(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def _noted(top: Path) -> list[list[str]]:
    return [line.split(" ", 2) for path in top.glob("writer-*") for line in path.read_text("utf-8").splitlines()]


def _registrations(top: Path, me: int, count: int) -> None:
    notes = top / f"writer-{me}"
    for number in range(count):
        name, began = f"w{me}.{number}", time.monotonic()
        try:
            register(top / MANIFEST_NAME, Adapter(name=name, model="tiny", parent="v4.0"))
            _note(notes, f"done {time.monotonic() - began:.2f} {name}")
        except HarnessError as error:
            _note(notes, f"refused {time.monotonic() - began:.2f} {name}: {error}")


def _manifest(campaign: Campaign, top: Path, writers: int, each: int) -> None:
    (top / MANIFEST_NAME).write_text('[models."tiny"]\npath = "model"\n\n[adapters."v4.0"]\nmodel = "tiny"\n')
    _together(_registrations, [(top, me, each) for me in range(writers)])
    noted = _noted(top)
    there = read_manifest(top / MANIFEST_NAME).adapters
    problems = [" ".join(words) for words in noted if words[0] == "refused"]
    problems += [f"lost: {words[2]}" for words in noted if words[0] == "done" and words[2] not in there]
    if len(noted) != writers * each:
        problems.append(f"{len(noted)} of {writers * each} updates came to an end")
    campaign.counts["longest registration, s"] = max(float(words[1]) for words in noted)  # type: ignore[assignment]
    campaign.tried("manifest", campaign.seed, problems + strays(top), tries=writers * each)


def _results(top: Path, where: str, me: int, count: int) -> None:
    notes = top / f"writer-{me}"
    try:
        with Store(where) as store:
            run = store.begin_run(count, {"adapters": ["v4.0"], "writer": me})
            for number in range(count):
                store.save_generation(f"{me}-{number}", {}, COMPLETION)
                store.save_result(run.id, number, _result(number))
                _note(notes, f"done 0 {run.id} {number}")
            store.finish_run(run.id, "finished")
    except HarnessError as error:
        _note(notes, f"refused 0 {error}")


def _result(number: int) -> CaseResult:
    value = result()
    return replace(value, case=replace(value.case, id=f"badcase1/{number}"))


def _database(campaign: Campaign, kind: str, where: str, writers: int, each: int) -> None:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        _together(_results, [(Path(folder), where, me, each) for me in range(writers)])
        noted = _noted(Path(folder))
    problems = [" ".join(words) for words in noted if words[0] == "refused"]
    with Store(where) as store:
        runs = store.runs()
        if len(runs) != writers:
            problems.append(f"{len(runs)} of {writers} runs are there")
        for run in runs:
            found = [r.case.id for r in store.results(run.id)]
            if run.status != "finished" or found != [f"badcase1/{n}" for n in range(each)]:
                problems.append(f"run {run.id} is {run.status} with {len(found)} of {each} results in order")
            me = run.facts["writer"]
            kept = store.generations([(f"{me}-{n}", None) for n in range(each)])
            if any(kept.get((f"{me}-{n}", None)) != COMPLETION for n in range(each)):
                problems.append(f"answers of writer {me} are lost")
    campaign.tried(kind, campaign.seed, problems, tries=writers * each)


def _server_database(campaign: Campaign, writers: int, each: int) -> None:
    before = os.environ.get("HARNESS_DATABASE_PASSWORD")
    os.environ["HARNESS_DATABASE_PASSWORD"] = PASSWORD
    try:
        with postgres_server() as server:
            _database(campaign, "postgresql", server.address(server.new_database()), writers, each)
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        campaign.skip("postgresql", str(error))
    finally:
        os.environ.pop("HARNESS_DATABASE_PASSWORD")
        if before is not None:
            os.environ["HARNESS_DATABASE_PASSWORD"] = before


# -- pairs of commands -----------------------------------------------------------------------------------------------


def _both(words: Sequence[Sequence[str]], place: Path, **more: str) -> list[int]:
    """Run commands at once in one project; their exit codes."""
    processes = [start(command(each), place, **more) for each in words]
    codes = []
    for process in processes:
        try:
            codes.append(process.wait(180))
        except subprocess.TimeoutExpired:
            stop(process)
            codes.append(-signal.SIGALRM)
    return codes


def _said(place: Path) -> str:
    return (Path(environment(place)["HOME"]) / "said.txt").read_text("utf-8", "replace")[-1500:]


def _sound(place: Path) -> list[str]:
    return [*unsound(place), *(f"left behind: {path}" for path in strays(place, Path(environment(place)["HOME"])))]


def _gone(place: Path) -> None:
    for left in (place, place.parent / f"{place.name}-beside"):
        shutil.rmtree(left, ignore_errors=True)


def _two_suites(campaign: Campaign, top: Path, tries: int) -> None:
    template = failing_project(top / "template", cases=8)
    for number in range(tries):
        place = copy_project(template, top / f"try-{number}")
        codes = _both([["pytest", "badcases", "-q"]] * 2, place)
        problems = _sound(place) + ([] if codes == [1, 1] else [f"exit codes {codes}: {_said(place)}"])
        with Store(place / "reports" / "harness.sqlite") as store:
            found = [
                (run.status, sorted((r.case.id, r.verdict.status.value) for r in store.results(run.id)))
                for run in store.runs()
            ]
        if len(found) != 2 or found[0] != found[1] or found[0][0] != "finished":
            problems.append(f"the runs are not two equal ones: {found}")
        campaign.tried("two suites", campaign.seed + number, problems)
        _gone(place)


def _two_fixes(campaign: Campaign, top: Path, tries: int, *, named: bool) -> None:
    kind = "two fixes of one name" if named else "two fixes"
    template = failing_project(top / "template", run=True)
    words = ["fix", "--failed", *(["--as", "v4.1"] if named else [])]
    for number in range(tries):
        place = copy_project(template, top / f"try-{number}")
        codes = _both([words] * 2, place)
        problems = _sound(place)
        versions = set(read_manifest(place / MANIFEST_NAME).adapters) - {"v4.0", "v3.9"}
        wanted = ([0, 2], {"v4.1"}) if named else ([0, 0], {"v4.1", "v4.2"})
        # Of two fixes without a name, the second may begin when the first has already cured everything.
        cured = not named and (sorted(codes), versions) == ([0, 0], {"v4.1"})
        if (sorted(codes), versions) != wanted and not cured:
            problems.append(f"exit codes {codes}, versions {sorted(versions)}: {_said(place)}")
        campaign.tried(kind, campaign.seed + number, problems)
        _gone(place)


def _two_servers(campaign: Campaign, top: Path, tries: int) -> None:
    template = failing_project(top / "template")
    for number in range(tries):
        place = copy_project(template, top / f"try-{number}")
        campaign.tried("two servers", campaign.seed + number, _one_ends(place))
        _gone(place)


def _one_ends(place: Path) -> list[str]:
    """Two servers of one model; when the first ends, the other is still found, and then none."""
    servers = [start(commands.SERVE, place, **vllm_path()) for _ in range(2)]
    try:
        end = time.monotonic() + 180
        while _said(place).count('"address"') < 2:
            if time.monotonic() > end or any(p.poll() is not None for p in servers):
                return [f"they do not both serve: {_said(place)}"]
            time.sleep(0.05)
        before = _found(place)
        for server in servers:
            os.kill(server.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.wait(60)
            if server is servers[0] and (found := _found(place)) not in (before, None):
                return [f"{found} took the place of {before}"]
        codes = [server.returncode for server in servers]
        problems = [] if codes == [130, 130] else [f"exit codes {codes}"]
        return problems + ([f"{_found(place)} is found, and has ended"] if _found(place) else [])
    finally:
        for server in servers:
            stop(server)


def _found(place: Path) -> str | None:
    before = os.environ.get("HARNESS_CACHE_DIR")
    os.environ["HARNESS_CACHE_DIR"] = environment(place)["HARNESS_CACHE_DIR"]
    try:
        found = find_server((place / "model").resolve(), {})
        return found[0].address if found else None
    finally:
        os.environ.pop("HARNESS_CACHE_DIR")
        if before is not None:
            os.environ["HARNESS_CACHE_DIR"] = before
