"""Verdicts with and without the early FAIL, over the whole bundled suite, by the users' own command.

Two scratch projects hold the bundled bad cases, one with ``early_fail = false``; each run starts from an empty store,
so nothing is shared. A cut answer must fail in full, an answer that was not cut must be the same answer. Twice the
tokens of the suite's own settings: a loop that began late has no time to prove itself in 256.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.scratch import make_project

__all__ = ["suite_verdicts"]


_TOKENS = 512


def suite_verdicts() -> dict[str, Any]:
    """Counts of verdicts, of cut answers, and of every difference between the two runs."""
    with tempfile.TemporaryDirectory(prefix="bench-beam-suite-") as place:
        sides = {cut: _run(Path(place) / ("cut" if cut else "full"), cut) for cut in (True, False)}
    (cut, cut_seconds), (full, full_seconds) = sides[True], sides[False]
    assert cut.keys() == full.keys()
    cut_ids = [case for case, row in cut.items() if row["finish_reason"] == "loop"]
    return {
        "cases": len(full),
        "tokens": _TOKENS,
        "failing_in_full": sum(row["verdict"] != "PASS" for row in full.values()),
        "cut": len(cut_ids),
        "verdicts_that_differ": [case for case in full if full[case]["verdict"] != cut[case]["verdict"]],
        "answers_not_cut_that_differ": [
            case for case in full if case not in cut_ids and full[case]["answer"] != cut[case]["answer"]
        ],
        "seconds_with_cut": cut_seconds,
        "seconds_in_full": full_seconds,
    }


def _run(project: Path, cut: bool) -> tuple[dict[str, dict[str, Any]], float]:
    make_project(project)
    for settings in (project / "badcases").glob("*/case.toml"):
        text = settings.read_text("utf-8").replace("[decoding]\n", f"[decoding]\nearly_fail = {str(cut).lower()}\n")
        text, found = re.subn(r"(?m)^max_tokens = .*$", f"max_tokens = {_TOKENS}", text)
        assert found and "early_fail" in text
        settings.write_text(text)
    began = time.perf_counter()
    command = [str(Path(sys.executable).parent / "pytest"), "badcases", "-q", "--tb=no"]
    done = subprocess.run(command, cwd=project, stdout=sys.stderr, check=False)
    assert done.returncode == 1, f"the suite has failing cases, but pytest ended with {done.returncode}"
    seconds = round(time.perf_counter() - began, 1)
    (report,) = (project / "reports" / "runs").glob("*/report.json")
    return _rows(json.loads(report.read_text("utf-8"))), seconds


def _rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (adapter,) = report["adapters"]
    rows = {}
    for result in adapter["results"]:
        (attempt,) = result["attempts"]
        status = result["verdict"]["status"]
        rows[result["case"]["id"]] = {
            "verdict": status, "finish_reason": attempt["finish_reason"], "answer": attempt["answer"],
        }  # fmt: skip
    return rows
