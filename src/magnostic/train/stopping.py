"""Being told to stop (Ctrl-C, SIGTERM, a scheduler's SIGUSR1 or 2) in the middle of an epoch.

A training step is not torn apart: the first signal is noted and obeyed once the step's checkpoint
is written, a second one at once. Schedulers send theirs some time before they kill (SLURM:
``--signal=USR1@120``).
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

from magnostic.progress import say

Handler = Callable[[int, FrameType | None], object]
#: Signals that ask to stop, where a system has them.
NAMES: Final = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
#: Seconds within which a signal under torchrun is the first one again: torchrun passes on to its
#: processes what they have got with it.
REPEATED: Final = 0.5


def numbers() -> list[int]:
    """The signals of :data:`NAMES` that this system has."""
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class Stopping:
    """Whether a signal came, and how to obey it."""

    def __init__(self, repeated: float = 0.0) -> None:
        self._repeated = repeated
        self.number: int | None = None
        self._noted = 0.0
        self._handlers: dict[int, Handler] = {}

    @property
    def asked(self) -> bool:
        return self.number is not None

    def obey(self) -> None:
        """Do what the signal would have done: its own handler raises KeyboardInterrupt."""
        if self.number is not None:
            self._handlers[self.number](self.number, None)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler of signals inside: the first is kept for later, another obeyed at once."""
        if self.number is not None:
            if time.monotonic() - self._noted >= self._repeated:
                self._handlers[number](number, frame)
            return
        self.number, self._noted = number, time.monotonic()
        say(f"{signal.Signals(number).name}: stopping after this step; once more stops at once")


@contextlib.contextmanager
def stopping(repeated: float = 0.0) -> Iterator[Stopping]:
    """Note signals inside that have a handler; elsewhere than in the main thread none is noted.

    One that was noted is obeyed at the end, also where something has failed in between: that it
    stops has been said.

    Args:
        repeated: seconds within which a second signal is the first one again.
    """
    told = Stopping(repeated)
    if threading.current_thread() is threading.main_thread():
        for number in numbers():
            handler = signal.getsignal(number)
            if callable(handler):
                told._handlers[number] = handler
                signal.signal(number, told.note)
    try:
        try:
            yield told
        finally:
            for number, handler in told._handlers.items():
                signal.signal(number, handler)
    except Exception as error:
        if told.asked:
            say(f"while stopping: {str(error) or type(error).__name__}")
            told.obey()
        raise
    told.obey()  # one that came when nobody looked any more
