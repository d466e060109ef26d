"""A file of 60 MiB that is refused takes little memory, whatever its bytes would become."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.safe.read import json_problem

ROOT = Path(__file__).resolve().parents[2]
SIZE = 60 * 2**20
MOST = 300
"""MiB of the whole process, its imports included."""
CASES = "from harness.cases.folder import read_folder; read_folder(Path('f'))"
BASELINE = "from harness.suite.baseline import read_baseline; read_baseline('b.json', Path('.'))"
REPORT = "from harness.reports.json_report import read_report; read_report(Path('report.json'))"
SETTINGS = "from harness.project.settings import read_settings; read_settings(Path('.'), environment={})"
MANIFEST = "from harness.project.manifest import read_manifest; read_manifest(Path('m.toml'))"
CONFIG = "from harness.models.adapters.config import read_config; read_config(Path('c.json'))"
TENSORS = "from harness.models.adapters.tensors import read_header; read_header(Path('x.safetensors'))"
RECIPE = "from trainers.recipe import named_recipe; named_recipe('r.toml')"


def filled(begin: bytes, piece: bytes, end: bytes = b"") -> Callable[[], bytes]:
    return lambda: begin + piece * (SIZE // len(piece)) + end


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        pytest.param("f/test.json", filled(b"", b"x"), CASES, id="cases-noise"),
        pytest.param("f/test.json", filled(b"[", b'{"a":1},', b"1]"), CASES, id="cases-objects"),
        pytest.param("f/test.json", filled(b"[", b"[],", b"1]"), CASES, id="cases-lists"),
        pytest.param("f/test.json", filled(b"[", b"1.5,", b"1]"), CASES, id="cases-numbers"),
        pytest.param("f/test.json", filled(b"", b"["), CASES, id="cases-nested"),
        pytest.param("f/test.xlsx", filled(b"PK", b"x"), CASES, id="cases-workbook"),
        pytest.param("b.json", filled(b'{"schema":1,"cases":[', b'{"a":1},', b"1]}"), BASELINE, id="baseline"),
        pytest.param("report.json", filled(b'{"schema":2,"a":[', b'{"a":1},', b"1]}"), REPORT, id="report"),
        pytest.param("pyproject.toml", filled(b"[tool.harness]\n", b"# c\n"), SETTINGS, id="settings"),
        pytest.param("m.toml", filled(b"", b"[[a]]\n"), MANIFEST, id="manifest"),
        pytest.param("r.toml", filled(b"", b"[[a]]\n"), RECIPE, id="recipe"),
        pytest.param("c.json", filled(b'{"a":[', b"1,", b"1]}"), CONFIG, id="adapter-config"),
        pytest.param("x.safetensors", filled(SIZE.to_bytes(8, "little"), b'{"a":1},'), TENSORS, id="safetensors"),
    ],
)
def test_a_refused_file_takes_little_memory(tmp_path: Path, name: str, content: Callable[[], bytes], read: str) -> None:
    """The error comes in seconds, and the process never held more than 300 MiB."""
    (tmp_path / "f").mkdir()
    (tmp_path / name).write_bytes(content())
    program = (
        "from pathlib import Path\nfrom harness.errors import HarnessError\n"
        f"try:\n    {read}\nexcept HarnessError as error:\n    assert '\\n' not in str(error)\n"
        "else:\n    raise SystemExit('it was read')\n"
        "line = next(l for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(int(line.split()[1]) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    (tmp_path / name).unlink()
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST


@pytest.mark.parametrize(
    "text", ["", "{}" * 900_000, "a, b, c, " * 2_000_000], ids=["empty", "objects", "prose-with-commas"]
)
def test_usual_json_is_read(text: str) -> None:
    """The limits are above what large files of people hold."""
    assert json_problem(text) == ""
