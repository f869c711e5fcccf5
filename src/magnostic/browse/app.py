"""The browser's addresses: requests to pages, and what every answer is sent with.

Imports libraries of ``[serve]``; ``serve`` says so where they are not installed.
"""

from __future__ import annotations

import html
import ipaddress
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.staticfiles import StaticFiles

import magnostic
from magnostic import web
from magnostic.browse import comparing, files, listing, looking, overview
from magnostic.browse.browser import Browser, Missing
from magnostic.browse.photographs import NotAtHand
from magnostic.errors import MagnosticError
from magnostic.evaluate.verdict import NAMES
from magnostic.report import words
from magnostic.stored import as_written

#: Nothing but the browser's own files may be loaded, and no page may hold these in a frame.
_POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
#: Files of a run are self-contained, with styles and pictures inside; they get no script, no form
#: and no origin, since a run folder may come from anybody.
_FOREIGN: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox allow-popups"
)
_HERE: Final = Path(__file__).parent


def make_app(browser: Browser, hosts: frozenset[str] | None = None) -> FastAPI:
    """The application.

    Args:
        hosts: names that a request may call this server by, so that no page of another name can
            be made to point here; None for any.
    """
    app = FastAPI(title="magnostic", openapi_url=None, docs_url=None, redoc_url=None)
    templates = _templates()

    def page(template: str, status: int = 200, **shown: Any) -> Response:
        return HTMLResponse(templates.get_template(template).render(**shown), status)

    def of_run(template: str, make: Callable[[], dict[str, Any]]) -> Response:
        with as_written(Path("this run"), passing=(Missing, NotAtHand)):
            return page(template, **make())

    @app.middleware("http")
    async def guard(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if hosts is not None and web.name(request.headers.get("host", "")) not in hosts:
            return PlainTextResponse("Use the address that magnostic ui printed.", 421)
        response = await call_next(request)
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        # Runs change while they are looked at; pictures say themselves how long they last.
        response.headers.setdefault("Cache-Control", "no-cache")
        for name, value in web.HEADERS.items():
            response.headers[name] = value
        return response

    @app.exception_handler(Missing)
    async def missing(_: Request, error: Exception) -> Response:
        return page("problem.html.j2", 404, title="Not found", said=str(error))

    @app.exception_handler(404)
    async def no_page(_: Request, __: Exception) -> Response:
        return page("problem.html.j2", 404, title="Not found", said="There is no such page.")

    @app.exception_handler(RequestValidationError)
    async def mistyped(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        names = ", ".join(str(e["loc"][-1]) for e in error.errors())
        return page("problem.html.j2", 422, title="This cannot be shown", said=f"{names}: no such")

    @app.exception_handler(500)
    async def broke(_: Request, __: Exception) -> Response:
        said = "A fault of magnostic; the terminal that it runs in says more."
        return page("problem.html.j2", 500, title="This page failed", said=said)

    @app.exception_handler(MagnosticError)
    async def wrong(_: Request, error: Exception) -> Response:
        said = words.without_machine(str(error))
        return page("problem.html.j2", 422, title="This cannot be shown", said=said)

    @app.get("/")
    def runs(
        text: str = "", task: str = "", state: str = "", protocol: str = "", sort: str = ""
    ) -> Response:
        asked = listing.Asked(text, task, state, protocol, sort)
        return of_run("runs.html.j2", lambda: overview.runs(browser, asked))

    @app.get("/run/{key}")
    def run(key: str) -> Response:
        return of_run("run.html.j2", lambda: overview.run(browser, key))

    @app.get("/study/{key}")
    def study(key: str) -> Response:
        return of_run("study.html.j2", lambda: overview.study(browser, key))

    @app.get("/{kind}/{key}/files/{name:path}")
    def file(kind: str, key: str, name: str, save: bool = False) -> Response:
        if kind not in ("run", "study"):
            raise Missing("There is no such page.")
        return send(kind, key, name, save)

    def send(kind: str, key: str, name: str, save: bool) -> Response:
        path = browser.file(key, kind, name)
        shown = files.shown_as(name)
        if save or shown == "saved":
            told = f"attachment; filename*=UTF-8''{quote(path.name)}"
            headers = {"Content-Disposition": told, "Content-Security-Policy": _FOREIGN}
            return Response(path.read_bytes(), 200, headers, "application/octet-stream")
        if shown == "raw":
            kind_of = files.RAW[path.suffix.lower()]
            return Response(path.read_bytes(), 200, {"Content-Security-Policy": _FOREIGN}, kind_of)
        about: dict[str, Any] = {"kind": kind, "key": key, "file": name, "cut": False}
        if shown == "table":
            found, about["cut"] = files.rows(path)
            about |= {"header": found[0] if found else [], "rows": found[1:]}
        else:
            text, about["cut"] = files.text(path)
            about["prose" if shown == "prose" else "text"] = (
                _prose(text) if shown == "prose" else text
            )
        return page("file.html.j2", **about)

    @app.get("/run/{key}/errors")
    def errors(key: str, request: Request) -> Response:
        return of_run("errors.html.j2", lambda: looking.errors(browser, key, request.query_params))

    @app.get("/run/{key}/image")
    def image(key: str, request: Request) -> Response:
        return of_run("image.html.j2", lambda: looking.case(browser, key, request.query_params))

    @app.get("/run/{key}/patients")
    def patients(key: str, protocol: str = "", sort: str = "score") -> Response:
        return of_run("patients.html.j2", lambda: looking.patients(browser, key, protocol, sort))

    @app.get("/run/{key}/{size}.{ending}")
    def picture(key: str, size: str, ending: str, image: str = "") -> Response:
        kinds = {("small", "jpg"): "image/jpeg", ("large", "png"): "image/png"}
        kind = kinds.get((size, ending))
        if kind is None:
            raise Missing("There is no such page.")
        try:
            drawn = browser.picture(key, image, large=size == "large")
        except NotAtHand as why:
            return PlainTextResponse(str(why), 404)
        return Response(drawn, 200, {"Cache-Control": "private, max-age=600"}, kind)

    @app.get("/compare")
    def compare(request: Request, protocol: str = "", task: str = "stored") -> Response:
        keys = request.query_params.getlist("run")
        if task not in ("stored", "binary"):
            raise Missing(f"no task {task!r}; choose stored or binary")
        shown = comparing.compared(browser, keys, protocol, task)
        return page("compare.html.j2", 422 if shown["problem"] else 200, **shown)

    @app.get("/colours.css")
    def colours() -> Response:
        """The report's own style sheet, which the browser's builds on."""
        style = _HERE.parent / "report" / "templates" / "style.css"
        return Response(style.read_text(encoding="utf-8"), media_type="text/css")

    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    return app


def names_of(host: str) -> frozenset[str] | None:
    """Names that a server bound to ``host`` may be called by; None: any (bound to all)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset({host.lower(), *(web.LOOPBACK if host == "localhost" else ())})
    if address.is_unspecified:
        return None
    return frozenset({host, *(web.LOOPBACK if address.is_loopback else ())})


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("magnostic.browse"),
                jinja2.PrefixLoader({"report": jinja2.PackageLoader("magnostic.report")}),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {
        "version": magnostic.__version__,
        "protocol_words": words.protocol,
        "class_name": words.class_name,
        "share": words.share,
        "interval": words.interval,
        "points": words.points,
        "plural": words.plural,
        "figure_names": NAMES,
    }
    environment.filters["q"] = lambda value: quote(str(value), safe="")
    environment.filters["path"] = lambda value: quote(str(value), safe="/")
    return environment


def _prose(text: str) -> str:
    """Markdown as HTML without anything that the text itself brings as HTML, front matter cut."""
    body, front = text, ""
    if text.startswith("---\n") and "\n---\n" in text[4:]:
        front, _, body = text[4:].partition("\n---\n")
    made = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    head = f"<pre>{html.escape(front)}</pre>" if front else ""
    # The renderer lets no HTML of the text through (html False), and the front matter is escaped.
    return Markup(head + made)  # nosec B704
