"""The page in a real browser: what people see, click and type, and what lands in their files."""

from __future__ import annotations

import json
import platform
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.language import set_language
from harness.reports.html_report import to_html
from harness.store import Store
from tests.support.browser import Opened, chromium, contrast_and_names, open_page, serve
from tests.support.demo_report import demo_report
from tests.support.recorded import record_run, recorded_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(to_html(demo_report()), "utf-8")
    return path.as_uri()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return recorded_project(tmp_path, 14)


@pytest.fixture
def address(project: Path) -> Iterator[str]:
    with serve(project) as opened:
        yield opened


def open_run(browser: Browser, address: str, **options: Any) -> Opened:
    opened = open_page(browser, address, **options)
    opened.page.click('table a[href^="/run/"]')
    opened.page.wait_for_selector("html[data-ready]")
    return opened


def choose(opened: Opened, case_id: str) -> None:
    opened.page.fill('input[type="search"]', case_id.partition("/")[2])
    opened.page.click(f'.row:has-text("{case_id}")')


def case_on_disk(project: Path, case_id: str) -> dict[str, Any]:
    folder, _, name = case_id.partition("/")
    records = json.loads((project / "badcases" / folder / "test.json").read_text("utf-8"))
    return next(r for r in records if r["id"] == name)


# -- the report file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_report_file_fits_and_is_accessible(browser: Browser, report: str, width: int, dark: bool) -> None:
    """No sideways scroll, no message on the console, nothing fetched, nothing that axe finds."""
    opened = open_page(browser, report, width=width, dark=dark)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.messages == []
    assert opened.requests == [report]
    assert contrast_and_names(opened.page) == []


def test_the_search_finds_words_of_answers(browser: Browser, report: str) -> None:
    """The list holds only the cases whose text has all words; the count says so."""
    page = open_page(browser, report).page
    page.fill('input[type="search"]', "rayleigh SCATTERING")
    assert page.locator(".row").count() > 0
    assert {t.split()[0] for t in page.locator(".row .id").all_inner_texts()} <= {
        f"badcase1/sky-{n}" for n in range(40)
    }
    assert "of 40 cases" in page.inner_text(".bar [role=status]")


def test_filters_narrow_the_list_and_stand_in_the_address(browser: Browser, report: str) -> None:
    """A link leads to what its sender saw: the filter and the case."""
    page = open_page(browser, report).page
    page.select_option('select[aria-label="Change"]', "broken")
    page.click(".row")
    assert "change=broken" in page.url
    assert "case=badcase3" in page.url
    again = open_page(browser, page.url).page
    assert again.inner_text(".bar [role=status]") == page.inner_text(".bar [role=status]")
    assert again.inner_text("#detail h3") == page.inner_text("#detail h3")


def test_the_keyboard_goes_from_failing_case_to_failing_case(browser: Browser, report: str) -> None:
    """n and p pass over what passes; / goes to the search, Escape leaves it, d changes the view."""
    page = open_page(browser, report).page
    seen = []
    for _ in range(4):
        seen.append(page.inner_text("#detail h3"))
        assert page.locator("#detail .side").last.locator(".chip").first.inner_text() in ("FAIL", "ERROR")
        page.keyboard.press("n")
    assert len(set(seen)) == 4
    page.keyboard.press("p")
    assert page.inner_text("#detail h3") == seen[-1]
    page.keyboard.press("/")
    page.keyboard.type("n")
    assert page.input_value('input[type="search"]') == "n"
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    assert page.locator('.modes [aria-pressed="true"]').inner_text() == "Difference of versions"


def test_versions_differ_by_words_and_chinese_by_characters(browser: Browser, report: str) -> None:
    """The difference keeps what both share and marks the rest."""
    page = open_page(browser, report).page
    page.fill('input[type="search"]', "beijing")
    page.locator(".row").first.click()
    page.click("text=Difference to the standard answer")
    added = page.locator("#detail .answer ins").all_inner_texts()
    removed = page.locator("#detail .answer del").all_inner_texts()
    assert added
    assert removed
    whole = "".join(page.locator("#detail .answer").last.inner_text())
    assert "北京是中国的首都" in whole


