"""adapters_manifest.toml: every adapter version, what it is, its parent, and what it was trained on.

People and the program write the file, so comments and order survive a registration (tomlkit). An adapter's lineage
decides how it may be loaded: weights are only put on the model and parents named here, and the digest in the manifest
must match the folder (harness/models/adapters checks the folder itself). A registration is one locked, atomic
replacement: a reader sees the manifest without the new version or with all of it.

Not supported: editing or deleting entries by command; a version is history.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cases.template import template_kwargs_problems
from harness.errors import ManifestError
from harness.safe.files import digest_file, digest_folder, locked, write_text
from harness.safe.nearest import nearest_name
from harness.safe.read import parse_toml, read_text, read_toml, reason

__all__ = [
    "MANIFEST_NAME",
    "Adapter",
    "Manifest",
    "Model",
    "as_name",
    "check_name",
    "next_version",
    "read_manifest",
    "register",
    "set_status",
]

MANIFEST_NAME = "adapters_manifest.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_KEYS = {"path", "template", "note", "revision", "chat_template", "chat_template_kwargs", "trust_remote_code"}
_ADAPTER_KEYS = {
    "model", "parent", "on_top_of", "path", "sha256", "method", "rank", "created", "run", "pairs", "recipe", "before",
    "after", "status", "note", "training", "checkpoint", "reference", "evidence", "tokenizer", "tokenizer_sha256",
}  # fmt: skip
_STATUSES = ("candidate", "blessed", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A base model."""

    name: str
    path: str
    """``embedded:<name>``, a folder (relative to the manifest), or a hub id."""
    template: str = ""
    """LLaMA-Factory's name of the chat template; only for people who train by hand."""
    revision: str = ""
    """Hub revision, where path is a hub id."""
    chat_template: Path | None = None
    """File with the chat template of a model that has none, or whose own is not to be used."""
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the chat template for every case; a folder's and a case's own come over them."""
    trust_remote_code: bool = False
    """Whether Python code in the model's folder may run. Only for models whose code was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """One adapter version."""

    name: str
    model: str
    parent: str | None = None
    path: Path | None = None
    """Folder of the weights; None: the model as shipped."""
    sha256: str = ""
    """Digest over adapter_config.json and adapter_model.safetensors."""
    method: str = ""
    """``dpo``, ``sft``, ``kto``; empty for none."""
    rank: int = 0
    created: str = ""
    run: str = ""
    """Run whose failures it was trained on."""
    recipe: str = ""
    on_top_of: str | None = None
    """Version whose weights must be applied too: a new LoRA on a merged parent. None: these weights are complete."""
    tokenizer: Path | None = None
    """Folder of its own tokenizer and chat template; None: those of the model, or of what it is on top of."""
    tokenizer_sha256: str = ""
    """Digest over the files in ``tokenizer``."""
    status: str = ""
    """``blessed`` once a comparison proved it no worse; ``candidate`` until then."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Everything else that the entry says (pairs, before, after, note ...)."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole file, checked."""

    path: Path
    models: Mapping[str, Model]
    adapters: Mapping[str, Adapter]

    def adapter(self, name: str) -> Adapter:
        """The version of that name.

        Raises:
            ManifestError: there is none; lists those that exist.
        """
        if name not in self.adapters:
            raise ManifestError(
                f"adapter {name!r} is not in {self.path.name}; known: {', '.join(self.adapters) or 'none'}"
                + _nearest(name, self.adapters)
            )
        return self.adapters[name]

    def model_of(self, name: str) -> Model:
        """The base model of an adapter."""
        return self.models[self.adapter(name).model]

    def chain(self, name: str) -> tuple[Adapter, ...]:
        """The adapters whose weights together are this version, oldest first; empty for the model as shipped."""
        parts: list[Adapter] = []
        current: str | None = name
        while current is not None:
            adapter = self.adapter(current)
            parts.append(adapter)
            current = adapter.on_top_of
        return tuple(a for a in reversed(parts) if a.path is not None)

    def contents(self, name: str) -> list[str]:
        """What the version consists of: its model, the digests of its weights, and what decides its prompts."""
        model = self.model_of(name)
        own = [a.tokenizer_sha256 for a in self.chain(name) if a.tokenizer is not None]
        template = [digest_file(model.chat_template)] if model.chat_template and model.chat_template.is_file() else []
        kwargs = [json.dumps(dict(model.chat_template_kwargs), sort_keys=True)] if model.chat_template_kwargs else []
        return [model.path, model.revision, *(a.sha256 for a in self.chain(name)), *own, *template, *kwargs]

    def tokenizer_of(self, name: str) -> Adapter | None:
        """The newest version in the chain that has a tokenizer of its own."""
        return next((a for a in reversed(self.chain(name)) if a.tokenizer is not None), None)

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Names of the version and of all its ancestors, oldest first."""
        versions = [self.adapter(name)]
        while versions[-1].parent is not None:
            versions.append(self.adapter(versions[-1].parent))
        return tuple(a.name for a in reversed(versions))

    def children(self, name: str) -> tuple[Adapter, ...]:
        """Versions whose parent is this one."""
        return tuple(a for a in self.adapters.values() if a.parent == name)


def read_manifest(path: Path) -> Manifest:
    """Read and check the manifest.

    Raises:
        ManifestError: missing, not TOML, or wrong entries; all problems in one message.
    """
    try:
        data = read_toml(path)
    except FileNotFoundError as error:
        raise ManifestError(f"no {MANIFEST_NAME} in {path.parent}; make one with: harness init") from error
    except ValueError as error:
        raise ManifestError(f"{path}: not readable as TOML: {error}") from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {reason(error)}") from error
    return _check(path, data)


def register(path: Path, adapter: Adapter) -> None:
    """Add a version to the manifest, in one step; comments and order of the rest are kept.

    Raises:
        ManifestError: the name exists already, or the entry would not read back.
        StoreError: the manifest is locked or not writable.
    """
    import tomlkit

    check_name("adapter", adapter.name)
    with locked(path):
        manifest = read_manifest(path)
        if adapter.name in manifest.adapters:
            raise ManifestError(f"adapter {adapter.name!r} is already in {path.name}; a version is never overwritten")
        entry = tomlkit.table()
        for key, value in _entry(adapter, path.parent).items():
            entry.add(key, value)
        text = _with_entry(path, adapter.name, entry)
        _check(path, parse_toml(text))
        write_text(path, text)


def _with_entry(path: Path, name: str, entry: Any) -> str:
    """The manifest's text with one more version at its end.

    The rest is not parsed into a document: that takes a second for a thousand versions, while others wait for the lock.

    Raises:
        ManifestError: the file holds its versions in one line.
    """
    import tomlkit

    group = tomlkit.table(is_super_table=True)
    group.add(name, entry)
    block = tomlkit.document()
    block.add("adapters", group)
    text = read_text(path).rstrip("\n") + "\n\n" + tomlkit.dumps(block).lstrip("\n")
    try:
        parse_toml(text)
    except ValueError as error:
        raise ManifestError(
            f'{path}: no version can be added to adapters = {{...}}; write each as a table, [adapters."{name}"]'
        ) from error
    return text


def set_status(path: Path, name: str, status: str, facts: Mapping[str, Any] | None = None) -> None:
    """Mark a version ``blessed``, ``candidate`` or ``refused`` and note facts (scores before and after) beside it."""
    import tomlkit

    with locked(path):
        read_manifest(path).adapter(name)
        document = tomlkit.parse(read_text(path))
        entry = document["adapters"][name]
        for key, value in {"status": status, **(facts or {})}.items():
            entry[key] = value
        text = tomlkit.dumps(document)
        _check(path, parse_toml(text))
        write_text(path, text)


def next_version(manifest: Manifest, name: str, taken: Callable[[str], bool] = lambda _: False) -> str:
    """The next version after ``name`` that is not in the manifest and not ``taken``.

    v4.0 -> v4.1; a name without a number gets ``.1``.
    """
    match = re.fullmatch(r"(.*?)(\d+)", name)
    stem, number = (match[1], int(match[2])) if match and "." in name else (f"{name}.", 0)
    while (candidate := f"{stem}{number + 1}") in manifest.adapters or taken(candidate):
        number += 1
    return candidate


def check_name(kind: str, name: str) -> str:
    """``name`` if it may be the name of a version (and so of a folder).

    Raises:
        ManifestError: other characters than letters, digits, dot, underscore and hyphen, or over 64 of them.
    """
    if not _NAME.fullmatch(name):
        raise ManifestError(f"{kind} name {name!r}: use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
    return name


def as_name(text: str) -> str:
    """A folder's name, or any text, as a name in the manifest."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64] or "model"


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = nearest_name(name, known)
    return f"; did you mean {close!r}?" if close else ""


