"""Tensors by name: written whole, with an error of ours where the disk refuses; their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from magnostic.errors import DiskFull, RunFailed
from magnostic.files import FULL, full, whole_file
from magnostic.progress import amount


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, copied to the CPU; RunFailed, leaving what stood there, if that fails."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    size = sum(t.numel() * t.element_size() for t in ready.values())
    try:
        with whole_file(path, size=size) as temporary:
            safetensors.torch.save_file(ready, temporary)
    except (safetensors.SafetensorError, OSError) as error:
        if any(f"os error {number}" in str(error) for number in FULL):
            raise DiskFull(full(path, size)) from None
        raise RunFailed(
            f"{path}: {amount(size)} cannot be written ({error}); mend that, then --resume"
        ) from None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2b-128 of names and values, hex."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors.items():
        found.update(name.encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
