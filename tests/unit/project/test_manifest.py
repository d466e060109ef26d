"""The manifest keeps lineage, refuses what is wrong, and is written in one step."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import ManifestError
from harness.project.manifest import Adapter, next_version, read_manifest, register, set_status

DIGEST = "a" * 64
TEXT = f"""\
# Kept by hand: do not lose this line.
[models."base"]
path = "embedded:smollm2-135m-instruct"

[adapters."v4.0"]
model = "base" # as shipped

[adapters."v4.1"]
model = "base"
parent = "v4.0"
path = "adapters/v4.1"
sha256 = "{DIGEST}"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "adapters_manifest.toml"
    path.write_text(TEXT)
    return path


def test_paths_are_relative_to_the_manifest(path: Path) -> None:
    """An adapter's folder is found from wherever the command runs."""
    assert read_manifest(path).adapter("v4.1").path == path.parent / "adapters" / "v4.1"


def test_unknown_adapter_lists_the_known_and_the_nearest(path: Path) -> None:
    """A misspelt version is answered with what there is."""
    with pytest.raises(ManifestError, match=r"'v4.2' is not in .*known: v4.0, v4.1; did you mean 'v4\.[01]'"):
        read_manifest(path).adapter("v4.2")


def test_registration_keeps_comments_and_adds_the_version(path: Path) -> None:
    """What a person wrote survives what the program writes."""
    register(
        path,
        Adapter(
            name="v4.2",
            model="base",
            parent="v4.1",
            path=path.parent / "adapters/v4.2",
            sha256=DIGEST,
            method="dpo",
            rank=8,
            facts={"pairs": 12},
        ),
    )
    text = path.read_text()
    assert text.startswith("# Kept by hand: do not lose this line.")
    assert "# as shipped" in text
    adapter = read_manifest(path).adapter("v4.2")
    assert (adapter.parent, adapter.rank, adapter.facts["pairs"]) == ("v4.1", 8, 12)
    assert 'path = "adapters/v4.2"' in text


def test_a_version_is_never_overwritten(path: Path) -> None:
    """Registering a name twice is an error, and the file stays as it was."""
    before = path.read_text()
    with pytest.raises(ManifestError, match="never overwritten"):
        register(path, Adapter(name="v4.1", model="base"))
    assert path.read_text() == before


def test_status_is_noted_beside_the_version(path: Path) -> None:
    """Blessing changes one entry and adds the facts it rests on."""
    set_status(path, "v4.1", "blessed", {"after": {"repetition": 0.1}})
    adapter = read_manifest(path).adapter("v4.1")
    assert adapter.status == "blessed"
    assert adapter.facts["after"] == {"repetition": 0.1}


@pytest.mark.parametrize(
    ("name", "expected"), [("v4.0", "v4.2"), ("v3.9", "v3.10"), ("prod", "prod.1")], ids=["taken", "carry", "plain"]
)
def test_next_version_is_free(path: Path, name: str, expected: str) -> None:
    """The next version after a name is one that nobody has."""
    assert next_version(read_manifest(path), name) == expected


def test_chain_is_only_what_must_be_loaded(path: Path) -> None:
    """A complete adapter is loaded alone, one that sits on its parent with it."""
    register(
        path,
        Adapter(name="top", model="base", parent="v4.1", path=path.parent / "top", sha256=DIGEST, on_top_of="v4.1"),
    )
    manifest = read_manifest(path)
    assert [a.name for a in manifest.chain("v4.1")] == ["v4.1"]
    assert [a.name for a in manifest.chain("top")] == ["v4.1", "top"]
    assert manifest.chain("v4.0") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models", "not readable as TOML"),
        ("[other]\nx = 1", "unknown table"),
        ('[models."m"]\n', "path is missing"),
        ('[adapters."a"]\nmodel = "m"', "'m' is not under"),
        ('[models."m"]\npath = "p"\n[adapters."a"]\nmodel = "m"\nparent = "b"', "parent = 'b' is not under"),
        ('[models."m"]\npath = "p"\n[adapters."a"]\nmodel = "m"\nparent = "a"', "its own ancestor"),
        ('[models."m"]\npath = "p"\n[adapters."a"]\nmodel = "m"\npath = "x"', "needs sha256"),
        ('[models."m"]\npath = "p"\n[adapters."a"]\nmodell = "m"', "unknown key 'modell'; did you mean 'model'"),
        ('[models."m"]\npath = "p"\n[adapters.v4.0]\nmodel = "m"', "needs quotes"),
        ('[models."m"]\npath = "p"\n[adapters."../x"]\nmodel = "m"', "use 1 to 64 of"),
        ('[models."m"]\npath = "p"\n[adapters."a"]\nmodel = "m"\nstatus = "good"', "use candidate or blessed"),
    ],
    ids=["syntax", "table", "path", "model", "parent", "cycle", "digest", "key", "quotes", "name", "status"],
)
def test_wrong_manifest_says_where(tmp_path: Path, text: str, message: str) -> None:
    """Every mistake is named with its entry."""
    path = tmp_path / "adapters_manifest.toml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    """A folder without a manifest is no project yet."""
    with pytest.raises(ManifestError, match="harness init"):
        read_manifest(tmp_path / "adapters_manifest.toml")
