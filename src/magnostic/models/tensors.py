"""Writing safetensors files whole, with an error of ours where the disk refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from magnostic.errors import RunFailed
from magnostic.files import whole_file


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors, copied to the CPU; RunFailed, leaving what stood there, if that fails."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    size = sum(t.numel() * t.element_size() for t in ready.values()) / 2**20
    try:
        with whole_file(path) as temporary:
            safetensors.torch.save_file(ready, temporary)
    except (safetensors.SafetensorError, OSError) as error:
        raise RunFailed(
            f"{path}: {size:.0f} MiB cannot be written ({error}); free space, then --resume"
        ) from None
