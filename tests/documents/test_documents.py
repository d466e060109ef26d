"""Every command and every snippet in the README and the documentation works as it stands there.

A page's blocks run in order, in a project of the page's own, with the shipped scripted engine and trainer instead of a
model. What cannot run that way says why, in a directive above the block (tests/documents/blocks.py).
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.metrics.custom import forget_metrics
from harness.reports import forget_reports
from tests.documents.blocks import Block, page_directive, read_blocks
from tests.support.adapters import lora
from tests.support.projects import CLEAN, LOOP, make_project, record
from tests.support.trainings import tiny_model

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
VERSIONS = ("v4.1", "v4.2", "v4.3", "v5.1")
OWN = "v5.0"
"""A version that loops like the model as shipped, in other words."""
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True)
def own_registrations() -> Iterator[None]:
    """A metric or report that a page registers is gone when the page ends."""
    yield
    forget_metrics()
    forget_reports()


@pytest.fixture
def shell(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A project whose model loops on the sea until it is fixed, and a way to run commands in it."""
    cured = {version: f"{CLEAN} {version}" for version in VERSIONS}
    sound = {
        word: {"": CLEAN, OWN: f"{CLEAN} Yes.", **cured} for word in ("hill", "calm", "France", "paracetamol", "<unk>")
    }
    make_project(
        pytester.path,
        cases=[record("sea"), record("hill"), record("calm", role="guard")],
        script={"sea": {"": LOOP, OWN: f"{LOOP} Yes.", **cured}, **sound},
        settings='trainer = "scripted"',
    )
    monkeypatch.setenv("HARNESS_ENGINE", f"scripted:{pytester.path / 'script.json'}")
    monkeypatch.setenv("HARNESS_TRAINER", "scripted")
    monkeypatch.chdir(pytester.path)
    return Shell(pytester, monkeypatch, capfd)


class Shell:
    """Runs the commands of a page as a user types them; ``pytest`` and ``harness`` in this process, for speed."""

    def __init__(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = pytester.path
        self._pytester = pytester
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def run(self, block: Block, command: str) -> tuple[int, str]:
        """Exit code and output of one command."""
        with self._monkeypatch.context() as patch:
            for setting in block.every("env"):
                name, _, value = setting.partition("=")
                if name == "PYTHONPATH":
                    patch.syspath_prepend(str(self.folder / value))
                else:
                    patch.setenv(name, value)
            program, *words = shlex.split(command, comments=True)
            if program == "pytest":
                done = self._pytester.runpytest_inprocess(*words)
                return int(done.ret), "\n".join([*done.outlines, *done.errlines])
            if program == "harness":
                self._capfd.readouterr()
                try:
                    code = main(words)
                except SystemExit as end:
                    code = int(end.code or 0)
                return code, "".join(self._capfd.readouterr())
            if program == "python":
                command = f"{shlex.quote(sys.executable)} {shlex.join(words)}"
            finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
            return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_works_as_it_stands(page: Path, shell: Shell) -> None:
    """Its commands end with the exit code that it claims, its files are read, its snippets run."""
    project = page_directive(page, "project")
    if project == "own-model":
        tiny_model(shell.folder / "models" / "my-model")
        (shell.folder / "adapters" / OWN).mkdir(parents=True)
        lora(shell.folder / "adapters" / OWN, width=32)
    if project in ("empty", "own-model"):
        for name in ("badcases", "adapters_manifest.toml", "pyproject.toml"):
            path = shell.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for block in read_blocks(page):
        where = f"{_name(page)}:{block.line}"
        if block.first("not-run") is not None:
            continue
        for command in block.every("before"):
            shell.run(block, command)
        if (file := block.first("file")) is not None:
            _parses(block, where)
            (shell.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (shell.folder / file).write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            assert block.commands, f"{where}: a console block needs a line that starts with '$ '"
            expected = int(block.first("exit") or 0)
            for command in block.commands:
                code, output = shell.run(block, command)
                assert code == expected, f"{where}: {command}\n{output}"
        elif block.language == "python":
            (shell.folder / "snippet.py").write_text(block.text, encoding="utf-8")
            code, output = shell.run(block, "python snippet.py")
            assert code == 0, f"{where}\n{output}"
        else:
            raise AssertionError(f"{where}: a block of {block.language!r} must be a file, or say why it is not run")


def _parses(block: Block, where: str) -> None:
    try:
        if block.language == "json":
            try:
                json.loads(block.text)
            except json.JSONDecodeError:
                [json.loads(line) for line in block.text.splitlines()]
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "python":
            compile(block.text, where, "exec")
    except ValueError as error:
        raise AssertionError(f"{where}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_what_is_not_run_says_why(page: Path) -> None:
    """A reason has at least three words, and no command hides in an indented block."""
    reasons = [b.first("not-run") for b in read_blocks(page) if b.first("not-run") is not None]
    assert all(reason and len(reason.split()) >= 3 for reason in reasons)
    hidden = [
        line for line in page.read_text(encoding="utf-8").splitlines()
        if re.match(r"    +(\$ |harness |pytest |make )", line)
    ]  # fmt: skip
    assert hidden == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository."""
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short() -> None:
    """A newcomer reads it in a few minutes: at most 150 lines, in both languages."""
    assert [p.name for p in (ROOT / "README.md", ROOT / "README.zh.md") if len(p.read_text().splitlines()) > 150] == []


TRANSLATED = sorted(p for p in PAGES if p.name.endswith(".zh.md"))


@pytest.mark.parametrize("chinese", TRANSLATED, ids=_name)
def test_a_chinese_page_has_the_same_blocks(chinese: Path) -> None:
    """The same commands and files in the same order, so that neither language falls behind."""
    english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
    assert _outline(english) == _outline(chinese)


def test_both_tutorials_are_chinese_too() -> None:
    """A page that is taken away is missed."""
    assert {p.name for p in TRANSLATED} == {"README.zh.md", "tutorial.zh.md", "first_case.zh.md"}


def _outline(page: Path) -> list[object]:
    """Of each block its directives, and its commands without comments; of a file in the tutorials its text."""
    whole = page.parent.name == "docs"
    return [
        (b.directives, [c.split("#")[0].strip() for c in b.commands], b.text if whole and b.first("file") else "")
        for b in read_blocks(page)
    ]
