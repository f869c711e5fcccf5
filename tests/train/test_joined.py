"""The end of one process of a job, as the others see it; no process is started here."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from magnostic.errors import RunFailed
from magnostic.train import memory, ranks, torchrun
from magnostic.train.ranks import Group
from magnostic.train.stopping import numbers


class Job:
    """Process 0 of two, and the end of process 1.

    Attributes:
        ends: set, process 1 ends.
        word: its last word.
        over: set, process 0 has had its time to end by itself.
        exits: what processes would have ended with.
        sent: last words that would have been sent.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.group = Group(0, 2)
        self.ends, self.over = threading.Event(), threading.Event()
        self.word: str | None = None
        self.exits: list[int] = []
        self.sent: list[str] = []
        patch.setattr(ranks, "asked_for", lambda: self.group.size)
        patch.setattr(torchrun, "_connect", lambda: (self.group, None))
        patch.setattr(torchrun, "_received", self._received)
        patch.setattr(torchrun, "_send", self._send)
        patch.setattr(torchrun.os, "_exit", self.exits.append)
        patch.setattr(torchrun.time, "sleep", lambda _: self.over.wait(20))

    def _received(self, *_: object) -> str | None:
        self.ends.wait(20)
        return self.word

    def _send(self, word: str, *_: object) -> None:
        self.sent.append(word)
        self.ends.set()


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in numbers()}
    found = Job(monkeypatch)
    yield found
    found.ends.set()
    found.over.set()
    for thread in threading.enumerate():
        if thread.name.startswith("watch-"):
            thread.join(5)
    for number, handler in before.items():
        signal.signal(number, handler)


def _interrupted(job: Job) -> None:
    """torchrun's signal comes first, and what it is for a moment later."""
    try:
        with torchrun.joined():
            threading.Timer(0.1, job.ends.set).start()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pytest.fail("the reason was lost")


def test_the_lost_process_is_named_whatever_signal_came_first(job: Job) -> None:
    with pytest.raises(RunFailed, match="process 1 of 2 ended without a word"):
        _interrupted(job)
    assert not job.sent, "nobody is there to be told"


def test_an_interruption_by_the_user_stays_one(job: Job) -> None:
    with pytest.raises(KeyboardInterrupt), torchrun.joined():
        raise KeyboardInterrupt
    assert job.sent == [""]
    assert ranks.current() is ranks.ALONE


def test_the_lost_process_is_not_waited_for(job: Job) -> None:
    job.word = "failed: no disk"
    started = time.monotonic()
    with pytest.raises(
        RunFailed, match="process 1 of 2 failed: no disk; the last checkpoint stays"
    ):
        _interrupted(job)
    assert time.monotonic() - started < 3


def test_on_a_gpu_the_loss_is_said_at_once_and_once(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    """NCCL may end process 0 long before it has had its time."""
    job.group.device = torch.device("cuda", 0)
    with pytest.raises(SystemExit) as ended:
        _interrupted(job)
    assert ended.value.code == RunFailed.exit_code
    assert capsys.readouterr().err.count("error: process 1 of 2 ended without a word") == 1
    job.over.set()
    _until(lambda: bool(job.exits))
    assert "error" not in capsys.readouterr().err


def test_on_the_cpu_it_is_said_late_if_process_0_hangs(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunFailed):
        _interrupted(job)
    assert not capsys.readouterr().err, "whoever catches it says it"
    job.over.set()
    _until(lambda: bool(job.exits))
    assert "error: process 1 of 2 ended without a word" in capsys.readouterr().err


def _until(done: Any) -> None:
    end = time.monotonic() + 5
    while not done():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


class Ended(BaseException):
    """In place of the end of a process."""


def _follows(job: Job, patch: pytest.MonkeyPatch, *functions: Any) -> None:
    """Be process 1, called for these functions."""
    calls = iter(functions)

    def end(_: int) -> None:
        raise Ended

    def called() -> tuple[Any, tuple[()]]:
        function = next(calls)
        return function, ()

    job.over.set()
    job.group.rank = 1
    patch.setattr(job.group, "called", called)
    patch.setattr(torchrun.os, "_exit", end)
    patch.setattr(torchrun, "_end_with", lambda *_: None)
    patch.setattr(torchrun, "numbers", list)
    patch.setattr(ranks, "_group", ranks.ALONE)
    with contextlib.suppress(Ended), torchrun.joined():
        pytest.fail("another process leads")


def _raise(error: BaseException) -> Any:
    def function() -> None:
        raise error

    return function


def test_a_follower_without_memory_says_so_without_a_traceback(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lack = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
    _follows(job, monkeypatch, _raise(lack))
    assert job.sent[0].startswith("failed: out of memory (DefaultCPUAllocator")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said", "shown"),
    [
        (
            RuntimeError("[gloo/pair.cc] Timed out"),
            "lost its connection ([gloo/pair.cc] Timed out)",
            False,
        ),
        (ValueError("a bug"), "failed: a bug", True),
    ],
)
def test_a_follower_says_why_it_ends_and_shows_a_fault_of_ours_in_full(
    error: Exception,
    said: str,
    shown: bool,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _follows(job, monkeypatch, _raise(error))
    assert job.sent == [said]
    assert ("Traceback" in capsys.readouterr().err) is shown


def test_a_follower_gives_back_memory_after_each_call(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[int] = []
    monkeypatch.setattr(memory, "free", lambda: freed.append(1))
    lost = ranks.Agreed("the loss is no longer finite")
    _follows(job, monkeypatch, lambda: None, _raise(lost), _raise(ValueError("the end")))
    assert len(freed) == 2
