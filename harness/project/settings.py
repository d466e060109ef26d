"""The project's settings, read once: defaults < [tool.harness] in pyproject.toml < environment < flags.

All problems are reported together. Unknown names are refused, because a misspelt limit that is ignored is a gate that
is open. Settings are frozen afterwards.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.cases.decoding import Decoding
from harness.cases.model import Thresholds
from harness.errors import SettingsError
from harness.project.database import DATABASE_PASSWORD, address_problem, is_shared, without_password
from harness.project.deadlines import Deadlines
from harness.project.manifest import MANIFEST_NAME
from harness.project.run_group import group_problem
from harness.project.sampling import Sampling
from harness.project.slurm import Slurm
from harness.safe.nearest import nearest_name
from harness.safe.read import read_text, read_toml, reason
from harness.safe.shares import parse_share
from harness.safe.validate import Amount, Count, NonNegative, Share, problem

__all__ = ["LIMIT_NAMES", "TRACKERS", "Limits", "Settings", "find_root", "read_settings"]

_ENVIRONMENT = "HARNESS_"
_OTHER_VARIABLES = {
    "HARNESS_API_KEY", "HARNESS_CACHE_DIR", "HARNESS_TRAINER_PYTHON", "HARNESS_KERNELS", "HARNESS_JUDGE_KEY",
    DATABASE_PASSWORD,
}  # fmt: skip
_TABLES: Mapping[str, Any] = {
    "decoding": Decoding, "thresholds": Thresholds, "sampling": Sampling, "deadlines": Deadlines, "slurm": Slurm,
}  # fmt: skip
"""Settings that are tables with a type of their own."""

Alpha = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Names = Annotated[tuple[str, ...], Meta(description="a list of texts")]
TRACKERS = ("jsonl", "mlflow", "tensorboard", "wandb")
"""Experiment trackers that are shipped; others are ``module:Class``."""
Options = Annotated[Mapping[str, Any], Meta(description="a table")]

LIMIT_NAMES = (
    "max_repetition", "max_repeater_rate", "max_cutoff_rate", "max_regressions", "gate_min_cases", "gate_strict",
    "gate_alpha",
)  # fmt: skip
"""The settings that make up the gate's limits, as a run records them. Not ``allow_partial``: each call must say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The gate's limits on a suite. Shares are 0..1; None is no limit."""

    max_repetition: float | None = None
    max_repeater_rate: float | None = None
    max_cutoff_rate: float | None = None
    max_regressions: int | None = None
    """Maximum number of cases that broke since the baseline; None is 0."""
    min_cases: int = 1
    """Minimum number of judged cases (with a baseline: judged on both sides) for a verdict."""
    strict: bool = False
    """Whether the whole confidence interval must keep a limit; an interval across the limit is insufficient data."""
    alpha: float = 0.05
    """Maximum share of false alarms in the comparison with a baseline."""
    allow_partial: bool = False
    """Whether a part of the suite is judged as if it were all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a run; its cases are separate."""

    root: Path
    """The project: the folder of adapters_manifest.toml."""
    adapter: str = ""
    """Version to evaluate when no --adapter is given."""
    engine: str = "vllm"
    """``vllm``, ``server``, ``ray``, ``transformers``, or ``module:attribute`` of your own."""
    base_url: str = ""
    """Engine ``server``: addresses of vLLM servers, separated by commas; the key is in HARNESS_API_KEY."""
    ray_address: str = ""
    """Engine ``ray``: ``HOST:PORT`` of a running Ray cluster, or ``auto`` for the one that this machine belongs to;
    empty: start a Ray on this machine."""
    ray_engine: str = "vllm"
    """Engine ``ray``: the engine inside each replica, any but ``server``."""
    replicas: Count | None = None
    """Engine ``ray``: how many replicas of the model; unset: as many as the cluster's GPUs allow, or one without
    GPUs."""
    language: Literal["", "en", "zh"] = ""
    """Language of reports, the page and the terminal: ``en``, ``zh``, or empty for the locale's."""
    system: str = ""
    """System prompt of every case without one; empty: the chat template's own default."""
    decoding: Decoding = field(default_factory=Decoding)
    """Decoding of every case; see the page on decoding."""
    thresholds: Thresholds = field(default_factory=Thresholds)
    """Thresholds of every case; see the page on thresholds."""
    max_repetition: Share | None = None
    """Gate: maximum repetition score of the suite, 0..1, or a text in percent: "5%"."""
    max_repeater_rate: Share | None = None
    """Gate: maximum share of cases that fail on repetition, 0..1."""
    max_cutoff_rate: Share | None = None
    """Gate: maximum share of answers cut off at max_tokens, 0..1."""
    max_regressions: Amount | None = None
    """Gate: maximum number of cases that passed on the baseline and fail now."""
    baseline: str = ""
    """Gate: version to compare with, or a file of ``harness baseline write``, which ends in .json."""
    gate_min_cases: Count = 1
    """Gate: minimum number of judged cases for a verdict; fewer give "insufficient data"."""
    gate_strict: bool = False
    """Gate: whether the whole confidence interval must keep a limit, and not only the value."""
    gate_alpha: Alpha = 0.05
    """Gate: significance level of the comparison with the baseline."""
    allow_partial: bool = False
    """Gate and blessing: whether a run of some cases is judged like a run of the whole suite."""
    engine_options: Options = field(default_factory=dict)
    """[tool.harness.engine_options]: keyword arguments of the engine (max_model_len, dtype ...)."""
    max_drift: NonNegative = 0.5
    """Blessing: maximum divergence of a fixed version from its parent on texts that it was not trained on, in nats a
    token; 0 is no limit."""
    trainer: str = "llamafactory"
    """``llamafactory``, or ``module:attribute`` of your own."""
    recipe: str = "fix"
    """Recipe of ``harness fix``: a shipped one by name, or the path of a TOML file."""
    sampling: Sampling = field(default_factory=Sampling)
    """[tool.harness.sampling]: how ``harness fix`` samples the model's own answers."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    """[tool.harness.deadlines]: seconds for which an engine or a training may be silent."""
    slurm: Slurm = field(default_factory=Slurm)
    """[tool.harness.slurm]: what a training on several nodes asks of Slurm."""
    merge: bool = False
    """Whether each adapter answers as a merged model: more than twice as fast on a CPU; elsewhere it costs disk space
    and an engine start for each adapter."""
    cache: bool = True
    """Whether stored generations are used again."""
    run_tags: Names = ()
    """Names under which runs are found again (``harness history --tag NAME``); in the environment, with commas."""
    trackers: Names = ()
    """Experiment trackers that get every run and training: ``jsonl``, ``mlflow``, ``tensorboard``, ``wandb``, or
    ``module:Class`` of your own; in the environment, with commas."""
    trackers_send_texts: bool = False
    """Whether trackers also get the reports, which hold prompts and answers; else ids and numbers only."""
    tracker_options: Options = field(default_factory=dict)
    """[tool.harness.tracker_options.NAME]: keyword arguments of a tracker (``uri``, ``experiment``, ``folder`` ...)."""
    database: str = ""
    """Where runs are recorded: ``postgresql+psycopg://USER@HOST:PORT/NAME`` for a team; empty: the file
    ``reports/harness.sqlite``. Never with a password in a file."""

    run_group: str = ""
    """Name under which the parts of a run (``--shard``) find each other in one database. Empty: on a shared database
    the number of the CI pipeline, elsewhere a part stays alone."""

    def __post_init__(self) -> None:
        if not self.database:
            object.__setattr__(self, "database", str(self.reports / "harness.sqlite"))

    @property
    def database_is_shared(self) -> bool:
        """Whether several machines write to the database."""
        return is_shared(self.database)

    @property
    def baseline_is_file(self) -> bool:
        """Whether the baseline is a file of ``harness baseline write`` and not a version."""
        return self.baseline.endswith(".json")

    @property
    def limits(self) -> Limits:
        """The gate's limits."""
        return Limits(
            max_repetition=self.max_repetition,
            max_repeater_rate=self.max_repeater_rate,
            max_cutoff_rate=self.max_cutoff_rate,
            max_regressions=self.max_regressions,
            min_cases=self.gate_min_cases,
            strict=self.gate_strict,
            alpha=self.gate_alpha,
            allow_partial=self.allow_partial,
        )

    @property
    def recorded_limits(self) -> Mapping[str, Any]:
        """The limits by setting name, as a run records them for ``harness gate``."""
        return {name: getattr(self, name) for name in LIMIT_NAMES}

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
        """Folder of trained versions."""
        return self.root / "adapters"


