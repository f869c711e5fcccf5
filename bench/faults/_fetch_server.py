"""A web server on loopback that answers every request as it is told to, byte by byte."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Request:
    """A request, and the open connection to answer on.

    Attributes:
        number: counts the requests from 1 since the behaviour was set.
        start: first byte asked for; None without a range.
        headers: of the request, by lower-case name.
    """

    path: str
    number: int
    start: int | None
    headers: dict[str, str]
    _connection: socket.socket
    _over: threading.Event

    def head(self, status: str, **headers: object) -> None:
        """The head of an answer; ``_`` in a header's name stands for ``-``."""
        lines = [f"HTTP/1.1 {status}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def trickle(self, data: bytes, pause: float = 0.02) -> None:
        """One byte at a time, until the other side has enough."""
        for at in range(len(data)):
            if self._over.is_set():
                return
            self.send(data[at : at + 1])
            time.sleep(pause)

    def silence(self) -> None:
        """Say nothing until the other side hangs up."""
        self._connection.settimeout(10)
        with contextlib.suppress(OSError):
            self._connection.recv(1)

    def reset(self) -> None:
        """Break the connection off instead of ending it."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def file(
        self, data: bytes, *, until: int | None = None, ranges: bool = True, **headers: object
    ) -> None:
        """The file as a good server sends it, cut off before byte ``until``."""
        if ranges and self.start is not None and self.start >= len(data):
            self.head("416 Range Not Satisfiable", Content_Range=f"bytes */{len(data)}")
            return
        start = (self.start or 0) if ranges else 0
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        status = "206 Partial Content" if start else "200 OK"
        self.head(status, **({"Content_Length": len(data) - start} | headers))
        self.send(data[start:until])


Behaviour = Callable[[Request], None]


class Server(socketserver.ThreadingTCPServer):
    """Answers by ``behaviour``; ``asked`` holds the requests since it was set."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._tls = tls
        self._lock = threading.Lock()
        self.over = threading.Event()
        self.asked: list[Request] = []
        self.behaviour: Behaviour = lambda request: request.head("404 Not Found")

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"

    def behave(self, behaviour: Behaviour) -> None:
        with self._lock:
            self.behaviour, self.asked = behaviour, []

    def note(self, make: Callable[[int], Request]) -> Request:
        with self._lock:
            request = make(len(self.asked) + 1)
            self.asked.append(request)
        return request

    def get_request(self) -> tuple[socket.socket, object]:
        connection, where = super().get_request()
        if self._tls is not None:
            connection.settimeout(5)
            connection = self._tls.wrap_socket(connection, server_side=True)
        return connection, where

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what this server is for."""


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        words = self.rfile.readline().decode("latin-1").split()
        headers = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        asked = headers.get("range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else None
        request = self.server.note(
            lambda number: Request(
                words[1], number, start, headers, self.connection, self.server.over
            )
        )
        self.server.behaviour(request)


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server that runs until the end of the block."""
    with Server(tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> Path | None:
    """Make a certificate and key for 127.0.0.1 in one file; None where openssl is missing."""
    import shutil
    import subprocess

    openssl = shutil.which("openssl")
    if openssl is None:
        return None
    both = folder / "loopback.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    key, signed = folder / "key.pem", folder / "signed.pem"
    command += ["-keyout", str(key), "-out", str(signed)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


def tls_of(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
