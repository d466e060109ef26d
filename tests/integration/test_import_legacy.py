"""``harness import-legacy``: from a folder of scripts to a project with a report of its old results."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.project.manifest import read_manifest
from harness.store import IMPORTED, Store
from tests.support.adapters import lora
from tests.support.legacy import legacy_folder, prompt, workbook
from tests.support.projects import CLEAN
from tests.support.trainings import tiny_model
from trainers.recipe import named_recipe


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A legacy folder, and an empty one beside it to be in."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return legacy_folder(tmp_path / "old" / "badcase1")


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(p.relative_to(folder)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*")) if p.is_file()
    }  # fmt: skip


def imported(*words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["import-legacy", *words, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_one_command_makes_a_project_with_a_report(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Manifest, cases, recipe and the report of the old results; the last lines are the next three commands."""
    assert main(["import-legacy", str(old)]) == 0
    out = capsys.readouterr().out
    root = Path.cwd()
    assert set(read_manifest(root / "adapters_manifest.toml").models) == {"Qwen2-72B-Instruct"}
    assert named_recipe("trainers/v4.0.toml").learning_rate == 5e-6
    assert (root / "badcases" / "badcase1" / "test.json").read_bytes() == (old / "test.json").read_bytes()
    report = (root / "reports" / "latest" / "report.html").read_text("utf-8")
    assert "Imported answers: v4.0 against v3.9: 1 broken, 1 still passing" in report
    assert "Imported answers: v4.0 against v3.9: 1 broken, 1 still passing" in out
    assert {p.name for p in (root / "reports" / "latest").iterdir()} == {
        "report.html", "report.xlsx", "report.json", "summary.md",
    }  # fmt: skip
    *_, add, evaluate, fix = out.rstrip().splitlines()
    assert "harness adapters add v3.9 /data/adapters/v3.9" in add
    assert evaluate.strip() == "2. pytest badcases --adapter v4.0"
    assert fix.strip() == "3. harness fix --failed --recipe trainers/v4.0.toml"


def test_the_folder_is_not_touched_and_nothing_of_it_runs(old: Path) -> None:
    """Its Inference.py would end the process."""
    before = digests(old.parent)
    assert main(["import-legacy", str(old.parent)]) == 0
    assert digests(old.parent) == before


