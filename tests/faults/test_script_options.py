"""What people's training and inference scripts set can be set here, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cases.decoding import Decoding
from harness.cases.model import Message
from harness.cli import main
from harness.errors import ManifestError, SettingsError, TrainerError
from harness.models.prompts import PromptRenderer
from harness.models.target import open_renderer, resolve_target
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.store import Store
from tests.faults.conftest import Make
from tests.support.projects import TEMPLATE, record
from tests.support.trainings import pairs, tiny_model
from trainers import TrainRequest
from trainers.arguments import arguments
from trainers.attempt import check_same
from trainers.examples import DataFacts
from trainers.launch import Launch
from trainers.recipe import Recipe

Capture = pytest.CaptureFixture[str]
THINKING = TEMPLATE.replace("<assistant>", "<assistant>{% if enable_thinking %}hm{% else %}go{% endif %}")
ASK = (Message("user", "Hi"),)


def data_facts(tmp_path: Path) -> DataFacts:
    """Eight examples."""
    return DataFacts(
        train=tmp_path / "x.jsonl", validation=None, validation_rows=0, rows=8, tokens=80, longest=10, notes=()
    )


def settings_of(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """LLaMA-Factory's arguments for a recipe on a GPU."""
    model = tiny_model(tmp_path / "model")
    request = TrainRequest(
        stage="dpo", model_path=model, examples=(), recipe=Recipe.from_mapping(changes), output=tmp_path,
        launch=Launch(devices=(0,)), trust_remote_code=bool(changes.get("seed") == 7),
    )  # fmt: skip
    data = data_facts(tmp_path)
    return arguments(request, data, tmp_path)


def test_precision_attention_timeout_and_betas_reach_the_trainer(tmp_path: Path) -> None:
    """They were fixed in the code."""
    values = settings_of(tmp_path, precision="fp16", attention="fa2", ddp_timeout=180_000_000, adam_beta2=0.95, seed=7)
    assert values["fp16"] is True
    assert "bf16" not in values
    assert (values["flash_attn"], values["ddp_timeout"], values["adam_beta2"]) == ("fa2", 180_000_000, 0.95)
    assert values["trust_remote_code"] is True
    assert "trust_remote_code" not in settings_of(tmp_path)


def test_what_needs_a_gpu_is_refused_without_one() -> None:
    """Before anything starts."""
    assert Recipe(precision="fp16").problems_for("dpo", cuda=False)
    assert Recipe(attention="fa2").problems_for("dpo", cuda=False)


def test_a_deepspeed_configuration_of_my_own(tmp_path: Path) -> None:
    """By its path; its ZeRO stage decides what the shipped one's decides."""
    path = tmp_path / "zero3.json"
    path.write_text('{"zero_optimization": {"stage": 3}}')
    assert settings_of(tmp_path, deepspeed=str(path))["deepspeed"] == str(path)
    assert Recipe(deepspeed=str(path)).zero_stage == 3
    with pytest.raises(SettingsError, match="does not work with ZeRO-3"):
        Recipe(deepspeed=str(path), quantization=8)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("[]", "not an object"), ('{"zero_optimization": {"stage": 9}}', "expected 0..3"),
     ('{"zero_optimization": 3}', "is no object")],
    ids=["missing", "list", "stage", "number"],
)  # fmt: skip
def test_a_wrong_deepspeed_configuration_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    """At the start, and not in the log of rank 3."""
    path = tmp_path / "ds.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=words):
        Recipe(deepspeed=str(path))


def test_top_k_and_best_of_have_vllms_meaning() -> None:
    """-1 is all tokens, and best_of is the width of a beam search."""
    assert Decoding.from_mapping({"method": "sample", "temperature": 1.0, "top_k": -1}).top_k == 0
    assert Decoding.from_mapping({"best_of": 3}).beam_width == 3
    with pytest.raises(SettingsError, match="keep one"):
        Decoding.from_mapping({"best_of": 3, "beam_width": 5})
    with pytest.raises(SettingsError, match="use samples"):
        Decoding.from_mapping({"best_of": 3, "method": "sample", "temperature": 1.0})


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path, project: Make, capsys: Capture) -> None:
    """RESUME_FROM_CHECKPOINT by path: complete ones only."""
    project()
    (tmp_path / "pairs.json").write_text(json.dumps([{"instruction": "a", "chosen": "b", "rejected": "c"}]))
    half = tmp_path / "checkpoint-5"
    half.mkdir()
    words = ["train", "dpo", "--data", str(tmp_path / "pairs.json"), "--resume", str(half), "--dry-run"]
    capsys.readouterr()
    assert main(words) == 2
    assert "is no complete checkpoint" in capsys.readouterr().err


def test_a_checkpoint_of_another_tool_is_gone_on_from(tmp_path: Path) -> None:
    """It says nothing of its data and its recipe; an attempt of the harness does, and must be the same."""
    checkpoint = tmp_path / "output" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "trainer_state.json").write_text('{"global_step": 5}')
    (checkpoint / "adapter_model.safetensors").write_bytes(b"x")
    data = data_facts(tmp_path)
    check_same(checkpoint, data, Recipe(), ours=False)
    with pytest.raises(TrainerError):
        check_same(checkpoint, data, Recipe())


