"""Multipart forms read into memory as they arrive; nothing is written to disk.

Names of files are labels for the answer and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from magnostic.deploy.server.problems import Problem
from magnostic.deploy.server.settings import Settings

#: Bytes of a field that is no file, and characters of a file's name.
_TEXT, _NAME = 32_000, 256


@dataclass(frozen=True)
class Upload:
    """A file of the form.

    Attributes:
        name: as it was sent; ``""`` without one.
        data: its content; empty where there is an error.
        error: in words, why it is not even looked at.
    """

    name: str
    data: bytes
    error: str | None = None


@dataclass
class Form:
    """Files of the one field that takes them, and texts of the others, in order."""

    files: list[Upload] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)


async def read(request: Request, settings: Settings, files: str, texts: Sequence[str]) -> Form:
    """The form of a request.

    Args:
        files: name of the field whose parts are files.
        texts: names of the other fields.

    Raises Problem 415 for no form, 400 for one that is malformed or cut off, 422 for too many
    files, a field of another name, or a text too long or not in UTF-8.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Problem(415, "no-form", "send multipart/form-data with a boundary")
    reader = _Reader(settings, files, tuple(texts))
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        async for piece in request.stream():
            if piece:
                parser.write(piece)
    except FormParserError as error:
        raise Problem(400, "malformed", f"the form is malformed: {error}") from None
    if not reader.whole:
        raise Problem(400, "malformed", "the form is cut off: its last boundary is missing")
    return reader.form


class _Reader:
    """Puts parts together from the parser's calls."""

    def __init__(self, settings: Settings, files: str, texts: tuple[str, ...]) -> None:
        self.form = Form()
        self.whole = False
        self._settings, self._files, self._texts = settings, files, texts
        self._header, self._value, self._disposition = b"", b"", b""
        self._pieces: list[bytes] = []
        self._size, self._is_file = 0, False
        self._field, self._name = "", ""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._start,
            "on_part_data": self._on_data,
            "on_part_end": self._finish,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition, self._pieces, self._size = b"", [], 0

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _start(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise Problem(400, "malformed", "a part of the form has no name")
        self._field = _text(options[b"name"], "the name of a field")
        self._name = _text(options.get(b"filename", b""), "the name of a file")
        self._is_file = self._field == self._files
        if not self._is_file and self._field not in self._texts:
            known = ", ".join((self._files, *self._texts))
            raise Problem(422, "field", f"{self._field[:80]!r} is no field; there are {known}")
        most = self._settings.max_files
        if self._is_file and len(self.form.files) == most:
            raise Problem(422, "too-many", f"more than {most} files; send several requests")
        if not self._is_file and len(self.form.texts.get(self._field, ())) == most:
            raise Problem(422, "field", f"{self._field} comes more than {most} times")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= (self._settings.max_bytes if self._is_file else _TEXT):
            self._pieces.append(data[start:end])
        elif self._is_file:
            self._pieces.clear()  # what is too large is counted to its end, not kept
        else:
            raise Problem(422, "field", f"{self._field}: longer than {_TEXT} bytes")

    def _finish(self) -> None:
        if not self._is_file:
            text = _text(b"".join(self._pieces), self._field)
            self.form.texts.setdefault(self._field, []).append(text)
            return
        error = _bad_name(self._name)
        if self._size > self._settings.max_bytes:
            error = f"too large: more than {self._settings.max_bytes} bytes"
        data = b"" if error else b"".join(self._pieces)
        self.form.files.append(Upload(_shown(self._name), data, error))
        self._pieces = []

    def _end(self) -> None:
        self.whole = True


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Problem(422, "field", f"{what} is not UTF-8") from None


def _bad_name(name: str) -> str | None:
    if any(c in "/\\" for c in name) or name in (".", ".."):
        return "name: is a path; send the name of the file alone"
    if len(name) > _NAME or any(_control(c) for c in name):
        return "name: too long, or holds control characters"
    return None


def _shown(name: str) -> str:
    return "".join("?" if _control(c) else c for c in name[:_NAME])


def _control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
