"""The server on its address: started, told where it listens, and ended cleanly."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from magnostic import web
from magnostic.serving import Server

#: Seconds: a connection that has sent no request; one between two requests; requests in flight
#: when the server is told to end.
_FIRST: Final = 10
_KEPT: Final = 15
_GRACE: Final = 60


class Protocol(H11Protocol):
    """Gives up connections that never send a whole request line and headers."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._asked = False
        self._first = self.loop.call_later(_FIRST, self._give_up, transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._asked and self.scope is not None:
            self._asked = True
            self._first.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.cancel()
        super().connection_lost(exc)

    def _give_up(self, transport: Any) -> None:
        if not self._asked:
            transport.close()


class _Server(Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()


def serve(
    app: ASGIApp, listener: socket.socket, host: str, listening: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight.

    Args:
        listener: from :func:`magnostic.web.listen`.
        host: that it was opened for.
        listening: called with the address once requests are answered.
    """
    config = uvicorn.Config(
        app, http=Protocol, ws="none", log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=_KEPT, timeout_graceful_shutdown=_GRACE,
        lifespan="on",
    )  # fmt: skip
    server = _Server(config, lambda: listening(web.address(listener, host)))
    server.run(sockets=[listener])
