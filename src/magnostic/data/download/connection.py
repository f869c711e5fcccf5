"""One GET request: proxies of the environment, redirects one by one, a limit on silence."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import magnostic
from magnostic.data.download.patience import Again, Patience
from magnostic.errors import BadInput, FetchError

REDIRECTS: Final = 5
_REDIRECT: Final = {301, 302, 303, 307, 308}
_DEFAULT_HEADERS: Final = {
    "User-Agent": f"magnostic/{magnostic.__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


def check_address(url: str, option: str) -> None:
    """Raise BadInput for what is not the http or https address of a file."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or any(c.isspace() or not c.isprintable() for c in url):
        raise BadInput(f"{option} {url!r}: give an address that begins with https:// or http://")
    if parts.username is not None:
        raise BadInput(f"{option}: an address with a name or password in it is not supported")


def get(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    """The answer to a GET, at most REDIRECTS redirects later; its body is still to be read.

    Raises Again for what may pass, FetchError for a redirect that is refused and for a server whose
    certificate can't be trusted.
    """
    at = url
    for _ in range(REDIRECTS + 1):
        answer = _ask(at, headers, patience)
        if answer.status not in _REDIRECT:
            return answer
        to = answer.headers.get("Location")
        answer.close()
        at = _next(at, to)
    raise FetchError(
        f"{url}: redirected more than {REDIRECTS} times, at last to {at}; "
        "give the file's own address with --url"
    )


def _next(at: str, to: str | None) -> str:
    """Where a redirect leads; never from https to http, nor to another protocol."""
    if not to:
        raise FetchError(f"{at}: redirected to nowhere; give another address with --url")
    where = urljoin(at, to)
    try:
        check_address(where, "redirect")
    except BadInput:
        raise FetchError(
            f"{at}: redirected to {where[:200]!r}, which is not followed; "
            "give another address with --url"
        ) from None
    if urlsplit(at).scheme == "https" and urlsplit(where).scheme == "http":
        raise FetchError(
            f"{at}: redirected to {where}, from an encrypted to an open connection, which is not "
            "followed; give that address with --url if you trust the way there"
        )
    return where


def _ask(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    sockets: list[socket.socket] = []
    late = threading.Event()

    def cut() -> None:
        late.set()
        for held in sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    # The limit on silence is for each receipt, which a head sent byte by byte never reaches.
    timer = threading.Timer(patience.answer, cut)
    timer.daemon = True
    timer.start()
    try:
        request = urllib.request.Request(url, headers=_DEFAULT_HEADERS | headers)
        answer = _opener(sockets).open(request, timeout=patience.silence)
    except (OSError, http.client.HTTPException, ValueError) as fault:
        if late.is_set():
            raise Again(f"no whole answer within {patience.answer:g} s") from None
        raise _cause(url, fault, patience) from None
    finally:
        timer.cancel()
    assert isinstance(answer, http.client.HTTPResponse)
    if late.is_set():  # a head that was cut looks whole to http.client
        answer.close()
        raise Again(f"no whole answer within {patience.answer:g} s")
    return answer


def _opener(sockets: list[socket.socket]) -> urllib.request.OpenerDirector:
    """What opens http and https, nothing else, and leaves every status to be read by us."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Http(sockets))
    opener.add_handler(_Https(sockets))
    return opener


class _Http(urllib.request.HTTPHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_kept(http.client.HTTPConnection, self._sockets), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        kept = _kept(http.client.HTTPSConnection, self._sockets)
        return self.do_open(kept, req, context=ssl.create_default_context())


def _kept(kind: Any, sockets: list[socket.socket]) -> Any:
    """The kind of connection, telling which socket it opened."""

    class Kept(kind):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            sockets.append(self.sock)

    return Kept


def _cause(url: str, fault: Exception, patience: Patience) -> Exception:
    """The fault as one that may pass, or the error that it is."""
    reason = getattr(fault, "reason", None) if isinstance(fault, urllib.error.URLError) else fault
    if isinstance(reason, ssl.SSLCertVerificationError):
        return FetchError(
            f"{url}: its certificate can't be trusted ({reason.verify_message}); check the clock "
            "and the proxy, or give another address with --url"
        )
    return Again(describe(reason if isinstance(reason, Exception) else fault, patience))


def describe(fault: Exception, patience: Patience) -> str:
    """A fault of the network in a few words."""
    if isinstance(fault, TimeoutError):
        return f"nothing came for {patience.silence:g} s"
    if isinstance(fault, socket.gaierror):
        return f"the host's name can't be resolved ({fault.strerror})"
    if isinstance(fault, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(fault, http.client.RemoteDisconnected):
        return "the server hung up without an answer"
    if isinstance(fault, ConnectionError):
        return "the connection broke off"
    if isinstance(fault, http.client.IncompleteRead):
        return "the connection ended early"
    if isinstance(fault, http.client.HTTPException | ValueError):
        return f"the answer is not HTTP ({type(fault).__name__})"
    return str(fault) or type(fault).__name__
