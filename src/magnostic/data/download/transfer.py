"""Getting a file whole: it goes on where it was cut, tries again a few times, and says why not."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, TypeVar

from magnostic.data.download import disk
from magnostic.data.download.answers import Body, body
from magnostic.data.download.connection import describe, get
from magnostic.data.download.part import Part
from magnostic.data.download.patience import Again, Corrupt, Patience, Unfit
from magnostic.errors import FetchError
from magnostic.progress import amount, meter, say

T = TypeVar("T")

_BLOCK: Final = 2**18
#: The first bytes of a gzip file.
_GZIP: Final = b"\x1f\x8b"


class Transfer:
    """One file of one address.

    Args:
        url: http or https.
        target: where the file is to lie; ``.part`` and ``.part.json`` are written beside it.
        most: bytes that it may have at most.
        unpacked: bytes that unpacking takes for each byte of the file, for the check of the disk.
        patience: how long to wait for what.
    """

    def __init__(
        self, url: str, target: Path, most: int, unpacked: float, patience: Patience
    ) -> None:
        self.url = url
        self.target = target
        self.most = most
        self.unpacked = unpacked
        self.patience = patience

    def obtain(self, check: Callable[[Path], T], keep: bool) -> T:
        """Fetch the file, and return what ``check`` makes of it; ``keep`` gives it its name then.

        A file that fails its check is removed; where it turns out damaged and the way here may have
        done that (it came in several answers, or without a length), it is fetched once more from
        the beginning. Raises FetchError.
        """
        part = Part(self.target, self.url)
        if part.have and not part.whole:
            say(f"{self.target.name}: {amount(part.have)} are here already")
        for last in (False, True):
            self._complete(part)
            try:
                made = check(part.path)
            except (Corrupt, Unfit) as fault:
                by_the_way = part.pieces > 1 or part.version.total is None
                part.drop()
                if isinstance(fault, Unfit) or last or not by_the_way:
                    raise
                say(f"{fault}; perhaps on its way here: once more from the beginning")
                continue
            if keep:
                part.keep_as(self.target)
            else:
                part.drop()
            return made
        raise AssertionError("the second round returns or raises")

    def _complete(self, part: Part) -> None:
        """Ask until the file is whole, or it gets no further."""
        failures, best = 0, part.have
        while not part.whole:
            try:
                self._ask(part)
                continue
            except Again as fault:
                if fault.anew:
                    part.drop()
                if part.have >= best + self.patience.step:
                    failures = 0
                best = max(best, part.have)
                failures += 1
                wait = self._wait(fault, failures, part.have)
                cause = str(fault)
            say(
                f"{self.target.name}: {cause}; again in {wait:.3g} s, from "
                f"{amount(part.have) if part.have else 'the beginning'}"
            )
            self.patience.sleep(wait)

    def _wait(self, fault: Again, failures: int, have: int) -> float:
        """Seconds until the next attempt; FetchError where there is none."""
        kept = f" ({amount(have)} are kept)" if have else ""
        if failures >= self.patience.attempts:
            raise FetchError(
                f"{self.url}: {fault}; {failures} attempts brought it no further. Give the same "
                f"command again later{kept}, or another address with --url"
            )
        if fault.wait is None:
            doubled = self.patience.first_wait * float(2 ** (failures - 1))
            return min(doubled, self.patience.longest_wait)
        if fault.wait > self.patience.longest_wait:
            raise FetchError(
                f"{self.url}: {fault} and asks to wait {fault.wait:.0f} s; give the same command "
                f"again after that{kept}, or another address with --url"
            )
        return fault.wait

    def _ask(self, part: Part) -> None:
        """One request, and all of its answer."""
        asked = part.have
        headers = {}
        if asked:
            headers["Range"] = f"bytes={asked}-"
            if part.version.condition:
                headers["If-Range"] = part.version.condition
        with get(self.url, headers, self.patience) as answer:
            found = body(
                self.url, answer.status, answer.headers, answer.length, asked, part.version
            )
            if found is None:
                part.finish()
                return
            if asked and not found.start:
                changed = part.version.differs(found.version)
                why = "the file has changed on the server" if changed else "it ignores ranges"
                say(f"{self.target.name}: {why}; from the beginning")
            self._fits(found)
            with disk.room(self.target.parent, self._left(found), "the archive with what is in it"):
                if found.start:
                    part.go_on(found.version)
                else:
                    part.begin(found.version)
                self._receive(answer, part, found)
        if part.version.total is None or part.have == part.version.total:
            part.finish()
        elif part.have > part.version.total:
            raise Again("more bytes came than the file has", anew=True)
        else:
            raise Again(f"{amount(part.have)} of {amount(part.version.total)} have come", 0.0)

    def _left(self, found: Body) -> int:
        """Bytes of the disk that are still to be taken, as far as is known."""
        total = found.version.total or found.start + (found.length or 0)
        return int(total - found.start + total * self.unpacked)

    def _fits(self, found: Body) -> None:
        """Raise FetchError for a file that is too large for the disk, or for what it should be."""
        total = found.version.total
        if total is not None and total > self.most:
            raise FetchError(
                f"{self.url}: the server says that the file has {amount(total)}, more than the "
                f"{amount(self.most)} that it can have; give another address with --url"
            )
        disk.require(self.target.parent, self._left(found), "the archive with what is in it")

    def _receive(self, answer: http.client.HTTPResponse, part: Part, found: Body) -> None:
        """Append the body; Again where it ends early, is too slow, or falls silent."""
        came, since, then = 0, 0, time.monotonic()
        total = found.version.total
        with part.appending() as out, meter(self.target.name, total, found.start) as advance:
            while found.length is None or came < found.length:
                wanted = _BLOCK if found.length is None else min(_BLOCK, found.length - came)
                try:
                    block = answer.read1(wanted)
                except (OSError, http.client.HTTPException, ValueError) as fault:
                    raise Again(describe(fault, self.patience)) from None
                if not block:
                    break
                if found.start + came == 0 and not block.startswith(_GZIP[: len(block)]):
                    raise self._no_archive(answer, block)
                came += len(block)
                if found.start + came > self.most:
                    raise FetchError(
                        f"{self.url}: more came than the {amount(self.most)} that the file can "
                        "have; give another address with --url"
                    )
                write(out, block)
                advance(len(block))
                now = time.monotonic()
                if now - then > self.patience.window:
                    if (came - since) / (now - then) < self.patience.least:
                        raise Again(f"only {amount(came - since)} came in {now - then:.3g} s")
                    since, then = came, now
        if found.length is not None and came < found.length:
            raise Again(
                f"the connection ended after {amount(came)} of the {amount(found.length)} announced"
            )
        if not came and not found.start:
            raise Again("the answer was empty")

    def _no_archive(self, answer: http.client.HTTPResponse, block: bytes) -> FetchError:
        kind = answer.headers.get_content_type()
        start = block[:40].decode("ascii", "replace").split("\n")[0]
        return FetchError(
            f"{self.url}: the server sent no gzip archive but {kind} that begins with {start!r}; "
            "look at the address in a browser, or give another one with --url"
        )


def write(out: IO[bytes], block: bytes) -> None:
    """The one place that writes what came, for tests of a full disk."""
    out.write(block)
