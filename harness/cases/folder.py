"""Reads folders of bad cases into a suite: which files count, what a folder's records share, and that ids are unique.

    badcases/
      badcase1/                 a case folder; its name is the first part of its cases' ids
        test.json               or test/cases with .json, .jsonl, .csv, .xlsx, .parquet; one or several
        case.toml               optional: decoding, thresholds, system, tags, role, must_include, must_not_include,
                                skip, xfail, weight for all records

Everything is read before anything is raised, so one error names all problems of a suite. Folders come in natural order
(badcase2 before badcase10), then records in file order. A folder that looks like cases but yields none is an error and
never an empty suite: a misnamed file must not turn into a green run.

Not supported: case folders inside case folders.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from harness.cases.decoding import Decoding
from harness.cases.edit import RecordPlace
from harness.cases.fields import Fields
from harness.cases.formats import SUFFIXES, read_records, read_toml
from harness.cases.model import Case, Thresholds
from harness.cases.problems import Problems, show
from harness.cases.record import CaseRecord, Defaults, read_case
from harness.safe.files import digest_file

__all__ = ["SETTINGS_FILE", "hidden_folders", "locate_cases", "natural_key", "read_file", "read_folder", "read_suite"]

SETTINGS_FILE = "case.toml"
_SETTINGS = (
    "decoding", "thresholds", "system", "tags", "role", "must_include", "must_not_include", "skip", "xfail", "weight",
    "chat_template_kwargs",
)  # fmt: skip
_STEMS = ("test", "cases")
_NOT_CASES = ("dataset_info.json", "generalized_dpo_preference_dataset.json")
_UNREAD = {".yaml", ".yml", ".tsv", ".ods", ".xls", ".xlsm", ".ndjson", ".txt", ".arrow", ".feather"}
"""Suffixes of cases in formats that are not read; a file of this kind beside read ones must not be passed over."""
_WANTED = "test.json (or test/cases with .jsonl, .csv, .xlsx)"


def read_suite(
    root: Path, *, decoding: Decoding | None = None, thresholds: Thresholds | None = None, system: str | None = None
) -> tuple[Case, ...]:
    """All cases of the case folders directly under ``root``.

    Args:
        root: the folder ``badcases``.
        decoding: the project's setting; case.toml and records go over it field by field.
        thresholds: likewise.
        system: the project's system prompt for conversations that bring none.

    Raises:
        CaseFileError: names every problem by file, record and field.
    """
    reading = _Reading(decoding, thresholds, system)
    reading.suite(Path(root))
    return reading.finish()


def read_folder(
    folder: Path, *, decoding: Decoding | None = None, thresholds: Thresholds | None = None, system: str | None = None
) -> tuple[Case, ...]:
    """The cases of one case folder; arguments and errors as for :func:`read_suite`."""
    reading = _Reading(decoding, thresholds, system)
    reading.folder(Path(folder))
    return reading.finish()


def hidden_folders(root: Path) -> tuple[str, ...]:
    """Names of folders of a suite that hold case files and are not read, since a dot begins their name."""
    try:
        hidden = [entry for entry in sorted(Path(root).iterdir()) if entry.name.startswith(".") and entry.is_dir()]
        return tuple(entry.name for entry in hidden if _case_files(list(entry.iterdir())))
    except OSError:
        return ()


def locate_cases(root: Path) -> dict[str, RecordPlace]:
    """Where each case of a suite is written, by id.

    Raises:
        CaseFileError: the suite cannot be read.
    """
    reading = _Reading(None, None, None)
    reading.suite(Path(root))
    reading.finish()
    digests = {path: digest_file(path) for path in {path for path, _ in reading.places.values()}}
    return {
        case_id: RecordPlace(path=path, index=index, digest=digests[path])
        for case_id, (path, index) in reading.places.items()
    }


def read_file(
    path: Path, *, decoding: Decoding | None = None, thresholds: Thresholds | None = None, system: str | None = None
) -> tuple[Case, ...]:
    """The cases of one file, of any name, as its folder's reading would give them (case.toml counts)."""
    reading = _Reading(decoding, thresholds, system)
    path = Path(path)
    reading.files(path.parent, [path])
    return reading.finish()


