"""``make soak``: every campaign, or one, with its count (:mod:`tests.soak`). Ends with 1 where a promise was broken."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable

import tests.soak.lean  # noqa: F401 - before what imports torch
from tests.soak.concurrency import concurrency
from tests.soak.corruption import corruption
from tests.soak.disk import disk
from tests.soak.hostile import hostile
from tests.soak.kills import kills
from tests.soak.record import ROOT, Campaign, save, table

CAMPAIGNS: dict[str, tuple[Callable[[Campaign, int, str], None], int]] = {
    "kills": (kills, 640),
    "concurrency": (concurrency, 2_000),
    "disk": (disk, 200),
    "corruption": (corruption, 4_500),
    "hostile": (hostile, 2_000),
}
"""By name: the campaign, and its usual count."""
FUZZ_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("campaign", choices=[*CAMPAIGNS, "fuzz", "all", "table"], nargs="?", default="all")
    parser.add_argument("--count", type=int, metavar="N", help="tries (fuzz: seconds a reader); default: the promise's")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no new try after this time")
    parser.add_argument("--seed", type=int, metavar="S", help="of every draw; default: a new one, which is printed")
    parser.add_argument("--kind", default="", metavar="NAME", help="only this kind of try")
    args = parser.parse_args()
    if args.campaign == "table":
        print(table())
        return 0
    seed = random.SystemRandom().randrange(10**6) if args.seed is None else args.seed
    names = [*CAMPAIGNS, "fuzz"] if args.campaign == "all" else [args.campaign]
    broken = False
    for name in names:
        if name == "fuzz":
            broken |= _fuzz(args.count or FUZZ_SECONDS, args.kind or "all")
            continue
        work, usual = CAMPAIGNS[name]
        campaign = Campaign(name, seed, minutes=args.minutes)
        campaign.say(f"{name}, seed {seed}")
        work(campaign, args.count or usual, args.kind)
        result = campaign.result()
        save(result)
        campaign.say(f"{name}: {result.total} tries, {result.broken} broke a promise, seed {seed}")
        broken |= bool(result.broken)
    return int(broken)


def _fuzz(seconds: int, reader: str) -> bool:
    """Coverage-guided fuzzing needs a package that the project does not install."""
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("skipped fuzz: install the package atheris, then: python -m tests.soak fuzz")
        return False
    command = [sys.executable, "-m", "tests.soak.fuzz", reader, str(seconds)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
