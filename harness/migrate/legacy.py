"""Finds what people keep for bad cases in a folder of any depth: case files, scripts, registries, result files.

Every folder with a case file, preference pairs or results is a case folder; scripts above it count for it too where it
has none of its own. Nothing is changed, run or followed out of the folder: symbolic links that leave it are named, and
folders of models, adapters and checkpoints are not entered.

Not supported: more than 20,000 entries, and folders deeper than eight levels. What was not read is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases.folder import SETTINGS_FILE, natural_key
from harness.cases.formats import SUFFIXES as CASE_SUFFIXES
from harness.cases.formats import read_bytes
from harness.cases.problems import Problems
from harness.errors import UsageError
from harness.language import tr
from harness.migrate.answers import SUFFIXES as ANSWER_SUFFIXES
from harness.migrate.answers import AnswerFile, read_answers
from harness.migrate.inference import MAX_SOURCE, Inference, read_inference
from harness.migrate.shell import MAX_SCRIPT
from harness.migrate.training_scripts import Training, read_training_script, read_yaml, trains
from harness.pairs.files import DATASET
from harness.safe.read import read_text, reason

__all__ = ["REGISTRY", "Legacy", "LegacyFolder", "read_legacy"]

REGISTRY = "dataset_info.json"
_MAX_ENTRIES = 20_000
_MAX_DEPTH = 8
_SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch")
_YAML = (".yaml", ".yml")
_OF_MODELS = ("adapter_config.json", "adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")
_SKIPPED = ("__pycache__", "node_modules")
_RESULT_WORDS = ("result", "predict", "output", "answer", "response", "结果", "回答")
"""Words in the name of a file of answers other than a workbook."""
_MODEL_CODE = ("vllm", "transformers", "peft", "SamplingParams")
_QUIET_SUFFIXES = (".md", ".txt", ".log", ".png", ".jpg", ".pdf", ".gitignore", ".lock")
_MAX_NAMED = 12


@dataclass(slots=True, kw_only=True)
class LegacyFolder:
    """One folder with something in it."""

    path: Path
    name: str
    """Relative to the whole, with ``-`` between its parts: a case folder's name."""
    case_files: list[Path] = field(default_factory=list)
    settings: Path | None = None
    """Its case.toml."""
    data: list[Path] = field(default_factory=list)
    """Preference pairs and their registry."""
    answers: list[AnswerFile] = field(default_factory=list)
    inferences: list[Inference] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)

    @property
    def holds_cases(self) -> bool:
        """Whether it is a case folder."""
        return bool(self.case_files or self.answers or any(p.name == DATASET for p in self.data))


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """All that was found."""

    root: Path
    folders: tuple[LegacyFolder, ...]
    notes: tuple[str, ...]
    """What could not be read, for people."""

    @property
    def trainings(self) -> tuple[Training, ...]:
        return tuple(t for folder in self.folders for t in folder.trainings)

    def inference_for(self, folder: LegacyFolder) -> Inference | None:
        """The script that generates for a folder: its own, or that of the nearest folder above it."""
        above = [f for f in self.folders if folder.path == f.path or f.path in folder.path.parents]
        nearest = sorted(above, key=lambda f: len(f.path.parts), reverse=True)
        return next((i for f in nearest for i in f.inferences if i.generates), None)


def read_legacy(root: Path) -> Legacy:
    """Read a folder of scripts and results.

    Raises:
        UsageError: it is no folder, or there is nothing in it that is known.
    """
    if not root.is_dir():
        raise UsageError(f"no folder {root}; name the folder with the scripts, the test.json and the results")
    root = root.resolve()
    reader = _Reader(root)
    folders = [reader.folder(path, files) for path, files in reader.walk()]
    found = [f for f in folders if f.holds_cases or f.inferences or f.trainings or f.settings]
    if not found:
        raise UsageError(
            f"{root}: holds no test.json, no results and no script that is known"
            + (f"; {'; '.join(reader.notes[:5])}" if reader.notes else "")
        )
    return Legacy(root=root, folders=tuple(found), notes=(*reader.notes, *reader.other_files()))