def _check(path: Path, data: dict[str, Any]) -> Manifest:
    problems: list[str] = []
    for key in data.keys() - {"models", "adapters"}:
        problems.append(f"unknown table [{key}]; known: models, adapters")
    models = {n: m for n, e in _tables(data, "models", problems) if (m := _model(path, n, e, problems))}
    adapters = {n: a for n, e in _tables(data, "adapters", problems) if (a := _adapter(path, n, e, problems))}
    for adapter in adapters.values():
        where = f'[adapters."{adapter.name}"]'
        if adapter.model not in models:
            problems.append(f"{where} model = {adapter.model!r} is not under [models]; known: {', '.join(models)}")
        if adapter.parent is not None:
            parent = adapters.get(adapter.parent)
            if parent is None:
                problems.append(f"{where} parent = {adapter.parent!r} is not under [adapters]")
            elif parent.model != adapter.model:
                problems.append(f"{where} is on {adapter.model!r} but its parent is on {parent.model!r}")
        if adapter.on_top_of is not None and adapter.on_top_of != adapter.parent:
            problems.append(f"{where} on_top_of = {adapter.on_top_of!r} must be its parent")
        seen, current = {adapter.name}, adapter.parent
        while current in adapters and current is not None:
            if current in seen:
                problems.append(f"{where} is its own ancestor through {current!r}")
                break
            seen.add(current)
            current = adapters[current].parent
    if problems:
        raise ManifestError(f"{path}: " + "; ".join(problems))
    return Manifest(path, models, adapters)


