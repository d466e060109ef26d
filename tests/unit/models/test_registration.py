"""A version is in the adapters' folder and in the manifest, or in neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import AdapterError, ManifestError
from harness.models.adapters.folder import FILES, check
from harness.models.adapters.registration import register_version
from harness.project.manifest import Adapter, read_manifest
from tests.support.adapters import lora


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "adapters_manifest.toml"
    path.write_text('[models.small]\npath = "model"\n\n[adapters."v1"]\nmodel = "small"\n', "utf-8")
    return path


def version(tmp_path: Path, name: str = "v2") -> Adapter:
    return Adapter(name=name, model="small", parent="v1", path=tmp_path / "adapters" / name, status="candidate")


def test_a_registered_version_has_the_digest_and_rank_of_its_files(tmp_path: Path, manifest: Path) -> None:
    """Of a trainer's output only the two files of an adapter are copied."""
    source = lora(tmp_path / "output", rank=2)
    (source / "training_args.bin").write_bytes(b"x")
    registered = register_version(source, version(tmp_path), manifest)
    assert registered.path is not None
    assert sorted(p.name for p in registered.path.iterdir()) == sorted(FILES)
    assert (registered.sha256, registered.rank) == (check(registered.path).digest, 2)
    assert read_manifest(manifest).adapters["v2"].sha256 == registered.sha256


def test_a_refused_version_leaves_no_folder(tmp_path: Path, manifest: Path) -> None:
    """When the caller's own check fails, neither files nor an entry stay."""

    def refuse(folder: Path) -> None:
        raise AdapterError(f"{folder}: wrong base")

    with pytest.raises(AdapterError, match="wrong base"):
        register_version(lora(tmp_path / "output"), version(tmp_path), manifest, verify=refuse)
    assert not (tmp_path / "adapters" / "v2").exists()
    assert "v2" not in read_manifest(manifest).adapters


def test_a_taken_name_leaves_no_folder(tmp_path: Path, manifest: Path) -> None:
    """The manifest refuses the name, and the copied files are removed."""
    with pytest.raises(ManifestError, match="never overwritten"):
        register_version(lora(tmp_path / "output"), version(tmp_path, "v1"), manifest)
    assert not (tmp_path / "adapters" / "v1").exists()


def test_an_existing_folder_is_never_removed(tmp_path: Path, manifest: Path) -> None:
    """A folder that no version names may be a user's, or another training's."""
    leftover = lora(tmp_path / "adapters" / "v2", fill=3.0)
    digest = check(leftover).digest
    with pytest.raises(AdapterError, match="exists already"):
        register_version(lora(tmp_path / "output"), version(tmp_path), manifest)
    assert check(leftover).digest == digest
    registered = register_version(lora(tmp_path / "output"), version(tmp_path), manifest, interrupted=True)
    assert registered.sha256 == check(lora(tmp_path / "same")).digest
    assert check(tmp_path / "adapters" / "v2.leftover-1").digest == digest


def test_a_continued_training_takes_the_weights_that_it_left(tmp_path: Path, manifest: Path) -> None:
    """It was killed after it had copied them and before the manifest named them."""
    output = lora(tmp_path / "output")
    lora(tmp_path / "adapters" / "v2")
    registered = register_version(output, version(tmp_path), manifest, interrupted=True)
    assert registered.sha256 == check(output).digest
    assert sorted(path.name for path in (tmp_path / "adapters").iterdir()) == ["v2"]
