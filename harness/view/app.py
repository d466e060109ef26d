"""The routes of the page: what is shown, what is fetched by the script, what can be changed.

Errors of the harness become a status and one line of text; a bug becomes 500 without its details. Handlers are plain
functions, which run in threads, because reading a database and files blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from harness.errors import HarnessError, StoreError
from harness.language import language, set_language
from harness.project.settings import Settings
from harness.reports.page.document import policy
from harness.safe.escape import for_page
from harness.view.edits import Edits
from harness.view.guard import Guard
from harness.view.live import live_state, run_progress
from harness.view.pages import home_page, training_page, trainings_page, version_page, versions_page
from harness.view.prepared import shown_run
from harness.view.reading import Reading

__all__ = ["create_app"]


class _StandardAnswer(msgspec.Struct, forbid_unknown_fields=True):
    case: str
    text: str


class _Mark(msgspec.Struct, forbid_unknown_fields=True):
    run: str
    case: str
    version: str
    sample: int
    mark: str


class _PairEdit(msgspec.Struct, forbid_unknown_fields=True):
    training: str
    digest: str
    number: int
    texts: tuple[str, str] | None


class _Decision(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    blessed: bool
    reason: str = ""


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


def create_app(settings: Settings, *, token: str, port: int, warm: bool = False) -> Starlette:
    """The application for one project.

    Args:
        settings: the project's.
        token: the secret that opens the page.
        port: where it listens on the loopback interface.
        warm: prepare the newest run's page in the background.
    """
    reading = Reading(settings)
    app = _Application(reading, Edits(settings), language())
    if warm:
        threading.Thread(target=_warm, args=(reading, app.language), daemon=True).start()
    get = {
        "/": app.home, "/run/{run}": app.run, "/run/{run}/cases.json": app.cases, "/run/{run}/now.json": app.now,
        "/run/{run}/answer.json": app.answer,
        "/versions": app.versions, "/version/{name}": app.version, "/trainings": app.trainings,
        "/training/{name}": app.training, "/live.json": app.live,
    }  # fmt: skip
    post: Mapping[str, tuple[type[Any], Callable[[Any], Mapping[str, Any]]]] = {
        "/edit/standard-answer": (_StandardAnswer, app.set_standard_answer), "/edit/mark": (_Mark, app.mark),
        "/edit/pair": (_PairEdit, app.edit_pair), "/edit/version": (_Decision, app.decide),
        "/undo": (_Nothing, app.undo),
    }  # fmt: skip
    routes = [Route(path, _page_endpoint(function, app.language), methods=["GET"]) for path, function in get.items()]
    routes += [
        Route(path, _change_endpoint(kind, function, app.language), methods=["POST"])
        for path, (kind, function) in post.items()
    ]
    guard = Middleware(Guard, token=token, port=port)
    return Starlette(routes=routes, middleware=[guard], exception_handlers={404: _not_found, 500: _broke})


class _Application:
    def __init__(self, reading: Reading, edits: Edits, shown_in: str) -> None:
        self.reading = reading
        self.edits = edits
        self.language = shown_in

    def home(self, _: Request) -> Response:
        return _html(home_page(self.reading))

    def run(self, request: Request) -> Response:
        return _html(self.reading.page(request.path_params["run"], shown_run))

    def cases(self, request: Request) -> Response:
        packed = self.reading.cases(request.path_params["run"])
        return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})

    def now(self, request: Request) -> Response:
        return JSONResponse(self.reading.now(request.path_params["run"]))

    def answer(self, request: Request) -> Response:
        query = request.query_params
        sample = query.get("sample", "0")
        text = self.reading.answer(
            request.path_params["run"], query.get("case", ""), query.get("version", ""),
            int(sample) if sample.isdecimal() and len(sample) < 9 else -1,
        )  # fmt: skip
        if text is None:
            raise StoreError("there is no such answer in this run")
        return JSONResponse({"text": for_page(text)})

    def versions(self, _: Request) -> Response:
        return _html(versions_page(self.reading))

    def version(self, request: Request) -> Response:
        return _html(version_page(self.reading, request.path_params["name"]))

    def trainings(self, _: Request) -> Response:
        return _html(trainings_page(self.reading))

    def training(self, request: Request) -> Response:
        return _html(training_page(self.reading, request.path_params["name"]))

    def live(self, request: Request) -> Response:
        state = live_state(self.reading)
        if run := request.query_params.get("run"):
            state["run"] = next((run_progress(r) for r in self.reading.runs() if r.run.id == run), None)
        return JSONResponse(state)

    def set_standard_answer(self, change: _StandardAnswer) -> Mapping[str, Any]:
        self.edits.set_standard_answer(change.case, change.text)
        return {}

    def mark(self, change: _Mark) -> Mapping[str, Any]:
        answer = self.reading.answer(change.run, change.case, change.version, change.sample)
        if answer is None:
            raise StoreError("there is no such answer in this run")
        if change.mark not in ("accepted", "rejected", ""):
            raise StoreError(f"unknown mark {change.mark!r}")
        self.edits.mark(change.case, answer, change.mark)  # type: ignore[arg-type]
        return {}

    def edit_pair(self, change: _PairEdit) -> Mapping[str, Any]:
        self.edits.edit_pair(change.training, change.digest, change.number, change.texts)
        return {}

    def decide(self, change: _Decision) -> Mapping[str, Any]:
        if change.blessed:
            self.edits.bless(change.name)
        else:
            self.edits.refuse(change.name, change.reason)
        return {}

    def undo(self, _: _Nothing) -> Mapping[str, Any]:
        return {"undone": self.edits.undo()}


def _page_endpoint(function: Callable[[Request], Response], shown_in: str) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(_answered, lambda: function(request), shown_in)

    return endpoint


def _change_endpoint(
    kind: type[Any], function: Callable[[Any], Mapping[str, Any]], shown_in: str
) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()

        def change() -> Response:
            return JSONResponse({"ok": True, **function(msgspec.json.decode(body, type=kind))})

        return await run_in_threadpool(_answered, change, shown_in)

    return endpoint


def _answered(make: Callable[[], Response], shown_in: str) -> Response:
    set_language(shown_in)
    try:
        return make()
    except msgspec.MsgspecError as error:
        return PlainTextResponse(str(error)[:300], status_code=400)
    except StoreError as error:
        return PlainTextResponse(for_page(str(error)), status_code=404)
    except HarnessError as error:
        return PlainTextResponse(for_page(str(error)), status_code=409)


def _warm(reading: Reading, shown_in: str) -> None:
    set_language(shown_in)
    # What is wrong with the project is told to who asks for a page.
    with suppress(HarnessError):
        reading.warm(shown_run)


def _html(text: str) -> Response:
    return HTMLResponse(text, headers={"Content-Security-Policy": f"{policy(live=True)}; frame-ancestors 'none'"})


async def _not_found(_: Request, __: Exception) -> Response:
    return PlainTextResponse("There is no such page.", status_code=404)


async def _broke(_: Request, __: Exception) -> Response:
    return PlainTextResponse("The page broke on this request; the terminal shows why.", status_code=500)
