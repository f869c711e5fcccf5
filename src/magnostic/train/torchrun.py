"""Joining the processes that torchrun has started, and noticing when one of them ends.

Two processes hold a connection that is read by a thread of its own: it ends with a word (the
command is done, or why a process can't go on) or, where a process was killed, without one. So the
end of any process is known at once, whatever the others are doing.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import torch
import torch.distributed as dist

from magnostic.errors import BadInput, MagnosticError, RunFailed
from magnostic.stored import brief
from magnostic.train import ranks
from magnostic.train.ranks import Agreed, Group
from magnostic.train.stopping import numbers

#: How long a step waits for the slowest process (a checkpoint being written, a slow disk).
STEP: Final = datetime.timedelta(minutes=30)
#: How long a process waits for work while process 0 reads, decodes and reports.
WORK: Final = datetime.timedelta(days=30)
#: Seconds that process 0 has to end by itself once another process is lost.
_GRACE: Final = 15.0
#: Bytes of a last word.
_WORD: Final = 2048


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Be process 0 of the job inside; in every other process this never returns.

    One process is as if nothing was said. Raises RunFailed in place of a KeyboardInterrupt that the
    loss of another process has caused, or SystemExit where that has been said already.
    """
    if ranks.asked_for() == 1:
        yield
        return
    group, watch = _connect()
    if group.rank:
        _follow(group, watch)
    ranks.set_current(group)
    watchers = [_Watcher(group, rank, watch) for rank in range(1, group.size)]
    try:
        yield
    except KeyboardInterrupt:
        _ignore_signals()  # a watcher's own would come while its reason is waited for
        # torchrun's signal to those that are left may come before the reason for it.
        if not (group.fault or group.faulty.wait(0.5)):
            raise
        if any(watcher.said for watcher in watchers):
            raise SystemExit(RunFailed.exit_code) from None
        raise RunFailed(group.fault) from None
    finally:
        _ignore_signals()
        ranks.set_current(ranks.ALONE)
        _leave(watchers, watch)


def _ignore_signals() -> None:
    for number in numbers():
        signal.signal(number, signal.SIG_IGN)


def _connect() -> tuple[Group, Any]:
    """The group, and the channel by which processes notice each other's end."""
    cuda = torch.cuda.is_available()
    where = torch.device("cpu")
    if cuda:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise BadInput(
                f"LOCAL_RANK {local}: this machine has {torch.cuda.device_count()} GPUs; start at "
                "most as many processes on it (torchrun --nproc-per-node)"
            )
        where = torch.device("cuda", local)
        torch.cuda.set_device(where)
    try:
        if cuda:
            dist.init_process_group("nccl", timeout=STEP, device_id=where)
        else:
            dist.init_process_group("gloo", timeout=STEP)
        control, watch = (dist.new_group(backend="gloo", timeout=WORK) for _ in range(2))
        statistics = None if cuda else dist.new_group(backend="gloo", timeout=STEP)
    except (ValueError, RuntimeError) as error:
        raise BadInput(
            f"the processes cannot join ({str(error).splitlines()[0]}); start them by torchrun, "
            "which sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
        ) from None
    group = Group(dist.get_rank(), dist.get_world_size())
    return group.connected(control, statistics, where), watch


class _Watcher(threading.Thread):
    """At process 0, waits for the end of another process.

    Attributes:
        ending: the job ends, and so do the other processes.
        lost: the process ended before that.
        said: the user was told.
    """

    def __init__(self, group: Group, rank: int, watch: Any) -> None:
        super().__init__(name=f"watch-{rank}", daemon=True)
        self.rank = rank
        self.ending = self.lost = self.said = False
        self._group, self._watch = group, watch
        self.start()

    def run(self) -> None:
        word = _received(self.rank, self._watch)
        group = self._group
        if self.ending or group.faulty.is_set():
            return
        group.fault = f"process {self.rank} of {group.size} {word or 'ended without a word'}; " + (
            "the last checkpoint stays: mend that, then give the same command with --resume, with "
            "any number of processes"
            if word
            else "it was killed, or the machine was out of memory. The last checkpoint stays: give "
            "the same command with --resume, with any number of processes"
        )
        self.lost = True
        if group.device.type == "cuda":  # NCCL may end this process before it says anything
            self._say()
        group.faulty.set()
        os.kill(os.getpid(), signal.SIGTERM)  # whatever process 0 is doing alone
        time.sleep(_GRACE)  # it ends meanwhile, unless it waits for a GPU that waits for another
        if not self.said:
            self._say()
        os._exit(1)

    def _say(self) -> None:
        print(f"error: {self._group.fault}", file=sys.stderr, flush=True)
        self.said = True


def _leave(watchers: list[_Watcher], watch: Any) -> None:
    """End the processes that are left."""
    for watcher in watchers:
        watcher.ending = True
    left = [watcher for watcher in watchers if not watcher.lost]
    for watcher in left:
        with contextlib.suppress(RuntimeError):
            _send("", watcher.rank, watch)
    for watcher in left:
        watcher.join(5.0)


def _follow(group: Group, watch: Any) -> NoReturn:
    """Do what process 0 calls for, until it ends."""
    for number in numbers():
        signal.signal(number, lambda *_: None)  # process 0 gets them, too, and ends the job
    threading.Thread(target=_end_with, args=(group, watch), name="watch-0", daemon=True).start()
    ranks.set_current(group)
    from magnostic.train import device, memory

    device.threads()
    while True:
        try:
            function, values = group.called()
            with contextlib.suppress(Agreed), memory.told():
                function(*values)
            del function, values
            memory.free()
        except BaseException as error:
            if ranks.is_of_connection(error):
                time.sleep(_GRACE)  # for the thread to see how process 0 ends, if it has
            with contextlib.suppress(RuntimeError):
                _send(_word(error), 0, watch)
            os._exit(1)


def _end_with(group: Group, watch: Any) -> None:
    """In other processes: end when process 0 does."""
    if _received(0, watch) is None:
        if group.rank == 1:  # one of them says it
            print(
                f"error: process 0 of {group.size} ended without a word: it was killed, or the "
                "machine was out of memory; the last checkpoint stays: give the same command with "
                "--resume, with any number of processes",
                file=sys.stderr,
                flush=True,
            )
        os._exit(1)
    os._exit(0)


def _word(error: BaseException) -> str:
    """Why a process can't go on; a fault of ours is shown in full."""
    if ranks.is_of_connection(error):
        return f"lost its connection ({brief(error)})"
    if not isinstance(error, MagnosticError | torch.OutOfMemoryError | MemoryError | OSError):
        traceback.print_exception(error)
    return f"failed: {str(error) or type(error).__name__}"


def _send(word: str, rank: int, watch: Any) -> None:
    content = torch.zeros(_WORD, dtype=torch.uint8)
    told = word.encode()[: _WORD - 1]
    content[: len(told)] = torch.frombuffer(bytearray(told), dtype=torch.uint8) if told else 0
    dist.send(content, rank, group=watch)


def _received(rank: int, watch: Any) -> str | None:
    """The last word of a process; None where it ended without one."""
    content = torch.zeros(_WORD, dtype=torch.uint8)
    try:
        dist.recv(content, rank, group=watch)
    except RuntimeError:
        return None
    return bytes(content.numpy()).rstrip(b"\0").decode(errors="replace")
