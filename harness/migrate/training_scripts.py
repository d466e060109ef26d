"""Trainings in a shell script or a YAML file: LLaMA-Factory's arguments, and on how many devices.

A script starts a training by ``llamafactory-cli train``, with arguments or a YAML file, or by LLaMA-Factory's
``train.py`` under python, torchrun, deepspeed or accelerate. The YAML file may be one that the script writes itself.
Arguments keep their texts; :mod:`harness.migrate.hyperparameters` gives them a meaning.

Not supported: trainings by other programs. Their commands are named, as all others are that are not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from harness.migrate.shell import Command, Script, Word, read_script

__all__ = ["Training", "TrainingScript", "read_training_script", "read_yaml", "shown_value", "trains"]

_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NPROC_PER_NODE", "NNODES", "FORCE_TORCHRUN")
_TRAIN_FILES = re.compile(r"(?:train|train_bash|launcher|run_exp|run_dpo|run_sft)\.py")
_CLI = ("llamafactory-cli", "lmf", "llamafactory.cli")
_QUIET = {
    "cd", "echo", "set", "source", ".", "mkdir", "cat", "tee", "sleep", "wait", "date", "ls", "conda", "pip", "unset",
    "exit", "true", "printf", "rm", "cp", "mv", "ln", "test", "[", "[[", "for", "nvidia-smi", "ulimit", "trap", "touch",
    "module", "tail", "head", "grep", "kill", "pwd", "which",
}  # fmt: skip
"""Commands that say nothing about a model or a training."""
_SECRET = re.compile(r"(?:^|_)(?:api_?key|key|token|secret|password)$", re.IGNORECASE)
_OLD_NAMES = {
    "checkpoint_dir": "adapter_name_or_path", "dpo_beta": "pref_beta", "orpo_beta": "pref_beta",
    "dpo_loss": "pref_loss", "dpo_ftx": "pref_ftx",
}  # fmt: skip
"""What older versions of LLaMA-Factory called arguments."""
_COUNTS = {"nproc_per_node", "num_gpus", "num_processes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training that a script starts."""

    place: str
    """File and line, for people."""
    arguments: Mapping[str, Any]
    """LLaMA-Factory's names with what they are set to: texts, and from YAML numbers, booleans and lists."""
    unresolved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Arguments with something that only a shell could evaluate, and what that is."""
    devices: str = ""
    """CUDA_VISIBLE_DEVICES of the training; empty: not said."""
    processes: int | None = None
    """Of all nodes; None: not said."""

    def text(self, name: str) -> str:
        """An argument as text; empty where it is absent, or not known for want of a variable."""
        value = self.arguments.get(name)
        return "" if value is None or name in self.unresolved else str(value)

    def paths(self, name: str) -> tuple[str, ...]:
        """An argument that names one path or several, with commas."""
        value = self.arguments.get(name)
        parts: list[Any] = value if isinstance(value, list) else self.text(name).split(",")
        return tuple(p for part in parts if (p := str(part).strip()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingScript:
    """What one script says."""

    trainings: tuple[Training, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be read, a line each, with its place."""


def read_training_script(text: str, name: str, find: Callable[[str], str | None] = lambda _: None) -> TrainingScript:
    """The trainings that a shell script starts; never raises.

    Args:
        text: the script.
        name: what to call it in messages.
        find: the text of a file that the script names; None where it cannot be had.
    """
    script = read_script(text, _VARIABLES)
    problems = [f"{name}: {problem}" for problem in script.problems]
    written = _written(script)
    trainings: list[Training] = []
    others: dict[str, None] = {}
    for command in script.commands:
        place = f"{name}, line {command.line}"
        at, what = _training_words(command)
        if at < 0:
            if what:
                problems.append(f"{place}: {what}")
            elif (program := PurePosixPath(command.words[0].text).name) and program not in _QUIET:
                others[_described(command)] = None
            continue
        arguments, unresolved, wrong = _arguments(command, at, lambda path: written.get(_bare(path)) or find(path))
        problems += [f"{place}: {problem}" for problem in wrong]
        if arguments and not trains(arguments):
            problems.append(f"{place}: predicts or evaluates and trains nothing; it is not read")
        elif arguments:
            trainings.append(
                Training(
                    place=place, arguments=arguments, unresolved=unresolved,
                    devices=_resolved(command.environment.get("CUDA_VISIBLE_DEVICES")), processes=_processes(command),
                )
            )  # fmt: skip
    if others:
        problems.append(f"{name}: commands that are not read: {', '.join(list(others)[:12])}")
    return TrainingScript(trainings=tuple(trainings), problems=tuple(problems))


def trains(arguments: Mapping[str, Any]) -> bool:
    """Whether LLaMA-Factory trains with these arguments, rather than predicts or evaluates."""

    def on(name: str) -> bool:
        return str(arguments.get(name, "")).lower() in ("true", "1", "yes", "on")

    return on("do_train") or not (on("do_predict") or on("do_eval") or "do_train" in arguments)


def shown_value(name: str, value: object) -> str:
    """A value for a message: short, and hidden where its name says that it is a secret."""
    return "***" if _SECRET.search(name) else str(value)[:80]


def read_yaml(text: str) -> tuple[dict[str, Any], str]:
    """The arguments in a YAML file of LLaMA-Factory, and why it could not be read; never raises."""
    import yaml

    if len(text) > 2**20:
        return {}, "is larger than 1 MiB"
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError) as error:
        return {}, f"is not YAML: {' '.join(str(error).split())[:200]}"
    if not isinstance(data, dict):
        return {}, "holds no arguments"
    plain = {str(key): value for key, value in data.items() if _is_plain(value)}
    wrong = [str(key)[:60] for key, value in data.items() if not _is_plain(value)]
    return plain, f"arguments that are no plain values: {', '.join(wrong[:12])}" if wrong else ""


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str | int | float | bool) for item in value)
    return value is None or isinstance(value, str | int | float | bool)


