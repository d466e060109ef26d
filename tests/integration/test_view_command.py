"""``harness view`` as a process: its address, its port, its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from harness.cli import main
from tests.support.recorded import recorded_project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = recorded_project(tmp_path, 8)
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("machine_readable", [True, False], ids=["json", "text"])
def test_the_address_opens_the_page_until_the_command_is_interrupted(project: Path, machine_readable: bool) -> None:
    """It is the first line, or a value of the JSON."""
    command = [sys.executable, "-m", "harness", "view", "--port", "0", *(["--json"] if machine_readable else [])]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            while machine_readable and not line.endswith("}\n"):
                line += process.stdout.readline()
            address = json.loads(line)["address"] if machine_readable else line.strip()
            with httpx.Client(follow_redirects=True, trust_env=False) as client:
                assert "v4.1" in client.get(address, timeout=30).text
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
    assert process.returncode in (0, 130)


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_had_is_a_usage_error(
    project: Path, port: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the port and says to take another one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wanted = str(other.getsockname()[1]) if port == "taken" else port
        assert main(["view", "--port", wanted]) == 2
    assert f"--port {wanted}: " in capsys.readouterr().err
