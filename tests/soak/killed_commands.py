"""The commands that :mod:`tests.soak.kills` kills: their projects, their outcomes, and how they are called again.

An outcome holds what a user relies on (verdicts, versions, digests, files), and no times, ids of runs or paths.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from harness.models.adapters.folder import CONFIG, FILES, WEIGHTS
from harness.models.adapters.tensors import write_tensors
from harness.project.manifest import MANIFEST_NAME, read_manifest
from harness.safe.files import digest_file, digest_folder
from harness.store import Store
from tests.soak.again import register_all
from tests.soak.fake_vllm import vllm_path
from tests.soak.places import ROOT, Said, environment, failing_project, here, run, start, start_and_wait, stop
from tests.support.trainings import fake_python, tiny_model

_TRACKED = 'trackers = ["jsonl"]\n'
_PYTHON = sys.executable
RUN = (_PYTHON, "-m", "pytest", "badcases", "-q")
FIX = (_PYTHON, "-m", "harness", "fix", "--failed", "--as", "v4.1", "--resume")
TRAIN = (_PYTHON, "-m", "harness", "train", "sft", "--data", "data.json", "--as", "v5.0", "--resume")
_AGAIN = (_PYTHON, "-m", "tests.soak.again")
VERSIONS = 60
REGISTER = (*_AGAIN, "register", str(VERSIONS))
REPORT = (*_AGAIN, "report", "last")
BASELINE = (*_AGAIN, "baseline", "write", "v4.0")
MERGE = (*_AGAIN, "merge", "part-1.sqlite", "part-2.sqlite")
SERVE = (_PYTHON, "-m", "harness", "serve", "--json")


# -- projects --------------------------------------------------------------------------------------------------------


def fresh(root: Path) -> None:
    """Twenty cases that were never run; runs start a tracker's process."""
    failing_project(root, cases=20, settings=_TRACKED)


def failed(root: Path) -> None:
    """A recorded run with a failing case."""
    failing_project(root, cases=6, settings=_TRACKED, run=True)


def trainable(root: Path) -> None:
    """Training data, and a Python of the trainer's that takes a second and ends with its owner as the real one does."""
    failing_project(root)
    shutil.rmtree(root / "model")
    tiny_model(root / "model")
    text = (root / "pyproject.toml").read_text("utf-8").replace('trainer = "scripted"\n', "")
    (root / "pyproject.toml").write_text(text, "utf-8")
    (root / "data.json").write_text(json.dumps([{"instruction": f"Sing {n}.", "output": "La."} for n in range(8)]))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    ones = {f"{module}.lora_A.weight": np.ones((2, 32), np.float32), f"{module}.lora_B.weight": np.ones((32, 2), "f4")}
    write_tensors(root / "adapter" / WEIGHTS, ones)
    (root / "adapter" / CONFIG).write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}', "utf-8")
    body = f"""
sys.path.insert(0, {str(ROOT)!r})
from trainers.worker.entry import _end_with
_end_with(job.get("owner"))
say(phase="loading")
for step in (1, 2):
    time.sleep(0.3)
    say(phase="training", step=step, total_steps=2, loss=0.5 / step)
say(phase="saving", step=2, total_steps=2)
leave()
"""
    # The adapter is beside the program, and the program in the project: a copy must find its own.
    program = fake_python(root / "python", body)
    text = program.read_text("utf-8").replace(repr(str(root / "adapter")), 'pathlib.Path(__file__).parent / "adapter"')
    program.write_text(text, "utf-8")


def in_parts(root: Path) -> None:
    """The databases of two halves of a run."""
    failing_project(root, cases=20)
    for part in ("1", "2"):
        said = run(["pytest", "badcases", "-q", "--shard", f"{part}/2", "--no-cache"], root)
        assert said.code in (1, 3), said
        shutil.move(root / "reports" / "harness.sqlite", root / f"part-{part}.sqlite")
        shutil.rmtree(root / "reports")


def servable(root: Path) -> None:
    """A model that nothing loads: the server's program is a fake of vLLM's."""
    failing_project(root)


# -- outcomes --------------------------------------------------------------------------------------------------------


