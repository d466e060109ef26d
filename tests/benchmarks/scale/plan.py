"""``python -m tests.benchmarks.scale.plan``: the arithmetic of docs/explanation/scaling.md. Nothing is measured here.

A step reads all weights once, and the KV cache of all hypotheses under way, which are half as long as the longest on
average. As many cases are under way as their longest hypotheses have room for.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYERS, KEY_HEADS, HEAD = 80, 8, 128
"""Of Qwen2.5-72B."""
WEIGHTS = 145.4e9
GPU, BANDWIDTH, SHARE, REST = 80e9, 3.35e12, 0.9, 3 * 2**30
"""Bytes of a GPU, bytes it reads a second, gpu_memory_utilization, bytes for everything else."""
PROMPT, WIDTH, CASES, NODES = 500, 5, 50_000, 16
COLLECTIVE, ROW = 12e-6, 9e-6
"""Seconds of a collective (two in each layer), and of the driver for a row."""
TOKEN = 2 * LAYERS * KEY_HEADS * HEAD * 2
"""Bytes of the KV cache for a token, in bfloat16."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a replica on ``gpus`` GPUs does; bytes and seconds."""

    gpus: int
    replicas: int
    """On each node."""
    tokens: int
    """Of each answer."""

    @property
    def cache(self) -> float:
        return self.gpus * (SHARE * GPU - WEIGHTS / self.gpus - REST)

    @property
    def at_once(self) -> int:
        return int(self.cache / (TOKEN * (PROMPT + self.tokens) * WIDTH))

    @property
    def steps(self) -> dict[str, float]:
        bandwidth, rows = self.gpus * BANDWIDTH, self.at_once * WIDTH
        return {
            "weights": WEIGHTS / bandwidth,
            "KV cache": TOKEN * (PROMPT + self.tokens / 2) * rows / bandwidth,
            "collectives": 2 * LAYERS * COLLECTIVE,
            "driver": ROW * rows,
        }

    @property
    def hours(self) -> float:
        batches = CASES / self.at_once / (NODES * self.replicas)
        return batches * self.tokens * sum(self.steps.values()) / 3600


def main() -> int:
    for tokens in (4096, 600):
        for gpus, replicas in ((8, 1), (4, 2)):
            plan = Plan(gpus=gpus, replicas=replicas, tokens=tokens)
            total = 1000 * sum(plan.steps.values())
            steps = ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in plan.steps.items())
            print(
                f"{tokens} tokens, {replicas} x {gpus} GPUs a node: cache {plan.cache / 1e9:.0f} GB, {plan.at_once} "
                f"cases at once; ms of a step: {steps}, in all {total:.1f}; {plan.hours:.2f} hours"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