def test_a_damaged_adapter_is_no_version(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and the settings do not ask for it."""
    model = tiny_model(tmp_path / "models" / "tiny")
    (tmp_path / "adapters" / "v4.0").mkdir(parents=True)
    (tmp_path / "adapters" / "v4.0" / "adapter_config.json").write_text("{}")
    root = legacy_folder(tmp_path / "here", adapters=str(tmp_path / "adapters"), model=str(model))
    found = imported(str(root), capsys=capsys)
    assert found["registered"] == []
    assert [n for n in found["notes"] if n.startswith("version v4.0: ")]
    assert 'adapter = "base"' in Path("pyproject.toml").read_text()


def test_a_second_import_says_what_is_there_and_changes_nothing(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same answers are the same run; a file that was edited is kept."""
    first = imported(str(old), capsys=capsys)
    recipe = Path("trainers/v4.0.toml")
    recipe.write_text(recipe.read_text() + "# mine\n")
    before = digests(Path("badcases"))
    second = imported(str(old), capsys=capsys)
    assert (second["written"], second["kept"], second["runs"]) == ([], ["trainers/v4.0.toml"], [])
    assert second["already_imported"] == first["runs"]
    assert digests(Path("badcases")) == before
    assert recipe.read_text().endswith("# mine\n")


def test_a_case_folder_with_other_cases_is_left_alone_as_a_whole(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case.toml beside them would change how they are decoded."""
    folder = Path("badcases/badcase1")
    folder.mkdir(parents=True)
    (folder / "test.json").write_text('[{"text": "Mine."}]')
    found = imported(str(old), capsys=capsys)
    assert found["kept"] == ["badcases/badcase1/test.json"]
    assert "badcases/badcase1/case.toml" in found["left"]
    assert [p.name for p in folder.iterdir()] == ["test.json"]
    assert "4 rows answer no case" in "\n".join(found["notes"])


def test_a_dry_run_writes_nothing(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be written."""
    assert main(["import-legacy", str(old), "--dry-run"]) == 0
    assert "would write badcases/badcase1/test.json" in capsys.readouterr().out
    assert list(Path.cwd().iterdir()) == []


def test_many_folders_are_one_run(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report shows all case folders at once."""
    legacy_folder(old.parent / "team" / "badcase2", ("moon", "lake"))
    found = imported(str(old.parent), capsys=capsys)
    with Store(Path("reports/harness.sqlite")) as store:
        (run,) = store.runs(kinds=(IMPORTED,))
        assert {r.case.folder for r in store.results(run.id)} == {"badcase1", "team-badcase2"}
        assert run.sources == ("badcase1/result_2024-08-01.xlsx", "team/badcase2/result_2024-08-01.xlsx")
    assert found["runs"] == [run.id]


def test_older_results_are_runs_of_their_own(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest answers are the last run, which the report is about."""
    rows = [("/data/adapters/v4.0", prompt("sea"), CLEAN, None)]
    workbook(old / "result_2024-07-01.xlsx", rows)
    found = imported(str(old), capsys=capsys)
    assert len(found["runs"]) == 2
    assert found["headline"].endswith("1 broken, 1 still passing")


def test_weights_that_are_here_are_registered_with_their_lineage(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digests are those of the files; the next commands need no adding."""
    model = tiny_model(tmp_path / "models" / "tiny")
    for name, fill in (("v3.9", 1.0), ("v4.0", 2.0)):
        (tmp_path / "adapters" / name).mkdir(parents=True)
        lora(tmp_path / "adapters" / name, width=32, fill=fill)
    root = legacy_folder(tmp_path / "here", adapters=str(tmp_path / "adapters"), model=str(model))
    found = imported(str(root), capsys=capsys)
    manifest = read_manifest(Path("adapters_manifest.toml"))
    assert manifest.ancestors("v4.0") == ("base", "v3.9", "v4.0")
    assert manifest.adapters["v4.0"].method == "dpo"
    assert found["registered"] == ["v3.9", "v4.0"]
    assert found["next"] == [
        "harness view", "pytest badcases --adapter v4.0", "harness fix --failed --recipe trainers/v4.0.toml",
    ]  # fmt: skip
    assert main(["adapters", "verify"]) == 0


@pytest.mark.parametrize("place", [".", "badcases"], ids=["inside", "its badcases"])
def test_a_project_is_never_made_in_the_folder(
    old: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It would change what people keep."""
    legacy_folder(Path("badcases") / "badcase1")
    before = digests(Path.cwd())
    assert main(["import-legacy", place]) == 2
    assert "which is not to be changed" in capsys.readouterr().err
    assert digests(Path.cwd()) == before


def test_another_place_can_be_named(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say where to go first."""
    found = imported(str(old), "--into", "there", capsys=capsys)
    assert Path("there/adapters_manifest.toml").is_file()
    assert found["next"][0].startswith("cd there && ")


def test_a_folder_without_results_becomes_a_project_without_a_report(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that is said."""
    (old / "result_2024-08-01.xlsx").unlink()
    assert main(["import-legacy", str(old)]) == 0
    assert "no result files were found" in capsys.readouterr().out
    assert not Path("reports/latest").exists()


def test_hostile_names_and_answers_do_no_harm(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in the files of the project nor on the terminal."""
    evil = "x\x1b[31m\"]\npath = 'y'"
    script = old / "dpo fine-tuning script.sh"
    text = script.read_text().replace("/data/models/Qwen2-72B-Instruct", shlex.quote(f"/m/{evil}"))
    script.write_text(text.replace('"/data/adapters/v4.0"', shlex.quote(f"/data/{evil}/v4.0")))
    workbook(old / "result_2025-01-01.xlsx", [("/a/</script>$(id)", prompt("sea"), "<script>alert(1)</script>", None)])
    assert main(["import-legacy", str(old)]) == 0
    assert "\x1b" not in capsys.readouterr().out
    read_manifest(Path("adapters_manifest.toml"))
    assert "<script>alert(1)" not in Path("reports/latest/report.html").read_text("utf-8")
