"""A server that ends by itself on SIGTERM and SIGINT. Wants uvicorn, of the extra ``[serve]``."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator

import uvicorn


class Server(uvicorn.Server):
    """Ends once what is in flight is answered; the exit code stays 0.

    uvicorn's own would pass on the signal that ended it, which would end the process.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
