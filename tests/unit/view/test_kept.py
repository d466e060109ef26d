"""What was computed for a run is used again as long as everything that it comes from is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.project.manifest import read_manifest
from harness.project.settings import Settings, read_settings
from harness.reports.conclusion import Conclusion, review_run
from harness.store import Store
from harness.view.kept import Kept
from harness.view.pages import home_page
from harness.view.prepared import keep_page, shown_run
from harness.view.reading import Reading
from tests.support.recorded import recorded_project


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(recorded_project(tmp_path, 8), environment={})


def newest(settings: Settings) -> str:
    with Store(settings.database) as store:
        return next(run.id for run in store.runs() if run.results_seal)


def never(_: Conclusion) -> str:
    """Make no page: there is one."""
    raise AssertionError("the page was made again")


def test_a_page_is_made_once_for_all_processes(settings: Settings) -> None:
    """A second reading takes page and cases from the files."""
    first = Reading(settings)
    run = newest(settings)
    page, cases = first.page(run, lambda _: "<p>page</p>"), first.cases(run)
    second = Reading(settings)
    assert second.page(run, never) == page == "<p>page</p>"
    assert second.cases(run) == cases


@pytest.mark.parametrize("what", ["manifest", "limit", "damage"])
def test_a_page_is_made_again_when_something_changed(settings: Settings, what: str) -> None:
    """The manifest, a limit, or a file that is gone: nothing stale is shown."""
    run = newest(settings)
    Reading(settings).page(run, lambda _: "before")
    if what == "manifest":
        text = settings.manifest_path.read_text()
        settings.manifest_path.write_text(text.replace('status = "candidate"', 'status = "blessed"'))
    elif what == "limit":
        settings = replace(settings, gate_min_cases=3, max_regressions=2)
    else:
        for path in (settings.reports / "view").glob("*.html"):
            path.unlink()
    assert Reading(settings).page(run, lambda _: "after") == "after"


def test_a_version_that_a_run_does_not_show_leaves_its_page(settings: Settings) -> None:
    """Every fix adds a version; the pages of all earlier runs stay as they are."""
    run = newest(settings)
    Reading(settings).page(run, lambda _: "before")
    with settings.manifest_path.open("a") as file:
        file.write('\n[adapters."v9.0"]\nmodel = "tiny"\n')
    assert Reading(settings).page(run, never) == "before"


def test_a_page_that_is_kept_at_the_end_of_a_run_is_the_one_that_would_be_made(settings: Settings) -> None:
    """So a large run opens without being read and judged again."""
    run = newest(settings)
    with Store(settings.database) as store:
        conclusion = review_run(store.run(run), store, read_manifest(settings.manifest_path), settings)
    made, cases = shown_run(conclusion), Reading(settings).cases(run)
    known = Reading(settings).figures(conclusion.run)
    for path in (settings.reports / "view").iterdir():
        path.unlink()
    keep_page(conclusion, settings)
    later = Reading(settings)
    assert (later.page(run, never), later.cases(run)) == (made, cases)
    assert later.listed_figures([replace(conclusion.run, planned=10_000)]) == {run: known}


def test_a_run_that_cannot_be_kept_ends_all_the_same(settings: Settings) -> None:
    """Its reports are written; the page is made when it is opened."""
    with Store(settings.database) as store:
        conclusion = review_run(store.run("last"), store, read_manifest(settings.manifest_path), settings)
    Path(settings.database).unlink()
    keep_page(conclusion, settings)


def test_figures_are_those_of_the_results(settings: Settings) -> None:
    """Read back from their file they are the same values, and the list shows them at once."""
    with Store(settings.database) as store:
        run = store.run(newest(settings))
    computed = Reading(settings).figures(run)
    assert Reading(settings).figures(run) == computed
    assert ">…<" not in home_page(Reading(settings))


def test_a_damaged_file_is_computed_again(settings: Settings) -> None:
    """Half a file, or one of another shape, is as good as none."""
    with Store(settings.database) as store:
        run = store.run(newest(settings))
    computed = Reading(settings).figures(run)
    for path in (settings.reports / "view").glob("*.figures"):
        path.write_bytes(b'{"v4.0": 7}\xff')
    assert Reading(settings).figures(run) == computed


def test_a_large_runs_figures_do_not_hold_up_the_list(settings: Settings) -> None:
    """The list comes without them, and has them when it is loaded again later."""
    with Store(settings.database) as store:
        run = store.run(newest(settings))
    reading = Reading(settings)
    assert reading.listed_figures([replace(run, planned=10_000)]) == {}
    reading.figures(run)
    assert set(reading.listed_figures([replace(run, planned=10_000)])) == {run.id}


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A file of the folder is a file."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.html").symlink_to(tmp_path / "secret")
    assert Kept(tmp_path / "kept").get("a", "html") is None
