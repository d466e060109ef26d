"""A project with a recorded run of two versions, case files, and a training whose pairs wait to be read.

Nothing was generated: results are those of :mod:`tests.support.demo_report`, so the page shows loops in English and
Chinese, hostile text and every kind of change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.cases.suite import describe_suite
from harness.pairs.files import export_pairs
from harness.store import Run, Store
from tests.support.builders import pair
from tests.support.demo_report import demo_pairs
from tests.support.projects import TEST_FILE, make_model

__all__ = ["record_run", "recorded_project"]

MANIFEST = """\
[models."tiny"]
path = "model"

# The model as it was shipped.
[adapters."v4.0"]
model = "tiny"
status = "candidate"

[adapters."v4.1"]
model = "tiny"
parent = "v4.0"
method = "dpo"
created = "2026-11-21T10:19:05+00:00"
status = "candidate"
"""


def recorded_project(root: Path, cases: int = 40, settings: str = "") -> Path:
    """A project at ``root`` with ``cases`` cases, one finished run and one set of pairs; returns ``root``."""
    make_model(root / "model")
    (root / "adapters_manifest.toml").write_text(MANIFEST, "utf-8")
    (root / "pyproject.toml").write_text(f'[tool.harness]\nadapter = "v4.1"\nbaseline = "v4.0"\n{settings}\n', "utf-8")
    by_folder: dict[str, list[dict[str, Any]]] = {}
    for before, _ in demo_pairs(cases):
        of = before.case
        record = {"id": of.id.partition("/")[2], "text": of.prompt, "standard_answer": of.standard_answer}
        record |= {"role": of.role} if of.role != "fix" else {}
        by_folder.setdefault(of.folder, []).append(record | ({"tags": list(of.tags)} if of.tags else {}))
    for folder, records in by_folder.items():
        (root / "badcases" / folder).mkdir(parents=True, exist_ok=True)
        text = json.dumps(records, ensure_ascii=False, indent=2) + "\n"
        (root / "badcases" / folder / "test.json").write_text(text, "utf-8")
    (root / "badcases" / "test_badcases.py").write_text(TEST_FILE, "utf-8")
    with Store(root / "reports" / "harness.sqlite") as store:
        record_run(store, cases)
    export_pairs([pair(), pair(chosen="The tide comes in, and the boats rise with it.")],
                 root / "reports" / "trainings" / "v4.2-20261121")  # fmt: skip
    return root


def record_run(store: Store, cases: int = 40, *, finished: bool = True, only: int | None = None) -> Run:
    """A run of v4.0 and v4.1 on the demo's cases; the first ``only`` of them while it is under way."""
    both = list(demo_pairs(cases))
    suite = describe_suite(before.case for before, _ in both)
    facts = {
        "adapters": ["v4.0", "v4.1"], "command": ["pytest", "badcases"], "models": ["tiny"], "baseline": "v4.0",
        "engine": ["scripted", "1"], "suite": {"cases": suite.cases, "digest": suite.digest}, "limits": {},
    }  # fmt: skip
    run = store.begin_run(2 * cases, facts)
    for number, pair_of in enumerate(both[:only]):
        for at, result in enumerate(pair_of):
            store.save_result(run.id, 2 * number + at, result)
    return store.finish_run(run.id, "finished", {"complete": True, "seconds": 693.0}) if finished else run
