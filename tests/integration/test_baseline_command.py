"""``harness baseline check``: whether a committed baseline is still about the suite and the version as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from tests.integration.conftest import Make
from tests.support.projects import record

Change = Callable[[Path], object]


@pytest.fixture
def committed(project: Make, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a baseline of v3.9, and without the run that it was made from."""
    root = project(cases=[record("sea"), record("hill"), record("calm", role="guard")])
    monkeypatch.chdir(root)
    pytester.runpytest("badcases", "--adapter", "v3.9")
    assert main(["baseline", "write", "v3.9"]) == 0
    for path in (root / "reports").glob("harness.sqlite*"):
        path.unlink()
    return root


def rewrite(root: Path, *cases: dict[str, object]) -> None:
    (root / "badcases" / "badcase1" / "test.json").write_text(json.dumps(cases))


def test_a_baseline_of_the_suite_as_it_is_is_up_to_date(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No database and no engine is needed, so it is a first step of a pipeline."""
    capsys.readouterr()
    assert main(["baseline", "check"]) == 0
    assert "up to date, 3 cases of v3.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda root: rewrite(
                root, record("sea", standard_answer="Another one."), record("hill"), record("calm", role="guard")
            ),
            "changed since: badcase1/sea",
            id="changed-case",
        ),
        pytest.param(
            lambda root: rewrite(
                root, record("sea"), record("hill"), record("calm", role="guard"), record("new")
            ),
            "without a baseline: badcase1/new",
            id="new-case",
        ),
        pytest.param(
            lambda root: rewrite(root, record("sea"), record("calm", role="guard")),
            "not in the suite: badcase1/hill",
            id="removed-case",
        ),
        pytest.param(
            lambda root: (root / "adapters_manifest.toml").write_text(
                (root / "adapters_manifest.toml").read_text().replace("v3.9", "v3.8")
            ),
            "v3.9: not in the manifest",
            id="removed-version",
        ),
        pytest.param(
            lambda root: (root / "adapters_manifest.toml").write_text(
                (root / "adapters_manifest.toml").read_text().replace(
                    'path = "model"', 'path = "model"\nchat_template_kwargs = { enable_thinking = false }'
                )
            ),
            "v3.9: has other weights, template or tokenizer now",
            id="other-prompts",
        ),
    ],
)  # fmt: skip
def test_a_baseline_of_something_else_is_out_of_date(
    committed: Path, change: Change, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said what differs, and which command makes it right."""
    change(committed)
    capsys.readouterr()
    assert main(["baseline", "check", "baselines/v3.9.json"]) == 1
    shown = capsys.readouterr().out
    assert words in shown
    assert "harness baseline write v3.9" in shown


def test_a_pipeline_reads_the_differences_as_json(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All ids, by file."""
    rewrite(committed, record("hill"), *(record(f"new{n}") for n in range(9)))
    capsys.readouterr()
    assert main(["baseline", "check", "--json"]) == 1
    [file] = json.loads(capsys.readouterr().out)["files"]
    assert (file["adapter"], file["cases"], file["up_to_date"]) == ("v3.9", 3, False)
    assert (len(file["missing"]), file["gone"], file["changed"]) == (9, ["badcase1/calm", "badcase1/sea"], [])


def test_without_a_baseline_there_is_nothing_to_check(project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipeline that checks nothing is not green."""
    monkeypatch.chdir(project())
    assert main(["baseline", "check"]) == 2
