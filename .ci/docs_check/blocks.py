"""Code blocks of a Markdown page, and what the comment above each says about testing it.

    <!-- test: given=runs/real,photo.png; fails=2 -->
    ```sh
    magnostic predict runs/real photo.png -o predictions.csv
    ```

A block without a comment is run. What a comment may say, parted by semicolons:

==============  ================================================================================
skip: REASON    not run, but bound: commands with their options, imports, recipes (the last item)
given=A,B       put these into the page's folder first (:mod:`docs_check.given`)
serve           the last command is a server: it must answer, and is ended then
fails=N         the block must end with exit code N
file=NAME       not run: written as this file into the page's folder, for later blocks
yaml=KIND       what a YAML block is: recipe, study, label-map, other; told by fields if left out
==============  ================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHELL: Final = ("sh", "bash", "console")
#: Blocks in these languages are shown and not checked.
SHOWN: Final = ("", "text", "csv", "json", "geojson", "html", "mermaid", "ini", "dockerfile")
KINDS: Final = ("recipe", "study", "label-map", "other")
_FENCE: Final = re.compile(
    r"^(?P<indent> *)(?P<fence>```+|~~~+)\s*(?P<language>[\w-]*)(?P<more>.*)$"
)
_COMMENT: Final = re.compile(r"^ *<!--\s*test:(?P<text>.*?)-->\s*$")


class Wrong(Exception):
    """A block or comment that cannot be understood; the message says where and why."""


@dataclass(frozen=True)
class Directive:
    """What the comment above a block says."""

    skip: str = ""
    given: tuple[str, ...] = ()
    serve: bool = False
    fails: int = 0
    file: str = ""
    yaml: str = ""


@dataclass(frozen=True)
class Block:
    """One fenced block: ``line`` is that of its fence, counted from 1."""

    page: Path
    line: int
    language: str
    text: str
    directive: Directive = Directive()

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def directive(text: str, where: str) -> Directive:
    """Read the inside of a comment; Wrong for what it may not say."""
    found: dict[str, object] = {}
    rest = text.strip()
    while rest:
        if rest.startswith("skip"):
            reason = rest.removeprefix("skip").lstrip(": ").strip()
            if not reason:
                raise Wrong(f"{where}: skip needs a reason: <!-- test: skip: needs a GPU -->")
            found["skip"] = reason
            break
        item, _, rest = (part.strip() for part in rest.partition(";"))
        name, _, value = item.partition("=")
        if name == "given" and value:
            found["given"] = tuple(part.strip() for part in value.split(","))
        elif name == "fails" and value.isdigit():
            found["fails"] = int(value)
        elif name == "file" and value:
            found["file"] = value
        elif name == "yaml" and value in KINDS:
            found["yaml"] = value
        elif item == "serve":
            found["serve"] = True
        else:
            raise Wrong(f"{where}: no such thing to say of a block: {item!r}")
    return Directive(**found)  # type: ignore[arg-type]


def blocks(page: Path, text: str) -> list[Block]:
    """All fenced blocks of a page in order; Wrong for one without an end or a stray comment."""
    found: list[Block] = []
    pending: tuple[int, str] | None = None
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        where = f"{page}:{number}"
        comment, fence = _COMMENT.match(line), _FENCE.match(line)
        if fence:
            said = directive(pending[1], where) if pending else Directive()
            body = "\n".join(_until(lines, fence["fence"], len(fence["indent"]), where))
            language = fence["language"].lower()
            if language not in SHOWN + SHELL + ("python", "yaml"):
                raise Wrong(f"{where}: nothing is known about blocks of {language!r}")
            if language in SHOWN and pending and not said.file:
                raise Wrong(f"{where}: a block of {language or 'plain text'!r} is not run")
            found.append(Block(page, number, language, body, said))
            pending = None
        elif comment:
            pending = (number, comment["text"])
        elif pending and line.strip():
            raise Wrong(f"{page}:{pending[0]}: a comment about a block without one below it")
    if pending:
        raise Wrong(f"{page}:{pending[0]}: a comment about a block without one below it")
    return found


def prose(text: str) -> str:
    """The page without its fenced blocks, as many lines as before."""
    kept: list[str] = []
    closing = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if closing:
            closing = "" if line.strip() == closing else closing
            kept.append("")
        elif fence:
            closing = fence["fence"]
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def _until(
    lines: Iterator[tuple[int, str]], closing: str, indent: int, where: str
) -> Iterator[str]:
    for _, line in lines:
        if line.strip() == closing:
            return
        yield line[indent:] if line[:indent].isspace() else line
    raise Wrong(f"{where}: a block that never ends")