class _Reader:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._others: list[str] = []
        self.notes: list[str] = []

    def walk(self) -> Iterator[tuple[Path, list[Path]]]:
        """Folders with their files, in natural order of their names."""
        entries = 0
        for place, folders, files in os.walk(self._root, followlinks=False):
            folder = Path(place)
            depth = len(folder.relative_to(self._root).parts)
            linked = [n for n in folders if (folder / n).is_symlink()]
            self.notes += [
                f"{self._shown(folder / n)}: is a symbolic link to a folder and is not entered" for n in linked
            ]
            if depth >= _MAX_DEPTH and folders:
                self.notes.append(f"{self._shown(folder)}: its folders are not read; they lie too deep")
                folders.clear()
            entered = [
                n for n in folders
                if not n.startswith((".", "checkpoint-")) and n not in _SKIPPED and n not in linked
                and not any((folder / n / marker).exists() for marker in _OF_MODELS)
            ]  # fmt: skip
            folders[:] = sorted(entered, key=natural_key)
            entries += len(folders) + len(files)
            if entries > _MAX_ENTRIES:
                self.notes.append(f"only the first {_MAX_ENTRIES:,} entries were read")
                return
            yield folder, [folder / n for n in sorted(files, key=natural_key) if not n.startswith((".", "~$"))]

    def folder(self, path: Path, files: list[Path]) -> LegacyFolder:
        parts = path.relative_to(self._root).parts
        found = LegacyFolder(path=path, name="-".join(parts) or self._root.name.lstrip(".") or "legacy")
        used: set[Path] = set()
        for file in (f for f in files if f.suffix.lower() in _SCRIPTS):
            text = self._text(file, MAX_SCRIPT)
            if text is not None:
                script = read_training_script(text, self._shown(file), self._finder(path, used))
                found.trainings += script.trainings
                self.notes += script.problems
        for file in files:
            if not self._inside(file):
                self.notes.append(f"{self._shown(file)}: is a symbolic link that leaves the folder and is not read")
            elif file not in used:
                self._file(found, file)
        return found

    def _file(self, found: LegacyFolder, file: Path) -> None:
        suffix = file.suffix.lower()
        if file.stem.lower() in ("test", "cases") and suffix in CASE_SUFFIXES:
            found.case_files.append(file)
        elif file.name == SETTINGS_FILE:
            found.settings = file
        elif file.name in (DATASET, REGISTRY):
            found.data.append(file)
        elif suffix == ".py":
            self._python(found, file)
        elif suffix in _YAML:
            self._yaml(found, file)
        elif suffix == ".xlsx" or (
            suffix in ANSWER_SUFFIXES and any(word in file.name.lower() for word in _RESULT_WORDS)
        ):
            self._answers(found, file)
        elif suffix == ".xls":
            self.notes.append(f"{self._shown(file)}: is an old .xls; save it as .xlsx and import it")
        elif suffix not in _SCRIPTS and suffix not in _QUIET_SUFFIXES:
            self._others.append(self._shown(file))

    def _python(self, found: LegacyFolder, file: Path) -> None:
        text = self._text(file, MAX_SOURCE)
        if text is None:
            return
        if not any(word in text for word in _MODEL_CODE):
            self._others.append(self._shown(file))
            return
        inference = read_inference(text, self._shown(file))
        self.notes += inference.problems
        found.inferences.append(inference)

    def _yaml(self, found: LegacyFolder, file: Path) -> None:
        """A file of arguments that no script of the folder names."""
        text = self._text(file, MAX_SCRIPT)
        arguments: dict[str, Any] = read_yaml(text)[0] if text is not None else {}
        if "stage" in arguments and "model_name_or_path" in arguments and trains(arguments):
            found.trainings.append(Training(place=self._shown(file), arguments=arguments))
        elif text is not None:
            self._others.append(self._shown(file))

    def _answers(self, found: LegacyFolder, file: Path) -> None:
        try:
            answers = read_answers(file, name=self._shown(file))
        except UsageError as error:
            # The errors of readers name the file by its whole path.
            self.notes.append(str(error).replace(str(file), self._shown(file)))
            return
        self.notes += answers.notes
        found.answers.append(answers)

    def _finder(self, folder: Path, used: set[Path]) -> Callable[[str], str | None]:
        """Finds a file that a script names, beside it or below it; never outside of the whole folder."""

        def find(name: str) -> str | None:
            for candidate in (folder / name, folder / Path(name).name):
                if candidate.is_file() and self._inside(candidate):
                    used.add(candidate)
                    return self._text(candidate, MAX_SCRIPT)
            return None

        return find

    def _text(self, file: Path, largest: int) -> str | None:
        if not self._inside(file):
            return None
        try:
            return read_text(file, largest=4 * largest)
        except UnicodeDecodeError:
            try:
                text = (read_bytes(file, Problems()) or b"").decode("gb18030")
            except UnicodeDecodeError:
                self.notes.append(f"{self._shown(file)}: is not UTF-8 and not read; convert it")
            else:
                self.notes.append(f"{self._shown(file)}: is not UTF-8; read as GB18030")
                return text
        except (OSError, ValueError) as error:
            self.notes.append(f"{self._shown(file)}: cannot be read: {reason(error)}")
        return None

    def _inside(self, file: Path) -> bool:
        try:
            return file.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):
            return False

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix() if path != self._root else "."

    def other_files(self) -> list[str]:
        """A line about the files that are not read."""
        if not self._others:
            return []
        more = f" and {len(self._others) - _MAX_NAMED} more" if len(self._others) > _MAX_NAMED else ""
        return [tr("files that are not read: {names}", names=", ".join(self._others[:_MAX_NAMED]) + more)]
