"""A large run's page, made when the run ends, so that it opens at once later.

To read and judge 10,000 results again takes seconds. When a suite ends they are in memory, judged, and somebody has
waited much longer for the answers. Smaller runs are made when they are opened.
"""

from __future__ import annotations

from contextlib import suppress

from harness.errors import HarnessError
from harness.project.settings import Settings
from harness.reports.conclusion import Conclusion
from harness.reports.html_report import run_page
from harness.view.pages import navigation
from harness.view.reading import Reading

__all__ = ["keep_page", "shown_run"]


def shown_run(conclusion: Conclusion) -> str:
    """The page of a run."""
    run = conclusion.run
    live = {"run": run.id, "data": f"/run/{run.id}/cases.json", "now": f"/run/{run.id}/now.json"}
    return run_page(conclusion.report, live, navigation(""))


def keep_page(conclusion: Conclusion, settings: Settings) -> None:
    """Make the page of a run that has just ended.

    Raises no error of the harness: without it the page is made when it is opened.
    """
    with suppress(HarnessError):
        Reading(settings).keep(conclusion, shown_run)