def test_hostile_answers_stay_text(browser: Browser, report: str) -> None:
    """Markup of a model is shown, never run."""
    opened = open_page(browser, report)
    opened.page.fill('input[type="search"]', "owned")
    opened.page.click(".row")
    assert "<script>alert('owned')</script>" in opened.page.inner_text("#detail")
    assert opened.page.locator("#detail script").count() == 0
    assert opened.messages == []


def test_paper_holds_the_failing_cases(browser: Browser, report: str) -> None:
    """Printing writes out what the list would open."""
    page = open_page(browser, report).page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#printed section").count() == 12
    assert page.locator("#printed section").first.is_visible()
    assert not page.locator("#list").is_visible()


def test_the_page_speaks_chinese(browser: Browser, tmp_path: Path) -> None:
    """Every label of the list and of a case is Chinese; ids and rules stay as they are."""
    path = tmp_path / "report.html"
    set_language("zh")
    try:
        path.write_text(to_html(demo_report(8)), "utf-8")
    finally:
        set_language("en")
    page = open_page(browser, path.as_uri()).page
    assert page.get_attribute("html", "lang") == "zh-CN"
    assert page.inner_text("#detail h4 >> nth=0") == "提示词"
    words = page.inner_text("#toolbar") + page.inner_text(".tiles")
    assert not any(word in words for word in ("Verdict", "Folder", "cases", "Repeater"))


# -- the page to work in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/versions", "/version/v4.1", "/trainings", "/training/v4.2-20261121"])
def test_every_page_fits_and_is_accessible(browser: Browser, address: str, path: str) -> None:
    """At 400 pixels, light and dark: no sideways scroll, no message, nothing that axe finds."""
    opened = open_page(browser, address, width=400)
    opened.page.goto(address.split("/?")[0] + path)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400
    assert contrast_and_names(opened.page) == []
    opened.page.emulate_media(color_scheme="dark")
    assert contrast_and_names(opened.page) == []
    assert opened.messages == []


def test_a_standard_answer_is_corrected_where_it_is_read(browser: Browser, address: str, project: Path) -> None:
    """One field of one record changes in the file; undo brings the old file back."""
    before = (project / "badcases" / "badcase1" / "test.json").read_text("utf-8")
    opened = open_run(browser, address)
    choose(opened, "badcase1/sea-0")
    opened.page.keyboard.press("Escape")
    opened.page.locator("#detail").focus()
    opened.page.keyboard.press("e")
    opened.page.fill("#detail textarea", "海 is wide, <b>and</b> old.")
    opened.page.keyboard.press("Control+Enter")
    opened.page.wait_for_selector("#notes button")
    assert case_on_disk(project, "badcase1/sea-0")["standard_answer"] == "海 is wide, <b>and</b> old."
    after = (project / "badcases" / "badcase1" / "test.json").read_text("utf-8")
    changed = [a != b for a, b in zip(before.split("\n"), after.split("\n"), strict=True)]
    assert sum(changed) == 1
    opened.page.click("#notes button")
    opened.page.wait_for_selector("#notes:has-text('Undone')")
    assert (project / "badcases" / "badcase1" / "test.json").read_text("utf-8") == before
    assert opened.messages == []


def test_an_answer_is_marked_as_no_loop_and_as_bad(browser: Browser, address: str, project: Path) -> None:
    """The marks are fields of the case, and can be taken back."""
    opened = open_run(browser, address)
    choose(opened, "badcase1/sea-0")
    opened.page.click("#detail .accept")
    opened.page.wait_for_selector("#detail .unmark")
    (accepted,) = case_on_disk(project, "badcase1/sea-0")["accepted_answers"]
    assert accepted.count("Where the waves crash") > 20
    opened.page.click("#detail .reject")
    opened.page.wait_for_selector("#detail .unmark >> nth=1")
    assert len(case_on_disk(project, "badcase1/sea-0")["rejected_answers"]) == 1
    opened.page.click("#detail .unmark >> nth=0")
    opened.page.wait_for_selector("#notes:has-text('mark is gone')")
    assert "accepted_answers" not in case_on_disk(project, "badcase1/sea-0")


