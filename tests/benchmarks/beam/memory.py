"""What the driver itself holds: many beam runs at once on made-up rows, without any engine.

Every run is fed rows of a made-up model (eight likeliest next tokens that depend on the step and the last token), all
runs in turn, all alive to the end: more than the engine would ever let in at a time. What the process grew by at its
peak is the driver's; rows that wait in an engine's queues are not in it. Each measurement takes a process of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.beam_outputs import Entry, Output, Words

__all__ = ["driver_memory"]

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 5
PROMPT = 100


def driver_memory(prompts: int, tokens: int) -> dict[str, Any]:
    """Peak growth in MiB for so many searches of width 5 and so many new tokens at once, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.beam.memory", str(prompts), str(tokens)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Streams:
    """Feeds every open stream one row a turn."""

    def __init__(self) -> None:
        chance = random.Random(0)
        self._tables = [
            [(chance.randrange(2, 49_000), -chance.expovariate(1 / (rank + 1)) - 0.1) for rank in range(8)]
            for _ in range(4999)
        ]
        self._count = 0
        self._open: dict[str, tuple[Any, int]] = {}
        self._turn: deque[str] = deque()

    def open(self, run: Any, ids: list[int], params: dict[str, Any], parent: str | None = None) -> str:
        self._count += 1
        key = str(self._count)
        self._open[key] = (run, ids[-1])
        self._turn.append(key)
        return key

    def drop(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._open.pop(key, None)

    def step(self) -> bool:
        for _ in range(len(self._turn)):
            key = self._turn.popleft()
            if key not in self._open:
                continue
            run, last = self._open[key]
            table = self._tables[(last * 31 + run.tokens * 17) % len(self._tables)]
            # New numbers every time, as an engine makes them; shared ones would hide what they take.
            row = {int(str(token)): Entry(logprob) for token, logprob in table}
            best = max(row, key=lambda token: row[token].logprob)
            self._open[key] = (run, best)
            self._turn.append(key)
            run.take(key, Output([best], [row]), False)
        return bool(self._open)


def main() -> int:
    """Measure in this process; arguments: prompts, tokens."""
    from harness.cases.decoding import Decoding
    from harness.engines.base import Completion, Request
    from harness.engines.vllm_generations import BeamGeneration

    prompts, tokens = map(int, sys.argv[1:])
    streams = _Streams()
    decoding = Decoding(beam_width=WIDTH, max_tokens=tokens, early_fail=False)
    before = _peak_mib()
    runs = [
        BeamGeneration(
            Request(id=i, prompt_ids=tuple(range(1000 + i, 1000 + i + PROMPT)), decoding=decoding),
            streams,
            (2,),
            Words(),
            n_best=1,
        )
        for i in range(prompts)
    ]
    for run in runs:
        run.start()
    while streams.step():
        pass
    assert all(isinstance(run.result, Completion) and len(run.result.token_ids) == tokens for run in runs)
    grown = round(_peak_mib() - before, 1)
    print(json.dumps({"prompts": prompts, "tokens": tokens, "forks": streams._count, "mib": grown}))
    return 0


def _peak_mib() -> float:
    """This program's own peak; getrusage would give its parent's, where that was larger."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    sys.exit(main())
