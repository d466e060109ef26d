"""Would the tests notice? Faults are put into what decides verdicts, gates, pairs and promotions, one at a time.

    python -m tests.soak.mutation [PART ...] [--sample N] [--seed N]

Prints each survivor as a diff, then killed and survived by module; the exit code is 1 where a module is below
:data:`LEAST`. A PART is a piece of a module's path. Each mutant runs in a process forked from this one, which has
imported pytest and all that lies below the module, so it costs about a second. Only the module and what may import it
are imported again.

Mutants that no test can tell from the original are listed in equivalent_mutants.toml with the reason, and not counted.
Not supported: tests that start the command in a process of their own, since that process imports the original.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import importlib.util
import os
import random
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import hypothesis  # noqa: F401 - imported once, before the forks
import pytest

from tests.soak.mutants import mutants

ROOT = Path(__file__).resolve().parents[2]
_JUDGING = (
    (
        "tests/unit/judging/test_signs.py",
        "tests/unit/judging/test_rules.py",
        "tests/unit/judging/test_verdict_reasons.py",
    ),
    ("tests/unit/judging",),
)
_SUITE = (
    ("tests/unit/suite/test_compare.py", "tests/unit/suite/test_gate_checks.py"),
    (
        "tests/unit/suite/test_gate.py",
        # Two hundred comparisons by chance take longer than all others together.
        "--deselect=tests/unit/suite/test_gate.py::test_the_same_adapter_twice_fails_the_gate_in_at_most_five_percent",
        "--deselect=tests/unit/suite/test_gate.py::test_a_worse_adapter_fails_the_gate_nearly_always",
    ),
)
_PAIRS = (
    ("tests/unit/pairs/test_pair_rules.py", "tests/unit/pairs/test_rejected.py"),
    (
        "tests/unit/pairs",
        "--deselect=tests/unit/pairs/test_build.py::test_bundled_prompts_are_answered_by_the_model_itself",
    ),
)
_FIX = (
    ("tests/unit/fix/test_promotion.py", "tests/unit/fix/test_side_effects.py"),
    (
        "tests/unit/fix/test_checkpoints.py",
        "--deselect=tests/unit/fix/test_checkpoints.py::test_three_thousand_cases_cost_no_more_than_a_few_dozen",
    ),
)
TESTS = {
    "harness/judging/verdict.py": _JUDGING,
    "harness/judging/signs.py": _JUDGING,
    "harness/judging/rules.py": _JUDGING,
    "harness/suite/gate.py": _SUITE,
    "harness/suite/compare.py": _SUITE,
    "harness/pairs/build.py": _PAIRS,
    "harness/pairs/rejected.py": _PAIRS,
    "harness/pairs/ends.py": (("tests/unit/pairs/test_ends.py",), ("tests/unit/pairs",)),
    "harness/fix/promotion.py": _FIX,
    "harness/fix/side_effects.py": _FIX,
    "harness/fix/checkpoints.py": tuple(reversed(_FIX)),
    "harness/fix/blessing.py": (("tests/unit/fix/test_blessing.py",),),
}
"""The modules, and the tests that are run against their mutants: quick ones that find most, then the others."""
LEAST = 0.85
"""Share of the mutants that must be killed, by module."""
_OPTIONS = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:harness")
_MEMORY = 12 << 30
"""Address space of a mutant's process, in bytes."""


@dataclass(slots=True)
class Tally:
    """What became of a module's mutants."""

    killed: int = 0
    timed_out: int = 0
    """Of the killed ones."""
    equivalent: int = 0
    survived: int = 0

    @property
    def share(self) -> float:
        """Killed ones of those that count, 0..1."""
        return self.killed / max(1, self.killed + self.survived)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.mutation", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants a module, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    options = parser.parse_args(words)
    os.chdir(ROOT)
    modules = [m for m in TESTS if not options.parts or any(part in m for part in options.parts)]
    tallies = []
    for module in modules:
        tally = _judge(module, options.sample, options.seed)
        tallies.append(tally)
        print(
            f"{module}: {tally.killed} killed ({tally.timed_out} by time), {tally.survived} survived, "
            f"{tally.equivalent} equivalent: {tally.share:.1%}",
            flush=True,
        )
    return int(any(tally.share < LEAST for tally in tallies))


def _judge(module: str, sample: int | None, seed: int) -> Tally:
    path = ROOT / module
    source = path.read_text("utf-8")
    every = mutants(source)
    if sample is not None and sample < len(every):
        every = sorted(random.Random(seed).sample(every, sample), key=lambda mutant: mutant.line)
    known = {(e["module"], e["before"], e["after"]) for e in _equivalent()}
    importlib.import_module(_name(module))
    importlib.import_module("tests.support.builders")
    tally, began = Tally(), time.monotonic()
    if _judged(module, source, 600) != 0:
        raise SystemExit(f"{module}: its tests fail on the original")
    seconds = 10 + 5 * (time.monotonic() - began)
    for number, mutant in enumerate(every, 1):
        if (module, mutant.before, mutant.after) in known:
            tally.equivalent += 1
            continue
        code = _judged(module, mutant.source, seconds)
        if code == 0:
            tally.survived += 1
            print(mutant.diff(source, module), end="\n\n", flush=True)
        else:
            tally.killed += 1
            tally.timed_out += code is None
        if sys.stderr.isatty():
            print(f"\r{module} {number} of {len(every)}", end="", file=sys.stderr)
    return tally


def _name(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _judged(module: str, source: str, seconds: float) -> int | None:
    """The exit code of the first tests that fail, otherwise 0; None where they took longer."""
    for tests in TESTS[module]:
        code = _run(_name(module), ROOT / module, source, tests, seconds)
        if code != 0:
            return code
    return 0


def _equivalent() -> list[dict[str, str]]:
    text = (Path(__file__).parent / "equivalent_mutants.toml").read_text("utf-8")
    entries: list[dict[str, str]] = tomllib.loads(text)["mutant"]
    return entries


def _run(name: str, path: Path, source: str, tests: Sequence[str], seconds: float) -> int | None:
    """pytest's exit code on a module with that text; None where it took longer."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            _put_in_place(name, path, source)
            code = int(
                pytest.main(["-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:harness", *tests])
            )
        finally:
            os._exit(code)
    deadline = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.02)


def _put_in_place(name: str, path: Path, source: str) -> None:
    """Let the next import of the module give that text, and forget whatever may have imported it."""
    sys.meta_path.insert(0, _Mutated(name, path, source))
    for module in list(sys.modules):
        if module.startswith("tests.") or _may_import(module, name):
            del sys.modules[module]


def _may_import(module: str, name: str) -> bool:
    """Whether a module lies in the package of ``name`` or above it in the layers of the architecture."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers: list[str] = contracts[0]["layers"]
    package = module.split(".")[1] if module.startswith("harness.") else ""
    return package in layers[: layers.index(name.split(".")[1]) + 1]


class _Mutated(MetaPathFinder):
    """Finds one module, with another text."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name, self._path, self._source = name, path, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path))
        loader.code = compile(self._source, str(self._path), "exec")
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    code: CodeType

    def get_code(self, fullname: str) -> Any:
        return self.code


if __name__ == "__main__":
    sys.exit(main())
