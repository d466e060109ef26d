"""Which processes train: device lists, several nodes, and the exact words that start them."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SettingsError, TrainerError
from harness.models.prompts import PromptRenderer
from tests.support.trainings import pairs, tiny_model
from trainers import TrainRequest
from trainers.arguments import DEEPSPEED, arguments
from trainers.examples import DataFacts
from trainers.launch import Launch, parse_devices
from trainers.multinode import node_commands, slurm_script
from trainers.recipe import Recipe, named_recipe

EIGHT = tuple(range(8))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("8", EIGHT), ("1", (0,)), ("0-7", EIGHT), ("0-1,5", (0, 1, 5)), ("3,", (3,)), (" 2 , 0 ", (2, 0))],
)
def test_devices_are_a_number_or_a_list(text: str, wanted: tuple[int, ...]) -> None:
    """A number counts from the first; a list names them."""
    assert parse_devices(text, EIGHT) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9", "asks for 9 GPUs; this machine has 0, 1"),
        ("0", "asks for 0"),
        ("6-9", "no device 8, 9"),
        ("1,1", "twice"),
        ("3-1", "not a range"),
        ("a", "is not a device"),
        ("1;2", "is not a device"),
        ("-1", "is not a device"),
        ("0-99999", "not a range"),
    ],
)
def test_devices_that_do_not_exist_are_refused(text: str, words: str) -> None:
    """Before anything starts, with what there is."""
    with pytest.raises(SettingsError, match=words):
        parse_devices(text, EIGHT)


@given(st.text(max_size=20))
def test_no_text_makes_the_parser_crash(text: str) -> None:
    """Devices that exist, or a settings error."""
    with contextlib.suppress(SettingsError):
        assert set(parse_devices(text, EIGHT)) <= set(EIGHT)


def test_one_process_is_started_directly() -> None:
    """torchrun would only add seconds."""
    command = Launch().command(Path("/v/python"), Path("/e.py"), Path("/j.json"))
    assert command == ["/v/python", "/e.py", "/j.json"]


def test_several_go_through_torchrun_of_the_trainers_environment() -> None:
    """Never the one on PATH, and with a port that is said."""
    command = Launch(devices=EIGHT, master_port=29500).command(Path("/v/python"), Path("/e.py"), Path("/j.json"))
    assert command[:3] == ["/v/python", "-m", "torch.distributed.run"]
    assert command[command.index("--nproc_per_node") + 1] == "8"
    assert command[command.index("--master_port") + 1] == "29500"


def test_one_node_leaves_its_ports_to_torchrun() -> None:
    """A port that is chosen here could be another process's by the time that torchrun listens on it."""
    command = Launch(cpu_processes=2).command(Path("/v/python"), Path("/e.py"), Path("/j.json"))
    assert "--standalone" in command
    assert not any(word.startswith(("--master", "--rdzv")) for word in command)
    assert command[command.index("--local_addr") + 1] == "127.0.0.1"


def test_deepspeed_needs_torchrun_even_alone() -> None:
    """LLaMA-Factory refuses it otherwise."""
    assert Launch(devices=(0,), deepspeed=True).torchrun
    assert not Launch(devices=(0,)).torchrun


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nodes": 2, "master_address": "n0"}, "port"),
        ({"nodes": 2, "master_port": 29500}, "address"),
        ({"nodes": 2, "node_rank": 2, "master_address": "n0", "master_port": 1}, "node rank"),
        ({"cpu_processes": 0}, "CPU processes"),
    ],
)
def test_a_launch_that_cannot_work_is_refused(values: dict[str, object], words: str) -> None:
    """A random port would differ on every node."""
    with pytest.raises(SettingsError, match=words):
        Launch(**values)  # type: ignore[arg-type]


@pytest.fixture
def asked(tmp_path: Path) -> TrainRequest:
    """A request on two nodes of eight GPUs."""
    model = tiny_model(tmp_path / "model with space")
    return TrainRequest(
        stage="dpo",
        model_path=model,
        examples=(),
        recipe=named_recipe("production"),
        output=tmp_path,
        launch=Launch(
            devices=EIGHT,
            cpu_processes=1,
            deepspeed=True,
            nodes=2,
            node_rank=0,
            master_address="node0",
            master_port=29500,
        ),
    )


def test_every_node_gets_its_own_line(asked: TrainRequest) -> None:
    """The same but for the rank; paths with spaces stay one word."""
    folder = Path("/data/my run")
    lines = node_commands(asked, Path("/v/python"), folder)
    ranks = [shlex.split(line)[shlex.split(line).index("--node_rank") + 1] for line in lines]
    assert ranks == ["0", "1"]
    assert all(shlex.split(line)[-1] == "/data/my run/job.json" for line in lines)


