"""Which device, precision and number of threads a run computes with."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from threadpoolctl import threadpool_limits

from magnostic import heap, processors
from magnostic.errors import RecipeError

Precision = Literal["bf16", "fp16", "fp32"]


def has_fast_bf16() -> bool:
    """Whether bf16 arithmetic is native: CUDA from Ampere on, CPUs with AVX512-BF16 or AMX."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capability.get("avx512_bf16") or capability.get("amx_bf16"))


def precision(wanted: str) -> Precision:
    """Resolve ``auto``; RecipeError for fp16 without CUDA, which no CPU computes in."""
    if wanted == "auto":
        return "bf16" if has_fast_bf16() else "fp32"
    if wanted == "fp16" and not torch.cuda.is_available():
        raise RecipeError("train.precision fp16 needs CUDA; use bf16 or fp32 on this device")
    return "bf16" if wanted == "bf16" else "fp16" if wanted == "fp16" else "fp32"


def torch_device() -> torch.device:
    """This process's CUDA device, the first one unless there are several, else the CPU."""
    _float32_is_float32()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@functools.cache
def _float32_is_float32() -> None:
    """Convolutions in float32 on a GPU keep its 23 bits, as on the CPU.

    cuDNN's default rounds their inputs to TF32's 10 bits, which moves features by 1e-3 and
    probabilities by 7e-3. Whoever wants that speed has bf16, which is faster still.
    """
    torch.backends.cudnn.allow_tf32 = False


def threads() -> int:
    """Set torch to the threads of this process, and return how many those are."""
    count = processors.threads()
    torch.set_num_threads(count)
    return count


@functools.cache
def keep_memory() -> None:
    """Let the C library keep the memory that tensors on the CPU give back, for the next ones.

    glibc otherwise returns large blocks to the system and gets them again, to be cleared page by
    page: a fifth to a third of a training step (docs/speed.md). It is given back when the process
    ends. Where the library is another one, nothing is changed.
    """
    heap.keep()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and NumPy use one thread on the CPU inside.

    Threads that wait for each other spin: small products take fifty times as long on two threads as
    on one wherever another process has a core.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def accelerator(chosen: Precision) -> Accelerator:
    """An Accelerator of this precision; its process-wide state is made anew if it differs."""
    _float32_is_float32()
    mixed = "no" if chosen == "fp32" else chosen
    shared = AcceleratorState._shared_state
    if shared and shared.get("_mixed_precision") != mixed:
        AcceleratorState._reset_state()
    return Accelerator(mixed_precision=mixed)


def describe(chosen: Precision) -> dict[str, object]:
    """Device, precision and threads for ``environment.json`` and ``doctor``."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "fast_bf16": has_fast_bf16(),
        "precision": chosen,
        "threads": threads(),
    }
