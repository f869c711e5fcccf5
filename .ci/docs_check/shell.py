"""A block of shell as the simple commands in it; enough of a shell for what pages show."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from docs_check.blocks import Wrong

_SEPARATORS: Final = {"&&", "||", "|", ";", "&", "(", ")", ";;", "|&"}
_REDIRECTS: Final = {">", ">>", "<", "2>", "&>", ">&", "<<<"}
_WORDS: Final = {"do", "done", "then", "fi", "else", "!", "while", "if", "time"}
_ASSIGNED: Final = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Session:
    """A console block: what is typed, and the lines that are shown below it."""

    script: str
    shown: tuple[str, ...]


def session(text: str) -> Session:
    """Lines after ``$`` (and those that a backslash continues) are typed, the others shown."""
    typed: list[str] = []
    shown: list[str] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on or line.startswith("$ "):
            typed.append(line if goes_on else line[2:])
            goes_on = typed[-1].endswith("\\")
        else:
            shown.append(line)
    return Session("\n".join(typed), tuple(shown))


def commands(script: str, where: str) -> list[list[str]]:
    """Words of each simple command, without assignments before it and redirections."""
    if "<<" in script.replace("<<<", ""):
        raise Wrong(f"{where}: a here-document; show the file as a block with file=NAME instead")
    found: list[list[str]] = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise Wrong(f"{where}: {line.strip()}: {error}") from None
        found += _split(words)
    return [c for c in (_bare(words) for words in found) if c]


def _split(words: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    skipping = False
    for word in words:
        if word in _SEPARATORS:
            found.append([])
        elif word in _REDIRECTS:
            if found[-1] and found[-1][-1].isdigit():  # the 2 of 2>
                found[-1].pop()
            skipping = True
        elif skipping:
            skipping = False
        else:
            found[-1].append(word)
    return found


def _bare(words: list[str]) -> list[str]:
    while words and (words[0] in _WORDS or _ASSIGNED.match(words[0])):
        words = words[1:]
    if words[:1] == ["for"]:
        return []
    return words