def _written(script: Script) -> dict[str, str]:
    """Files that the script writes by here-documents, by their names without ``./``."""
    files = {}
    for command in script.commands:
        if command.document is not None:
            tee = command.words[0].text == "tee" and next((w.text for w in command.words[1:] if w.text[:1] != "-"), "")
            if name := command.output or tee:
                files[_bare(name)] = command.document
    return files


def _bare(path: str) -> str:
    return path.removeprefix("./")


def _training_words(command: Command) -> tuple[int, str]:
    """Where the arguments of LLaMA-Factory's training begin in a command; -1 with what else it is, if that is known."""
    for at, word in enumerate(command.words):
        name = PurePosixPath(word.text).name
        if name in _CLI and at + 1 < len(command.words):
            verb = command.words[at + 1].text
            if verb == "train":
                return at + 2, ""
            return -1, f"{name} {verb} is not read; only trainings are"
        if _TRAIN_FILES.fullmatch(name):
            rest = [w.text for w in command.words[at + 1 :]]
            if any(w.startswith(("--stage", "--model_name_or_path")) for w in rest) or _is_yaml(rest[:1]):
                return at + 1, ""
    return -1, ""


def _is_yaml(words: Sequence[str]) -> bool:
    return any(w.endswith((".yaml", ".yml", ".json")) for w in words)


def _described(command: Command) -> str:
    """A command by its program, and by its script where that is an interpreter."""
    words = [PurePosixPath(w.text).name[:40] for w in command.words[:2]]
    return " ".join(words if words[0].startswith(("python", "bash", "sh")) else words[:1])


def _arguments(
    command: Command, at: int, find: Callable[[str], str | None]
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]], list[str]]:
    """Arguments, those among them that are not known, and problems."""
    arguments: dict[str, Any] = {}
    unresolved: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    words = list(command.words[at:])
    if words and (words[0].text == "-" or not words[0].text.startswith("-")) and "=" not in words[0].text:
        path = words.pop(0).text
        text = command.document if path in ("-", "/dev/stdin") else find(path)
        if text is None:
            problems.append(f"{path}: the file with the arguments is not in the folder; put it beside the script")
        else:
            arguments, problem = read_yaml(text)
            problems += [f"{path} {problem}"] if problem else []
            unresolved = {
                name: tuple(marks)
                for name, value in arguments.items()
                if (marks := re.findall(r"\$\{?\w+\}?|\$\([^)]*\)", str(value)))
            }
    for name, values in _flags(words, problems):
        unresolved.pop(name, None)
        arguments[name] = ",".join(v.text for v in values) if values else True
        if unknown := tuple(dict.fromkeys(m for v in values for m in v.unresolved)):
            unresolved[name] = unknown
    for old, new in _OLD_NAMES.items():
        if old in arguments:
            arguments.setdefault(new, arguments.pop(old))
            if old in unresolved:
                unresolved[new] = unresolved.pop(old)
    if str(arguments.get("stage")) == "orpo":
        # Once a stage of its own, since then a loss of DPO's.
        arguments |= {"stage": "dpo", "pref_loss": "orpo"}
    return arguments, unresolved, problems


def _flags(words: Sequence[Word], problems: list[str]) -> list[tuple[str, list[Word]]]:
    """Flags with their values: ``--name value``, ``--name=value``, ``--name``, and ``name=value``."""
    flags: list[tuple[str, list[Word]]] = []
    stray = []
    for word in words:
        name, equals, value = word.text.partition("=")
        if name.startswith("-") and not _is_number(name):
            flags.append((_key(name), [Word(value, word.unresolved)] if equals else []))
        elif equals and re.fullmatch(r"[A-Za-z_]\w*", name):
            flags.append((name, [Word(value, word.unresolved)]))
        elif flags:
            flags[-1][1].append(word)
        else:
            stray.append(word.text[:60])
    if stray:
        problems.append(f"words that belong to no argument: {', '.join(stray[:6])}")
    return flags


def _key(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d*)?([eE][-+]?\d+)?", text))


def _resolved(word: Word | None) -> str:
    return "" if word is None or word.unresolved else word.text


def _processes(command: Command) -> int | None:
    """Processes of all nodes, as the launcher's options or its variables say."""
    options = {}
    words = [w for w in command.words if not w.unresolved]
    for at, word in enumerate(words):
        name, equals, value = word.text.partition("=")
        if not name.startswith("-"):
            continue
        following = value if equals else words[at + 1].text if at + 1 < len(words) else ""
        options[_key(name)] = following
        if _key(name) == "include":
            # deepspeed: node:0,1,2@other:0,1
            options["num_gpus"] = str(sum(len(part.partition(":")[2].split(",")) for part in following.split("@")))
            options.pop("num_nodes", None)
        if _key(name) in ("stage", "model_name_or_path"):
            break
    environment = {name: _resolved(word) for name, word in command.environment.items()}
    each = next((n for key in _COUNTS if (n := _count(options.get(key, "")))), None)
    each = each or _count(environment.get("NPROC_PER_NODE", ""))
    if each is None and (devices := environment.get("CUDA_VISIBLE_DEVICES", "")):
        each = len([d for d in devices.split(",") if d.strip()])
    nodes = _count(options.get("nnodes", "")) or _count(options.get("num_nodes", ""))
    nodes = nodes or _count(environment.get("NNODES", "")) or 1
    if "num_processes" in options and each is not None:
        # accelerate counts those of all nodes.
        return each
    return None if each is None else each * nodes


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,3}", text) else None
