"""A file on its way: ``NAME.part``, and in ``NAME.part.json`` what it belongs to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO

from magnostic.data.download.answers import Version
from magnostic.errors import BadInput
from magnostic.files import read_object, write_json


class Part:
    """The bytes of one address that have come so far.

    Attributes:
        path: the file.
        version: of the file on the server, as its first answer told.
        pieces: answers that these bytes were put together from.
        whole: whether nothing is missing any more.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self._url = url
        self.version = Version()
        self.pieces = 0
        self.whole = False
        if not self._recall():
            self.drop()

    @property
    def have(self) -> int:
        """Bytes that have come."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _recall(self) -> bool:
        """Take up what an earlier call has left; False where that isn't of this address."""
        try:
            note = read_object(self._note)
            known, pieces = Version(**note["version"]), note["pieces"]
            mine = note["url"] == self._url and note["whole"] in (True, False)
        except (BadInput, OSError, KeyError, TypeError):
            return False
        numbers = all(type(n) is int for n in (pieces, known.total) if n is not None)
        words = all(isinstance(w, str) for w in (known.etag, known.modified) if w is not None)
        if not (mine and numbers and words and pieces):
            return False
        self.version, self.pieces, self.whole = known, pieces, note["whole"]
        return self.have > 0 and (known.total is None or self.have <= known.total)

    def begin(self, version: Version) -> None:
        """The next answer is the file from its first byte."""
        self.drop()
        self.version, self.pieces = version, 1
        self._save()

    def go_on(self, version: Version) -> None:
        """The next answer goes on where the bytes end."""
        total = version.total if version.total is not None else self.version.total
        self.version = replace(self.version, total=total)
        self.pieces += 1
        self._save()

    def finish(self) -> None:
        """Nothing is missing any more."""
        self.whole = True
        self._save()

    def drop(self) -> None:
        """Remove the bytes and the note."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.version, self.pieces, self.whole = Version(), 0, False

    def keep_as(self, target: Path) -> None:
        """Give the file its name."""
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    @contextlib.contextmanager
    def appending(self) -> Iterator[IO[bytes]]:
        """The file, open for what comes next; on the disk when this ends, also by a fault."""
        with self.path.open("ab") as out:
            try:
                yield out
            finally:
                out.flush()
                os.fsync(out.fileno())

    def _save(self) -> None:
        note = {
            "url": self._url,
            "version": asdict(self.version),
            "pieces": self.pieces,
            "whole": self.whole,
        }
        write_json(self._note, note)
