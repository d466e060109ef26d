"""verify says what can be done with a version, and one bad version does not spoil the others' run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.cli import main
from harness.models.adapters.folder import CONFIG, WEIGHTS
from harness.models.adapters.lora import Lora
from harness.models.adapters.tensors import write_tensors
from harness.models.adapters.ways import ways_of
from harness.models.target import resolve_target
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.adapters import lora
from tests.support.projects import CLEAN
from tests.support.trainings import tiny_model

MODULE = "base_model.model.model.layers.0.self_attn.q_proj"


def saved(folder: Path, tensors: dict[str, tuple[int, ...]]) -> Path:
    """A LoRA on q_proj with further tensors."""
    lora(folder, width=32)
    full = {f"{MODULE}.lora_A.weight": (2, 32), f"{MODULE}.lora_B.weight": (32, 2), **tensors}
    write_tensors(folder / WEIGHTS, {n: np.full(shape, 0.5, np.float32) for n, shape in full.items()})
    return folder


def test_each_way_is_named(tmp_path: Path) -> None:
    """A plain LoRA, two on top of each other, one with whole modules, one of too high a rank."""
    model = tiny_model(tmp_path / "model")
    plain = lora(tmp_path / "plain", width=32)
    ways = ways_of(model, [plain])
    assert (ways.serve, ways.merge, ways.stack, ways.train_on) == ("as one LoRA", "yes", "yes", "yes")
    rows: dict[str, tuple[int, ...]] = {
        f"base_model.model.{n}.weight": (259, 32) for n in ("model.embed_tokens", "lm_head")
    }
    whole = ways_of(model, [saved(tmp_path / "whole", rows)])
    assert (whole.serve, whole.merge, whole.stack) == ("merged", "yes", "no (whole modules)")
    big = ways_of(model, [lora(tmp_path / f"big{n}", rank=300, width=32) for n in range(2)])
    assert (big.serve, big.merge, big.stack) == ("merged", "yes", "no (rank)")
    assert ways_of(model, [plain], own_tokenizer=True).train_on == "merged first"


def test_names_of_another_tool_are_rewritten_for_the_engine(project: Make, tmp_path: Path) -> None:
    """``lora_A.default.weight`` passed verify, and the engine broke after its start."""
    root = project()
    folder = lora(root / "saves")
    write_tensors(folder / WEIGHTS, {
        f"{MODULE}.lora_A.default.weight": np.full((2, 4), 0.5, np.float32),
        f"{MODULE}.lora_B.default.weight": np.ones((4, 2), np.float32),
    })  # fmt: skip
    assert main(["adapters", "add", "v5.0", str(folder)]) == 0
    with Store(root / "reports" / "harness.sqlite") as store:
        target = resolve_target("v5.0", read_manifest(root / "adapters_manifest.toml"), read_settings(root), store)
    assert target.weights is not None
    served, kept = Lora(target.weights.path), Lora(folder)
    assert served.canonical
    assert not kept.canonical
    for ours, theirs in zip(served.matrices(served.modules[0]), kept.matrices(kept.modules[0]), strict=True):
        assert np.isfinite(ours).all()
        assert ours.shape == theirs.shape
    (a, b), (c, d) = served.matrices(served.modules[0]), kept.matrices(kept.modules[0])
    assert np.allclose(b @ a, d @ c)


@pytest.mark.parametrize("damage", ["files", "no effect"])
def test_one_bad_version_of_several_is_an_error_of_its_own_cases(
    project: Make, pytester: pytest.Pytester, damage: str
) -> None:
    """The run of all ended before a case was asked."""
    answers: object = CLEAN
    if damage == "no effect":
        answers = {"": CLEAN, "v5.0": CLEAN, "v5.1": f"{CLEAN} Good night."}
    script = dict.fromkeys(("sea", "hill", "calm"), answers)
    root = project(script=script)
    for version, fill in (("v5.0", 1.0), ("v5.1", 2.0)):
        main(["adapters", "add", version, str(lora(root / version, fill=fill))])
    if damage == "files":
        (root / "v5.0" / CONFIG).write_text("{}")
    words = [w for v in ("v4.0", "v5.0", *(["v5.1"] if damage == "no effect" else [])) for w in ("--adapter", v)]
    done = pytester.runpytest("badcases", *words)
    assert done.ret == 3
    good = 3 if damage == "files" else 6
    done.assert_outcomes(passed=good, errors=3)
    with Store(root / "reports" / "harness.sqlite") as store:
        by_version = {(r.adapter, r.verdict.status.value) for r in store.results("last")}
        assert store.run("last").status == "finished"
    assert ("v5.0", "ERROR") in by_version
    assert ("v4.0", "PASS") in by_version


def test_the_only_version_that_cannot_be_used_ends_the_run(project: Make, pytester: pytest.Pytester) -> None:
    """There is nothing to judge."""
    root = project()
    main(["adapters", "add", "v5.0", str(lora(root / "v5.0"))])
    (root / "v5.0" / CONFIG).write_text("{}")
    assert pytester.runpytest("badcases", "--adapter", "v5.0").ret == 3
