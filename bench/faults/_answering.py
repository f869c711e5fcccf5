"""An application of the server in a thread of this process, on a free port of loopback."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from magnostic import web
from magnostic.deploy.server.listen import Protocol


@contextlib.contextmanager
def answering(app: ASGIApp) -> Iterator[str]:
    """Yield the address at which the application answers until the end of the block."""
    listener = web.listen("127.0.0.1", 0)
    config = uvicorn.Config(app, http=Protocol, ws="none", log_level="critical", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
