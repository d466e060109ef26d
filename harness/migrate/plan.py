"""What a folder of scripts becomes: models and versions, recipes, case folders, answers to judge.

A plan is made whole before anything is written, and it says what could not be had: a path that is not on this machine,
a name that stands for two things, a case file that cannot be read. A version whose weights are not here is not put into
the manifest, where it would stand for the bare model; the command that adds it is written down instead.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases.decoding import Decoding
from harness.cases.folder import SETTINGS_FILE, natural_key, read_folder
from harness.cases.formats import read_bytes
from harness.cases.model import Case
from harness.cases.problems import Problems
from harness.cases.write import cases_text
from harness.errors import CaseFileError, HarnessError
from harness.language import tr
from harness.migrate.answers import AnswerFile, OldAnswer
from harness.migrate.hyperparameters import RecipeDraft, draft_recipe
from harness.migrate.inference import Inference
from harness.migrate.legacy import Legacy, LegacyFolder
from harness.migrate.recorded import cases_of, name_versions
from harness.migrate.training_scripts import Training
from harness.pairs import import_pairs
from harness.pairs.files import DATASET
from harness.project.manifest import as_name

__all__ = ["MigrationPlan", "PlannedModel", "PlannedVersion", "plan_migration"]

_METHODS = ("sft", "dpo", "kto")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedModel:
    """A base model."""

    name: str
    path: str
    """As the scripts write it, or a folder on this machine."""
    template: str = ""
    here: bool = False
    """Whether its folder is on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVersion:
    """An adapter version."""

    name: str
    path: str
    model: str = ""
    """Name of its model; empty: unknown."""
    parent: str | None = None
    on_top: bool = False
    method: str = ""
    here: bool = False
    """Whether its weights are on this machine."""

    @property
    def command(self) -> str:
        """What adds it to the manifest."""
        words = ["harness", "adapters", "add", self.name, self.path]
        words += ["--parent", self.parent] if self.parent else ["--model", self.model] if self.model else []
        words += ["--on-top"] if self.on_top else []
        words += ["--method", self.method] if self.method else []
        return shlex.join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """What is to be written, and what could not be had."""

    models: tuple[PlannedModel, ...]
    versions: tuple[PlannedVersion, ...]
    """Parents first."""
    recipes: Mapping[str, RecipeDraft]
    """By name, the newest version's last."""
    files: Mapping[str, bytes]
    """Case folders and recipes: content by path relative to the project."""
    case_folders: tuple[str, ...]
    answers: tuple[AnswerFile, ...]
    folders: Mapping[Path, str]
    """The case folder beside which each file of answers lay."""
    names: Mapping[str, str]
    """Versions by what files call them."""
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def newest(self) -> PlannedVersion | None:
        """The version that the scripts made last."""
        return self.versions[-1] if self.versions else None

    def version_of(self, file: AnswerFile, answer: OldAnswer) -> str:
        """The version that gave an answer."""
        return self.names[answer.adapter if file.names_adapters else f"\0{file.path}"]


def plan_migration(legacy: Legacy) -> MigrationPlan:
    """Plan a project for what was found; nothing is written."""
    return _Planner(legacy).plan()


