"""dataset_info.json, LLaMA-Factory's registry of datasets: which column and which role is called what.

A file that such a registry beside it names is read with its columns and tags, as LLaMA-Factory would read it. As soon
as an entry names one column, the columns that it does not name count as absent. ``file_name`` may be a path on another
machine, so its last part counts where the path is not there.

Reference: https://github.com/hiyouga/LLaMA-Factory, data/README.md (0.9.5). Not supported, and refused by name:
datasets on a hub or in a script, a part of a dataset (subset, split, num_samples), tools and media.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import DataError
from harness.safe.read import read_object, reason

__all__ = ["REGISTRY", "Dataset", "dataset_files", "registered"]

REGISTRY = "dataset_info.json"
_COLUMNS = {
    "prompt": "instruction", "query": "input", "response": "output", "history": "history", "system": "system",
    "messages": "conversations", "chosen": "chosen", "rejected": "rejected", "kto_tag": "label",
}  # fmt: skip
"""The registry's names of columns, and those of :mod:`trainers.formats`."""
_OWN = ("case_id", "origin", "rejected_finished", "fault_at", "chosen_from", "chat_template_kwargs")
"""Columns of the harness, which LLaMA-Factory ignores; read under any registry."""
_ROLES = {
    "user_tag": ("user", "human"), "assistant_tag": ("assistant", "gpt"), "system_tag": ("system", "system"),
    "observation_tag": ("observation", "observation"), "function_tag": ("function_call", "function_call"),
}  # fmt: skip
"""Tag, the role that it stands for, and its default."""
_KNOWN = {"file_name", "formatting", "ranking", "columns", "tags"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One entry of a registry."""

    name: str
    registry: Path
    path: Path
    """The file that it names, where it lies here."""
    ranking: bool
    columns: Mapping[str, str]
    """Column of the file by field of :mod:`trainers.formats`; empty: the file's own names count."""
    role: str
    content: str
    roles: Mapping[str, str]
    """Role by tag."""

    def row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A record of the file with the names and roles that :mod:`trainers.formats` knows."""
        if self.columns:
            row = {
                **{field: row[column] for field, column in self.columns.items() if column in row},
                **{name: row[name] for name in _OWN if name in row},
            }
        turns = {name: self._turns(row[name]) for name in ("conversations", "chosen", "rejected") if name in row}
        return {**row, **turns}

    def unused(self, row: Mapping[str, Any]) -> set[str]:
        """Columns of a record that no column of the registry names."""
        return set(row) - {*self.columns.values(), *_OWN} if self.columns else set()

    def _turns(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._turns(turn) for turn in value]
        if not isinstance(value, dict) or self.role not in value:
            return value
        rest = {k: v for k, v in value.items() if k not in (self.role, self.content)}
        said = {"content": value[self.content]} if self.content in value else {}
        return {**rest, "role": self.roles.get(value[self.role], value[self.role]), **said}


def registered(path: Path, stage: str) -> Dataset | None:
    """The entry for a data file in the registry beside it; None where no entry names the file.

    Raises:
        DataError: the registry is damaged, an entry says what is not supported, or two differ on the file.
    """
    registry = path.parent / REGISTRY
    if path.name == REGISTRY or not registry.is_file():
        return None
    # Entries for other files may be of any kind.
    here = [name for name, entry in _entries(registry).items() if _last(entry) == path.name]
    entries = [d for d in _read(registry, here) if d.path.resolve() == path.resolve()]
    fitting = [d for d in entries if d.ranking == (stage == "dpo")]
    if entries and not fitting:
        raise DataError(f"{registry}: {entries[0].name!r} {_ranking(entries[0], stage)}")
    first = fitting[0] if fitting else None
    if first is not None and any((d.columns, d.roles) != (first.columns, first.roles) for d in fitting):
        names = ", ".join(repr(d.name) for d in fitting)
        raise DataError(f"{registry}: {names} read {path.name} in different ways; name the one to use with --dataset")
    return first


def dataset_files(registry: Path, names: Sequence[str], stage: str) -> tuple[Dataset, ...]:
    """The datasets of a registry that is given as data.

    Args:
        registry: dataset_info.json.
        names: which of its datasets; empty: the only one that fits the stage.
        stage: ``sft``, ``dpo`` or ``kto``.

    Raises:
        DataError: unknown names, a file that is not there, or several datasets and no name.
    """
    files = _entries(registry)
    unknown = [name for name in names if name not in files]
    if unknown:
        raise DataError(f"{registry}: has no dataset {', '.join(map(repr, unknown))}; known: {', '.join(files)}")
    # Without a name, a registry of a whole LLaMA-Factory also lists datasets of hubs.
    chosen = _read(registry, names or [name for name, entry in files.items() if _last(entry)])
    if not names:
        chosen = [d for d in chosen if d.ranking == (stage == "dpo")]
    if not names and len(chosen) != 1:
        raise DataError(
            f"{registry}: {len(chosen)} of its datasets fit {stage}; choose with --dataset: {', '.join(files)}"
        )
    for dataset in chosen:
        if dataset.ranking != (stage == "dpo"):
            raise DataError(f"{registry}: {dataset.name!r} {_ranking(dataset, stage)}")
        if not dataset.path.is_file():
            raise DataError(f"{registry}: {dataset.name!r} names {dataset.path}, which is not there")
    return tuple(chosen)


def _ranking(dataset: Dataset, stage: str) -> str:
    other = "a preference set" if dataset.ranking else "not a preference set"
    return f"is {other} (ranking = {str(dataset.ranking).lower()}), which does not go with {stage}"


def _entries(registry: Path) -> dict[str, Any]:
    try:
        return read_object(registry)
    except (OSError, ValueError) as error:
        raise DataError(f"{registry}: cannot be read as JSON: {reason(error)}") from error


def _read(registry: Path, names: Sequence[str]) -> list[Dataset]:
    """The entries of those names."""
    entries, problems = _entries(registry), list[str]()
    datasets = [d for name in names if (d := _dataset(name, entries[name], registry, problems)) is not None]
    if problems:
        raise DataError(f"{registry}: " + "; ".join(problems[:10]))
    return datasets


def _dataset(name: str, entry: Any, registry: Path, problems: list[str]) -> Dataset | None:
    before = len(problems)
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
        problems.append(f"{name!r} names no file_name; download a dataset of a hub first")
        return None
    for field in sorted(set(entry) - _KNOWN):
        if entry[field] not in (None, "", False):
            problems.append(f"{name!r} has {field} = {entry[field]!r}, which is not supported")
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    formatting, ranking = entry.get("formatting", "alpaca"), entry.get("ranking", False)
    if formatting not in ("alpaca", "sharegpt"):
        problems.append(f"{name!r} has formatting = {formatting!r}; supported are alpaca and sharegpt")
    if not isinstance(ranking, bool):
        problems.append(f"{name!r} has ranking = {ranking!r}; expected true or false")
    for table, known, what in ((columns, _COLUMNS, "columns"), (tags, {*_ROLES, "role_tag", "content_tag"}, "tags")):
        if not isinstance(table, dict) or not all(isinstance(v, str | None) for v in table.values()):
            problems.append(f"{name!r}: {what} must be a table of texts")
        elif unknown := [key for key in table if key not in known and table[key]]:
            problems.append(f"{name!r}: {what} {', '.join(map(repr, unknown))} are not supported")
    try:
        path = _place(registry, entry["file_name"])
    except (OSError, ValueError) as error:
        problems.append(f"{name!r}: no file can have its file_name ({getattr(error, 'strerror', None) or error})")
    if len(problems) > before:
        return None
    return Dataset(
        name=name,
        registry=registry,
        path=path,
        ranking=ranking,
        columns={_COLUMNS[key]: column for key, column in columns.items() if column},
        role=tags.get("role_tag") or "from",
        content=tags.get("content_tag") or "value",
        roles={tags.get(tag) or default: role for tag, (role, default) in _ROLES.items()},
    )


def _last(entry: object) -> str:
    """The name of the file that an entry names; empty where it names none."""
    file_name = entry.get("file_name") if isinstance(entry, dict) else None
    return PurePosixPath(file_name).name if isinstance(file_name, str) else ""


def _place(registry: Path, file_name: str) -> Path:
    """Where a dataset's file lies: at its path, beside the registry, or under its last name beside the registry."""
    path = registry.parent / file_name
    beside = registry.parent / PurePosixPath(file_name).name
    return path if path.is_file() or not beside.is_file() else beside