def _tables(data: dict[str, Any], key: str, problems: list[str]) -> list[tuple[str, dict[str, Any]]]:
    group = data.get(key, {})
    if not isinstance(group, dict):
        problems.append(f"{key} must be a table of tables")
        return []
    for name, entry in group.items():
        if not isinstance(entry, dict):
            problems.append(f'[{key}."{name}"] must be a table')
        elif not _NAME.fullmatch(name):
            problems.append(f'[{key}."{name}"] name: use 1 to 64 of A-Z a-z 0-9 . _ -')
    return [(n, e) for n, e in group.items() if isinstance(e, dict) and _NAME.fullmatch(n)]


def _text(entry: dict[str, Any], key: str, where: str, problems: list[str], *, need: bool = False) -> str:
    value = entry.get(key, "")
    if isinstance(value, datetime):
        value = value.isoformat()
    if not isinstance(value, str) or "\0" in value:
        problems.append(f"{where} {key} must be text")
        return ""
    if need and not value.strip():
        problems.append(f"{where} {key} is missing")
    return value


def _sha256_line(manifest: Path, path_text: str) -> str:
    """The line that is missing, with the digest of the files that are there."""
    folder = (manifest.parent / Path(path_text).expanduser()).resolve()
    files = ("adapter_config.json", "adapter_model.safetensors")
    try:
        if all((folder / name).is_file() for name in files):
            return f'the line sha256 = "{digest_folder(folder, files)}"'
    except OSError:
        pass
    return f"sha256 (64 hex digits; there are no adapter files in {folder})"


def _unknown(entry: dict[str, Any], known: set[str], where: str, problems: list[str]) -> None:
    for key in sorted(entry.keys() - known):
        quotes = "; a name with a dot needs quotes" if isinstance(entry[key], dict) and key.isdecimal() else ""
        problems.append(f"{where} unknown key {key!r}{_nearest(key, dict.fromkeys(known))}{quotes}")


