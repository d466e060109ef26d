"""The programs that show a hostile report: each gives a line for everything that it should not have done."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.reports import shipped_reports
from harness.reports.console import failure_text
from harness.reports.html_report import to_html
from harness.reports.markdown_report import to_markdown
from harness.reports.model import Report
from harness.safe.escape import for_page, for_xlsx, for_xml
from harness.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page, Request

__all__ = ["SINKS", "Unavailable"]

_OPEN_ALL = """
async () => {
  const texts = {};
  for (const one of list.data.cases) { list.open(one, false); texts[one.id] = byId("detail").textContent; }
  return texts;
}
"""
"""Opens every case of the page as a click does; gives what is shown of each."""
_ENDED = "END-OF-THE-TEXT"


class Unavailable(Exception):
    """A program is not installed here; says which."""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="soak-hostile-") as name:
        yield Path(name)


def _program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable(f"needs {names[0]}")
    return found


def static_page(report: Report, texts: Mapping[str, str]) -> list[str]:
    """The one-file report in Chromium: every case is opened."""
    with _folder() as folder:
        path = folder / "report.html"
        path.write_text(to_html(report), "utf-8")
        return _in_chromium(path.as_uri(), texts)


def view(report: Report, texts: Mapping[str, str]) -> list[str]:
    """``harness view`` over the store, in Chromium."""
    from tests.support.browser import serve
    from tests.support.recorded import recorded_project

    with _folder() as folder:
        root = recorded_project(folder, 2)
        with Store(root / "reports" / "harness.sqlite") as store:
            run = _record(store, report)
        with serve(root) as address:
            return _in_chromium(address, texts, run=run)


def _in_chromium(address: str, texts: Mapping[str, str], run: str = "") -> list[str]:
    from playwright.sync_api import sync_playwright

    program = _program("chromium", "chromium-browser", "google-chrome")
    own = address.partition("?")[0].rstrip("/")
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        _watch(page, own, problems)
        page.goto(address)
        if run:
            page.goto(f"{own}/run/{run}")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        title, elements = page.title(), page.evaluate("document.querySelectorAll('script, link, iframe, img').length")
        shown: dict[str, str] = page.evaluate(_OPEN_ALL)
        if page.title() != title:
            problems.append("the title changed")
        if page.evaluate("document.querySelectorAll('script, link, iframe, img').length") != elements:
            problems.append("a text became an element")
        browser.close()
    for name, text in texts.items():
        wanted = for_page(text)
        # A long text loses its middle on the page.
        if len(wanted) < 1_000 and wanted.strip() and wanted not in shown.get(f"f/{name}", ""):
            problems.append(f"{name}: its text is not shown")
    return problems


def _watch(page: Page, own: str, problems: list[str]) -> None:
    """Note whatever a page does beyond showing."""

    def dialog(opened: Dialog) -> None:
        problems.append(f"a dialog opened: {opened.message}")
        opened.dismiss()

    def request(sent: Request) -> None:
        if not sent.url.startswith((own, "blob:")):
            problems.append(f"it asks for {sent.url[:200]}")

    page.on("dialog", dialog)
    page.on("request", request)
    page.on("console", lambda message: problems.append(f"the console says: {message.text[:200]}"))
    page.on("pageerror", lambda error: problems.append(f"the script broke: {str(error)[:200]}"))


def workbook(report: Report, texts: Mapping[str, str]) -> list[str]:
    """The workbook, read and written again by LibreOffice."""
    program = _program("soffice", "libreoffice")
    with _folder() as folder:
        path = shipped_reports()["report.xlsx"](report, folder / "report.xlsx")
        # Comma, quote, UTF-8, text as it is shown, every sheet.
        options = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1"
        subprocess.run(
            [program, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", options,
             "--outdir", str(folder), str(path)],
            capture_output=True, timeout=300, check=True,
        )  # fmt: skip
        cells: set[str] = set()
        for sheet in folder.glob("*.csv"):
            with sheet.open(encoding="utf-8", newline="") as lines:
                csv.field_size_limit(10**7)
                cells |= {_folded(cell) for row in csv.reader(lines) for cell in row}
    wanted = {name: _folded(for_xlsx(text).replace("_x005F_", "_")) for name, text in texts.items()}
    return [f"{name}: its text is in no cell" for name, text in wanted.items() if text and text not in cells]


def _folded(text: str) -> str:
    """Ends of lines and blanks are LibreOffice's own."""
    return " ".join(text.split())


