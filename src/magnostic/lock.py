"""One process at a time in a folder that is being written to."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from magnostic.errors import BadInput

#: The system's advisory locks; None on a system without them, where what is in use can't be known.
fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None

#: Lies in the folder while it is in use. What is left by a process that was killed locks nothing.
LOCK: Final = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others out of the folder, which is made if it is not there.

    The lock is the system's and ends with the process, however that ends. On systems and file
    systems without locks nobody is kept out. Raises BadInput, naming the process, where the folder
    is in use.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    path = folder / LOCK
    handle = _taken(path)
    try:
        os.truncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock ends: whoever waits looks for a new file
        os.close(handle)


def _taken(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise BadInput(
                f"{path.parent}: in use by {who}; wait until that has ended, or name another folder"
            ) from None
        except OSError:  # a file system without locks
            return handle
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # its owner has removed it meanwhile
