"""The whole loop needs no network and unpickles nothing: proved in a namespace without routes, by an audit hook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.projects import CLEAN, LOOP, make_project

ROOT = Path(__file__).resolve().parents[2]
HOOK = """
import os, sys

def watch(event, arguments):
    if event == "pickle.find_class":
        told = f"unpickles {arguments[0]}.{arguments[1]}"
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        told = f"connects to {arguments[1][0]}"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        told = f"looks up {arguments[0]}"
    else:
        return
    with open(os.environ["AUDIT_LOG"], "a") as log:
        log.write(told + chr(10))

with open(os.environ["AUDIT_LOG"], "a") as log:
    log.write("begins" + chr(10))
sys.addaudithook(watch)
"""
SCRIPT = {
    "sea": {"": LOOP, "v4.1": CLEAN},
    "hill": {"": CLEAN, "v4.1": CLEAN + " Yes."},
    "calm": {"": CLEAN, "v4.1": CLEAN + " No."},
}
STEPS = {
    "run": ["pytest", "badcases"],
    "fix": ["harness", "fix", "--failed"],
    "run-again": ["pytest", "badcases", "--adapter", "v4.1", "--baseline", "v4.0"],
    "report": ["harness", "report"],
    "gate": ["harness", "gate"],
    "history": ["harness", "history"],
    "baseline": ["harness", "baseline", "write", "v4.1"],
}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], list[str]]:
    """Exit codes of the steps of the loop, and what the hook saw."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody make a network namespace (unshare --map-root-user --net)")
    place = tmp_path_factory.mktemp("alone")
    root, hook = place / "project", place / "hook"
    root.mkdir()
    hook.mkdir()
    make_project(root, script=SCRIPT, settings='trainer = "scripted"\n')
    (hook / "sitecustomize.py").write_text(HOOK)
    log = place / "audit.log"
    environment = {
        **os.environ, "PYTHONPATH": f"{hook}:{ROOT}", "AUDIT_LOG": str(log), "HARNESS_KERNELS": "interpreted",
    }  # fmt: skip
    codes = {
        name: subprocess.run(
            [*alone, sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, timeout=120,
            check=False,
        ).returncode
        for name, words in STEPS.items()
    }  # fmt: skip
    seen = set(log.read_text().splitlines())
    # Otherwise the hook was not loaded, and saw nothing for that reason.
    seen.remove("begins")
    return codes, sorted(seen)


def test_the_loop_runs_without_a_network(loop: tuple[dict[str, int], list[str]]) -> None:
    """Run, fix, rerun, report, gate, history and baseline do what they do with a network."""
    codes, _ = loop
    assert codes == {**dict.fromkeys(STEPS, 0), "run": 1}


def test_nothing_asks_for_a_network(loop: tuple[dict[str, int], list[str]]) -> None:
    """No name is looked up, and no address but this machine's own is connected to."""
    _, seen = loop
    assert [line for line in seen if not line.startswith("unpickles") and "127.0.0.1" not in line] == []


def test_nothing_is_unpickled(loop: tuple[dict[str, int], list[str]]) -> None:
    """A pickle runs code when it is read; no file of a project is one."""
    _, seen = loop
    assert [line for line in seen if line.startswith("unpickles")] == []
