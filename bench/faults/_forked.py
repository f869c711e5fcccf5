"""The command line in processes that are forked from one which has loaded the libraries.

Such a process is one of its own in every respect that matters here (memory, files, signals, locks),
and starts without the seconds that importing takes.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

# Read when Arrow is loaded, whose allocator starts a thread otherwise: import this module first.
os.environ["JE_ARROW_MALLOC_CONF"] = "background_thread:false"
_LOADED = (
    "magnostic.cli", "magnostic.cli.train", "magnostic.cli.study", "magnostic.cli.table",
    "magnostic.train.run", "magnostic.study.execute", "magnostic.report.study", "timm",
    "rich.table", "matplotlib.backends.backend_pdf", "matplotlib.backends.backend_svg",
)  # fmt: skip


def load() -> None:
    """Import what the command line imports when it is asked to train, and start no thread."""
    for name in _LOADED:
        importlib.import_module(name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        sys.exit(f"{threads} threads after loading: set OMP_NUM_THREADS=1, then start again")


class Forked:
    """``magnostic ARGUMENTS`` in a process group of its own.

    Args:
        log: file to which standard output and error are appended.
        environment: variables that are set for it.
        arm: called in the process before it begins.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        arm: object = None,
    ) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            os.environ.update(environment)
            code = _run(arguments, arm)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, negative the signal that ended it; None if it goes on for longer."""
        ends = None if seconds is None else time.monotonic() + seconds
        while ends is None or time.monotonic() < ends:
            code = self.ended()
            if code is not None:
                return code
            time.sleep(0.002)
        return None

    def ended(self) -> int | None:
        """Its exit code if it has ended; to be asked once more at most."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def send(self, number: int) -> None:
        os.killpg(self.pid, number)


def _run(arguments: Sequence[str], arm: object) -> int:
    from magnostic.cli import main

    try:
        if callable(arm):
            arm()
        main([*arguments])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    return 0
