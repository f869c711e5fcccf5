"""What an answer means for a file of which some bytes are here: RFC 9110, ranges and conditions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

from magnostic.data.download.patience import Again
from magnostic.errors import FetchError

_RANGE: Final = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_UNSATISFIED: Final = re.compile(r"bytes\s+\*/([0-9]{1,18})")
#: Statuses that mean: not now.
_LATER: Final = {408, 425, 429}
_WHY: Final = {
    401: "it asks for a name and password",
    403: "access is forbidden",
    404: "there is no such file",
    407: "the proxy asks for a name and password",
    410: "the file is gone",
    451: "the file is withheld for legal reasons",
}


@dataclass(frozen=True)
class Version:
    """What tells one version of a file from another: total bytes, ETag, Last-Modified."""

    total: int | None = None
    etag: str | None = None
    modified: str | None = None

    @property
    def condition(self) -> str | None:
        """For If-Range: a strong ETag, or else the date."""
        strong = self.etag and not self.etag.startswith("W/")
        return self.etag if strong else self.modified

    def differs(self, other: Version) -> bool:
        """Whether something that both say is not the same."""
        pairs = (
            (self.total, other.total),
            (self.etag, other.etag),
            (self.modified, other.modified),
        )
        return any(a is not None and b is not None and a != b for a, b in pairs)


@dataclass(frozen=True)
class Body:
    """The body of an answer: it begins at byte ``start`` of the file and has ``length`` bytes."""

    start: int
    length: int | None
    version: Version


def body(
    url: str,
    status: int,
    headers: Message,
    length: int | None,
    asked: int,
    known: Version,
) -> Body | None:
    """What the body of an answer is, or None where the ``asked`` bytes at hand are the whole file.

    ``length`` is that of the body where the head tells it; ``asked`` is the first byte asked for, 0
    if the whole file was. Raises Again for what may pass, and FetchError for what won't.
    """
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if status == 200:
        return Body(0, length, Version(length, etag, modified))
    if status == 206 and asked:
        return _part(headers, length, asked, known)
    if status == 416 and asked:
        _check_unsatisfied(headers, asked)
        return None
    if status in _LATER or status >= 500:
        raise Again(f"the server answered {status}", _wait(headers.get("Retry-After")))
    why = _WHY.get(status, "that is not the file")
    raise FetchError(
        f"{url}: the server answered {status}: {why}; try later, or another address with --url"
    )


def _part(headers: Message, length: int | None, asked: int, known: Version) -> Body:
    given = headers.get("Content-Range", "")
    match = _RANGE.fullmatch(given.strip())
    if match is None:
        raise Again(f"the server answered a range with {given[:60]!r} as its range", anew=True)
    start, end = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if start != asked or end < start or (total is not None and end >= total):
        raise Again(f"the server sent the range {given[:60]!r}, not from byte {asked}", anew=True)
    if length is not None and length != end - start + 1:
        raise Again(f"the server sent {length} bytes as the range {given[:60]!r}", anew=True)
    version = Version(total, headers.get("ETag"), headers.get("Last-Modified"))
    if known.differs(version):
        raise Again("the file has changed on the server", anew=True)
    kept = Version(total or known.total, known.etag, known.modified)
    return Body(start, end - start + 1, kept)


def _check_unsatisfied(headers: Message, asked: int) -> None:
    """Raise Again unless the server says that there is nothing after what is here."""
    match = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != asked:
        raise Again("the server has no bytes where the file should go on", anew=True)


def _wait(told: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks for, as a number or a date."""
    if told is None:
        return None
    if told.strip().isdigit():
        return float(told.strip()[:9])
    try:
        when = parsedate_to_datetime(told)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
