"""Around every request: who may ask, how much and how slowly, and what every answer carries.

Plain ASGI outside the application, so that it holds for all answers, and for all ways in which the
application reads a body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from magnostic import web
from magnostic.deploy.server import problems
from magnostic.deploy.server.metrics import Metrics
from magnostic.deploy.server.problems import Problem
from magnostic.deploy.server.settings import MIB, Settings

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    **web.HEADERS,
}
#: Methods that are counted by name.
_METHODS: Final = ("GET", "HEAD", "POST")
#: Bytes of a body that is no form.
_JSON: Final = 16 * MIB
#: What is read of a body that was refused, so that its sender gets to read why: seconds and bytes.
_DRAIN: Final = (2.0, 64 * MIB)


@dataclass
class Held:
    """Bytes of bodies in memory, over all requests."""

    size: int = 0


class Guard:
    """The application behind limits.

    Args:
        app: what is guarded.
        paths: path of a request as it is counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        held: Held,
        paths: Callable[[str], str],
    ) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._held, self._paths = held, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(headers, receive, self._settings, self._held)
        answer = _Answer(scope, body, send)
        started = time.monotonic()
        try:
            refused = self._refusal(scope, headers)
            if refused is None:
                await self._app(scope, body.receive, answer.send)
            else:
                await refused(scope, body.receive, answer.send)
        except ClientDisconnect:  # nobody is there to be answered
            return
        finally:
            body.release()
            path = self._paths(scope["path"])
            status = str(answer.status or 499)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(path, method, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - started)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """Keeps pages of other sites from using the server through somebody's browser."""
        host = headers.get("host", "")
        if self._settings.loopback and web.name(host) not in web.LOOPBACK:
            return problems.answer(403, "host", f"{host[:80]!r} is no name of this machine")
        origin = headers.get("origin")
        if origin is not None and scope["method"] != "GET" and origin.partition("://")[2] != host:
            return problems.answer(403, "origin", problems.MEANINGS[403])
        return None


class _Body:
    """A request's body on its way in: counted, timed, and given up when it is refused."""

    def __init__(self, headers: Headers, receive: Receive, settings: Settings, held: Held) -> None:
        self._receive, self._settings, self._all = receive, settings, held
        self._deadline = time.monotonic() + settings.body_seconds
        form = headers.get("content-type", "").lower().startswith("multipart/")
        self._most = settings.max_body if form else _JSON
        length = headers.get("content-length", "")
        self._length = int(length) if length.isdecimal() else None
        self._size = self._held = 0
        #: Whether all of it has come; whether its sender waits for leave to send; is too slow.
        self.whole = not (self._length or "transfer-encoding" in headers)
        self.waits = "expect" in headers
        self.slow = False

    async def receive(self) -> Message:
        """The next piece. Raises Problem 408, 413 or 503."""
        if self.whole:  # what comes now is the end of the connection, which may take long
            return await self._receive()
        if self._length is not None and self._length > self._most:
            raise Problem(413, "too-large", f"the request holds more than {self._most} bytes")
        left = min(self._settings.stall_seconds, self._deadline - time.monotonic())
        try:
            async with asyncio.timeout(max(0.0, left)):
                message = await self._receive()
        except TimeoutError:
            self.slow = True
            raise Problem(408, "slow", "the body did not arrive in time") from None
        self.waits = False
        if message["type"] != "http.request":
            self.whole = True
            return message
        size = len(message.get("body", b""))
        self._size += size
        self._held += size
        self._all.size += size
        self.whole = not message.get("more_body", False)
        if self._size > self._most:
            raise Problem(413, "too-large", f"the request holds more than {self._most} bytes")
        if self._all.size > self._settings.max_held and self._all.size > self._held:
            raise Problem(503, "busy", "too many uploads at once", headers={"Retry-After": "1"})
        return message

    async def drain(self) -> bool:
        """Read and drop what is left of a refused body; whether all of it came."""
        seconds, most = _DRAIN
        if self.whole or self.slow or self.waits:
            return self.whole
        try:
            async with asyncio.timeout(seconds):
                while not self.whole and self._size < most:
                    message = await self._receive()
                    self._size += len(message.get("body", b""))
                    self.whole = not message.get("more_body", False)
        except TimeoutError:
            pass
        return self.whole

    def release(self) -> None:
        """The request is over."""
        self._all.size -= self._held
        self._held = 0


class _Answer:
    """An answer on its way out, with the headers that all of them carry."""

    def __init__(self, scope: Scope, body: _Body, send: Send) -> None:
        self._scope, self._body, self._send = scope, body, send
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self._scope["path"].startswith("/v1/"):
                headers.setdefault("Cache-Control", "no-store")
            if not await self._body.drain():
                headers["Connection"] = "close"
        await self._send(message)


def counted(paths: set[str]) -> Callable[[str], str]:
    """How paths are counted: those of the API by name, all others together."""

    def name(path: str) -> str:
        return path if path in paths else "/static" if path.startswith("/static/") else "other"

    return name
