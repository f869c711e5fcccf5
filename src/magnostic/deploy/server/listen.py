"""The server on its address: started, told where it listens, and ended cleanly."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from magnostic.deploy.server.settings import Settings
from magnostic.errors import BadInput, RunFailed
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


def bound(settings: Settings) -> socket.socket:
    """A socket on the address. Raises RunFailed where it is taken, BadInput where it is none."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named, since asyncio turns Nagle's waiting off for such sockets alone.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
    except socket.gaierror as error:
        found.close()
        raise BadInput(f"--host {settings.host}: {error.strerror}; give an address") from None
    except OSError as error:
        found.close()
        raise RunFailed(
            f"{settings.host} port {settings.port}: {error.strerror}; choose another --port"
        ) from None
    return found


def serve(app: ASGIApp, settings: Settings, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight.

    Args:
        listening: called with the address once connections are taken.
    """
    listener = bound(settings)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app, http=Protocol, ws="none", log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=_KEPT, timeout_graceful_shutdown=_GRACE,
        lifespan="on",
    )  # fmt: skip
    server = _Server(config, lambda: listening(f"http://{shown}:{port}/"))
    with listener:
        server.run(sockets=[listener])
