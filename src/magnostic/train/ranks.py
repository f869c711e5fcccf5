"""Several processes, one result: what they share, and what each does of it.

Process 0 carries out a command as one process would, and alone reads recipes, writes and prints.
For what is worth sharing, training steps and a network's passes over photographs, it calls the
others (:meth:`Group.call`), which run the same function on their shares. Who starts and ends them
is told in :mod:`magnostic.train.torchrun`.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeGuard, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from magnostic.errors import BadInput, RunFailed
from magnostic.stored import brief

Rows = TypeVar("Rows", bound=np.generic)

#: Seconds within which the loss of a process is noticed after its connections have failed.
_NOTICED: Final = 5.0


class Agreed(RunFailed):
    """A failure that every process comes to at the same point, so that none waits for another."""


class Group:
    """The processes of a job; of one process unless it was started by torchrun.

    Attributes:
        rank: of this process, 0 leads.
        size: how many there are.
        device: that this process computes on.
        fault: what ended another process, or None.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.device = torch.device("cpu")
        self.fault: str | None = None
        self.faulty = threading.Event()
        self._broken = False
        self._control: Any = None
        self._statistics: Any = None

    def connected(self, control: Any, statistics: Any, device: torch.device) -> Group:
        """The same, with its channels: ``control`` waits for days, ``statistics`` is of batches."""
        self._control, self._statistics, self.device = control, statistics, device
        return self

    def share(self, batch: NDArray[Rows]) -> NDArray[Rows]:
        """What this process computes of a batch; may be empty."""
        return batch[self.rank :: self.size]

    def call(self, function: Callable[..., object], *values: object) -> None:
        """Have the other processes run a function of a module, with copies of these values.

        Tensors arrive on each process's own device.
        """
        if self.size == 1:
            return
        buffer = io.BytesIO()
        torch.save((function, values), buffer)
        content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(content)]), 0, group=self._control)
        dist.broadcast(content, 0, group=self._control)

    def called(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        """Wait for a call, however long that takes."""
        length = torch.zeros(1, dtype=torch.int64)
        dist.broadcast(length, 0, group=self._control)
        content = torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(content, 0, group=self._control)
        # Sent by process 0 of this very job, never read from a file.
        found: tuple[Callable[..., object], tuple[Any, ...]] = torch.load(  # nosec B614
            io.BytesIO(content.numpy().tobytes()), map_location=self.device, weights_only=False
        )
        return found

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What the processes do together. Where one of them is lost inside, the command ends here.

        Raises KeyboardInterrupt then, with :attr:`fault` set: nothing else can be done with the
        processes that are left, by a study's next run neither. Raises RunFailed where the
        connection failed and all are still there.
        """
        if self.size == 1 or self.rank:
            yield
            return
        if self._broken:
            self.fault = self.fault or (
                "the other processes wait in the middle of what failed; start the command again"
            )
            raise KeyboardInterrupt
        try:
            yield
        except (Agreed, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._broken = True
            if not is_of_connection(error):
                raise
            if self.faulty.wait(_NOTICED):
                raise KeyboardInterrupt from error
            self.fault = (
                f"the processes lost their connection ({brief(error)}); give the same command with "
                "--resume"
            )
            raise RunFailed(self.fault) from error

    def agreed(self, told: bool) -> bool:
        """What process 0 was told."""
        if self.size == 1:
            return told
        flag = torch.tensor([told])
        dist.broadcast(flag, 0, group=self._control)
        return bool(flag)

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes, on all of them; on the device of the values."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def of_every_process(self, values: Tensor) -> Tensor:
        """Values of every process, [size, n], for values [n] on the CPU."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(found, values, group=self._statistics)
        return torch.stack(found)

    def alike(self, content: Tensor) -> bool:
        """Whether all processes have the same bytes; all come to the same answer.

        Args:
            content: uint8 [n], on the CPU.
        """
        if self.size == 1:
            return True
        digest = zlib.crc32(content.numpy().tobytes()) & 0xFFFFFF  # its square has room in 64 bits
        total, squares = self.sum(torch.tensor([digest, digest**2], device=self.device)).tolist()
        return bool(self.size * squares == total**2)

    def sum_of_batch(self, values: Tensor) -> Tensor:
        """As :meth:`sum`, for the CPU's batch statistics, which don't wait for gradients."""
        dist.all_reduce(values, group=self._statistics)
        return values

    def gathered(self, own: NDArray[np.float32], batches: range, length: int) -> None:
        """Bring to process 0 what each process has computed of a table's rows.

        Args:
            own: float32 [length, ...]; the rows of this process's share of ``batches`` are
                computed. Those of process 0 are all so afterwards.
            batches: first row of every batch, a step apart.
        """
        for rank in range(1, self.size):
            rows = rows_of(self.of(rank, batches), batches.step, length)
            if not len(rows):
                continue
            if self.rank == rank:
                dist.send(torch.from_numpy(own[rows]), 0, group=self._control)
            elif self.rank == 0:
                came = torch.empty((len(rows), *own.shape[1:]))
                dist.recv(came, rank, group=self._control)
                own[rows] = came.numpy()

    def of(self, rank: int, batches: range) -> range:
        """Those of the batches that a process computes."""
        return batches[rank :: self.size]

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """Gradients are averaged over processes; weights start as those of process 0."""
        if self.size == 1:
            return model
        cuda = self.device.type == "cuda"
        # Buffers need no broadcast: batch statistics are the same everywhere (batch_norm). Steps
        # are alike, and some backbones have weights that do not lead to what is asked of them.
        return DistributedDataParallel(
            model,
            device_ids=[self.device.index] if cuda else None,
            forward_sync_buffers=False,
            static_graph=True,
        )


def rows_of(batches: range, size: int, length: int) -> NDArray[np.intp]:
    """Rows of these batches of a table, in order; the last may be shorter than ``size``."""
    parts = [np.arange(start, min(start + size, length)) for start in batches]
    return np.concatenate([np.empty(0, dtype=np.intp), *parts])


def is_of_connection(error: BaseException) -> TypeGuard[RuntimeError]:
    """Whether this is how a collective operation fails where another process has gone."""
    named = type(error).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError")
    text = str(error)
    return named or (isinstance(error, RuntimeError) and ("gloo" in text or "NCCL" in text))


def asked_for() -> int:
    """How many processes the environment says that there are (``WORLD_SIZE``)."""
    text = os.environ.get("WORLD_SIZE", "1")
    return int(text) if text.isdecimal() else 1


_group = Group()


def current() -> Group:
    """The processes of this job."""
    return _group


#: A process for itself, whatever else there is.
ALONE: Final = Group()


def set_current(group: Group) -> None:
    """From here on these are the processes of this job."""
    global _group
    _group = group


def require_connected() -> None:
    """Raise BadInput where torchrun has started several processes that don't know each other."""
    if asked_for() > 1 and current().size == 1:
        raise BadInput(
            f"WORLD_SIZE is {asked_for()}, but this process has not joined the others; start "
            "training as `torchrun --nproc-per-node N -m magnostic train …`"
        )
