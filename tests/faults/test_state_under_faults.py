"""What the campaigns of kills, writers, disks and damaged files found, each as one small test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines.server.warm_server import WarmServer, forget_server, record_server
from harness.errors import ManifestError, SettingsError, StoreError
from harness.project.manifest import Adapter, read_manifest, register
from harness.project.settings import read_settings
from harness.safe.files import locked, scratch_folder, sweep
from harness.safe.processes import is_alive, process_facts
from harness.store import Store
from harness.suite.baseline import seal_of
from harness.view.kept import Kept
from tests.faults.conftest import Make
from trainers import TrainProgress
from trainers.progress_file import Watch

Capture = pytest.CaptureFixture[str]


def test_a_process_that_nobody_waited_for_is_dead() -> None:
    """In a container whose first process waits for nobody, a killed server was believed to serve for ever."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    facts = process_facts(child.pid)
    assert is_alive(facts)
    child.kill()
    end = time.monotonic() + 10
    while is_alive(facts) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(facts)
    child.communicate()


def test_a_trackers_process_ends_with_its_command(tmp_path: Path) -> None:
    """One that hung outlived a killed command."""
    # The process that it is to end with is not the one that started it.
    done = subprocess.run([sys.executable, "-m", "harness.trackers", str(tmp_path), "1"], check=False, timeout=60)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


BUSY = """
import sys, time
from pathlib import Path
from harness.safe.files import locked
path = Path(sys.argv[1])
with locked(path):
    print("held", flush=True)
    for number in range(int(sys.argv[2])):
        time.sleep(0.2)
        path.write_text(str(number))
    time.sleep(float(sys.argv[3]))
"""


@pytest.mark.parametrize(("changes", "rest", "refused"), [(10, 0.0, False), (0, 3.0, True)], ids=["busy", "stuck"])
def test_a_writer_waits_while_others_make_progress(tmp_path: Path, changes: int, rest: float, refused: bool) -> None:
    """5 of 280 writers gave up after 30 seconds on a machine under load."""
    path = tmp_path / "manifest.toml"
    words = [sys.executable, "-c", BUSY, str(path), str(changes), str(rest)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        if refused:
            with pytest.raises(StoreError, match="is being changed by another process"), locked(path, seconds=0.6):
                pass
        else:
            with locked(path, seconds=0.6):
                assert path.read_text() == str(changes - 1)
        other.kill()


def test_a_version_is_added_at_the_end_of_the_manifest(tmp_path: Path) -> None:
    """Comments and order of the rest stay as they are."""
    path = tmp_path / "adapters_manifest.toml"
    before = '[adapters."v4.0"]\nmodel = "m"\n# a note\n[models.m]\npath = "x"\n'
    path.write_text(before)
    register(path, Adapter(name="v4.1", model="m", parent="v4.0"))
    assert list(read_manifest(path).adapters) == ["v4.0", "v4.1"]
    assert path.read_text().startswith(before + '\n[adapters."v4.1"]\n')


def test_versions_in_one_line_are_an_error_that_says_how_to_write_them(tmp_path: Path) -> None:
    """TOML does not let a table be added to them; it ended in a traceback."""
    path = tmp_path / "adapters_manifest.toml"
    path.write_text('adapters = {"v4.0" = {model = "m"}}\n[models.m]\npath = "x"\n')
    with pytest.raises(ManifestError, match="write each as a table"):
        register(path, Adapter(name="v4.1", model="m", parent="v4.0"))


def test_scratch_files_of_a_killed_command_are_swept(tmp_path: Path) -> None:
    """Rows of workbooks stayed in the system's temporary folder."""
    code = "import os, sys; from pathlib import Path; from harness.safe.files import scratch_folder\n"
    code += "with scratch_folder(Path(sys.argv[1])) as f: (f / 'rows').touch(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_reports_of_a_killed_run_leave_nothing(failing: Make, capsys: Capture) -> None:
    """The folder of a dead run is never written again, so the next run sweeps it."""
    root = failing()
    dead = root / "reports" / "runs" / "dead"
    dead.mkdir()
    (dead / ".tmp-report-abc.html").touch()
    assert main(["report"]) == 0
    assert list(dead.iterdir()) == []


def test_files_of_a_killed_runs_tracker_leave_nothing(failing: Make, capsys: Capture) -> None:
    """Each tracked run has a folder of its own as well."""
    root = failing()
    dead = root / "reports" / "tracked" / "files" / "dead"
    dead.mkdir(parents=True)
    (dead / ".tmp-verdicts-abc.jsonl").touch()
    assert main(["track", "--to", "jsonl"]) == 0
    assert list(dead.iterdir()) == []


def test_progress_that_is_no_file_or_damaged_costs_no_training(tmp_path: Path) -> None:
    """A pipe in its place blocked the page for ever, and a cut line ended a training in a traceback."""
    path = tmp_path / "progress.jsonl"
    seen: list[TrainProgress] = []
    watch = Watch(path, seen.append, time.monotonic())
    os.mkfifo(path)
    watch.tick()
    path.unlink()
    lines = ['{"phase": "training", "step": 1, "total_steps": 2, "loss": 0.5, "time": 1.0}', "[1]", '{"phase": {}', "5",
             '{"phase": "x", "time": 1}', '{"phase": "training", "step": 1e999, "time": 1}']  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    watch.tick()
    assert (seen[-1].step, seen[-1].loss) == (1, 0.5)


def test_a_damaged_page_that_was_kept_is_made_again(tmp_path: Path) -> None:
    """A changed figure was shown as it stood in the file."""
    kept = Kept(tmp_path)
    kept.put("d", "figures", b'{"repetition": 0.1}')
    assert kept.get("d", "figures") == b'{"repetition": 0.1}'
    path = tmp_path / "d.figures"
    path.write_bytes(path.read_bytes().replace(b"0.1", b"0.9"))
    assert kept.get("d", "figures") is None


def test_the_first_of_two_servers_leaves_the_record_of_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end made the other one impossible to find."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    first = WarmServer(
        address="http://127.0.0.1:1", model="m", model_path=str(tmp_path), stamps={}, dtype="auto", max_model_len=1,
        max_loras=0, max_lora_rank=0, trust_remote_code=False, process={"pid": 1},
    )  # fmt: skip
    record = record_server(first, "k")
    second = replace(first, process={"pid": 2})
    record_server(second, "k")
    forget_server(record, first)
    assert json.loads(record.read_text())["process"] == {"pid": 2}
    forget_server(record, second)
    assert not record.exists()


