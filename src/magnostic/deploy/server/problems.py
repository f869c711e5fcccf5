"""What is answered where a request cannot be served: a status, a code, and words."""

from __future__ import annotations

import http
import logging
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

LOG: Final = logging.getLogger("magnostic.server")

#: What each status that is answered means here.
MEANINGS: Final = {
    400: "The form is cut off or malformed.",
    401: "The API key is missing or wrong.",
    403: "The request comes from a page of another site.",
    404: "This model has no explanations; the detail says why.",
    408: "The body did not arrive in time.",
    413: "Too many bytes or pixels.",
    415: "No form where one is needed, or no photograph could be read: not one is an 8-bit RGB "
    "image in a format that is taken.",
    422: "A field is missing, unknown or wrong, or there are too many files; or no photograph "
    "could be read: files cut off, empty, with something else behind the image, or with names "
    "that are paths.",
    500: "A fault of the server; its log tells more.",
    503: "The queue is full, or the server is stopping; Retry-After says when to try again.",
}
#: First word of a row's error (:mod:`magnostic.data.scan`) -> code and status of its kind.
_KINDS: Final = {
    "too large": ("too-large", 413),
    "not an image": ("not-an-image", 415),
    "not RGB": ("not-rgb", 415),
    "animated": ("animated", 415),
    "truncated": ("truncated", 422),
    "empty file": ("empty", 422),
    "more than an image": ("more-than-an-image", 422),
    "name": ("name", 422),
}


class Problem(HTTPException):
    """An answer other than the one that was asked for.

    Args:
        status: of HTTP.
        code: one word for programs.
        detail: for people.
        results: of each photograph, where there are any.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        results: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.results = results


def kind(error: str) -> tuple[str, int]:
    """Code and status of a row's error."""
    return _KINDS.get(error.split(":", 1)[0], ("unreadable", 422))


def answer(
    status: int,
    code: str,
    detail: str,
    *,
    headers: Any = None,
    results: list[dict[str, Any]] | None = None,
) -> JSONResponse:
    """The JSON of every answer from 400 on."""
    content = {"code": code, "detail": detail, "results": results}
    return JSONResponse(content, status, headers=headers)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers that an operation may give besides its own, for the OpenAPI."""
    from magnostic.deploy.server.schema import ProblemAnswer

    found: dict[int | str, dict[str, Any]] = {
        s: {"model": ProblemAnswer, "description": MEANINGS[s]} for s in statuses
    }
    if 401 in found:
        found[401]["headers"] = {
            "WWW-Authenticate": {
                "description": "The scheme: Bearer.", "schema": {"type": "string"}
            }
        }  # fmt: skip
    if 503 in found:
        found[503]["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.", "schema": {"type": "string"}
            }
        }  # fmt: skip
    return found


def install(app: FastAPI) -> None:
    """Answer every exception in this form, and none with a traceback."""

    @app.exception_handler(HTTPException)
    async def stated(_: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, Problem):
            return answer(
                error.status_code, error.code, error.detail,
                headers=error.headers, results=error.results,
            )  # fmt: skip
        code = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return answer(error.status_code, code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return answer(422, "invalid", f"{where}: {first['msg']}")

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        LOG.error("a fault of the server: %s", type(error).__name__)
        return answer(500, "fault", MEANINGS[500])
