"""``python -m tests.benchmarks.train``: what the harness adds to a training, and how fast data are made ready.

    overhead   the same examples, model and configuration by the harness and by a bare ``llamafactory-cli train`` (a
               process of its own, on the dataset that the harness prepared); wall time of the whole process
    step       an update by the harness's fast step (packed pairs, fused LoRA layers, the reference once) against one by
               LLaMA-Factory's own, on the same pairs in the same order: median seconds, and how far losses are apart
    data       100,000 pairs from a JSONL file to token ids on disk (checked, split, counted), and from there to the
               dataset that LLaMA-Factory reads; wall time and peak memory of each process
    two stages SFT, then DPO on top of it, on the embedded model by the users' own commands; the chain is proved and
               evaluated

Limits: overhead at most 5 % or 15 s, a step at least 1.5 times as fast, data at most 60 s and 1 GiB. ``--quick``
measures a tenth of everything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.safe.files import write_text

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
WORDS = """
the sea is wide and grey tonight a small boat comes home before rain begins and every lamp along the shore turns slowly
over water while gulls count their steps on wet stones near an old wall
""".split()  # noqa: SIM905 - a list of forty quoted words is harder to read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--only", choices=("overhead", "step", "data", "stages"))
    options = parser.parse_args()
    facts: dict[str, Any] = {
        "command": "python -m tests.benchmarks.train" + (" --quick" if options.quick else ""),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {_processor()}",
        "versions": {
            "python": platform.python_version(),
            **{n: version(n) for n in ("transformers", "numpy")},
            **_theirs(),
        },
    }
    with tempfile.TemporaryDirectory(prefix="bench-train-") as place:
        for name, measure in (("overhead", overhead), ("step", step), ("data", data), ("stages", stages)):
            if options.only in (None, name):
                facts[name] = measure(Path(place) / name, options.quick)
                _show(name, facts[name])
    path = ROOT / "reports" / "bench" / "train.json"
    if path.is_file() and options.only:
        facts = json.loads(path.read_text("utf-8")) | facts
    write_text(path, json.dumps(facts, indent=2) + "\n")
    print(f"figures: {path.relative_to(ROOT)}")
    return 0


def overhead(place: Path, quick: bool) -> dict[str, Any]:
    """The harness against LLaMA-Factory's own command, on the same dataset."""
    from harness.models.embedded import embedded_model
    from harness.models.prompts import PromptRenderer
    from trainers import TrainRequest, open_trainer
    from trainers.formats import TrainingRecord
    from trainers.job import launch_variables
    from trainers.llamafactory_trainer import trainer_python
    from trainers.prompt_parity import probes
    from trainers.recipe import named_recipe
    from trainers.rendering import render_records

    model = embedded_model("smollm2-135m-instruct")
    renderer = PromptRenderer(model)
    rows = [_pair(i) for i in range(4 if quick else 24)]
    records = [
        TrainingRecord(
            source=str(i),
            messages=_messages(r["instruction"]),
            chosen=r["chosen"],
            rejected=r["rejected"],
            rejected_finished=False,
        )
        for i, r in enumerate(rows)
    ]
    # Nothing of ours, so both sides do the same sums.
    plain = {"cache_reference": False, "pack_pairs": False, "unlikelihood": 0.0, "end_apart": False}
    recipe = named_recipe("fix", epochs=1.0, save_steps=1000, **plain)
    request = TrainRequest(
        stage="dpo",
        model_path=model,
        examples=list(render_records(records, renderer, "dpo")),
        recipe=recipe,
        output=place / "ours",
        probes=probes(renderer),
    )
    began = time.monotonic()
    result = open_trainer("llamafactory", ROOT).train(request, lambda _: None)
    ours = time.monotonic() - began
    assert result.folder is not None
    python = trainer_python(ROOT)
    theirs = _bare(python, result.folder, place, launch_variables(request))
    faster = time.monotonic()
    open_trainer("llamafactory", ROOT).train(
        TrainRequest(stage="dpo", model_path=model, examples=list(render_records(records, renderer, "dpo")),
                     recipe=named_recipe("fix", epochs=3.0, save_steps=1000), output=place / "cached"), lambda _: None
    )  # fmt: skip
    cached = time.monotonic() - faster
    return {
        "pairs": len(rows), "steps": result.steps, "harness_seconds": round(ours, 1), "bare_seconds": round(theirs, 1),
        "overhead_seconds": round(ours - theirs, 1), "overhead_percent": round(100 * (ours / theirs - 1), 1),
        "three_epochs_with_cached_reference_seconds": round(cached, 1),
    }  # fmt: skip


