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

#: Key of the digest in a file's own metadata.
_DIGEST = "sha256 of names and values"


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, copied to the CPU, with a digest; RunFailed, leaving what stood there, if that
    fails.
    """
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    size = sum(t.numel() * t.element_size() for t in ready.values())
    try:
        with whole_file(path, size=size) as temporary:
            safetensors.torch.save_file(ready, temporary, {_DIGEST: digest(ready)})
    except (safetensors.SafetensorError, OSError) as error:
        if any(f"os error {number}" in str(error) for number in FULL):
            raise DiskFull(full(path, size)) from None
        raise RunFailed(
            f"{path}: {amount(size)} cannot be written ({error}); mend that, then --resume"
        ) from None


def read(path: Path) -> dict[str, Tensor]:
    """Tensors of a file, on the CPU.

    Raises OSError, or SafetensorError for a file that is none or not what :func:`write` wrote;
    files of others, which bear no digest of ours, are read as they are.
    """
    with safetensors.safe_open(path, "pt") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        noted = (file.metadata() or {}).get(_DIGEST)
    if noted is not None and noted != digest(found):
        raise safetensors.SafetensorError("its values are not those that were written: damaged")
    return found


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values in the order of the names, hex."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
