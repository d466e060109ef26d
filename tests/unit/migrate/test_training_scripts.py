"""Trainings are found however they are started, with their arguments and devices; the rest is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.migrate.training_scripts import TrainingScript, read_training_script, read_yaml

FLAGS = "--stage dpo --model_name_or_path /m --output_dir /out"
YAML = "stage: dpo\nmodel_name_or_path: /m\noutput_dir: /out\nlearning_rate: 5.0e-6\nlora_target: [q_proj, v_proj]\n"


def one(text: str, **files: str) -> Any:
    script = read_training_script(text, "train.sh", lambda name: files.get(name.replace(".", "_")))
    (training,) = script.trainings
    return training


@pytest.mark.parametrize(
    ("text", "processes"),
    [
        (f"llamafactory-cli train {FLAGS}", None),
        (f"CUDA_VISIBLE_DEVICES=0 llamafactory-cli train {FLAGS}", 1),
        (f"export CUDA_VISIBLE_DEVICES=0,1\nFORCE_TORCHRUN=1 llamafactory-cli train {FLAGS}", 2),
        (f"FORCE_TORCHRUN=1 NNODES=2 NPROC_PER_NODE=8 llamafactory-cli train {FLAGS}", 16),
        (f"torchrun --nproc_per_node 8 --nnodes 2 src/train.py {FLAGS}", 16),
        (f"torchrun --nproc-per-node=4 src/train_bash.py {FLAGS}", 4),
        (f"python -m torch.distributed.run --nproc_per_node 4 src/train.py {FLAGS}", 4),
        (f"deepspeed --num_gpus 8 --master_port=9901 src/train_bash.py --deepspeed ds.json {FLAGS}", 8),
        (f"deepspeed --include localhost:0,1,2 src/train.py {FLAGS}", 3),
        (f"accelerate launch --num_processes 16 --num_machines 2 src/train.py {FLAGS}", 16),
        (f"cd LLaMA-Factory && python src/train.py {FLAGS}; echo done", None),
        (f"N=4\ntorchrun --nproc_per_node $N src/train.py {FLAGS}", 4),
        (f"torchrun --nproc_per_node $GPUS src/train.py {FLAGS}", None),
    ],
    ids=["plain", "one GPU", "exported", "nodes", "torchrun", "equals", "module", "deepspeed", "include", "accelerate",
         "python", "variable", "unknown variable"],
)  # fmt: skip
def test_every_way_to_start_a_training_is_found(text: str, processes: int | None) -> None:
    """The arguments are LLaMA-Factory's, and the launcher's own are not among them."""
    training = one(text)
    assert training.processes == processes
    assert {"stage", "model_name_or_path", "output_dir"} <= set(training.arguments)
    assert not {"nproc_per_node", "num_gpus", "num_processes"} & set(training.arguments)


@pytest.mark.parametrize(
    "text",
    [
        "llamafactory-cli train dpo.yaml",
        "FORCE_TORCHRUN=1 llamafactory-cli train ./dpo.yaml",
        f"cat > dpo2.yaml <<'EOF'\n{YAML}EOF\nllamafactory-cli train dpo2.yaml",
        f"tee dpo2.yaml <<EOF\n{YAML}EOF\nllamafactory-cli train ./dpo2.yaml",
        f"llamafactory-cli train - <<EOF\n{YAML}EOF",
        "torchrun src/train.py dpo.yaml",
    ],
    ids=["file", "dot", "here-document", "tee", "standard input", "torchrun"],
)
def test_arguments_come_out_of_a_yaml_file(text: str) -> None:
    """Of the folder, or one that the script writes itself."""
    training = one(text, dpo_yaml=YAML, **{"_/dpo_yaml": YAML})
    assert training.arguments["learning_rate"] == 5e-6
    assert training.arguments["lora_target"] == ["q_proj", "v_proj"]


def test_arguments_of_the_command_line_go_over_the_file() -> None:
    """As LLaMA-Factory takes them, with and without hyphens."""
    training = one("llamafactory-cli train dpo.yaml learning_rate=1e-5 --seed 7", dpo_yaml=YAML)
    assert (training.text("learning_rate"), training.text("seed")) == ("1e-5", "7")


def test_flags_keep_their_values() -> None:
    """Several words, an equals sign, a negative number, none at all."""
    training = one(
        "llamafactory-cli train --stage=dpo --lora_target q_proj v_proj --top -1 --do_train --model_name_or_path '/a b'"
    )
    assert training.arguments == {
        "stage": "dpo", "lora_target": "q_proj,v_proj", "top": "-1", "do_train": True, "model_name_or_path": "/a b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("--checkpoint_dir /a --dpo_beta 0.2", {"adapter_name_or_path": "/a", "pref_beta": "0.2"}),
        ("--stage orpo --orpo_beta 0.05", {"stage": "dpo", "pref_loss": "orpo", "pref_beta": "0.05"}),
    ],
    ids=["older names", "older stage"],
)
def test_what_older_versions_called_otherwise_is_known(flags: str, arguments: dict[str, str]) -> None:
    """People's scripts are as old as their adapters."""
    found = one(f"python src/train_bash.py --stage dpo --model_name_or_path /m {flags}").arguments
    assert arguments.items() <= found.items()