def step(place: Path, quick: bool) -> dict[str, Any]:
    """The fast step against LLaMA-Factory's own, in turns, since the machine's speed changes."""
    from harness.models.embedded import embedded_model
    from harness.models.prompts import PromptRenderer
    from trainers import TrainRequest, open_trainer
    from trainers.formats import TrainingRecord
    from trainers.recipe import named_recipe
    from trainers.rendering import render_records

    model = embedded_model("smollm2-135m-instruct")
    renderer = PromptRenderer(model)
    records = [
        TrainingRecord(source=str(i), messages=_messages(r["instruction"]), chosen=r["chosen"], rejected=r["rejected"],
                       rejected_finished=False)
        for i, r in enumerate(_pair(i, words=90 + 10 * (i % 7)) for i in range(8 if quick else 24))
    ]  # fmt: skip
    seconds: dict[str, list[float]] = {"fast": [], "own": []}
    losses: dict[str, list[float]] = {}
    for turn in range(1 if quick else 3):
        for name, fast in (("own", False), ("fast", True)):
            recipe = named_recipe(
                "fix", epochs=2.0, save_steps=1000, unlikelihood=0.0, end_apart=False, pack_pairs=fast,
                cache_reference=fast, batch_size=2, accumulation=2,
            )  # fmt: skip
            request = TrainRequest(
                stage="dpo", model_path=model, examples=list(render_records(records, renderer, "dpo")), recipe=recipe,
                output=place / f"{name}-{turn}",
            )  # fmt: skip
            result = open_trainer("llamafactory", ROOT).train(request, lambda _: None)
            assert result.folder is not None
            times = json.loads((result.folder / "time_consuming_statistics.json").read_text("utf-8"))
            seconds[name].append(times["step_median"])
            losses[name] = [loss for _, loss in result.losses]
    own, fast_ones = (sorted(seconds[name])[len(seconds[name]) // 2] for name in ("own", "fast"))
    return {
        "pairs": len(records), "updates": len(losses["own"]), "pairs_an_update": 4, "own_seconds": seconds["own"],
        "fast_seconds": seconds["fast"], "times_as_fast": round(own / fast_ones, 2),
        "largest_difference_of_losses": round(
            max(abs(a - b) for a, b in zip(losses["own"], losses["fast"], strict=True)), 4
        ),
        "losses": {"first": round(losses["own"][0], 4), "last": round(losses["own"][-1], 4)},
    }  # fmt: skip


def _bare(python: Path, attempt: Path, place: Path, variables: dict[str, str]) -> float:
    """``llamafactory-cli train`` with the same configuration, dataset and variables; seconds."""
    text = (attempt / "train.json").read_text("utf-8").replace(str(attempt / "output"), str(place / "bare"))
    config = write_text(place / "bare.json", text)
    stub = place / "stub"
    stub.mkdir()
    # It imports torchaudio, which cannot load here; an empty module does for text.
    (stub / "torchaudio.py").write_text("")
    variables = os.environ | variables | {"PYTHONPATH": str(stub)}
    began = time.monotonic()
    with (place / "bare.log").open("w") as log:
        words = [str(python.parent / "llamafactory-cli"), "train", str(config)]
        subprocess.run(words, env=variables, stdout=log, stderr=log, check=True)
    return time.monotonic() - began


def data(place: Path, quick: bool) -> dict[str, Any]:
    """100,000 pairs to token ids on disk, and to LLaMA-Factory's dataset, each in a process of its own."""
    count = 10_000 if quick else 100_000
    place.mkdir(parents=True)
    path = place / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(_pair(i, words=45)) + "\n" for i in range(count))
    made = _measured([sys.executable, "-m", "tests.benchmarks.train.prepare", str(path), str(place / "out")])
    job = place / "out" / "job.json"
    entry = ROOT / "trainers" / "worker" / "entry.py"
    python = os.environ.get("HARNESS_TRAINER_PYTHON") or str(ROOT / ".venv-trainer" / "bin" / "python")
    arrow = _measured([python, str(entry), str(job), "prepare"])
    facts = json.loads((place / "out" / "facts.json").read_text("utf-8"))
    return {
        "pairs": count, "file_mb": round(path.stat().st_size / 1e6, 1), "tokens": facts["tokens"],
        "ids_seconds": made[0], "ids_peak_mib": made[1], "dataset_seconds": arrow[0], "dataset_peak_mib": arrow[1],
        "seconds": round(made[0] + arrow[0], 1), "peak_mib": max(made[1], arrow[1]),
    }  # fmt: skip


def _measured(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory (MiB) of a process; the kernel counts."""
    probe = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    began = time.monotonic()
    run = subprocess.run([sys.executable, "-c", probe, *command], cwd=ROOT, check=True, capture_output=True, text=True)
    return round(time.monotonic() - began, 1), round(int(run.stdout.split()[-1]) / 1024, 1)


def stages(place: Path, quick: bool) -> dict[str, Any]:
    """The README's two-stage sequence, typed in an empty folder; the chain is proved, evaluated and merged.

    The suite's exit code is 0 or 1: a poem by a model of 135M may fail its test. What counts is that every case got a
    verdict from base + SFT + DPO, which is read from the store.
    """
    place.mkdir(parents=True)
    rows = [_pair(i, words=60) for i in range(4 if quick else 16)]
    (place / "answers.json").write_text(
        json.dumps([{"instruction": r["instruction"], "output": r["chosen"]} for r in rows]), "utf-8"
    )
    (place / "pairs.json").write_text(json.dumps(rows), "utf-8")
    short = ["--set", "epochs=1"]
    commands = {
        "init": ["harness", "init"],
        "sft": ["harness", "train", "sft", "--data", "answers.json", "--as", "v5.0", *short],
        "dpo": ["harness", "train", "dpo", "--data", "pairs.json", "--adapter", "v5.0", "--as", "v5.1", *short],
        "verify": ["harness", "adapters", "verify", "v5.1"],
        "evaluate": ["pytest", "badcases", "--adapter", "v5.1"],
        "merge": ["harness", "adapters", "export", "v5.1", "merged", "--merge"],
    }
    seconds = {}
    for name, words in commands.items():
        began = time.monotonic()
        code = subprocess.run([str(BIN / words[0]), *words[1:]], cwd=place, check=False).returncode
        seconds[name] = round(time.monotonic() - began, 1)
        if code not in ((0, 1) if name == "evaluate" else (0,)):
            raise SystemExit(f"{' '.join(words)}: exit code {code}")
    return {
        "examples": len(rows),
        "seconds": seconds,
        "verdicts": _verdicts(place, "v5.1"),
        "commands": [" ".join(w) for w in commands.values()],
    }


def _verdicts(root: Path, adapter: str) -> dict[str, str]:
    """What the last run says of each case; an answer that never came ends the benchmark."""
    from harness.judging.results import Status
    from harness.project.settings import read_settings
    from harness.store import Store

    with Store.existing(read_settings(root).database) as store:
        found = {r.case.id: r.verdict.status for r in store.results(store.runs()[0].id, adapter=adapter)}
    if not found or Status.ERROR in found.values():
        raise SystemExit(f"the chain was not evaluated: {found}")
    return {case: str(status.value) for case, status in found.items()}


def _pair(number: int, words: int = 150) -> dict[str, str]:
    """A pair of ordinary length: a clean answer against a loop."""
    draw = random.Random(number)
    text = [draw.choice(WORDS) for _ in range(words)]
    loop = (" ".join(text[:12]) + " ") * max(1, words // 12)
    return {
        "instruction": f"Write lines about {text[0]} number {number}.",
        "input": "",
        "chosen": " ".join(text),
        "rejected": loop,
    }


def _messages(text: str) -> Any:
    from harness.cases.model import Message

    return (Message("user", text),)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _theirs() -> dict[str, str]:
    """Versions in the trainer's environment."""
    from trainers.llamafactory_trainer import trainer_python

    code = (
        "from importlib.metadata import version; import json;"
        "names = 'llamafactory transformers torch peft trl'.split();"
        "print(json.dumps({'trainer ' + n: version(n) for n in names}))"
    )
    run = subprocess.run([str(trainer_python(ROOT)), "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


def _show(name: str, facts: dict[str, Any]) -> None:
    print(name)
    for key, value in facts.items():
        print(f"  {key.replace('_', ' '):<46} {value}")
    sys.stdout.flush()


if __name__ == "__main__":
    # The parent's own memory is no figure of this benchmark.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main())