def junit(report: Report, texts: Mapping[str, str]) -> list[str]:
    """Every text as pytest's JUnit writer writes it, read by an XML parser."""
    problems = []
    for name, text in texts.items():
        suite = ET.Element("testsuite")
        test = ET.SubElement(suite, "testcase", name=for_xml(text))
        ET.SubElement(test, "failure", message=for_xml(text)).text = for_xml(text)
        try:
            read = ET.fromstring(ET.tostring(suite, "utf-8"))
        except ET.ParseError as error:
            problems.append(f"{name}: {error}")
            continue
        if [element.tag for element in read.iter()] != ["testsuite", "testcase", "failure"]:
            problems.append(f"{name}: an element came in")
    return problems


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attributes} or {(tag, "")}


def markdown(report: Report, texts: Mapping[str, str]) -> list[str]:
    """The summary, rendered with HTML allowed: nothing of a text is markup."""
    from markdown_it import MarkdownIt

    rendered = _Tags()
    rendered.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(to_markdown(report)))
    allowed = {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "pre", "strong",
               "em", "details", "summary", "br", "hr", "ol", "blockquote"}  # fmt: skip
    return [f"an element {tag} {name}".strip() for tag, name in rendered.found
            if tag not in allowed or name not in ("", "style", "class", "start")]  # fmt: skip


def terminal(report: Report, texts: Mapping[str, str]) -> list[str]:
    """Every failure's text in a terminal: it prints, and switches, answers and renames nothing."""
    tmux = _program("tmux")
    with _folder() as folder:
        shown = "".join(failure_text(r, 100, color=True) + "\n" for a in report.adapters for r in a.results)
        path = folder / "shown.txt"
        path.write_text(f"{shown}{_ENDED}\n", "utf-8")
        socket = ["-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        script = f'cat {path}; sleep 0.2; read -t 0.5 -n 1 answer; echo "ANSWER[$answer]"; sleep 60'
        start = [tmux, *socket, "new-session", "-d", "-x", "100", "-y", "50", "-s", "it", "bash", "-c", script]
        subprocess.run(start, check=True, timeout=30)

        def ask(*words: str) -> str:
            done = subprocess.run([tmux, *socket, *words], capture_output=True, text=True, timeout=30, check=False)
            return done.stdout

        def state() -> str:
            return ask(
                "display",
                "-p",
                "-t",
                "it",
                "#{pane_title}|#{alternate_on}|#{cursor_flag}|#{insert_flag}|#{mouse_any_flag}",
            )

        try:
            before = state()
            deadline = time.monotonic() + 120
            while "ANSWER[" not in (screen := ask("capture-pane", "-p", "-t", "it")):
                if time.monotonic() > deadline:
                    return ["the end of the text did not come to the screen"]
                time.sleep(0.1)
            problems = [] if state() == before else [f"the terminal changed: {before} {state()}"]
            if _ENDED not in screen:
                problems.append("the end of the text is not on the screen")
            if "ANSWER[]" not in screen:
                problems.append("a text made the terminal answer")
            return problems
        finally:
            ask("kill-server")


def sqlite(report: Report, texts: Mapping[str, str]) -> list[str]:
    """The embedded database gives back what was stored."""
    with _folder() as folder, Store(folder / "harness.sqlite") as store:
        return _same(store, report)


def postgresql(report: Report, texts: Mapping[str, str]) -> list[str]:
    """A real PostgreSQL gives back what was stored."""
    from tests.support.postgres import PASSWORD, postgres_server

    _program("pg_ctl", "pg_ctlcluster")
    with postgres_server() as server, Store(server.address(server.new_database(), PASSWORD)) as store:
        return _same(store, report)


def _record(store: Store, report: Report) -> str:
    results = [r for a in report.adapters for r in a.results]
    run = store.begin_run(len(results), {"adapters": ["v4.0"], "engine": ["scripted", "1"], "limits": {}})
    store.save_results(run.id, list(enumerate(results)))
    return store.finish_run(run.id, "finished", {"complete": True}).id


def _same(store: Store, report: Report) -> list[str]:
    stored = store.results(_record(store, report))
    given = [r for a in report.adapters for r in a.results]
    return [f"{mine.case.id[:40]!r}: it came back changed" for mine, theirs in zip(given, stored, strict=True)
            if json.dumps(_texts(mine)) != json.dumps(_texts(theirs))]  # fmt: skip


def _texts(result: Any) -> list[Any]:
    of = result.case
    return [of.id, [m.content for m in of.messages], of.standard_answer, list(of.tags),
            [a.answer for a in result.attempts], [r.text for r in result.verdict.reasons]]  # fmt: skip


SINKS: dict[str, Callable[[Report, Mapping[str, str]], list[str]]] = {
    "static-page": static_page,
    "view": view,
    "workbook": workbook,
    "junit": junit,
    "markdown": markdown,
    "terminal": terminal,
    "sqlite": sqlite,
    "postgresql": postgresql,
}
"""By name; each takes a report and its hostile texts, and gives a line for each broken promise."""
