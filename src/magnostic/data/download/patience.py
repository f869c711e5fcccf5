"""How long a download waits for what, and the faults that it tells apart."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from magnostic.errors import FetchError


@dataclass(frozen=True)
class Patience:
    """Limits of waiting. Times are in seconds.

    Attributes:
        silence: the longest time in which no byte comes, also while connecting.
        answer: until the head of an answer is whole.
        window, least: bytes that must come in every window of time, as a rate a second.
        attempts: in a row that bring the file no further, before giving up.
        step: bytes that count as further.
        first_wait: before the second attempt; it doubles with each further one.
        longest_wait: between two attempts; a server that asks for more ends the download.
        sleep: what waits.
    """

    silence: float = 30.0
    answer: float = 60.0
    window: float = 60.0
    least: float = 4096.0
    attempts: int = 6
    step: int = 2**20
    first_wait: float = 1.0
    longest_wait: float = 300.0
    sleep: Callable[[float], None] = time.sleep


class Again(Exception):
    """A fault that may pass: the cause in words, and the seconds that the server asks to wait.

    ``anew``: what has come so far doesn't fit what the server says, and goes.
    """

    def __init__(self, cause: str, wait: float | None = None, *, anew: bool = False) -> None:
        super().__init__(cause)
        self.wait = wait
        self.anew = anew


class Corrupt(FetchError):
    """Bytes that are not those of the file: another checksum, or no whole archive."""


class Unfit(FetchError):
    """A whole archive that holds something else than it should, or what no archive may hold."""