def test_a_wrong_setting_names_its_file(tmp_path: Path) -> None:
    """Of a value in pyproject.toml only the name was said."""
    (tmp_path / "pyproject.toml").write_text("[tool.harness]\nadapter = []\n")
    with pytest.raises(SettingsError, match=r"pyproject\.toml: adapter = \[\]"):
        read_settings(tmp_path, environment={})
    with pytest.raises(SettingsError, match=r"^max_repetition = 7"):
        read_settings(tmp_path / "elsewhere", {"max_repetition": 7}, environment={})


def test_init_can_be_called_again_after_it_could_not_write(project: Make, tmp_path: Path, capsys: Capture) -> None:
    """The manifest came first, and was then in the way."""
    root = project()
    new = root / "new"
    new.mkdir()
    (new / "badcases").write_text("in the way")
    assert main(["init", str(new), "--model", str(root / "model")]) == 3
    (new / "badcases").unlink()
    assert main(["init", str(new), "--model", str(root / "model")]) == 0


def test_a_training_that_was_killed_after_its_registration_is_resumed(failing: Make, capsys: Capture) -> None:
    """The same command said that its own version existed already."""
    root = failing()
    (root / "data.json").write_text('[{"instruction": "Sing.", "output": "La."}]')
    words = ["train", "sft", "--data", "data.json", "--as", "v5.0"]
    assert main(words) == 0
    with Store(root / "reports" / "harness.sqlite") as store:
        (training,) = store.trainings("v5.0")
        store.save_training(replace(training, status="started", finished=None))
    assert main([*words, "--resume"]) == 0
    with Store(root / "reports" / "harness.sqlite") as store:
        assert [t.status for t in store.trainings("v5.0")] == ["registered"]
    assert main([*words, "--resume"]) == 0
    assert main(words) == 2


def test_a_loop_of_links_is_an_error_of_one_line(failing: Make, capsys: Capture) -> None:
    """In the place of training data, or of a part's database."""
    root = failing()
    for name in ("data.json", "part-1.sqlite"):
        (root / name).symlink_to(name)
    capsys.readouterr()
    for words in (["train", "sft", "--data", "data.json", "--dry-run"], ["merge", "part-1.sqlite", "part-2.sqlite"]):
        assert main(words) in (2, 3)
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert words[-2] in said or words[3] in said


def test_a_baseline_without_a_score_is_not_judgeable(failing: Make, capsys: Capture) -> None:
    """A file in which a person had deleted the line ended the gate in a traceback."""
    root = failing()
    assert main(["baseline", "write", "v4.0"]) == 0
    path = root / "baselines" / "v4.0.json"
    data = json.loads(path.read_text())
    for entry in data["cases"].values():
        del entry["repetition"]
    path.write_text(json.dumps({**data, "seal": seal_of(data)}))
    capsys.readouterr()
    assert main(["gate", "--baseline", str(path)]) == 3
    assert "not judgeable: a repetition score to compare with is not a number" in capsys.readouterr().out
