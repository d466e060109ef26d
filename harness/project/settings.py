"""The project's settings, read once: defaults < [tool.harness] in pyproject.toml < environment < flags.

All problems are reported together, so that nobody mends one line at a time; unknown names are refused, since a
misspelt limit that is silently ignored is a gate that is silently open. Frozen afterwards.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases.decoding import Decoding
from harness.cases.model import Thresholds
from harness.errors import SettingsError
from harness.project.manifest import MANIFEST_NAME

__all__ = ["Limits", "Settings", "find_root", "read_settings"]

_ENVIRONMENT = "HARNESS_"
_LIMITS = ("max_repetition", "max_repeater_rate", "max_cutoff_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a suite must keep to. Shares 0..1; None: no such limit."""

    max_repetition: float | None = None
    max_repeater_rate: float | None = None
    max_cutoff_rate: float | None = None
    max_regressions: int | None = None
    """Most cases that surely broke since the baseline; None is 0."""
    min_cases: int = 1
    """Fewest judged cases (with a baseline: judged on both sides) for a verdict."""
    strict: bool = False
    """Whether the whole confidence interval must keep the limit; one that lies across it is insufficient data."""
    alpha: float = 0.05
    """Most share of false alarms of the comparison with a baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is governed by, apart from its cases."""

    root: Path
    """The project: where adapters_manifest.toml is."""
    adapter: str = ""
    """Version to evaluate when no --adapter is given."""
    engine: str = "vllm"
    """``vllm``, ``transformers``, or ``module:attribute`` of one's own."""
    system: str = ""
    """System prompt of every case that names none; empty: the chat template's own default."""
    decoding: Decoding = field(default_factory=Decoding)
    thresholds: Thresholds = field(default_factory=Thresholds)
    max_repetition: float | None = None
    """Gate: most repetition score of the suite, 0..1."""
    max_repeater_rate: float | None = None
    """Gate: most share of cases that fail on repetition, 0..1."""
    max_cutoff_rate: float | None = None
    """Gate: most share of answers cut off at max_tokens, 0..1."""
    max_regressions: int | None = None
    """Gate: most cases that passed on the baseline and fail now."""
    baseline: str = ""
    """Version to compare with in the gate."""
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    """[tool.harness.engine_options]: keyword arguments of the engine (max_model_len, dtype ...)."""
    trainer: str = "llamafactory"
    """``llamafactory``, or ``module:attribute`` of one's own."""
    recipe: str = "fix"
    """Recipe of ``harness fix``."""
    merge: bool = False
    """Whether every adapter is merged into a model of its own before it answers: on a CPU, where LoRA kernels are slow,
    more than twice as fast; elsewhere only more disk and an engine start per adapter."""
    cache: bool = True
    """Whether stored generations are used again."""

    @property
    def limits(self) -> Limits:
        """The gate's limits."""
        return Limits(
            max_repetition=self.max_repetition,
            max_repeater_rate=self.max_repeater_rate,
            max_cutoff_rate=self.max_cutoff_rate,
            max_regressions=self.max_regressions,
        )

    @property
    def manifest_path(self) -> Path:
        return self.root / MANIFEST_NAME

    @property
    def badcases(self) -> Path:
        return self.root / "badcases"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def adapters(self) -> Path:
        """Where trained versions are published."""
        return self.root / "adapters"

    @property
    def database(self) -> Path:
        return self.reports / "harness.sqlite"


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` with a manifest, else with [tool.harness], else ``start``."""
    folders = [start, *start.parents] if start.is_dir() else list(start.parents)
    for folder in folders:
        if (folder / MANIFEST_NAME).is_file():
            return folder
    for folder in folders:
        project = folder / "pyproject.toml"
        if project.is_file() and "[tool.harness" in project.read_text(encoding="utf-8", errors="replace"):
            return folder
    return start


def read_settings(
    root: Path, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings of the project at ``root``.

    Args:
        root: the project folder.
        flags: what the command line gave; None values count as not given.
        environment: defaults to the process's; ``HARNESS_ENGINE``, ``HARNESS_MAX_REPETITION`` ... are read.

    Raises:
        SettingsError: every problem found, in one message.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    project = root / "pyproject.toml"
    table: dict[str, Any] = {}
    if project.is_file():
        try:
            table = tomllib.loads(project.read_text(encoding="utf-8")).get("tool", {}).get("harness", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{project}: not readable as TOML: {error}") from error
    fields = {f.name: f for f in dataclasses.fields(Settings) if f.name != "root"}
    for name, value in table.items():
        if name not in fields:
            problems.append(f"{project}: [tool.harness] has unknown {name!r}; known: {', '.join(sorted(fields))}")
        else:
            values[name] = value
    for name in ("decoding", "thresholds"):
        if isinstance(given := values.pop(name, {}), dict):
            kind: Any = Decoding if name == "decoding" else Thresholds
            try:
                values[name] = kind.from_mapping(given)
            except SettingsError as error:
                problems.append(f"{project}: [tool.harness.{name}] {error}")
        else:
            problems.append(f"{project}: [tool.harness] {name} must be a table")
    source = os.environ if environment is None else environment
    for name, entry in fields.items():
        text = source.get(_ENVIRONMENT + name.upper())
        if text is not None and entry.type in ("str", "float | None", "int | None", "bool"):
            values[name] = _from_text(name, text, str(entry.type), problems)
    values.update({n: v for n, v in (flags or {}).items() if v is not None})
    problems += _problems(values)
    if problems:
        raise SettingsError("; ".join(problems))
    return Settings(root=root, **values)


def _from_text(name: str, text: str, kind: str, problems: list[str]) -> Any:
    try:
        match kind:
            case "bool":
                return {"1": True, "true": True, "0": False, "false": False}[text.strip().lower()]
            case "float | None":
                return float(text)
            case "int | None":
                return int(text)
            case _:
                return text
    except (KeyError, ValueError):
        problems.append(f"environment variable {_ENVIRONMENT}{name.upper()} = {text!r} is not a {kind.split()[0]}")
        return None


def _problems(values: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name in ("adapter", "engine", "system", "baseline", "trainer", "recipe"):
        if not isinstance(values.get(name, ""), str):
            found.append(f"{name} = {values[name]!r} must be text")
    for name in _LIMITS:
        value = values.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= 1):
            found.append(f"{name} = {value!r} must be a number 0..1")
    regressions = values.get("max_regressions")
    if regressions is not None and (type(regressions) is not int or regressions < 0):
        found.append(f"max_regressions = {regressions!r} must be a whole number >= 0")
    for name in ("cache", "merge"):
        if not isinstance(values.get(name, True), bool):
            found.append(f"{name} = {values[name]!r} must be true or false")
    if not isinstance(values.get("engine_options", {}), dict):
        found.append("engine_options must be a table")
    return found
