"""Running out of memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from magnostic.errors import RunFailed
from magnostic.train import memory


@pytest.mark.parametrize("of", [torch.empty, np.empty])
def test_memory_that_is_not_there_fails_the_run_and_says_how_to_go_on(of: object) -> None:
    with pytest.raises(RunFailed, match=r"out of memory .*--resume.*batch_size"), memory.told():
        of(2**60, dtype=torch.uint8 if of is torch.empty else np.uint8)  # type: ignore[operator]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory.told():
        raise RuntimeError("shape mismatch")


def test_what_lies_in_cycles_is_given_back() -> None:
    class Network:
        def __init__(self) -> None:
            self.itself = self

    gc.disable()
    try:
        left = weakref.ref(Network())
        assert left() is not None
        memory.free()
        assert left() is None
    finally:
        gc.enable()
