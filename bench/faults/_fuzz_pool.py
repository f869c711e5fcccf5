"""Worker processes, each input with a time limit; what kills or stops one is told of that input."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

#: Seconds until a worker has imported what it needs.
_START: Final = 180.0
ENDS: Final = ("read", "refused", "traceback", "crashed", "hung", "too much memory")


@dataclass(frozen=True)
class Outcome:
    """What came of one input.

    Attributes:
        number: of the input.
        kind, how, name: of the file and its mutation; ``?`` where the worker did not live to tell.
        end: one of :data:`ENDS`.
        said: of a wrong end: traceback or last words.
        peak: MiB that the process grew by meanwhile.
        seconds: of the processor that it took.
    """

    number: int
    kind: str
    how: str
    name: str
    end: str
    said: str
    peak: float
    seconds: float

    @property
    def wrong(self) -> bool:
        return self.end not in ("read", "refused")


class Worker:
    """One process that answers numbers by what came of them.

    Seconds are the processor's: a busy machine is no fault of a file. One that waits for ever takes
    none, and is given up after six times as many by the clock.

    Args:
        command: what runs; it says ``ready`` once, and then one JSON object a number.
        seconds: that an input may take of the processor.
        memory: MiB that it may make the process grow by.
    """

    def __init__(self, command: list[str], seconds: float, memory: float) -> None:
        self._command, self._seconds, self._memory = command, seconds, memory
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - see close

    def run(self, number: int) -> Outcome:
        """What came of one input; the process is started where none runs."""
        process = self._process or self._start()
        assert process.stdin is not None
        self._errors.seek(0, 2)
        said_before = self._errors.tell()
        started = _processor_seconds(process.pid)
        told: dict[str, Any] = {}
        try:
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            answer = self._answer(started)
        except BrokenPipeError:
            answer = ""
        seconds = max(0.0, _processor_seconds(process.pid) - started)
        if answer:
            told = json.loads(answer)
        else:
            told["end"] = "hung" if answer is None else "crashed"
            told["said"] = self._stop() + self._said(said_before)
        printed = self._said(said_before)
        if told["end"] in ("read", "refused"):
            if "Traceback (most recent call last)" in printed:
                told |= {"end": "traceback", "said": printed}
            elif told["peak"] > self._memory:
                told |= {"end": "too much memory", "said": f"{told['peak']:.0f} MiB"}
        words = [str(told.get(key, "?")) for key in ("kind", "how", "name", "end")]
        return Outcome(number, *words, told.get("said", ""), told.get("peak", 0.0), seconds)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._stop()
        self._errors.close()

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            text=True, bufsize=1,
        )  # fmt: skip
        ready = self._line(_START)
        if ready != "ready\n":
            said = self._stop() + self._said(0)
            raise SystemExit(f"a worker did not start: {said[-3000:]}")
        return self._process

    def _answer(self, started: float) -> str | None:
        """The next line, as :meth:`_line`, within the seconds of the processor."""
        assert self._process is not None
        until = time.monotonic() + 6 * self._seconds
        while time.monotonic() < until:
            line = self._line(0.25)
            if line is not None:
                return line
            if _processor_seconds(self._process.pid) - started > self._seconds:
                break
        return None

    def _line(self, seconds: float) -> str | None:
        """The next line; empty where the process has ended, None where it takes longer."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return self._process.stdout.readline()

    def _stop(self) -> str:
        """End the process; in words, how it had ended before, if it had."""
        process, self._process = self._process, None
        assert process is not None
        try:
            code = process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return ""
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        return f"{signal.Signals(-code).name}\n" if code < 0 else f"exit code {code}\n"

    def _said(self, start: int) -> str:
        self._errors.seek(start)
        return self._errors.read().decode("utf-8", "replace")


def _processor_seconds(process: int) -> float:
    """What a process has taken of the processor; 0 where there is none."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    used = told.rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def outcomes(
    what: str, seed: int, numbers: Iterable[int], folder: Path, seconds: float, memory: float
) -> Iterator[Outcome]:
    """What came of each input of one kind (``images`` or ``texts``), one after another."""
    script = Path(__file__).with_name("_fuzz_worker.py")
    # The process may take more address space than the memory that is measured.
    most = str(int(memory) + 1024)
    command = [sys.executable, str(script), what, str(seed), str(folder), most]
    worker = Worker(command, seconds, memory)
    try:
        for number in numbers:
            yield worker.run(number)
    finally:
        worker.close()
