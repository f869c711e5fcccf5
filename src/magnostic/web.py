"""What both servers share: their address, the names of this machine, headers of every answer."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from magnostic.errors import BadInput

#: Names and addresses of the machine itself, reached from nowhere else.
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
#: No answer is taken for what it does not say it is, told to other sites, or shown within them.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
#: Connections that wait while nothing answers yet.
_BACKLOG: Final = 128


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. BadInput says why there can be none.

    Args:
        host: name or address of this machine.
        port: 0 for any that is free.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BadInput(f"--host {host}: {error.strerror}; give a name of this machine") from None
    family, _, _, _, where = found[0]
    # The protocol is named, since asyncio turns Nagle's waiting off for such sockets alone.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(where)
        bound.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        bound.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            told = f"port {port} of {host} is in use; choose another with --port, or --port 0"
            raise BadInput(told) from None
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"{host}, port {port}: {reason}; choose others (--host, --port)") from None
    return bound


def address(bound: socket.socket, host: str) -> str:
    """The page's address as a browser takes it."""
    port = bound.getsockname()[1]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def loopback(bound: socket.socket) -> bool:
    """Whether no other machine can reach it."""
    return ipaddress.ip_address(str(bound.getsockname()[0]).partition("%")[0]).is_loopback


def name(header: str) -> str:
    """The name in a Host header, in small letters, without port and brackets."""
    if header.startswith("["):
        inside, _, port = header[1:].partition("]")
        return inside.lower() if not port or port.startswith(":") else header
    return (header.rpartition(":")[0] if ":" in header else header).lower()
