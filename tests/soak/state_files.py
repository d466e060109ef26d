"""Every kind of file that the harness writes or that decides what it does, and the commands that read it.

Truth must give an error that names the file; a cache is made again, so that the command ends as if nothing had
happened. What a person writes (settings, recipes, case files) is in the list too, since it lies beside the rest.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

from harness.engines.base import EngineInfo
from harness.engines.scripted import ScriptedEngine
from harness.engines.server.warm_server import WarmServer, file_stamps, find_server, record_server
from harness.models.target import resolve_target
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.runs.fingerprints import check_fingerprints
from harness.runs.sessions import begin_session
from harness.safe.processes import process_facts
from harness.store import Store
from harness.suite.baseline import seal_of
from harness.view.app import create_app
from tests.soak import killed_commands as commands
from tests.soak.places import Said, environment, here

__all__ = ["KINDS", "StateFile", "make_everything"]

Read = Callable[[Path], Said]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """A file, and what reads it."""

    path: str
    """Relative to the project; the first match of a pattern."""
    reads: tuple[Sequence[str] | Read, ...]
    """Words of ``harness``, or a function for what no command reads by itself."""
    cache: bool = False
    """Whether it can be made again, so that every command must end as before."""
    share: int = 2
    prepare: Callable[[Path], object] = lambda _: None
    """Makes the file, where the template must not have it."""


def _home(place: Path) -> Path:
    return Path(environment(place)["HARNESS_CACHE_DIR"])


def _page(*addresses: str) -> Read:
    """Open pages of ``harness view``; a page that says what is wrong (4xx) is an error with a reason, 500 is not."""

    def read(place: Path) -> Said:
        app = create_app(read_settings(place, environment={}), token="t", port=1)
        said = []
        with Store(place / "reports" / "harness.sqlite") as store:
            last = store.run("last").id
        with TestClient(app, base_url="http://127.0.0.1:1", follow_redirects=True) as client:
            client.get("/?token=t")
            for address in addresses:
                response = client.get(address.replace("RUN", last))
                if response.status_code >= 500:
                    said.append(f"{address}: Traceback? {response.status_code} {response.text[-600:]}")
        return Said("\n".join(said), 3 if said else 0)

    return read


def _fingerprints(place: Path) -> Said:
    settings = read_settings(place, environment={})
    manifest = read_manifest(settings.manifest_path)
    with Store(settings.database) as store:
        target = resolve_target("v4.0", manifest, settings, store)
    engine = ScriptedEngine({}, info=EngineInfo("server", "1"))
    check_fingerprints(engine, [target], settings.reports / "fingerprints")
    return Said("", 0)


def _find_server(place: Path) -> Said:
    before = os.environ.get("HARNESS_CACHE_DIR")
    os.environ["HARNESS_CACHE_DIR"] = str(_home(place))
    try:
        find_server((place / "model").resolve(), {})
    finally:
        os.environ.pop("HARNESS_CACHE_DIR")
        if before is not None:
            os.environ["HARNESS_CACHE_DIR"] = before
    return Said("", 0)


def _marker(place: Path) -> None:
    """A session that was not judged, which makes every gate red."""
    begin_session(place / "reports", ["pytest"])


_TRAINING = "reports/trainings/v4.2-*"
_ATTEMPT = "reports/trainings/v5.0-sft/attempt-1"
_RESUME = ("fix", "--failed", "--adapter", "v4.0", "--run", "RUN", "--as", "v4.2", "--resume")
_COLLECT = ("train", "sft", "--collect", "reports/trainings/v5.0-sft", "--as", "v6.0")
_DRY = ("fix", "--failed", "--adapter", "v4.0", "--dry-run")
_GATE = ("gate", "--baseline", "baselines/v4.0.json")

KINDS: dict[str, StateFile] = {
    "manifest": StateFile(
        path="adapters_manifest.toml", share=6,
        reads=(("gate",), ("adapters", "list"), ("adapters", "bless", "v4.0"), ("compare", "v4.0", "v4.1")),
    ),
    "settings": StateFile(path="pyproject.toml", reads=(("gate",), ("adapters", "list"), ("history",)), share=4),
    "cases": StateFile(path="badcases/badcase1/test.json", reads=(("gate",), _DRY), share=4),
    "case settings": StateFile(path="badcases/badcase1/case.toml", reads=(("gate",), _DRY)),
    "hand-made pairs": StateFile(
        path="badcases/badcase1/generalized_dpo_preference_dataset.json", reads=(("pairs", "--failed"), _DRY), share=3
    ),
    "registry of data": StateFile(
        path="data/dataset_info.json", reads=(("train", "sft", "--data", "data/dataset_info.json", "--dry-run"),)
    ),
    "training data": StateFile(path="data.json", reads=(("train", "sft", "--data", "data.json", "--dry-run"),)),
    "recipe": StateFile(
        path="mine.toml", reads=(("train", "sft", "--data", "data.json", "--recipe", "mine.toml", "--dry-run"),)
    ),
    "baseline": StateFile(path="baselines/v4.0.json", reads=(_GATE,), share=4),
    "run database": StateFile(
        path="reports/harness.sqlite", share=8,
        reads=(("gate",), ("history",), ("report", "last"), ("compare", "v4.0", "v4.1"), ("adapters", "list")),
    ),
    "database of a part": StateFile(
        path="part-1.sqlite", reads=(("merge", "part-1.sqlite", "part-2.sqlite"),), share=5
    ),
    "session marker": StateFile(path="reports/sessions/*.json", reads=(("gate",), ("history",)), prepare=_marker),
    "pairs of a fix": StateFile(path=f"{_TRAINING}/generalized_dpo_preference_dataset.json", reads=(_RESUME,)),
    "registry of a fix": StateFile(path=f"{_TRAINING}/dataset_info.json", reads=(_RESUME,), share=1),
    "journal: pairs": StateFile(path=f"{_TRAINING}/made_from.json", reads=(_RESUME,)),
    "journal: trained": StateFile(path=f"{_TRAINING}/trained.json", reads=(_RESUME,), cache=True),
    "journal: selected": StateFile(path=f"{_TRAINING}/selected.json", reads=(_RESUME,), cache=True),
    "weights of a fix": StateFile(
        path=f"{_TRAINING}/attempt-1/adapter/adapter_model.safetensors", reads=(_RESUME,), cache=True, share=1
    ),
    "training: job": StateFile(path=f"{_ATTEMPT}/job.json", reads=(_COLLECT,)),
    "training: recipe": StateFile(path=f"{_ATTEMPT}/recipe.json", reads=(_COLLECT,)),
    "training: state": StateFile(path=f"{_ATTEMPT}/output/trainer_state.json", reads=(_COLLECT,)),
    "training: progress": StateFile(
        path=f"{_ATTEMPT}/progress.jsonl", reads=(_COLLECT, _page("/trainings", "/training/v5.0-sft", "/live.json")),
        share=3,
    ),
    "training: weights": StateFile(path=f"{_ATTEMPT}/output/adapter_model.safetensors", reads=(_COLLECT,), share=3),
    "adapter: config": StateFile(
        path="adapters/v4.1/adapter_config.json",
        reads=(("adapters", "verify"), ("adapters", "show", "v4.1"), ("adapters", "add", "v8", "adapters/v4.1")),
        share=3,
    ),
    "adapter: weights": StateFile(
        path="adapters/v4.1/adapter_model.safetensors",
        reads=(("adapters", "verify"), ("adapters", "show", "v4.1"), ("adapters", "add", "v8", "adapters/v4.1")),
        share=3,
    ),
    "fingerprint": StateFile(path="reports/fingerprints/*.json", reads=(_fingerprints,), cache=True),
    "record of a server": StateFile(path="BESIDE/cache/servers/*.json", reads=(_find_server,), cache=True),
    "figures of the page": StateFile(
        path="reports/view/*.figures", reads=(_page("/", "/run/RUN"),), cache=True
    ),
    "pages of the page": StateFile(path="reports/view/*.html", reads=(_page("/", "/run/RUN"),), cache=True, share=1),
    "answers of the page": StateFile(
        path="reports/view/*.answers.json", reads=(_page("/run/RUN/now.json"),), cache=True, share=1
    ),
    "lines of a tracker": StateFile(
        path="tracked/tracked.jsonl", reads=(("track", "--to", "jsonl"),), cache=True, share=1
    ),
    "lock": StateFile(path=".adapters_manifest.toml.lock", reads=(("adapters", "bless", "v4.0"),), cache=True, share=1),
}  # fmt: skip


def make_everything(root: Path) -> Path:
    """A project that has every one of these files; its gate is red."""
    commands.trainable(root)
    text = (root / "pyproject.toml").read_text("utf-8")
    tracked = 'trackers = ["jsonl"]\n[tool.harness.tracker_options.jsonl]\nfolder = "tracked"\n'
    (root / "pyproject.toml").write_text(text.replace("[tool.pytest", f"{tracked}[tool.pytest"), "utf-8")
    (root / "badcases" / "badcase1" / "case.toml").write_text('tags = ["a"]\n[decoding]\nmax_tokens = 64\n', "utf-8")
    (root / "badcases" / "badcase1" / "generalized_dpo_preference_dataset.json").write_text(
        '[{"instruction": "Say hello.", "input": "", "chosen": "Hello.", "rejected": "Bye bye bye."}]', "utf-8"
    )
    (root / "mine.toml").write_text('lora_rank = 8\nepochs = 2.0\n[environment]\nA = "x"\n', "utf-8")
    (root / "data").mkdir()
    (root / "data" / "d.json").write_text('[{"instruction": "Sing.", "output": "La."}]', "utf-8")
    (root / "data" / "dataset_info.json").write_text(
        '{"d": {"file_name": "d.json", "formatting": "alpaca", "columns": {"prompt": "instruction", '
        '"response": "output"}}}', "utf-8",
    )  # fmt: skip
    python = commands.trainer(root)
    scripted = {**python, "HARNESS_TRAINER": "scripted"}
    _must(here(["pytest", "badcases", "-q", "-p", "no:cacheprovider"], root), 1)
    _must(here(["baseline", "write", "v4.0"], root), 0)
    _must(here(["fix", "--failed", "--as", "v4.1"], root, scripted), 0)
    _must(here(["train", "sft", "--data", "data.json", "--as", "v5.0"], root, python), 0)
    _must(here(["pytest", "badcases", "-q", "-p", "no:cacheprovider"], root), 1)
    # A fix that was killed before it registered its version, and a training that another node has run.
    manifest = (root / "adapters_manifest.toml").read_bytes()
    _must(here(["fix", "--failed", "--adapter", "v4.0", "--as", "v4.2"], root, scripted), 0)
    # The gate with this baseline is red: the case that fails had passed.
    baseline = root / "baselines" / "v4.0.json"
    facts = json.loads(baseline.read_text("utf-8").replace('"FAIL"', '"PASS"'))
    baseline.write_text(json.dumps({**facts, "seal": seal_of(facts)}), "utf-8")
    (root / "adapters_manifest.toml").write_bytes(manifest)
    shutil.rmtree(root / "adapters" / "v4.2")
    shutil.rmtree(root / "reports" / "trainings" / "v5.0-sft" / "attempt-1" / "adapter")
    _must(here(["pytest", "badcases", "-q", "-p", "no:cacheprovider"], root), 1)
    _parts(root)
    _fingerprint_record(root)
    _server_record(root)
    _page("/", "/run/RUN", "/run/RUN/now.json")(root)
    shutil.rmtree(root / "reports" / "runs")
    return root


def _must(said: Said, code: int) -> None:
    assert said.code == code, f"exit code {said.code}: {said[-3000:]}"


def _parts(root: Path) -> None:
    place = root.parent / "parts"
    commands.in_parts(place)
    for part in ("1", "2"):
        shutil.copy(place / f"part-{part}.sqlite", root)
    shutil.rmtree(place)


def _fingerprint_record(root: Path) -> None:
    folder = root / "reports" / "fingerprints"
    folder.mkdir()
    settings = read_settings(root, environment={})
    with Store(settings.database) as store:
        target = resolve_target("v4.0", read_manifest(settings.manifest_path), settings, store)
    facts = '{"version": "v4.0", "model": "m", "engine": "vllm", "answers": [[1, 2]], "logprobs": [-0.5]}'
    (folder / f"{target.digest[:32]}.json").write_text(facts, "utf-8")


def _server_record(root: Path) -> None:
    model = (root / "model").resolve()
    before = os.environ.get("HARNESS_CACHE_DIR")
    os.environ["HARNESS_CACHE_DIR"] = str(_home(root))
    record_server(
        WarmServer(
            address="http://127.0.0.1:9", model="tiny", model_path=str(model), stamps=file_stamps(model), dtype="auto",
            max_model_len=512, max_loras=1, max_lora_rank=8, trust_remote_code=False, process=process_facts(),
        ),
        "key",
    )  # fmt: skip
    os.environ.pop("HARNESS_CACHE_DIR")
    if before is not None:
        os.environ["HARNESS_CACHE_DIR"] = before