def test_the_slurm_script_prepares_once_and_ranks_by_node(asked: TrainRequest) -> None:
    """Data before training, rank and master from Slurm, the port said, knobs of the recipe exported."""
    recipe = replace(asked.recipe, environment={"NCCL_SOCKET_IFNAME": "eth0,eth1"})
    script = slurm_script(replace(asked, recipe=recipe), Path("/v/python"), Path("/data/run"))
    assert script.index(" prepare\n") < script.index("--kill-on-bad-exit")
    for words in ("--nodes=2", "--gpus-per-node=8", '"$SLURM_NODEID"', '"$MASTER_ADDR"', "MASTER_PORT=29500",
                  "NCCL_SOCKET_IFNAME=eth0,eth1"):  # fmt: skip
        assert words in script


def facts(tmp_path: Path, rows: int = 24, validation: Path | None = None) -> DataFacts:
    """As if so many examples had been written."""
    return DataFacts(
        train=tmp_path / "examples.jsonl",
        validation=validation,
        rows=rows,
        validation_rows=0,
        tokens=100,
        longest=10,
        notes=(),
    )


def single(tmp_path: Path, stage: str = "dpo", parents: tuple[Path, ...] = (), **recipe: object) -> TrainRequest:
    """A request for one CPU process."""
    made = Recipe.from_mapping(recipe)
    return TrainRequest(stage=stage, model_path=tmp_path, examples=(), recipe=made, output=tmp_path, parents=parents)  # type: ignore[arg-type]


def test_the_configuration_leaves_prompts_alone_and_hides_nothing(tmp_path: Path) -> None:
    """Ids from our own dataset, no template, NaN shown, every step logged."""
    made = arguments(single(tmp_path), facts(tmp_path), tmp_path)
    assert (made["template"], made["tokenized_path"]) == ("empty", str(tmp_path / "dataset"))
    assert (made["logging_nan_inf_filter"], made["logging_steps"], made["overwrite_output_dir"]) == (False, 1, False)


def test_a_new_lora_on_a_parent_has_the_parent_for_reference(tmp_path: Path) -> None:
    """Merged in memory below the new one; no second model is named."""
    made = arguments(single(tmp_path, parents=(tmp_path / "a", tmp_path / "b")), facts(tmp_path), tmp_path)
    assert made["create_new_adapter"] is True
    assert made["adapter_name_or_path"] == f"{tmp_path / 'a'},{tmp_path / 'b'}"
    assert "ref_model" not in made


def test_a_continued_lora_is_told_its_reference(tmp_path: Path) -> None:
    """LLaMA-Factory would take the bare model."""
    made = arguments(single(tmp_path, parents=(tmp_path / "a",), parent="continue"), facts(tmp_path), tmp_path)
    assert (made["ref_model"], made["ref_model_adapters"]) == (str(tmp_path), str(tmp_path / "a"))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [({"deepspeed": "zero3"}, "ZeRO-3"), ({"quantization": 4}, "quantised")],
    ids=["zero3", "qlora"],
)
def test_what_would_take_the_wrong_reference_is_refused(tmp_path: Path, recipe: dict[str, Any], words: str) -> None:
    """The message names the way out."""
    with pytest.raises(TrainerError, match=words) as error:
        arguments(single(tmp_path, parents=(tmp_path / "a",), parent="continue", **recipe), facts(tmp_path), tmp_path)
    assert "parent = 'new'" in str(error.value)


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero2-offload", "zero3-offload"])
def test_every_deepspeed_choice_has_its_file(tmp_path: Path, name: str) -> None:
    """What a recipe may name is there."""
    made = arguments(single(tmp_path, deepspeed=name), facts(tmp_path), tmp_path)
    assert Path(made["deepspeed"]) == DEEPSPEED / f"{name}.json"
    assert Path(made["deepspeed"]).is_file()


def test_a_request_from_pairs_carries_its_proof(tmp_path: Path) -> None:
    """Four shapes of dialogue and the first prompts, rendered as the tests do."""
    model = tiny_model(tmp_path / "model")
    made = TrainRequest.from_pairs(
        stage="dpo", model_path=model, pairs=pairs(2), renderer=PromptRenderer(model), recipe=Recipe(), output=tmp_path
    )
    assert len(made.probes) == 6
    assert made.probes[4].prompt_ids == next(iter(made.examples)).prompt
