"""Kinds of misbehaviour, each with what must come of it: the right file, or a clear error."""

from __future__ import annotations

import errno
import gzip
from dataclasses import dataclass, field
from typing import Any

import _fetch_archives as archives
from _fetch_server import Behaviour, Request

RIGHT = archives.right()
HALF = len(RIGHT) // 2
WEB_PAGE = b"<!DOCTYPE html><html><body>Please log in to the hotel's network</body></html>"


@dataclass(frozen=True)
class Kind:
    """One misbehaviour.

    Attributes:
        name: what the server does.
        serve: how.
        says: words of the error that must come; None where the right file must come.
        options: of the fetch, beyond address and folder.
        disk: ``full`` fails writing the archive, ``full later`` a photograph; ``small`` has no
            room.
        slow: ends by waiting, which is cut short.
        tls: served over https.
        trusted: the client trusts the server's certificate.
    """

    name: str
    serve: Behaviour
    says: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    disk: str = ""
    slow: bool = False
    tls: bool = False
    trusted: bool = True


def once(fault: Behaviour, data: bytes = RIGHT, **headers: object) -> Behaviour:
    """The fault on the first request, then a good server."""

    def serve(request: Request) -> None:
        fault(request) if request.number == 1 else request.file(data, **headers)

    return serve


def cut(request: Request) -> None:
    request.file(RIGHT, until=HALF, ETag='"1"')


def cut_then(then: Behaviour) -> Behaviour:
    """Cut in the middle; ``then`` answers the range asked for next, a good server the rest."""

    def serve(request: Request) -> None:
        if request.number == 1:
            cut(request)
        elif request.start:
            then(request)
        else:
            request.file(RIGHT, ETag='"1"')

    return serve


def partial(start: int, end: int, total: object, body: bytes, **more: object) -> Behaviour:
    def serve(request: Request) -> None:
        told = f"bytes {start}-{end}/{total}"
        request.head("206 Partial Content", Content_Range=told, Content_Length=len(body), **more)
        request.send(body)

    return serve


def status(line: str, body: bytes = b"no", **headers: object) -> Behaviour:
    def serve(request: Request) -> None:
        request.head(line, Content_Length=len(body), **headers)
        request.send(body)

    return serve


def good(data: bytes) -> Behaviour:
    return lambda request: request.file(data)


