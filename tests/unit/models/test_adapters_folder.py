"""What an adapter folder must be before anything loads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.errors import AdapterError
from harness.models.adapters.folder import CONFIG, FILES, WEIGHTS, check, publish, two_files
from harness.models.adapters.tensors import TensorFile, read_header, write_tensors
from tests.support.adapters import MODULE, lora


def test_a_good_folder_is_described(tmp_path: Path) -> None:
    """Rank, targets, size and digest come from the files themselves."""
    facts = check(lora(tmp_path / "a"))
    assert (facts.rank, facts.alpha, facts.targets, facts.modules, facts.parameters) == (2, 16.0, ("q_proj",), 1, 16)
    assert len(facts.digest) == 64


def test_the_digest_is_of_both_files(tmp_path: Path) -> None:
    """Other weights, or another configuration, is another digest; the folder's name is not in it."""
    first = check(lora(tmp_path / "a")).digest
    assert check(lora(tmp_path / "b")).digest == first
    assert check(lora(tmp_path / "c", fill=2.0)).digest != first
    assert check(lora(tmp_path / "d", lora_alpha=32)).digest != first


@pytest.mark.parametrize("name", ["adapter_model.bin", "training_args.bin", "modeling.py", "x/optimizer.pt"])
def test_what_else_a_trainer_left_never_reaches_an_engine(tmp_path: Path, name: str) -> None:
    """A folder with code or pickles is taken as it is, and its two files are handed on in a folder of their own."""
    folder = lora(tmp_path / "a")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    facts = check(folder)
    clean = two_files(folder, facts.digest, tmp_path / "copies")
    assert sorted(p.name for p in clean.iterdir()) == sorted(FILES)
    assert check(clean).digest == facts.digest
    assert two_files(folder, facts.digest, tmp_path / "copies") == clean
    assert two_files(clean, facts.digest, tmp_path / "copies") == clean


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused(tmp_path: Path, name: str) -> None:
    """What a link shows can change after it was checked."""
    folder = lora(tmp_path / "a")
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(AdapterError, match="link"):
        check(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """The message says which of the two files is not there."""
    folder = lora(tmp_path / "a")
    (folder / name).unlink()
    with pytest.raises(AdapterError, match=f"has no {name}"):
        check(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    """One NaN spoils every answer."""
    with pytest.raises(AdapterError, match="NaN or infinite"):
        check(lora(tmp_path / "a", fill=bad))


def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path) -> None:
    """All lora_B zero is what an untrained LoRA looks like."""
    with pytest.raises(AdapterError, match="changes nothing"):
        check(lora(tmp_path / "a", fill=0.0))


def test_a_rank_that_the_configuration_does_not_name_is_refused(tmp_path: Path) -> None:
    """An engine reserves room by the configuration."""
    with pytest.raises(AdapterError, match="rank"):
        check(lora(tmp_path / "a", r=4))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"peft_type": "IA3"}, "peft_type"),
        ({"r": "8"}, "r ="),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"bias": "all"}, "bias"),
    ],
    ids=["type", "rank", "alpha", "bias"],
)
def test_a_configuration_that_is_no_lora_is_refused(tmp_path: Path, change: dict[str, object], word: str) -> None:
    """Each wrong field is named."""
    folder = lora(tmp_path / "a")
    config = json.loads((folder / CONFIG).read_text("utf-8")) | change
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")
    with pytest.raises(AdapterError, match=word):
        check(folder)


@pytest.mark.parametrize("cut", [0, 4, 7, 20, -1], ids=["empty", "4", "7", "in the header", "last byte"])
def test_a_cut_off_weights_file_is_refused(tmp_path: Path, cut: int) -> None:
    """Half a copy never loads."""
    folder = lora(tmp_path / "a")
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:cut])
    with pytest.raises(AdapterError, match=r"cut off|damaged"):
        check(folder)


def test_a_header_that_points_outside_the_file_is_refused(tmp_path: Path) -> None:
    """Offsets are hostile until they tile the data exactly."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(AdapterError, match="damaged"):
        read_header(path)


def test_bfloat16_is_read_as_the_same_float32(tmp_path: Path) -> None:
    """numpy has no bfloat16; widening it is exact."""
    values = np.array([1.0, -2.5, 0.15625, 3.0e38], np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw)
    read = TensorFile(path).array("a")
    assert read.dtype == np.float32
    assert np.array_equal(read[:3], values[:3])
    assert read[3] == pytest.approx(3.0e38, rel=2**-7)


def test_tensors_survive_writing_and_reading(tmp_path: Path) -> None:
    """Names, shapes and values come back as they went."""
    arrays = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones((1,), np.float32)}
    path = write_tensors(tmp_path / "x.safetensors", arrays)
    back = TensorFile(path)
    assert set(back.tensors) == {"a", "b"}
    assert all(np.array_equal(back.array(n), arrays[n]) for n in arrays)


def test_publishing_copies_two_files_and_nothing_else(tmp_path: Path) -> None:
    """A trainer's pickles stay behind."""
    source = lora(tmp_path / "out")
    (source / "training_args.bin").write_bytes(b"pickle")
    facts = publish(source, tmp_path / "v1")
    assert sorted(p.name for p in (tmp_path / "v1").iterdir()) == sorted(FILES)
    assert check(tmp_path / "v1") == facts


def test_publishing_never_overwrites(tmp_path: Path) -> None:
    """A version is history."""
    source = lora(tmp_path / "out")
    publish(source, tmp_path / "v1")
    with pytest.raises(AdapterError, match="exists already"):
        publish(source, tmp_path / "v1")


def test_what_cannot_be_used_is_not_published(tmp_path: Path) -> None:
    """A failed publication leaves no folder, not even a temporary one."""
    source = lora(tmp_path / "out", fill=np.nan)
    with pytest.raises(AdapterError):
        publish(source, tmp_path / "versions" / "v1")
    assert list((tmp_path / "versions").iterdir()) == []


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "different"])
def test_a_module_saved_whole_under_two_names_is_one_if_they_agree(tmp_path: Path, equal: bool) -> None:
    """Peft writes a resized embedding thrice; the untrained copy does not count, a contradiction is refused."""
    folder = lora(tmp_path / "a")
    whole = "base_model.model.lm_head"
    trained = np.ones((3, 4), np.float32)
    write_tensors(
        folder / WEIGHTS,
        {
            f"{MODULE}.lora_A.weight": np.full((2, 4), 0.5, np.float32),
            f"{MODULE}.lora_B.weight": np.ones((4, 2), np.float32),
            f"{whole}.weight": trained,
            f"{whole}.modules_to_save.weight": trained if equal else trained + 1,
            f"{whole}.original_module.weight": np.zeros((3, 4), np.float32),
        },
    )
    if equal:
        assert check(folder).extras == ("lm_head.weight",)
    else:
        with pytest.raises(AdapterError, match=r"modules_to_save\.weight.*differ"):
            check(folder)