def _model(manifest: Path, name: str, entry: dict[str, Any], problems: list[str]) -> Model | None:
    where = f'[models."{name}"]'
    _unknown(entry, _MODEL_KEYS, where, problems)
    path = _text(entry, "path", where, problems, need=True)
    template = _text(entry, "template", where, problems)
    chat_template = _text(entry, "chat_template", where, problems)
    kwargs = entry.get("chat_template_kwargs", {})
    if not isinstance(kwargs, dict):
        problems.append(f"{where} chat_template_kwargs must be a table")
        kwargs = {}
    for key, problem in template_kwargs_problems(kwargs):
        problems.append(f"{where} chat_template_kwargs.{key}: {problem}")
    trusted = entry.get("trust_remote_code", False)
    if not isinstance(trusted, bool):
        problems.append(f"{where} trust_remote_code must be true or false")
    return Model(
        name=name,
        path=path,
        template=template,
        revision=_text(entry, "revision", where, problems),
        chat_template=_place(manifest, chat_template) if chat_template else None,
        chat_template_kwargs=kwargs,
        trust_remote_code=trusted is True,
    )


def _adapter(manifest: Path, name: str, entry: dict[str, Any], problems: list[str]) -> Adapter | None:
    where = f'[adapters."{name}"]'
    _unknown(entry, _ADAPTER_KEYS, where, problems)
    model = _text(entry, "model", where, problems, need=True)
    parent = _text(entry, "parent", where, problems) or None
    path_text = _text(entry, "path", where, problems)
    sha256 = _text(entry, "sha256", where, problems)
    if path_text and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        problems.append(f"{where} has a path, so it needs {_sha256_line(manifest, path_text)}")
    rank = entry.get("rank", 0)
    if type(rank) is not int or rank < 0:
        problems.append(f"{where} rank must be a whole number")
        rank = 0
    status = _text(entry, "status", where, problems)
    if status and status not in _STATUSES:
        problems.append(f"{where} status = {status!r}; use {' or '.join(_STATUSES)}")
    # A person may keep adapters anywhere on their disk; what lies inside is checked when it is loaded.
    path = _place(manifest, path_text) if path_text else None
    tokenizer = _text(entry, "tokenizer", where, problems)
    tokenizer_sha256 = _text(entry, "tokenizer_sha256", where, problems)
    if tokenizer and not re.fullmatch(r"[0-9a-f]{64}", tokenizer_sha256):
        problems.append(f"{where} has a tokenizer, so it needs tokenizer_sha256 (64 hex digits)")
    on_top_of = _text(entry, "on_top_of", where, problems) or None
    plain = {
        "model", "parent", "on_top_of", "path", "sha256", "method", "rank", "created", "run", "recipe", "status",
        "tokenizer", "tokenizer_sha256",
    }  # fmt: skip
    return Adapter(
        name=name,
        model=model,
        parent=parent,
        path=path,
        sha256=sha256,
        method=_text(entry, "method", where, problems),
        rank=rank,
        created=_text(entry, "created", where, problems),
        run=_text(entry, "run", where, problems),
        recipe=_text(entry, "recipe", where, problems),
        on_top_of=on_top_of,
        tokenizer=_place(manifest, tokenizer) if tokenizer else None,
        tokenizer_sha256=tokenizer_sha256,
        status=status,
        facts={k: v for k, v in entry.items() if k not in plain},
    )


def _place(manifest: Path, text: str) -> Path:
    return (manifest.parent / Path(text).expanduser()).resolve()


def _shown(path: Path | None, root: Path) -> str:
    if path is None:
        return ""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _entry(adapter: Adapter, root: Path) -> dict[str, Any]:
    created = adapter.created or datetime.now(UTC).isoformat(timespec="seconds")
    entry: dict[str, Any] = {
        "model": adapter.model, "parent": adapter.parent or "", "on_top_of": adapter.on_top_of or "",
        "path": _shown(adapter.path, root), "sha256": adapter.sha256, "tokenizer": _shown(adapter.tokenizer, root),
        "tokenizer_sha256": adapter.tokenizer_sha256,
        "method": adapter.method, "rank": adapter.rank, "created": created, "run": adapter.run,
        "recipe": adapter.recipe, "status": adapter.status, **adapter.facts,
    }  # fmt: skip
    return {key: value for key, value in entry.items() if value not in ("", 0, None)}
