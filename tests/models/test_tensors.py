"""Tensors in files: what comes back, and what is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from magnostic.models import tensors


@pytest.fixture
def some() -> dict[str, Tensor]:
    return {
        "b.weight": torch.randn(3, 4),
        "a": torch.tensor(7),
        "none": torch.empty(0, 2),
        "half": torch.ones(5, dtype=torch.bfloat16),
        "mask": torch.tensor([True, False]),
    }


def test_what_is_written_is_read(some: dict[str, Tensor], tmp_path: Path) -> None:
    tensors.write(tmp_path / "t.safetensors", some)
    found = tensors.read(tmp_path / "t.safetensors")
    assert found.keys() == some.keys()
    assert all(torch.equal(found[k], some[k]) and found[k].dtype == some[k].dtype for k in some)


def test_equal_tensors_give_equal_bytes(some: dict[str, Tensor], tmp_path: Path) -> None:
    tensors.write(tmp_path / "one", some)
    tensors.write(tmp_path / "two", dict(reversed(some.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("back", [1, 3, 40])
def test_a_bit_that_changed_is_noticed(back: int, some: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    tensors.write(path, some)
    data = bytearray(path.read_bytes())
    data[-back] ^= 1
    path.write_bytes(data)
    with pytest.raises(SafetensorError, match="damaged"):
        tensors.read(path)


def test_files_of_others_have_no_digest(some: dict[str, Tensor], tmp_path: Path) -> None:
    safetensors.torch.save_file(some, tmp_path / "theirs")
    assert tensors.read(tmp_path / "theirs").keys() == some.keys()