class _Reading:
    """One reading: the cases and problems found so far, and who has which id."""

    def __init__(self, decoding: Decoding | None, thresholds: Thresholds | None, system: str | None) -> None:
        self._defaults = Defaults(decoding=decoding or Decoding(), thresholds=thresholds or Thresholds(), system=system)
        self._problems = Problems()
        self._cases: list[Case] = []
        self._owners: dict[str, tuple[str, Case]] = {}
        self.places: dict[str, tuple[Path, int]] = {}
        """By id: the file, and the number of the record in it, from 0."""

    def finish(self) -> tuple[Case, ...]:
        self._problems.check()
        return tuple(self._cases)

    def suite(self, root: Path) -> None:
        entries = self._entries(root)
        if entries is None:
            return
        before = self._problems.count
        for entry in entries:
            if entry.is_dir():
                if _inside(entry, root):
                    self.folder(entry, among_others=True)
                elif _case_files(self._entries(entry) or []):
                    self._problems.add(
                        show(entry), "is a symbolic link that leaves the suite; put the folder itself here"
                    )
            elif _is_case_file(entry):
                self._problems.add(show(entry), "lies in no case folder; move it into one, e.g. badcase1/test.json")
        if not self._cases and self._problems.count == before:
            self._problems.add(
                show(root), f"has no case folder; make one, e.g. {show(root / 'badcase1' / 'test.json')}"
            )

    def folder(self, folder: Path, *, among_others: bool = False) -> None:
        """Read a case folder; ``among_others``: one without cases may also be something else."""
        entries = self._entries(folder)
        if entries is None:
            return
        paths = _case_files(entries)
        for entry in entries:
            if entry.stem in ("test", "cases") and entry.suffix.lower() in _UNREAD:
                self._problems.add(
                    show(entry),
                    "is named like a case file, but its format is not read; convert or rename it",
                )
        if paths:
            self.files(folder, paths)
            return
        problem = self._why_no_cases(entries)
        if problem or not among_others:
            self._problems.add(show(folder), problem or f"holds no case file; expected {_WANTED}")

    def files(self, folder: Path, paths: list[Path]) -> None:
        # Not resolve(): a folder is called what its user calls it.
        name = Path(os.path.abspath(folder)).name  # noqa: PTH100 - Path.absolute() keeps ".."
        if not name.isprintable() or "::" in name:
            self._problems.add(show(folder), "has a name that cannot be part of a test's id; rename it")
            return
        defaults = self._settings(folder / SETTINGS_FILE)
        for path in paths:
            for index, record in enumerate(read_records(path, self._problems)):
                case = read_case(record, name, defaults, self._problems)
                if case is not None and self._own(case, record):
                    self._cases.append(case)
                    self.places[case.id] = (path, index)

    def _settings(self, path: Path) -> Defaults:
        if not os.path.lexists(path):
            return self._defaults
        fields = Fields(show(path), read_toml(path, self._problems), self._problems)
        fields.known_only(_SETTINGS)
        base = self._defaults
        skip, xfail = fields.reasons()
        return Defaults(
            decoding=fields.decoding(base.decoding),
            thresholds=fields.thresholds(base.thresholds),
            chat_template_kwargs=fields.chat_template_kwargs(base.chat_template_kwargs),
            system=fields.text("system") or base.system,
            tags=fields.tags(base.tags),
            role=fields.role(base.role),
            must_include=fields.patterns("must_include"),
            must_not_include=fields.patterns("must_not_include"),
            skip=skip,
            xfail=xfail,
            weight=fields.weight(base.weight),
        )

    def _own(self, case: Case, record: CaseRecord) -> bool:
        """Whether the case is the first of its id."""
        owner, other = self._owners.setdefault(unicodedata.normalize("NFC", case.id), (record.place, case))
        if other is case:
            return True
        name = case.id.partition("/")[2]
        if isinstance(record.values, dict) and "id" in record.values:
            self._problems.add(f"{record.place}, field 'id'", f"{name!r} is the id of {owner} too; ids are unique")
        elif _content(case) == _content(other):
            self._problems.add(record.place, f"the same conversation as {owner}; remove one, or give each an 'id'")
        else:
            self._problems.add(record.place, f"derives the id {name!r} that {owner} has; give it an 'id'")
        return False

    def _entries(self, folder: Path) -> list[Path] | None:
        """What is in a folder in natural order, without hidden entries."""
        try:
            names = [entry.name for entry in folder.iterdir()]
        except OSError as error:
            self._problems.add(
                show(folder), f"cannot be read as a folder: {error.strerror}; give a folder of bad cases"
            )
            return None
        shown = [name for name in names if not name.startswith(".") and name != "__pycache__"]
        return [folder / name for name in sorted(shown, key=natural_key)]

    def _why_no_cases(self, entries: list[Path]) -> str | None:
        """Why a folder without case files is a mistake rather than something else; None when it is not."""
        if not entries:
            return f"is empty; add {_WANTED}, or remove the folder"
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink() and _case_files(self._entries(entry) or []):
                return f"holds no case file but the folder {entry.name!r} does; case folders lie directly in the suite"
        likely = [e.name for e in entries if e.name == SETTINGS_FILE or e.suffix.lower() in SUFFIXES]
        likely = [name for name in likely if name not in _NOT_CASES]
        if likely:
            return f"holds no case file but {likely[0]!r}; name it {_WANTED}, or start the folder's name with a dot"
        return None


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key with numbers as numbers; the name itself decides between ``a1`` and ``a01``."""
    parts = re.split("([0-9]+)", name)
    return [(0, int(p), "") if i % 2 else (1, 0, p.casefold()) for i, p in enumerate(parts)], name


def _is_case_file(path: Path) -> bool:
    return path.stem.lower() in _STEMS and path.suffix.lower() in SUFFIXES


def _case_files(entries: list[Path]) -> list[Path]:
    return [entry for entry in entries if _is_case_file(entry)]


def _inside(entry: Path, root: Path) -> bool:
    try:
        return not entry.is_symlink() or entry.resolve(strict=True).parent == root.resolve(strict=True)
    except (OSError, RuntimeError):
        return False


def _content(case: Case) -> list[tuple[str, str]]:
    return [(m.role, unicodedata.normalize("NFC", m.content)) for m in case.messages]