@pytest.mark.parametrize("name", ["NNODES", "RANK", "MASTER_PORT"])
def test_a_wrong_variable_of_torchrun_is_named(
    project: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture, name: str
) -> None:
    """It is read, so it is checked."""
    project()
    monkeypatch.setenv(name, "two")
    capsys.readouterr()
    assert main(["train", "dpo", "--data", "x.json"]) == 2
    assert f"environment variable {name} = 'two'" in capsys.readouterr().err


# -- chat templates ------------------------------------------------------------------------------------------------


def with_template(root: Path, entry: str = "", template: str = THINKING) -> Path:
    """Give the project's model another chat template and more lines in the manifest."""
    path = root / "model" / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"chat_template": template}
    path.write_text(json.dumps({k: v for k, v in config.items() if v}))
    manifest = root / "adapters_manifest.toml"
    manifest.write_text(manifest.read_text().replace('path = "model"\n', f'path = "model"\n{entry}\n'))
    return root


def rendered(root: Path, kwargs: dict[str, Any] | None = None) -> str:
    manifest = read_manifest(root / "adapters_manifest.toml")
    renderer = open_renderer(manifest.models["tiny"], root / "model")
    return str(renderer.tokenizer.decode(list(renderer.prompt_ids(ASK, kwargs))))


def test_arguments_of_the_template_by_model_and_case(project: Make) -> None:
    """``enable_thinking`` could not be given anywhere; a case's own comes over the model's."""
    root = with_template(project())
    assert rendered(root).endswith("go")
    assert rendered(root, {"enable_thinking": True}).endswith("hm")
    (root / "adapters_manifest.toml").write_text(
        (root / "adapters_manifest.toml").read_text().replace(
            'path = "model"\n', 'path = "model"\nchat_template_kwargs = { enable_thinking = true }\n'
        )
    )  # fmt: skip
    assert rendered(root).endswith("hm")
    assert rendered(root, {"enable_thinking": False}).endswith("go")


def test_the_argument_of_a_folder_and_of_a_case_decides_the_answer(project: Make, pytester: pytest.Pytester) -> None:
    """Another prompt is another test: it is generated anew, and recorded with the case."""
    cases = [record("sea"), record("hill", chat_template_kwargs={"enable_thinking": False})]
    root = with_template(project(cases=cases, script={"hm": "Thinking of the sea.", "go": "A hill at noon."}))
    (root / "badcases" / "badcase1" / "case.toml").write_text("[chat_template_kwargs]\nenable_thinking = true\n")
    pytester.runpytest("badcases")
    with Store(root / "reports" / "harness.sqlite") as store:
        answers = {r.case.id: r.attempts[0].answer for r in store.results("last")}
    assert answers == {"badcase1/sea": "Thinking of the sea.", "badcase1/hill": "A hill at noon."}


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"enable_thoughts": True}, "the chat template has no variable 'enable_thoughts'"),
        ({"tokenize": False}, "no variable of a chat template that may be set"),
        ({"enable_thinking": {"a": 1}}, "expected a text, a number, true, false"),
    ],
    ids=["unknown", "reserved", "object"],
)
def test_an_argument_that_means_nothing_is_refused(
    project: Make, pytester: pytest.Pytester, kwargs: dict[str, Any], words: str
) -> None:
    """jinja2 takes any, and changes nothing."""
    with_template(project(cases=[record("sea", chat_template_kwargs=kwargs)]))
    done = pytester.runpytest("badcases")
    assert done.ret != 0
    assert words in f"{done.stdout}{done.stderr}"


def test_a_model_without_a_template_gets_one(project: Make) -> None:
    """A base model has none; the message says where to name one."""
    root = with_template(project(), template="")
    with pytest.raises(ManifestError, match="has no chat template; name a file with one"):
        rendered(root)
    (root / "plain.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}!")
    with_template(root, 'chat_template = "plain.jinja"', template="")
    assert rendered(root) == "Hi!"


def test_a_training_renders_with_the_same_arguments(tmp_path: Path) -> None:
    """Prompt, probe and pair: the trainer's side is proved with them."""
    model = tiny_model(tmp_path / "model")
    renderer = PromptRenderer(model, chat_template=THINKING, chat_template_kwargs={"enable_thinking": True})
    request = TrainRequest.from_pairs(
        stage="dpo", model_path=model, pairs=pairs(), renderer=renderer, recipe=Recipe(cutoff_len=256), output=tmp_path
    )
    (first, *_) = request.examples
    assert renderer.tokenizer.decode(list(first.prompt)).endswith("hm")
    record_of_probe = request.probes[0].record()
    assert record_of_probe["chat_template_kwargs"] == {"enable_thinking": True}
    assert record_of_probe["chat_template"] == THINKING


def test_code_of_a_model_runs_only_where_its_entry_says_so(project: Make, pytester: pytest.Pytester) -> None:
    """Off; and every report tells where it is on."""
    root = project()
    with Store(root / "reports" / "harness.sqlite") as store:
        manifest = read_manifest(root / "adapters_manifest.toml")
        target = resolve_target("v4.0", manifest, read_settings(root), store)
    assert target.model is not None
    assert target.model.trust_remote_code is False
    text = (root / "adapters_manifest.toml").read_text()
    (root / "adapters_manifest.toml").write_text(
        text.replace('path = "model"\n', 'path = "model"\ntrust_remote_code = true\n')
    )
    pytester.runpytest("badcases")
    (page,) = root.glob("reports/runs/*/report.html")
    assert "trust_remote_code" in page.read_text()