def test_a_prediction_is_no_training() -> None:
    """The same program with do_predict writes answers."""
    script = read_training_script(f"python src/train_bash.py {FLAGS} --do_predict", "x.sh")
    assert script.trainings == ()
    assert "predicts or evaluates" in script.problems[0]


def test_several_trainings_of_a_script_are_several() -> None:
    """The first makes what the second grows from."""
    text = f"llamafactory-cli train {FLAGS}\nllamafactory-cli train {FLAGS}/2 --adapter_name_or_path /out"
    script = read_training_script(text, "train.sh")
    assert [t.place for t in script.trainings] == ["train.sh, line 1", "train.sh, line 2"]
    assert script.trainings[1].paths("adapter_name_or_path") == ("/out",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("llamafactory-cli train gone.yaml", "gone.yaml: the file with the arguments is not in the folder"),
        ("llamafactory-cli export merge.yaml", "export is not read"),
        ("python prepare.py --x 1", "commands that are not read: python prepare.py"),
        (f"llamafactory-cli train x=1 stray {FLAGS}", ""),
        ("swift sft --model x", "commands that are not read: swift"),
    ],
    ids=["file", "export", "other script", "arguments", "other trainer"],
)
def test_what_is_not_understood_is_named(text: str, says: str) -> None:
    """Nothing is left out in silence."""
    assert says in "\n".join(read_training_script(text, "train.sh").problems)


def test_an_argument_that_only_a_shell_knows_is_not_taken_for_a_value() -> None:
    """Neither in a flag nor in a file that the script writes."""
    training = one(f"llamafactory-cli train {FLAGS} --adapter_name_or_path $PARENT/v3.9")
    assert training.text("adapter_name_or_path") == ""
    assert training.unresolved == {"adapter_name_or_path": ("$PARENT",)}
    training = one(f"cat > a.yaml <<EOF\n{YAML}seed: $SEED\nEOF\nllamafactory-cli train a.yaml")
    assert training.unresolved == {"seed": ("$SEED",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("- a", "holds no arguments"),
        ("a: {b: 1}", "no plain values: a"),
        ("a: !!python/object/apply:os.system [id]", "is not YAML"),
        ("[" * 5_000, "is not YAML"),
        ("&a [*a]: 1", ""),
    ],
    ids=["broken", "list", "nested", "object", "deep", "recursive"],
)
def test_a_wrong_yaml_file_is_named(text: str, says: str) -> None:
    """No object is made of it, and no depth of it ends the program."""
    assert says in read_yaml(text)[1]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    """Whatever a script or a YAML file holds."""
    script = read_training_script(f"llamafactory-cli train a.yaml {text}", "x.sh", lambda _: text)
    assert isinstance(script, TrainingScript)
    assert isinstance(read_yaml(text)[0], dict)