def cut_everywhere(request: Request) -> None:
    at = request.start or 0
    request.file(RIGHT, until=at + len(RIGHT) // 7 + 1, ETag='"1"')


def no_length(until: int | None = None) -> Behaviour:
    def serve(request: Request) -> None:
        request.head("200 OK")
        request.send(RIGHT[:until])

    return serve


def chunked(until: int | None = None, end: bytes = b"0\r\n\r\n") -> Behaviour:
    def serve(request: Request) -> None:
        request.head("200 OK", Transfer_Encoding="chunked")
        request.send(b"%x\r\n" % len(RIGHT) + RIGHT[:until] + (b"\r\n" + end if not until else b""))

    return serve


def long_lie(request: Request) -> None:
    request.head("200 OK", Content_Length=len(RIGHT) + 1000)
    request.send(RIGHT)


def short_lie(request: Request) -> None:
    request.head("200 OK", Content_Length=HALF)
    request.send(RIGHT)


def changed(honest: bool, tags: bool = True) -> Behaviour:
    """Another version of the file from the second request on."""
    newer = archives.newer()

    def serve(request: Request) -> None:
        version = RIGHT if request.number == 1 else newer
        tag = {"ETag": f'"{len(version)}"'} if tags else {}
        if request.number == 1:
            request.file(version, until=HALF, **tag)
        elif honest and request.headers.get("if-range") != tag.get("ETag"):
            request.file(version, ranges=False, **tag)
        else:
            request.file(version, **tag)

    return serve


def mixed(request: Request) -> None:
    """Cut once; the second half is of another file of the same length, without any tag."""
    if request.number == 1:
        request.file(RIGHT, until=HALF)
    elif request.number == 2:
        request.file(RIGHT[:HALF] + bytes(len(RIGHT) - HALF))
    else:
        request.file(RIGHT)


def silent(request: Request) -> None:
    request.file(RIGHT, until=HALF)
    request.silence()


def trickle(request: Request) -> None:
    request.file(RIGHT, until=(request.start or 0) + 10)
    request.trickle(RIGHT[(request.start or 0) + 10 :])


def slow_head(request: Request) -> None:
    request.trickle(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000)


def endless(request: Request) -> None:
    request.head("200 OK")
    request.send(RIGHT[:HALF])
    for _ in range(200):
        request.send(bytes(65536))


def endless_head(request: Request) -> None:
    request.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(500):
        request.send(b"X-%d: y\r\n" % number)


def chain(request: Request) -> None:
    """Three redirects, and the file at the end of them."""
    steps = request.path.count("/next")
    if steps == 3:
        request.file(RIGHT)
    else:
        request.head("302 Found", Location=f"{request.path}/next", Content_Length=0)


def redirect(to: str) -> Behaviour:
    return lambda request: request.head("301 Moved Permanently", Location=to, Content_Length=0)


def then(first: Behaviour, again: Behaviour, *, until: int) -> Behaviour:
    """One behaviour for so many requests, then another."""
    return lambda request: (first if request.number <= until else again)(request)


def hang_up(request: Request) -> None:
    """No answer at all."""


TRANSPORT = [
    Kind("cuts in the middle once", once(cut, ETag='"1"')),
    Kind("cuts after every seventh of the file", cut_everywhere),
    Kind(
        "cuts at the same place each time, without ranges",
        lambda request: request.file(RIGHT, until=HALF, ranges=False),
        "attempts brought it no further",
    ),
    Kind("cuts once, then ignores ranges", cut_then(lambda r: r.file(RIGHT, ranges=False))),
    Kind("breaks the connection off", once(lambda r: (cut(r), r.reset())[0])),
    Kind("hangs up without an answer, once", once(hang_up)),
    Kind("hangs up without an answer, always", hang_up, "hung up without an answer"),
    Kind("talks something else than HTTP", lambda r: r.send(b"220 ftp ready\r\n"), "not HTTP"),
    Kind("sends headers without end", endless_head, "not HTTP"),
    Kind("falls silent in the middle, once", once(silent), slow=True),
    Kind(
        "falls silent, always",
        lambda request: request.silence(),
        "nothing came for 0.25 s",
        slow=True,
    ),
    Kind("sends byte by byte, once", once(trickle), slow=True),
    Kind("sends byte by byte, always", trickle, "bytes came in", slow=True),
    Kind("sends its headers byte by byte", slow_head, "no whole answer within", slow=True),
]
LENGTHS = [
    Kind("announces more than it sends, answers ranges", once(long_lie)),
    Kind("announces more than it sends, always", long_lie, "ended after .* announced"),
    Kind("announces less than the file has", short_lie, "damaged or cut off"),
    Kind("announces 40 TB", lambda r: r.head("200 OK", Content_Length=4 * 10**13), "more than the"),
    Kind("announces a length that is no number", lambda r: r.file(RIGHT, Content_Length="many")),
    Kind("announces no length", no_length()),
    Kind("announces no length and cuts, once", once(no_length(HALF))),
    Kind("announces no length and cuts, always", no_length(HALF), "damaged or cut off"),
    Kind("sends chunks", chunked()),
    Kind("cuts within a chunk, once", once(chunked(HALF))),
    Kind("sends chunks of no size", once(chunked(HALF, b""), RIGHT)),
    Kind("sends without end", endless, "more came than"),
    Kind("sends an empty answer", status("200 OK", b""), "the answer was empty"),
]
RANGES = [
    Kind(
        "answers a range from another byte", cut_then(partial(5, len(RIGHT) - 1, len(RIGHT), b""))
    ),
    Kind(
        "answers a range of another total",
        cut_then(partial(HALF, len(RIGHT) + 4, len(RIGHT) + 5, RIGHT[HALF:] + b"12345")),
    ),
    Kind(
        "answers a range with another length than it says",
        cut_then(partial(HALF, len(RIGHT) - 1, len(RIGHT), RIGHT[HALF:-9])),
    ),
    Kind(
        "answers a range with several ranges",
        cut_then(status("206 Partial Content", Content_Type="multipart/byteranges; boundary=x")),
    ),
    Kind(
        "answers a range with its beginning only",
        cut_then(
            then(
                partial(HALF, HALF + 99, len(RIGHT), RIGHT[HALF : HALF + 100]),
                lambda r: r.file(RIGHT),
                until=2,
            )
        ),
    ),
    Kind("answers 206 without being asked", partial(0, 9, 10, b"x" * 10), "answered 206"),
    Kind("answers 416 in the middle", cut_then(status("416 Range Not Satisfiable"))),
    Kind("the file changes; it heeds If-Range", changed(honest=True)),
    Kind("the file changes; it ignores If-Range", changed(honest=False)),
    Kind("the file changes without a tag or date", changed(honest=False, tags=False)),
    Kind("a range of other bytes, without a tag or date", mixed),
]
STATUSES = [
    Kind("404", status("404 Not Found"), "there is no such file"),
    Kind("403", status("403 Forbidden"), "access is forbidden"),
    Kind("401", status("401 Unauthorized"), "name and password"),
    Kind("204", lambda r: r.head("204 No Content"), "answered 204"),
    Kind(
        "429 with Retry-After, once",
        once(status("429 Too Many Requests", Retry_After="2")),
    ),
    Kind(
        "429 with Retry-After of a day",
        status("429 Too Many Requests", Retry_After="86400"),
        "asks to wait 86400 s",
    ),
    Kind("500, once", once(status("500 Internal Server Error"))),
    Kind(
        "503 twice, with a date to wait for",
        then(
            status("503 Unavailable", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
            good(RIGHT),
            until=2,
        ),
    ),
    Kind("503, always", status("503 Service Unavailable"), "answered 503"),
]
REDIRECTS = [
    Kind("three redirects", chain),
    Kind("redirects in a circle", redirect("/circle"), "redirected more than 5 times"),
    Kind("redirects to a local file", redirect("file:///etc/passwd"), "not followed"),
    Kind("redirects to nowhere", lambda r: r.head("302 Found", Content_Length=0), "to nowhere"),
    Kind(
        "redirects from https to http", redirect("http://127.0.0.1:9/x"), "not followed", tls=True
    ),
    Kind("https", good(RIGHT), tls=True),
    Kind("a certificate that nobody signed", good(RIGHT), "trusted", tls=True, trusted=False),
]
BYTES = [
    Kind(
        "a web page in place of the archive",
        status("200 OK", WEB_PAGE, Content_Type="text/html"),
        "no gzip archive but text/html",
    ),
    Kind("one bit flipped", good(archives.flipped()), "damaged or cut off"),
    Kind("an archive cut off on the server", good(RIGHT[:-200]), "damaged or cut off"),
    Kind("another checksum than asked for", good(RIGHT), "SHA-256", options={"sha256": "ab" * 32}),
    Kind("gzip of noise", good(archives.no_tar()), "not a whole tar archive"),
    Kind("an empty archive", good(archives.pack([])), "16 of 16 photographs are missing"),
    Kind("gzip of nothing", good(gzip.compress(b"")), "not a whole tar archive"),
    Kind("a tar damaged in the middle", good(archives.broken_list()), "breaks off in the middle"),
    Kind("a photograph is missing", good(archives.without_last()), "1 of 16 photographs"),
    Kind(
        "a foreign image",
        good(archives.pack([*archives.entries(), archives.file("BreaKHis_v1/cat.png")])),
        "1 other image",
    ),
    Kind("a photograph of another folder", good(archives.misplaced()), "in the wrong place"),
    Kind("a photograph cut off", good(archives.broken_photograph()), "1 of 16 photographs are not"),
    Kind(
        "harmless files beside the photographs",
        good(archives.pack([archives.file("BreaKHis_v1/README.txt"), *archives.entries()])),
    ),
    Kind(
        "folders above the usual ones",
        good(archives.pack([archives.file(f"./a/{i.name}", c) for i, c in archives.entries()])),
    ),
]
HOSTILE = [
    Kind(name, good(make()), "the archive (was not unpacked|has headers)")
    for name, make in archives.HOSTILE.items()
]
DISK = [
    Kind("the disk is full while the archive comes", good(RIGHT), "the disk is full", disk="full"),
    Kind("the disk is full while unpacking", good(RIGHT), "the disk is full", disk="full later"),
    Kind("the disk has no room for both", good(RIGHT), "are free", disk="small"),
]
KINDS = [*TRANSPORT, *LENGTHS, *RANGES, *STATUSES, *REDIRECTS, *BYTES, *HOSTILE, *DISK]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
