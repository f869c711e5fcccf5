"""Threads: as many as asked for, else as many as there are cores to run them."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from magnostic.processors import cores
from magnostic.train import device


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("asked, expected", [("3", 3), ("2,4", 2), (" 1 ", 1)])
def test_what_openmp_is_told_holds(
    asked: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert device.threads() == torch.get_num_threads() == expected


@pytest.mark.parametrize("asked", ["", "0", "all", "-2"])
def test_what_openmp_does_not_understand_is_passed_over(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("magnostic.processors.cores", lambda: 5)
    assert device.threads() == 5


@pytest.mark.parametrize(
    "line, expected",
    [
        ("max 100000", 16),
        ("400000 100000", 4),
        ("350000 100000", 3),
        ("50000 100000", 1),
        ("6400000 100000", 16),
        ("broken", 16),
        (None, 16),
    ],
)
def test_cores_are_those_of_the_mask_and_the_quota(
    line: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    if line is not None:
        (tmp_path / "cpu.max").write_text(line + "\n")
    assert cores(tmp_path) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory_that_was_given_back_is_used_again_without_the_system() -> None:
    device.keep_memory()

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(2**26, dtype=np.uint8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    pages = 2**26 // resource.getpagesize()
    assert min(faults() for _ in range(3)) < pages / 10
