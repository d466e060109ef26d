"""The gate, the comparison and every report mean the same baseline; adapters are proved on the same prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.models.adapters.folder import check
from harness.project.manifest import Adapter, register
from tests.faults.conftest import Make
from tests.support.adapters import lora
from tests.support.projects import CLEAN, LOOP

NAMES = ("v5.1", "v5.0", "v5.2")
SCRIPT = {
    "sea": {"": CLEAN, "v5.1": LOOP, "v5.0": CLEAN, "v5.2": LOOP},
    "hill": {"": CLEAN, **{name: f"{CLEAN} {name}" for name in NAMES}},
    "calm": CLEAN,
}


@pytest.fixture
def three(project: Make) -> Path:
    """Three versions, of which v5.0 alone is sound."""
    root = project(script=SCRIPT)
    for at, name in enumerate(NAMES):
        folder = lora(root / "adapters" / name, fill=1.0 + at)
        version = Adapter(name=name, model="tiny", path=folder, sha256=check(folder).digest, rank=2)
        register(root / "adapters_manifest.toml", version)
    return root


def report_of(root: Path) -> dict[str, object]:
    (path,) = root.glob("reports/runs/*/report.json")
    data: dict[str, object] = json.loads(path.read_text("utf-8"))
    return data


def test_three_versions_are_compared_with_the_baseline_that_was_named(three: Path, pytester: pytest.Pytester) -> None:
    """The gate took v5.0, and the summary said "v5.2 against v5.1"."""
    adapters = [word for name in NAMES for word in ("--adapter", name)]
    done = pytester.runpytest("badcases", *adapters, "--baseline", "v5.0")
    assert done.ret == 1
    report = report_of(three)
    assert str(report["headline"]).startswith("v5.2 against v5.0: 1 broken")
    assert [a["name"] for a in report["adapters"]] == ["v5.0", "v5.1", "v5.2"]  # type: ignore[attr-defined]
    gate: dict[str, object] = report["gate"]  # type: ignore[assignment]
    assert "v5.1: regressions: 1" in str(gate["text"])
    assert "v5.2: regressions: 1" in str(gate["text"])


def test_the_report_of_several_versions_is_red_when_one_is(three: Path, pytester: pytest.Pytester) -> None:
    """The page showed the last version's green gate while the exit code was 1."""
    pytester.runpytest("badcases", "--adapter", "v5.1", "--adapter", "v5.0")
    gate: dict[str, object] = report_of(three)["gate"]  # type: ignore[assignment]
    assert gate["outcome"] == "failed"
    assert "v5.1: failing cases: 1" in str(gate["text"])


def test_a_baseline_in_the_same_run_is_not_in_question(three: Path, pytester: pytest.Pytester) -> None:
    """A loop of the old version that the new one does not have is no reason against the new one."""
    pytester.runpytest("badcases", "--adapter", "v5.1", "--adapter", "v5.0", "--baseline", "v5.1")
    gate: dict[str, object] = report_of(three)["gate"]  # type: ignore[assignment]
    assert gate["outcome"] == "passed"


def test_a_resumed_run_proves_its_adapter_on_the_same_prompts(three: Path, pytester: pytest.Pytester) -> None:
    """Where the one prompt that the adapter acts on was answered before, the run found the adapter without effect."""
    pytester.runpytest("badcases", "--adapter", "v5.1", "-k", "sea or hill")
    done = pytester.runpytest("badcases", "--adapter", "v5.1")
    done.assert_outcomes(passed=2, failed=1)