class _Planner:
    def __init__(self, legacy: Legacy) -> None:
        self._legacy = legacy
        self._notes = list(legacy.notes)
        self._names: dict[str, str] = {}
        self._models: dict[str, PlannedModel] = {}

    def plan(self) -> MigrationPlan:
        legacy = self._legacy
        trainings = self._usable(legacy.trainings)
        inferences = [i for folder in legacy.folders for i in folder.inferences]
        self._models = {m.name: m for m in self._find_models(trainings, inferences)}
        made = self._made(trainings)
        written = [p for t in trainings for p in t.paths("adapter_name_or_path")] + list(made)
        written += [path for i in inferences for path in i.adapters]
        files = [file for folder in legacy.folders for file in folder.answers]
        written += [a.adapter for file in files if file.names_adapters for a in file.answers]
        paths = list(dict.fromkeys(self._same(path) for path in written))
        models = {self._same(m.path) for m in self._models.values()}
        self._names = name_versions([p for p in paths if p not in models])
        self._names |= dict.fromkeys((p for p in paths if p in models), "base")
        # Rows write paths as they like.
        self._names |= {path: self._names[self._same(path)] for path in written}
        versions = self._versions(made)
        answers, folders = self._answers(legacy.folders, versions)
        case_files = dict(self._case_files())
        recipes = dict(self._recipes(made))
        files_of_project = {
            **case_files,
            **{f"trainers/{name}.toml": draft.text.encode() for name, draft in recipes.items()},
        }
        names = dict.fromkeys(Path(p).parts[1] for p in case_files)
        return MigrationPlan(
            models=tuple(self._models.values()), versions=tuple(versions), recipes=recipes, files=files_of_project,
            case_folders=tuple(names), answers=tuple(answers), folders=folders, names=self._names,
            engine_options=self._engine_options(inferences), notes=tuple(dict.fromkeys(self._notes)),
        )  # fmt: skip

    def _made(self, trainings: Iterable[Training]) -> dict[str, Training]:
        """The training of each path that one writes; the first of several."""
        made: dict[str, Training] = {}
        for training in trainings:
            if path := training.text("output_dir"):
                first = made.setdefault(self._same(path), training)
                if first.arguments != training.arguments:
                    self._notes.append(
                        f"{training.place}: makes {path} too, otherwise than {first.place}, which is taken"
                    )
        return made

    # -- models and versions -------------------------------------------------------------------------------------------

    def _usable(self, trainings: Sequence[Training]) -> list[Training]:
        usable = []
        for training in trainings:
            stage = training.text("stage") or "sft"
            for name in ("model_name_or_path", "adapter_name_or_path", "output_dir"):
                if name in training.unresolved:
                    what = ", ".join(training.unresolved[name])
                    shown = str(training.arguments[name])[:80]
                    self._notes.append(
                        f"{training.place}: {name} = {shown}: the script does not set {what}; add the version by hand"
                    )
            if stage not in _METHODS:
                self._notes.append(f"{training.place}: stage {stage[:40]} is not supported; the training is left out")
            else:
                usable.append(training)
        return usable

    def _same(self, path: str) -> str:
        """A path in one form, so that two ways to write it are one."""
        return os.path.normpath(path) if path and not re.match(r"[A-Za-z]:|\\\\", path) else path

    def _find_models(self, trainings: Iterable[Training], inferences: Iterable[Inference]) -> Iterator[PlannedModel]:
        places: dict[str, dict[str, str]] = {}
        said = [(t.text("model_name_or_path"), t.text("template")) for t in trainings]
        said += [(path, "") for i in inferences for path in i.models]
        for path, template in said:
            if path:
                bare = self._same(path)
                ways = places.setdefault(as_name(re.split(r"[\\/]", bare)[-1]), {})
                ways[bare] = ways.get(bare) or template
        for name, ways in places.items():
            here = next((path for path in ways if self._here(path)), None)
            path = here or next(iter(ways))
            if len(ways) > 1:
                places_ = ", ".join(ways)
                self._notes.append(tr("model {name} is in several places, {places}; the manifest has {path}",
                                      name=name, places=places_, path=path))  # fmt: skip
            template = next((t for t in ways.values() if t), "")
            found = self._here(path)
            hub = re.fullmatch(r"[\w.-]+/[\w.-]+", path) is not None
            if found is None:
                self._notes.append(
                    tr("model {name}: {path} is taken for a model of the hub", name=name, path=path)
                    if hub
                    else tr("model {name}: {path} is not on this machine; put its path in the manifest",
                            name=name, path=path)
                )  # fmt: skip
            yield PlannedModel(name=name, path=str(found or path), template=template, here=found is not None)

    def _here(self, path: str) -> Path | None:
        """A folder on this machine, relative ones seen from the folder of the scripts."""
        try:
            folder = Path(path).expanduser()
            folder = folder if folder.is_absolute() else self._legacy.root / folder
            return folder.resolve() if folder.is_dir() else None
        except (OSError, RuntimeError, ValueError):
            return None

    def _versions(self, made: Mapping[str, Training]) -> list[PlannedVersion]:
        """Every version that is not the model as shipped, parents first."""
        paths: dict[str, str] = {}
        for path, name in self._names.items():
            if name != "base" and path:
                paths.setdefault(name, self._same(path))
        trainings = {self._names[path]: t for path, t in made.items()}
        parents = {name: self._parent(name, trainings) for name in paths}
        ordered: list[str] = []

        def place(name: str, below: tuple[str, ...] = ()) -> None:
            parent = parents.get(name)
            if parent is not None and parent in paths and parent not in below:
                place(parent, (*below, name))
            if name not in ordered:
                ordered.append(name)

        for name in sorted(paths, key=natural_key):
            place(name)
        models = list(self._models)
        versions = []
        for name in ordered:
            training = trainings.get(name)
            model = as_name(re.split(r"[\\/]", self._same(training.text("model_name_or_path")))[-1]) if training else ""
            model = model if model in self._models else models[0] if len(models) == 1 else ""
            folder = self._here(paths[name])
            here = folder is not None and (folder / "adapter_config.json").is_file()
            parent = parents[name] if parents[name] in ordered and parents[name] != name else None
            if training is not None and training.text("finetuning_type") == "full":
                self._notes.append(f"version {name}: its training made a whole model; add it as a model by hand")
                continue
            if not here:
                text = tr("version {name}: no adapter in {path} on this machine", name=name, path=paths[name] or "-")
                self._notes.append(text)
            versions.append(
                PlannedVersion(
                    name=name, path=str(folder) if folder is not None and here else paths[name], model=model,
                    parent=parent, on_top=bool(parent) and _is_true(training, "create_new_adapter"),
                    method=(training.text("stage") or "sft") if training else "", here=here,
                )
            )  # fmt: skip
        return versions

    def _parent(self, name: str, trainings: Mapping[str, Training]) -> str | None:
        training = trainings.get(name)
        below = training.paths("adapter_name_or_path") if training is not None else ()
        return self._names.get(below[-1]) if below else None

    # -- recipes and cases ---------------------------------------------------------------------------------------------

    def _recipes(self, made: Mapping[str, Training]) -> Iterator[tuple[str, RecipeDraft]]:
        """A recipe for each version that a script made; of equal ones the first."""
        seen: list[Mapping[str, Any]] = []
        for path, training in sorted(made.items(), key=lambda item: natural_key(self._names[item[0]])):
            name = self._names[path]
            draft = draft_recipe(training, name)
            self._notes += [tr("{place}: not taken: {text}", place=training.place, text=text) for text in draft.left]
            if draft.fields not in seen:
                seen.append(draft.fields)
                yield name, draft

    def _case_files(self) -> Iterator[tuple[str, bytes]]:
        names: set[str] = set()
        for folder in self._legacy.folders:
            if not folder.holds_cases:
                continue
            files = dict(self._cases(folder))
            if not files:
                continue
            name, number = folder.name, 2
            while name in names:
                name, number = f"{folder.name}-{number}", number + 1
            names.add(name)
            folder.name = name
            yield from ((f"badcases/{name}/{file}", data) for file, data in files.items())

    def _cases(self, folder: LegacyFolder) -> Iterator[tuple[str, bytes]]:
        """Files of a case folder; none where its cases cannot be read."""
        problems = Problems()
        if folder.case_files:
            try:
                read_folder(folder.path)
            except CaseFileError as error:
                self._notes.append(tr("{folder}: its cases are not taken: {error}", folder=folder.name, error=error))
                return
        copied = {p.name: read_bytes(p, problems) for p in (*folder.case_files, *folder.data)}
        if folder.settings is not None:
            copied[SETTINGS_FILE] = read_bytes(folder.settings, problems)
        self._notes += problems.lines
        if not folder.case_files:
            made = self._cases_of_answers(folder)
            if not made:
                self._notes.append(f"{folder.name}: has no test.json, and no results to make one of; it is left out")
                return
            yield "test.json", made
        yield from ((name, data) for name, data in copied.items() if data is not None)
        if any(p.name == DATASET for p in folder.data):
            try:
                import_pairs(folder.path / DATASET)
            except (HarnessError, OSError) as error:
                self._notes.append(f"{folder.name}: its preference pairs cannot be trained on yet: {error}")
        yield from self._settings(folder)

    def _cases_of_answers(self, folder: LegacyFolder) -> bytes:
        cases: tuple[Case, ...] = cases_of((a for file in folder.answers for a in file.answers), folder.name)
        if not cases:
            return b""
        try:
            text = cases_text(folder.path / "test.json", cases)
        except CaseFileError as error:
            self._notes.append(f"{folder.name}: no cases can be made of its results: {error}")
            return b""
        self._notes.append(tr("{folder}: its test.json is made of its results", folder=folder.name))
        return text.encode()

    def _settings(self, folder: LegacyFolder) -> Iterator[tuple[str, bytes]]:
        """case.toml with what the script says of decoding and system prompt, where it differs from the defaults."""
        inference = self._legacy.inference_for(folder)
        if inference is None:
            return
        default = Decoding()
        changed = {k: v for k, v in inference.decoding.items() if v != getattr(default, k, None)}
        if not changed and inference.system is None:
            return
        if folder.settings is not None:
            self._notes.append(f"{folder.name}: keeps its case.toml; the script decodes with {_plain(changed)}")
            return
        lines = ["# As the script that generated the old answers decodes; a record may override it."]
        if inference.system is not None:
            lines.append(f"system = {_toml(inference.system)}")
        if changed:
            lines += ["[decoding]", *(f"{k} = {_toml(v)}" for k, v in changed.items())]
        yield SETTINGS_FILE, ("\n".join(lines) + "\n").encode()

    # -- answers and options -------------------------------------------------------------------------------------------

    def _answers(
        self, folders: Iterable[LegacyFolder], versions: Sequence[PlannedVersion]
    ) -> tuple[list[AnswerFile], dict[Path, str]]:
        """Files of answers whose version is known."""
        kept: list[AnswerFile] = []
        beside: dict[Path, str] = {}
        for folder in folders:
            made = {self._names[self._same(t.text("output_dir"))] for t in folder.trainings if t.text("output_dir")}
            for file in folder.answers:
                if not file.names_adapters:
                    name = self._version_in_name(file, versions) or (next(iter(made)) if len(made) == 1 else "")
                    if not name:
                        self._notes.append(
                            f"{file.name}: no column says which adapter answered; "
                            f"import it with: harness import {shlex.quote(str(file.path))} --adapter NAME"
                        )
                        continue
                    self._notes.append(
                        tr("{file}: no column says which adapter answered; taken for {name}", file=file.name, name=name)
                    )
                    self._names[f"\0{file.path}"] = name
                kept.append(file)
                beside[file.path] = folder.name
        return kept, beside

    def _version_in_name(self, file: AnswerFile, versions: Sequence[PlannedVersion]) -> str:
        stem = file.path.stem
        inside = [v.name for v in versions if re.search(rf"(?<![\w.]){re.escape(v.name)}(?![\w]|\.\d)", stem)
                  or stem.endswith(f"_{v.name}")]  # fmt: skip
        return max(inside, key=len, default="")

    def _engine_options(self, inferences: Iterable[Inference]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for inference in inferences:
            for name, value in inference.engine_options.items():
                if options.setdefault(name, value) != value:
                    self._notes.append(f"engine option {name}: the scripts say {options[name]} and {value}")
        return {k: v for k, v in options.items() if isinstance(v, str | int | float)}


def _is_true(training: Training | None, name: str) -> bool:
    return training is not None and str(training.arguments.get(name, "")).lower() in ("true", "1", "yes")


def _plain(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} = {v}" for k, v in values.items()) or "the defaults"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
