"""The engine ``ray`` on a real Ray cluster of this machine, with two actors: every request gets one outcome."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.cli import main
from harness.engines import load_engine, open_engine
from harness.engines.base import Completion, Engine, Failure, Outcome, Request
from harness.engines.kept_engine import KeptEngine
from harness.errors import EngineError, EngineMissing, SettingsError
from harness.fix.fix import Fix, plan_fix
from harness.models.weights import AdapterWeights
from harness.project.deadlines import Deadlines
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.runs.runner import RunnerProgress
from harness.store import Store
from tests.integration.conftest import Make
from tests.support.projects import CLEAN, LOOP
from tests.support.ray_engines import lines
from trainers import TrainProgress, TrainRequest, TrainResult
from trainers.base import OnProgress
from trainers.recipe import named_recipe
from trainers.scripted import ScriptedTrainer

# Not imported here: a local Ray is restricted to this machine when the engine imports the package.
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'badcase-harness[ray]'")

INSIDE = "tests.support.ray_engines:Controlled"


@pytest.fixture(scope="module", autouse=True)
def ray_here() -> Iterator[Any]:
    """One local Ray for all tests of this module, started as the engine starts it."""
    from harness.engines.on_ray import cluster

    ray = cluster.connect("")
    yield ray
    cluster.disconnect(ray)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the engines inside note what they do."""
    (tmp_path / "model").mkdir()
    made = tmp_path / "notes"
    made.mkdir()
    return made


def opened(folder: Path, *, replicas: int = 2, deadlines: Deadlines | None = None, **options: Any) -> Any:
    return open_engine(
        "ray", folder.parent / "model", ray_engine=INSIDE, replicas=replicas, deadlines=deadlines, folder=str(folder),
        **options,
    )  # fmt: skip


def requests(count: int, adapter: AdapterWeights | None = None) -> list[Request]:
    return [Request(id=i, prompt_ids=(100 + i, 1), decoding=Decoding(), adapter=adapter) for i in range(count)]


def answers(outcomes: Sequence[Outcome]) -> dict[int, str]:
    """The answers by request; each has one outcome."""
    ids = [outcome.request_id for outcome in outcomes]
    assert len(ids) == len(set(ids))
    return {outcome.request_id: outcome.text for outcome in outcomes if isinstance(outcome, Completion)}


def test_two_replicas_share_the_requests_and_answer_all(folder: Path) -> None:
    """Each request has its own answer, whichever replica gave it; a second call works like the first."""
    with closing(opened(folder, in_flight=2, delay=0.02)) as engine:
        for _ in range(2):
            found = answers(list(engine.generate(requests(24))))
            assert found == {i: str(100 + i) for i in range(24)}
        assert len(list(folder.iterdir())) == 2, "both replicas had requests"


def test_a_replica_holds_a_bounded_number_of_requests(folder: Path) -> None:
    """The engine inside breaks where it gets more at a time."""
    with closing(opened(folder, in_flight=3, most=3)) as engine:
        assert len(answers(list(engine.generate(requests(20))))) == 20


@pytest.mark.parametrize(("takes", "batches"), [(True, range(1, 10)), (False, range(10, 41))])
def test_requests_join_the_batch_that_is_under_way(folder: Path, takes: bool, batches: range) -> None:
    """Where the engine inside takes them; otherwise they are its next batch. All are answered either way."""
    with closing(
        open_engine(
            "ray", folder.parent / "model", ray_engine="tests.support.ray_engines:Joining", replicas=1, in_flight=4,
            folder=str(folder), takes=takes, delay=0.05,
        )
    ) as engine:  # fmt: skip
        assert answers(list(engine.generate(requests(40)))) == {i: str(100 + i) for i in range(40)}
    assert len((folder.parent / "batches").read_text().split()) in batches


def test_a_killed_replicas_requests_are_answered_by_others(folder: Path) -> None:
    """SIGKILL in the middle: no request is lost, none is answered twice, and the replica is started again."""
    with closing(opened(folder, in_flight=4, delay=0.02)) as engine:
        outcomes = engine.generate(requests(60))
        some = [next(outcomes) for _ in range(6)]
        killed = engine.processes[0]
        os.kill(killed, signal.SIGKILL)
        found = answers([*some, *outcomes])
        assert found == {i: str(100 + i) for i in range(60)}
        assert killed not in engine.processes


def test_the_only_replica_is_started_again(folder: Path) -> None:
    """A replica that dies while it answers is no end of the run."""
    with closing(opened(folder, replicas=1, die_once=3)) as engine:
        assert len(answers(list(engine.generate(requests(8))))) == 8