def find_root(start: Path) -> Path:
    """The nearest folder at or above ``start`` with a manifest, else with [tool.harness], else ``start``."""
    folders = [start, *start.parents] if start.is_dir() else list(start.parents)
    for folder in folders:
        if (folder / MANIFEST_NAME).is_file():
            return folder
    for folder in folders:
        project = folder / "pyproject.toml"
        with suppress(OSError, ValueError):
            if "[tool.harness" in read_text(project):
                return folder
    return start


def read_settings(
    root: Path, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings of the project at ``root``.

    Args:
        root: the project folder.
        flags: values of the command line; None values count as absent.
        environment: defaults to the process's; ``HARNESS_ENGINE``, ``HARNESS_MAX_REPETITION`` ... are read.

    Raises:
        SettingsError: every problem, in one message.
    """
    problems: list[str] = []
    values = _from_project(root / "pyproject.toml", problems)
    # A value's file is part of what is wrong with it; options and variables are what the user has just typed.
    where = dict.fromkeys(values, f"{root / 'pyproject.toml'}: ")
    more = _from_environment(os.environ if environment is None else environment, problems)
    more |= _from_flags(flags or {}, problems)
    values |= more
    where |= dict.fromkeys(more, "")
    types = _types()
    checked = (
        problem(f"{where[name]}{name}", value, types[name]) for name, value in values.items() if name not in _TABLES
    )
    problems += [text for text in checked if text is not None]
    if isinstance(database := values.get("database"), str):
        # A value of a file with a password is refused where it is read.
        values["database"], _ = without_password(database)
        problems += [text for text in [address_problem("database", values["database"])] if text is not None]
    if isinstance(group := values.get("run_group"), str) and (text := group_problem(group)) is not None:
        problems.append(text)
    if not problems:
        problems += _tracker_problems(values, where)
    if problems:
        raise SettingsError("; ".join(problems))
    for name, engine in (("base_url", "server"), ("ray_address", "ray")):
        if (flags or {}).get(name) and not (flags or {}).get("engine"):
            values["engine"] = engine
    if names := _ENGINE_SETTINGS.get(values.get("engine", "")):
        own = {name: values[name] for name in names if values.get(name)}
        values["engine_options"] = {**values.get("engine_options", {}), **own}
    return Settings(root=root, **{**values, **{name: tuple(values.get(name, ())) for name in _LISTS}})


_LISTS = ("run_tags", "trackers")
_ENGINE_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "server": ("base_url",), "ray": ("ray_address", "ray_engine", "replicas"),
}  # fmt: skip
"""Settings that only one engine has; they go to it with its options."""


def _tracker_problems(values: Mapping[str, Any], place: Mapping[str, str]) -> list[str]:
    """A misspelt tracker would be missed only where someone looks for its runs."""
    options = values.get("tracker_options", {})
    named = [("trackers", name) for name in values.get("trackers", ())] + [
        ("tracker_options", name) for name in options
    ]
    return [
        f"{place[where]}{where}: {name!r} is unknown; known: {', '.join(TRACKERS)} and module:Class of your own"
        for where, name in named
        if name not in TRACKERS and not all(name.partition(":"))
    ] + [
        f"{place['tracker_options']}tracker_options.{name} must be a table"
        for name, value in options.items()
        if not isinstance(value, Mapping)
    ]


def _from_flags(flags: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    known = _types()
    values: dict[str, Any] = {}
    for name, value in flags.items():
        if name not in known:
            near = nearest_name(name, known)
            problems.append(f"unknown setting {name!r}" + (f"; did you mean {near}?" if near else ""))
        elif name in _TABLES and isinstance(value, Mapping):
            try:
                values[name] = _TABLES[name].from_mapping(value)
            except SettingsError as error:
                problems.append(str(error))
        elif value is not None:
            values[name] = _share(name, value, problems) if name in _shares() else value
    return values


def _types() -> dict[str, Any]:
    hints = typing.get_type_hints(Settings, include_extras=True)
    return {f.name: hints[f.name] for f in fields(Settings) if f.name != "root"}


def _shares() -> set[str]:
    """Settings that are shares, which may be written in percent."""
    return {name for name, kind in _types().items() if kind == Share | None}


def _share(where: str, value: Any, problems: list[str]) -> Any:
    """A share as a number where it was written as text; None with a problem."""
    if not isinstance(value, str):
        return value
    try:
        return parse_share(value)
    except ValueError as error:
        problems.append(f"{where} = {value!r}: {error}")
        return None


def _from_project(path: Path, problems: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table: Any = read_toml(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not readable as TOML: {reason(error)}") from error
    for name in ("tool", "harness"):
        table = table.get(name, {})
        if not isinstance(table, dict):
            problems.append(f"{path}: {name} = {table!r} (expected a table)")
            return {}
    known = _types()
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            problems.append(f"{path}: [tool.harness] has unknown {name!r}; known: {', '.join(sorted(known))}")
        elif name == "database" and isinstance(value, str) and without_password(value)[1]:
            problems.append(
                f"{path}: database has a password, and the file is for everyone; change that password, leave it out "
                f"here, and set {DATABASE_PASSWORD}"
            )
        elif name not in _TABLES:
            values[name] = _share(f"{path}: {name}", value, problems) if name in _shares() else value
        elif not isinstance(value, dict):
            problems.append(f"{path}: [tool.harness] {name} must be a table")
        else:
            try:
                values[name] = _TABLES[name].from_mapping(value)
            except SettingsError as error:
                problems.append(f"{path}: [tool.harness.{name}] {error}")
    return values


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known = {_ENVIRONMENT + name.upper() for name in _types()} | _OTHER_VARIABLES
    for name in sorted(n for n in environment if n.startswith(_ENVIRONMENT) and n not in known):
        # A variable of another program may begin so too; one that is nearly ours is a typing error.
        if near := nearest_name(name, known, cutoff=0.85):
            problems.append(f"environment variable {name} is unknown; did you mean {near}?")
    for name, kind in _types().items():
        text = environment.get(_ENVIRONMENT + name.upper())
        if text is None or name in _TABLES or kind == Options:
            continue
        if name in _LISTS:
            values[name] = [tag for part in text.split(",") if (tag := part.strip())]
            continue
        if name in _shares():
            values[name] = _share(f"environment variable {_ENVIRONMENT}{name.upper()}", text, problems)
            continue
        try:
            # Not strict: the text "0.3" is a number and "true" is a boolean here.
            values[name] = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError:
            problems.append(problem(f"environment variable {_ENVIRONMENT}{name.upper()}", text, kind) or "")
    return values
