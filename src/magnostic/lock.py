"""One process at a time in a folder, or at a file, that is being written."""

from __future__ import annotations

import contextlib
import os
import socket
import time
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
def locked(folder: Path, patience: float = 0.0, *, make: bool = True) -> Iterator[None]:
    """Keep others out of the folder, which is made if it is not there.

    The lock is the system's and ends with the process, however that ends. On systems and file
    systems without locks nobody is kept out. Raises BadInput, naming the process, where the folder
    is in use, by another thread of this process, too.

    Args:
        patience: seconds to wait for whoever is in it.
        make: if not, a folder that is not there is neither made nor locked.
    """
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / LOCK, folder, patience) if folder.is_dir() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def locked_file(target: Path) -> Iterator[None]:
    """As :func:`locked`, for one file that is being made; its folder is made if it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(f".{target.name}{LOCK}"), target):
        yield


@contextlib.contextmanager
def _locked(path: Path, what: Path, patience: float = 0.0) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    end = time.monotonic() + patience
    while (handle := _taken(path, what, last=time.monotonic() >= end)) is None:
        time.sleep(0.2)
    try:
        with contextlib.suppress(OSError):  # a full disk keeps nobody from locking
            os.truncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        try:  # before the lock ends: whoever waits looks for a new file
            with contextlib.suppress(OSError):  # what is left locks nothing
                path.unlink()
        finally:
            os.close(handle)


def _taken(path: Path, what: Path, *, last: bool) -> int | None:
    """A locked handle; None, or with ``last`` BadInput, where another process has it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            if not last:
                return None
            raise BadInput(
                f"{what}: in use by {who}; wait until that has ended, or name another place"
            ) from None
        except OSError:  # a file system without locks
            return handle
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # its owner has removed it meanwhile
