"""A folder of scripts becomes a plan: what is known of models and versions, and what is not."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.migrate.legacy import read_legacy
from harness.migrate.plan import MigrationPlan, plan_migration
from tests.support.adapters import lora
from tests.support.legacy import MODEL, legacy_folder, prompt, standard, workbook
from tests.support.trainings import tiny_model


def plan(root: Path) -> MigrationPlan:
    return plan_migration(read_legacy(root))


def test_versions_come_with_their_parents(tmp_path: Path) -> None:
    """From the script that trained, the script that generates, and the results."""
    found = plan(legacy_folder(tmp_path / "old"))
    assert [(m.name, m.path, m.template, m.here) for m in found.models] == [
        ("Qwen2-72B-Instruct", MODEL, "qwen", False)
    ]
    assert [(v.name, v.path, v.parent, v.method, v.here) for v in found.versions] == [
        ("v3.9", "/data/adapters/v3.9", None, "", False),
        ("v4.0", "/data/adapters/v4.0", "v3.9", "dpo", False),
    ]
    assert found.versions[1].command == "harness adapters add v4.0 /data/adapters/v4.0 --parent v3.9 --method dpo"
    assert found.engine_options == {"tensor_parallel_size": 4}


def test_a_case_folder_is_copied_as_it_is_with_the_decoding_of_the_script(tmp_path: Path) -> None:
    """Byte for byte; case.toml says what the script says."""
    root = legacy_folder(tmp_path / "old")
    files = plan(root).files
    for name in ("test.json", "dataset_info.json", "generalized_dpo_preference_dataset.json"):
        assert files[f"badcases/old/{name}"] == (root / name).read_bytes()
    assert tomllib.loads(files["badcases/old/case.toml"].decode()) == {
        "system": "You are brief.", "decoding": {"semantics": "vllm", "beam_width": 4, "max_tokens": 1024},
    }  # fmt: skip
    assert sorted(files)[-1] == "trainers/v4.0.toml"


def test_a_case_toml_of_the_users_is_kept(tmp_path: Path) -> None:
    """And what the script says otherwise is told."""
    root = legacy_folder(tmp_path / "old")
    (root / "case.toml").write_text("[decoding]\nmax_tokens = 7\n")
    found = plan(root)
    assert found.files["badcases/old/case.toml"] == b"[decoding]\nmax_tokens = 7\n"
    assert "keeps its case.toml; the script decodes with" in "\n".join(found.notes)


def test_folders_are_found_at_any_depth_and_take_the_scripts_above_them(tmp_path: Path) -> None:
    """Their names are their paths; the nearest script counts."""
    root = tmp_path / "old"
    for name in ("badcase2", "badcase10", "team/badcase2"):
        legacy_folder(root / name, (name[-1],))
    for folder in ("badcase2", "badcase10", "team/badcase2"):
        (root / folder / "Inference.py").unlink()
    (root / "Inference.py").write_text("from vllm import *\nSamplingParams(temperature=0, max_tokens=99)")
    found = plan(root)
    assert found.case_folders == ("badcase2", "badcase10", "team-badcase2")
    assert b"max_tokens = 99" in found.files["badcases/team-badcase2/case.toml"]


def test_a_folder_of_results_alone_becomes_cases(tmp_path: Path) -> None:
    """The workbook has prompts and standard answers."""
    root = tmp_path / "old"
    workbook(root / "result.xlsx", [("/a/v4.0", prompt("sea"), "An answer.", standard("sea"))])
    found = plan(root)
    (record,) = json.loads(found.files["badcases/old/test.json"])
    assert (record["text"], record["standard_answer"]) == (prompt("sea"), standard("sea"))


def test_cases_that_cannot_be_read_are_left_out_by_name(tmp_path: Path) -> None:
    """One of them would make the whole suite unreadable."""
    root = tmp_path / "old"
    legacy_folder(root / "good")
    legacy_folder(root / "bad")
    (root / "bad" / "test.json").write_text('[{"text": 7}]')
    found = plan(root)
    assert found.case_folders == ("good",)
    assert "bad: its cases are not taken" in "\n".join(found.notes)


def test_weights_on_this_machine_are_known_to_be_here(tmp_path: Path) -> None:
    """Relative paths are seen from the folder of the scripts."""
    model = tiny_model(tmp_path / "old" / "models" / "tiny")
    adapter = tmp_path / "old" / "out" / "v4.0"
    adapter.mkdir(parents=True)
    lora(adapter, width=32)
    found = plan(legacy_folder(tmp_path / "old", adapters="out", model="models/tiny"))
    assert [(m.name, m.path, m.here) for m in found.models] == [("tiny", str(model), True)]
    assert [(v.name, v.here) for v in found.versions] == [("v3.9", False), ("v4.0", True)]
    assert found.versions[1].path == str(adapter)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("--stage dpo", "--stage ppo"), "stage ppo is not supported"),
        (('"/data/adapters/v4.0"', "$OUT/v4.0"), "output_dir = $OUT/v4.0: the script does not set $OUT"),
        (("--finetuning_type lora", "--finetuning_type full"), "its training made a whole model"),
    ],
    ids=["stage", "variable", "full"],
)
def test_a_training_that_is_no_version_is_named(tmp_path: Path, edit: tuple[str, str], says: str) -> None:
    """And the rest of the folder is taken."""
    root = legacy_folder(tmp_path / "old")
    script = root / "dpo fine-tuning script.sh"
    script.write_text(script.read_text().replace(*edit))
    found = plan(root)
    assert says in "\n".join(found.notes)
    assert found.case_folders == ("old",)


def test_the_version_of_results_without_a_column_is_found_or_asked_for(tmp_path: Path) -> None:
    """In the file's name, or as the one that the folder's script made; otherwise the file is left and named."""
    root = tmp_path / "old"
    columns = ("text", "response")
    legacy_folder(root / "a")
    workbook(root / "a" / "result_v3.9.xlsx", [(prompt("sea"), "A.")], columns)
    workbook(root / "a" / "result_last.xlsx", [(prompt("sea"), "B.")], columns)
    workbook(root / "result_all.xlsx", [(prompt("sea"), "C.")], columns)
    found = plan(root)
    names = {f.name: found.version_of(f, f.answers[0]) for f in found.answers if not f.names_adapters}
    assert names == {"a/result_v3.9.xlsx": "v3.9", "a/result_last.xlsx": "v4.0"}
    assert "harness import" in "\n".join(n for n in found.notes if n.startswith("result_all.xlsx"))


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    """Neither files nor folders, and that is said."""
    root = legacy_folder(tmp_path / "old")
    legacy_folder(tmp_path / "other", ("moon",))
    (root / "more").symlink_to(tmp_path / "other")
    (root / "result_x.xlsx").symlink_to(tmp_path / "other" / "result_2024-08-01.xlsx")
    found = plan(root)
    assert found.case_folders == ("old",)
    notes = "\n".join(found.notes)
    assert "more: is a symbolic link to a folder" in notes
    assert "result_x.xlsx: is a symbolic link that leaves the folder" in notes


def test_a_script_with_chinese_comments_of_windows_is_read(tmp_path: Path) -> None:
    """GB18030 is what its editors write; that it was taken for that is said."""
    root = legacy_folder(tmp_path / ".old")
    script = root / "dpo fine-tuning script.sh"
    script.write_bytes(f"# 训练脚本\n{script.read_text()}".encode("gb18030"))
    found = plan(root)
    assert [v.name for v in found.versions] == ["v3.9", "v4.0"]
    assert "read as GB18030" in "\n".join(found.notes)
    assert found.case_folders == ("old",)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """There is nothing to make a project of."""
    with pytest.raises(UsageError, match=r"holds no test\.json"):
        read_legacy(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        read_legacy(tmp_path / "gone")
