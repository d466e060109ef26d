"""An adapter's folder is registered as its trainer left it, with one command."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.cli import main
from harness.models.adapters.folder import check
from harness.project.manifest import read_manifest
from tests.faults.conftest import Make
from tests.support.adapters import lora
from tests.support.projects import CLEAN, LOOP

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def left_by_a_trainer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as LLaMA-Factory leaves it."""
    folder = lora(tmp_path_factory.mktemp("saves") / "v5.0")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "README.md").write_text("a card")
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "optimizer.pt").write_bytes(b"a pickle")
    return folder


def test_a_folder_is_registered_where_it_is(
    project: Make, pytester: pytest.Pytester, left_by_a_trainer: Path, capsys: Capture
) -> None:
    """``path`` wants ``sha256``, and verify, which prints it, refused the manifest first."""
    root = project(script={"sea": {"": LOOP, "v5.0": CLEAN}, "hill": CLEAN, "calm": CLEAN})
    assert main(["adapters", "add", "v5.0", str(left_by_a_trainer), "--parent", "v4.0"]) == 0
    digest = check(left_by_a_trainer).digest
    assert digest in capsys.readouterr().out
    entry = read_manifest(root / "adapters_manifest.toml").adapter("v5.0")
    assert (entry.path, entry.sha256, entry.parent, entry.status) == (left_by_a_trainer, digest, "v4.0", "candidate")
    assert main(["adapters", "verify", "v5.0"]) == 0
    pytester.runpytest("badcases", "--adapter", "v5.0").assert_outcomes(passed=3)


def test_a_copy_holds_two_files(project: Make, left_by_a_trainer: Path) -> None:
    """With --copy the project has the adapter, and nothing else of the folder."""
    root = project()
    assert main(["adapters", "add", "v5.0", str(left_by_a_trainer), "--copy"]) == 0
    entry = read_manifest(root / "adapters_manifest.toml").adapter("v5.0")
    assert entry.path == root / "adapters" / "v5.0"
    assert len(list(entry.path.iterdir())) == 2
    assert entry.model == "tiny"


def test_an_entry_written_by_hand_is_told_its_digest(project: Make, left_by_a_trainer: Path, capsys: Capture) -> None:
    """The message holds the line to paste."""
    root = project()
    path = root / "adapters_manifest.toml"
    before = path.read_text()
    path.write_text(f'{before}\n[adapters."v5.0"]\nmodel = "tiny"\npath = "{left_by_a_trainer}"\n')
    assert main(["adapters", "verify"]) == 2
    line = f'sha256 = "{check(left_by_a_trainer).digest}"'
    assert line in capsys.readouterr().err
    path.write_text(path.read_text() + line + "\n")
    assert main(["adapters", "verify", "v5.0"]) == 0


def test_changed_files_are_told_with_both_digests(project: Make, left_by_a_trainer: Path, capsys: Capture) -> None:
    """All 64 digits, so that they can be compared and pasted."""
    root = project()
    assert main(["adapters", "add", "v5.0", str(left_by_a_trainer)]) == 0
    old = tomllib.loads((root / "adapters_manifest.toml").read_text())["adapters"]["v5.0"]["sha256"]
    lora(left_by_a_trainer, fill=2.0)
    assert main(["adapters", "verify", "v5.0"]) == 3
    out = capsys.readouterr().out
    assert old in out
    assert check(left_by_a_trainer).digest in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("v4.0", "x"), "exists already"),
        (("v5.0", "x", "--model", "large"), "--model: name one of tiny"),
        (("v5.0", "x", "--parent", "v4.0", "--model", "large"), "v4.0 is on tiny"),
        (("v5.0", "x", "--on-top"), "--on-top needs --parent"),
        (("../v5", "x"), "use 1 to 64"),
    ],
    ids=["taken", "no-such-model", "other-model", "on-top-of-nothing", "name"],
)
def test_what_does_not_fit_is_refused(project: Make, capsys: Capture, words: tuple[str, ...], says: str) -> None:
    """Before anything is written."""
    project()
    assert main(["adapters", "add", *words]) == 2
    assert says in capsys.readouterr().err