def test_what_was_folded_can_be_read_whole(browser: Browser, address: str, project: Path) -> None:
    """A button brings the recorded answer to its last character."""
    opened = open_run(browser, address)
    choose(opened, "badcase1/sea-0")
    side = opened.page.locator("#detail .side").first
    assert "more times" in side.inner_text()
    side.locator(".whole").click()
    opened.page.wait_for_selector("#detail .side >> nth=0 >> .whole", state="detached")
    with Store(project / "reports" / "harness.sqlite") as store:
        recorded = next(r for r in store.results("last", adapter="v4.0") if r.case.id == "badcase1/sea-0")
    assert side.locator(".answer").inner_text() == recorded.attempts[0].answer
    assert opened.messages == []


def test_a_killed_run_is_called_killed(browser: Browser, project: Path) -> None:
    """Its process is gone, so nothing more will come; it is not shown as under way."""
    with Store(project / "reports" / "harness.sqlite") as store:
        facts = {"adapters": ["v4.0"], "process": {"pid": 2**22 + 7, "host": platform.node(), "process_started": 1}}
        store.begin_run(4, facts)
    with serve(project) as address:
        opened = open_page(browser, address)
        assert opened.page.locator("tbody tr").first.locator(".chip").inner_text() == "killed"
        assert opened.page.inner_text("#live").strip() == ""


def test_pairs_are_edited_and_dropped_before_a_training(browser: Browser, address: str, project: Path) -> None:
    """The file that the fix will read holds what the page showed last."""
    opened = open_page(browser, address)
    opened.page.click("text=Trainings")
    opened.page.click("text=v4.2-20261121")
    opened.page.click(".pair >> nth=0 >> text=Edit")
    opened.page.fill(".pair >> nth=0 >> textarea >> nth=0", "Rain falls on the roof.")
    opened.page.click(".pair >> nth=0 >> .save")
    opened.page.wait_for_selector("text=Rain falls on the roof.")
    path = project / "reports" / "trainings" / "v4.2-20261121" / "generalized_dpo_preference_dataset.json"
    assert json.loads(path.read_text("utf-8"))[0]["chosen"] == "Rain falls on the roof."
    opened.page.click(".pair >> nth=1 >> text=Drop")
    opened.page.wait_for_selector(".pair >> nth=1", state="detached")
    assert len(json.loads(path.read_text("utf-8"))) == 1


def test_a_version_is_refused_with_a_reason(browser: Browser, address: str, project: Path) -> None:
    """Without a reason nothing happens; with one the manifest says it and keeps its comments."""
    opened = open_page(browser, address)
    opened.page.goto(address.split("/?")[0] + "/version/v4.1")
    opened.page.click("text=Refuse")
    opened.page.wait_for_selector("#notes:has-text('Say why')")
    opened.page.fill("#reason", "answers too short")
    opened.page.click("text=Refuse")
    opened.page.wait_for_selector(".chip:has-text('refused'), dd:has-text('refused')")
    text = (project / "adapters_manifest.toml").read_text("utf-8")
    assert tomllib.loads(text)["adapters"]["v4.1"]["note"] == "answers too short"
    assert "# The model as it was shipped." in text


def test_a_run_under_way_fills_the_list(browser: Browser, project: Path) -> None:
    """New results appear without a reload, and the top line tells how many are there."""
    with Store(project / "reports" / "harness.sqlite") as store:
        run = record_run(store, 14, finished=False, only=3)
        results = store.results(record_run(store, 14).id)
        with serve(project) as address:
            opened = open_page(browser, address)
            opened.page.goto(f"{address.split('/?')[0]}/run/{run.id}")
            opened.page.wait_for_selector("html[data-ready]")
            opened.page.wait_for_selector("#live:has-text('6 of 28')")
            assert "3 cases" in opened.page.inner_text(".bar [role=status]")
            for position in (6, 7):
                store.save_result(run.id, position, results[position])
            opened.page.wait_for_selector(".bar [role=status]:has-text('4 cases')", timeout=15_000)
            assert opened.messages == []


def test_without_the_token_nothing_is_shown(browser: Browser, address: str) -> None:
    """Another tab without the address's token gets one line."""
    page = browser.new_context().new_page()
    page.goto(address.split("/?")[0] + "/")
    assert "it holds the token" in page.inner_text("body")
    page.goto(address)
    assert "token" not in page.url