def run_outcome(place: Path) -> object:
    """Verdicts of the last run, and what the gate says of it."""
    with Store.existing(place / "reports" / "harness.sqlite") as store:
        last = store.run("last")
        verdicts = sorted((r.case.id, r.adapter, r.verdict.status.value) for r in store.results(last.id))
        return last.status, verdicts, here(["gate"], place).code


def fix_outcome(place: Path) -> object:
    """The last run, the versions, and how trainings ended."""
    return run_outcome(place), training_outcome(place)


def training_outcome(place: Path) -> object:
    """Versions with their weights, and how trainings ended."""
    with Store.existing(place / "reports" / "harness.sqlite") as store:
        trainings = sorted((t.adapter, t.status) for t in store.trainings())
    versions = {
        a.name: (a.parent, a.method, a.status, a.path is None or digest_folder(a.path, FILES) == a.sha256, a.rank)
        for a in read_manifest(place / MANIFEST_NAME).adapters.values()
    }
    return versions, trainings, sorted(p.name for p in (place / "adapters").iterdir())


def manifest_outcome(place: Path) -> object:
    """The names in the manifest, in order."""
    return list(read_manifest(place / MANIFEST_NAME).adapters)


def report_outcome(place: Path) -> object:
    """The files of the last run's reports; workbooks hold the time at which they were written."""
    latest = place / "reports" / "latest"
    return {p.name: digest_file(p) for p in sorted(latest.iterdir()) if p.suffix not in (".xlsx", ".html")}, sorted(
        p.name for p in latest.iterdir()
    )


def baseline_outcome(place: Path) -> object:
    """The file, by its bytes."""
    return digest_file(place / "baselines" / "v4.0.json")


# -- calls -----------------------------------------------------------------------------------------------------------


def again(code: int, *words: str) -> Callable[[Path], list[str]]:
    """Call a command to its end; wrong is any other exit code than ``code``."""

    def call(place: Path) -> list[str]:
        # "python -m harness WORDS" and "python -m pytest WORDS", in this process.
        whole = words if words[0] != _PYTHON else words[3:] if words[2] == "harness" else words[2:]
        said = here(whole, place, trainer(place))
        return [] if said.code == code else [f"exit code {said.code} instead of {code}: {str(said)[-1500:]}"]

    return call


def trainer(place: Path) -> dict[str, str]:
    """Names the project's own Python of the trainer's, where it has one."""
    python = place / "python"
    return {"HARNESS_TRAINER_PYTHON": str(python)} if python.exists() else {}


def vllm(_: Path) -> dict[str, str]:
    """Names the fake of vLLM's package."""
    return vllm_path()


def finish_registering(place: Path) -> list[str]:
    """Register the versions that are not there yet."""
    register_all(place, VERSIONS)
    return []


def acknowledged(place: Path) -> list[str]:
    """Every version whose registration had returned is in the manifest."""
    path = place / "acknowledged.txt"
    names = path.read_text("utf-8").split() if path.exists() else []
    return [
        f"{n} was acknowledged and is lost" for n in names if n not in read_manifest(place / MANIFEST_NAME).adapters
    ]


def serve_again(place: Path) -> list[str]:
    """Start it, wait until it serves, and end it as a scheduler does."""
    said = Path(environment(place)["HOME"]) / "said.txt"
    said.unlink(missing_ok=True)
    process = start(SERVE, place, **vllm_path())
    try:
        end = time.monotonic() + 60
        while '"address"' not in said.read_text("utf-8"):
            if process.poll() is not None or time.monotonic() > end:
                return [f"it does not serve: {said.read_text('utf-8')[-1500:]}"]
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        return [] if process.returncode == 130 else [f"exit code {process.returncode} after SIGTERM"]
    finally:
        stop(process)


def serve_outcome(place: Path) -> object:
    """No server is recorded once it has ended."""
    return sorted(p.name for p in (Path(environment(place)["HARNESS_CACHE_DIR"]) / "servers").glob("*"))


def no_server(place: Path) -> list[str]:
    """A record of a dead server is never believed."""
    code = (
        "from pathlib import Path; from harness.engines.server.warm_server import find_server; "
        "print(find_server(Path('model').resolve(), {}))"
    )
    said: Said = start_and_wait([_PYTHON, "-c", code], place)
    return [] if said.strip() == "None" else [f"a dead server is found: {said}"]