def test_a_request_that_kills_every_replica_fails_alone(folder: Path) -> None:
    """It is moved as often as ``retries`` says; then it is a failure that names the replica, and no other one is."""
    with closing(opened(folder, die_at=5, retries=1)) as engine:
        outcomes = list(engine.generate(requests(12)))
    (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert failure.request_id == 5
    assert "on node" in failure.message
    assert "2 replicas were lost with this request" in failure.message
    assert len(answers(outcomes)) == 11


def test_closing_at_a_failure_leaves_an_engine_that_goes_on(folder: Path) -> None:
    """The replica that was lost is started again all the same."""
    with closing(opened(folder, replicas=1, die_once=0, retries=0)) as engine:
        outcomes = engine.generate(requests(3))
        assert isinstance(next(outcomes), Failure)
        outcomes.close()
        assert len(answers(list(engine.generate(requests(3))))) == 3


def test_an_error_of_the_engine_inside_is_a_failure_of_that_request(folder: Path) -> None:
    """Never an answer, with the engine's own words."""
    with closing(opened(folder, raise_at=2, retries=0, in_flight=1)) as engine:
        outcomes = list(engine.generate(requests(6)))
    (failure,) = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert (failure.request_id, "it does not like that one" in failure.message) == (2, True)


def test_a_replica_that_hangs_is_replaced(folder: Path) -> None:
    """By the deadline for a new token; the other replica's answers do not hide it."""
    with closing(opened(folder, hang_once=4, deadlines=Deadlines(first_token=1, engine_stall=1))) as engine:
        assert len(answers(list(engine.generate(requests(10))))) == 10


def test_the_deadline_of_the_run_ends_it(folder: Path) -> None:
    """What is not answered by then is the runner's ERROR."""
    engine = opened(folder, delay=0.2, deadlines=Deadlines(run=3))
    with closing(engine), pytest.raises(EngineError, match=r"did not give all answers within 3 seconds"):
        list(engine.generate(requests(400)))


def test_closing_the_iterator_stops_the_work(folder: Path) -> None:
    """The replicas leave what they hold, and answer the next call."""
    with closing(opened(folder, delay=0.1)) as engine:
        outcomes = engine.generate(requests(400))
        next(outcomes)
        outcomes.close()
        time.sleep(2)
        before = lines(folder)
        time.sleep(1)
        assert lines(folder) == before < 400
        assert len(answers(list(engine.generate(requests(3))))) == 3


def test_a_node_without_the_model_is_named(folder: Path) -> None:
    """Before anything is generated."""
    (folder.parent / "model").rmdir()
    engine = opened(folder)
    with closing(engine), pytest.raises(EngineMissing, match=r"replica \d on node .*: there is no model at .*/model"):
        list(engine.generate(requests(1)))


def test_an_engine_that_is_not_there_or_takes_other_options_is_told(folder: Path) -> None:
    """As without Ray: an error of the settings stays one."""
    model = folder.parent / "model"
    inside = f"scripted:{folder / 'nothing.json'}"
    with pytest.raises(EngineMissing, match="no file"):
        open_engine("ray", model, ray_engine=inside)
    engine = open_engine("ray", model, ray_engine="tests.unit.engines.test_names:Own", whisper=1)
    with closing(engine), pytest.raises(SettingsError, match=r"replica 1 on node .*does not take these.*whisper"):
        list(engine.generate(requests(1)))


def test_an_adapter_that_a_node_does_not_see_is_a_failure(folder: Path) -> None:
    """It names node and file; requests without it are answered."""
    missing = AdapterWeights("v2", folder.parent / "v2", "d" * 64)
    asked = [*requests(2), *(Request(id=i, prompt_ids=(1,), decoding=Decoding(), adapter=missing) for i in (7, 8))]
    with closing(opened(folder)) as engine:
        outcomes = list(engine.generate(asked))
    assert len(answers(outcomes)) == 2
    texts = [outcome.message for outcome in outcomes if isinstance(outcome, Failure)]
    assert len(texts) == 2
    assert all("adapter v2 on node" in text and "adapter_config.json" in text for text in texts)


def test_every_replica_takes_the_next_models_weights(folder: Path) -> None:
    """A kept engine loads them into the running replicas; none goes on with the others."""
    models = [folder.parent / name for name in ("one", "two")]
    for number, model in enumerate(models):
        model.mkdir()
        (model / "config.json").write_text("{}")
        (model / "weights").write_text(str(number + 1))
    options: dict[str, Any] = {
        "ray_engine": INSIDE,
        "replicas": 2,
        "in_flight": 1,
        "delay": 0.02,
        "folder": str(folder),
    }
    with KeptEngine(open_engine) as kept:
        for number, model in enumerate([*models, models[0]]):
            outcomes = list(kept("ray", model, **options).generate(requests(12)))
            assert {outcome.logprob for outcome in outcomes if isinstance(outcome, Completion)} == {-(number % 2 + 1.0)}
    assert len(list(folder.iterdir())) == 2, "the same two processes"


def test_an_address_without_a_cluster_is_told() -> None:
    """With the setting's name, and at once; the client protocol is refused."""
    with pytest.raises(SettingsError, match=r"ray_address = 'ray://host:10001'"):
        open_engine("ray", Path("model"), ray_engine=INSIDE, ray_address="ray://host:10001")
    with pytest.raises(EngineError, match=r"ray_address = '127.0.0.1:9': no cluster answers there"):
        open_engine("ray", Path("model"), ray_engine=INSIDE, ray_address="127.0.0.1:9")


def test_a_running_cluster_is_used_and_left_alone(ray_here: Any, tmp_path: Path) -> None:
    """By its address, from another process; it has its replicas back afterwards."""
    (tmp_path / "model").mkdir()
    (tmp_path / "script.json").write_text(json.dumps({"ab": "cd"}))
    done = subprocess.run(
        [sys.executable, "-c", ATTACHED, ray_here.get_runtime_context().gcs_address, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["cd", "cd", "cd", "True"], done.stderr
    assert all(node["Alive"] for node in ray_here.nodes())


ATTACHED = """
import pathlib, sys
from harness.cases.decoding import Decoding
from harness.engines import open_engine
from harness.engines.base import Request

folder = pathlib.Path(sys.argv[2])
engine = open_engine("ray", folder / "model", ray_engine=f"scripted:{folder / 'script.json'}", ray_address=sys.argv[1])
asked = [Request(id=i, prompt_ids=(97, 98), decoding=Decoding()) for i in range(3)]
print(*[outcome.text for outcome in engine.generate(asked)], engine.holds_this_machine)
engine.close()
"""


def test_an_address_on_the_command_line_means_this_engine(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --engine; where no cluster answers, the harness broke (exit code 3) and no case failed."""
    root = project()
    monkeypatch.setenv("HARNESS_RAY_ENGINE", f"scripted:{root / 'script.json'}")
    result = pytester.runpytest("badcases", "--adapter", "v4.0", "--ray-address", "127.0.0.1:9")
    assert result.ret == 3
    result.stdout.fnmatch_lines("*ray_address = '127.0.0.1:9': no cluster answers there*")


def test_a_fix_runs_on_ray_from_stored_answers_to_a_blessed_version(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the engine inside is the run that is fixed: its stored answers are those of ``ray``."""
    script = {"sea": {"": LOOP, "v4.1": CLEAN}, "hill": CLEAN, "calm": {"": CLEAN, "v4.1": CLEAN + " Yes."}}
    root = project(settings='trainer = "scripted"', script=script)
    monkeypatch.chdir(root)
    pytester.runpytest("badcases", "--adapter", "v4.0")
    monkeypatch.setenv("HARNESS_ENGINE", "ray")
    monkeypatch.setenv("HARNESS_RAY_ENGINE", f"scripted:{root / 'script.json'}")
    monkeypatch.setenv("HARNESS_REPLICAS", "2")
    assert main(["fix", "--failed"]) == 0
    assert read_manifest(root / "adapters_manifest.toml").adapter("v4.1").status == "blessed"


class Quiet:
    """A display that shows nothing."""

    def step(self, text: str) -> None: ...
    def sampling(self, done: int, total: int) -> None: ...
    def training(self, progress: TrainProgress) -> None: ...
    def running(self, progress: RunnerProgress) -> None: ...


class Lying:
    """An engine that lies on this machine or elsewhere, as it says."""

    def __init__(self, engine: Engine, *, here: bool, options: dict[str, Any]) -> None:
        self.info = engine.info
        self.holds_this_machine = here
        self.options = options
        self.closed = False
        self.generate = engine.generate

    def close(self) -> None:
        self.closed = True


@dataclass
class Watched:
    """A trainer that leaves three checkpoints, and notes which engines are open while it trains."""

    engines: list[Lying]
    open: int = -1

    def check(self) -> None: ...

    def train(self, request: TrainRequest, on_progress: OnProgress) -> TrainResult:
        self.open = sum(not engine.closed for engine in self.engines)
        return ScriptedTrainer(steps=3, keep=(1, 2)).train(request, on_progress)


@pytest.mark.parametrize(("here", "opened_in_all", "open_in_training"), [(False, 1, 1), (True, 2, 0)])
def test_one_engine_serves_a_whole_fix_unless_the_training_needs_its_memory(
    project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, here: bool, opened_in_all: int,
    open_in_training: int,
) -> None:  # fmt: skip
    """Candidates, checkpoints and the rerun share one engine; one on this machine ends before the training."""
    cured = {"": LOOP, **{f"v4.1{step}": f"{CLEAN}{step}" for step in ("", "-step-1", "-step-2", "-step-3")}}
    other = {**{name: f"{CLEAN} {name}" for name in cured}, "": CLEAN}
    script = {"sea": cured, "hill": other, "calm": other}
    root = project(settings='trainer = "scripted"', script=script)
    monkeypatch.chdir(root)
    pytester.runpytest("badcases", "--adapter", "v4.0")
    engines: list[Lying] = []

    def opener(name: str, model_path: Path, **options: Any) -> Engine:
        inside = load_engine(f"scripted:{root / 'script.json'}", model_path)
        engines.append(Lying(inside, here=here, options=options))
        return engines[-1]

    settings = read_settings(root, {"engine": "ray", "ray_engine": f"scripted:{root / 'script.json'}"})
    trainer = Watched(engines)
    with Store(settings.database) as store:
        plan = plan_fix(settings, store, named_recipe("fix"))
        assert plan is not None
        result = Fix(plan, settings, store, Quiet(), engine=opener, trainer=trainer).run()
    assert result.promotion.blessed
    assert (len(engines), trainer.open) == (opened_in_all, open_in_training)
    assert all(engine.closed for engine in engines)
    assert engines[-1].options["max_loras"] >= 3


ALONE = """
import json, os, pathlib, psutil, sys
from harness.cases.decoding import Decoding
from harness.engines import open_engine
from harness.engines.base import Request
from harness.engines.on_ray import cluster

def group():
    return [p.name for p in pathlib.Path("/proc").glob("[0-9]*") if marked(p)]

def marked(process):
    try:
        return b"HARNESS_TEST_MARK=" + os.environb[b"HARNESS_TEST_MARK"] in (process / "environ").read_bytes()
    except OSError:
        return False

model, script = map(pathlib.Path, sys.argv[1:3])
engine = open_engine("ray", model, ray_engine=f"scripted:{script}", replicas=2)
asked = [Request(id=i, prompt_ids=(97, 98), decoding=Decoding()) for i in range(4)]
answers = [outcome.text for outcome in engine.generate(asked)]
during = len(group())
listening = [
    connection.laddr.ip.removeprefix("::ffff:") for process in group()
    for connection in psutil.Process(int(process)).net_connections("inet") if connection.status == "LISTEN"
]
folder = str(cluster._CONNECTION.folder)
if sys.argv[3] == "close":
    engine.close()
said = {"answers": answers, "during": during, "after": len(group()), "folder": folder, "listening": listening}
print(json.dumps(said), flush=True)
if sys.argv[3] == "kill":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_local_ray_ends_with_its_engine(tmp_path: Path, end: str) -> None:
    """It listens on the loopback interface only, and leaves no replica and no Ray, also where the harness is killed.

    An orderly end leaves no file either. Ray's two agents notice a kill within a minute, which is not waited for.
    """
    (tmp_path / "model").mkdir()
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"ab": "cd"}))
    mark = f"{os.getpid()}-{end}"
    environment = {**os.environ, "HARNESS_TEST_MARK": mark, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "model"), str(script), end],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["answers"] == ["cd"] * 4, done.stderr
    assert said["during"] > 3
    assert set(said["listening"]) == {"127.0.0.1"}
    if end == "close":
        assert said["after"] == 1
    assert Path(said["folder"]).exists() == (end == "kill")
    deadline = time.monotonic() + 30
    while (left := [p for p in _marked(mark) if "Agent" not in p]) and time.monotonic() < deadline:
        time.sleep(0.5)
    shutil.rmtree(said["folder"], ignore_errors=True)
    assert left == []


def _marked(mark: str) -> list[str]:
    """Processes that inherited the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"HARNESS_TEST_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found
