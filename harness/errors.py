"""Every error the harness raises on purpose, in one tree.

    HarnessError                  base: what happened, where, what to do; exit code 3
    ├── UsageError                usage error: wrong arguments or a wrong input file; exit code 2
    │   ├── SettingsError         [tool.harness] or an option has a wrong value
    │   ├── CaseFileError         a case file cannot be read as cases
    │   ├── ManifestError         adapters_manifest.toml is wrong or names something unknown
    │   └── DataError             training data that must not be trained on
    ├── EngineError               the engine could not generate; never the model's fault
    │   └── EngineMissing         the engine's package or model is not installed
    ├── AdapterError              an adapter is damaged, on the wrong base, or has no effect
    ├── MetricError               a metric could not be computed; never the model's fault
    ├── TrainerError              a training did not end well
    │   ├── TrainerMissing        the trainer's environment is not installed
    │   └── TrainingNotStarted    people have to start it on several machines; what they start is written
    ├── StoreError                the run database is unreadable or in use
    └── ReportError               a report could not be written; results are safe

Why a tree: the command line turns the class into the exit code, so that a usage error (2),
"the model failed" (1, not an error at all) and "the harness broke" (3) never share one. Messages are one line
by convention: what, where, what to do. Not supported: error codes in the text; the class name serves.
"""

from __future__ import annotations

__all__ = [
    "AdapterError",
    "CaseFileError",
    "DataError",
    "EngineError",
    "EngineMissing",
    "HarnessError",
    "ManifestError",
    "MetricError",
    "ReportError",
    "SettingsError",
    "StoreError",
    "TrainerError",
    "TrainerMissing",
    "TrainingNotStarted",
    "UsageError",
]


class HarnessError(Exception):
    """The harness could not do its work; ``str(error)`` says what, where and what to do."""

    exit_code = 3


class UsageError(HarnessError):
    """A usage error: wrong arguments, or a file of the user's that is wrong."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting has an unknown name or a wrong value."""


class CaseFileError(UsageError):
    """A case file cannot be read as cases; names file, record and field."""


class ManifestError(UsageError):
    """adapters_manifest.toml is malformed or names something that does not exist."""


class DataError(UsageError):
    """Training data that would be dropped, truncated or taught wrongly."""


class EngineError(HarnessError):
    """The engine could not generate. Verdict ERROR, never FAIL, never a training pair."""


class EngineMissing(EngineError):
    """The engine's package, or the model that it needs, is not on this machine."""


class AdapterError(HarnessError):
    """An adapter is damaged, sits on the wrong base, or does not change the model."""


class MetricError(HarnessError):
    """A metric raised, or returned something that is not a finite number. Verdict ERROR, never FAIL."""


class TrainerError(HarnessError):
    """A training did not end well; nothing was registered."""


class TrainerMissing(TrainerError):
    """The trainer's environment is not installed."""


class TrainingNotStarted(TrainerError):
    """A training is written, and people start it on several machines; a later call collects its weights."""


class StoreError(HarnessError):
    """The run database cannot be read or written."""


class ReportError(HarnessError):
    """A report could not be written; the results themselves are in the store."""
