"""One checkpoint an epoch: weights, best weights, optimizer and history, in safetensors and JSON.

Random states need no place in it: shuffling and dropout are seeded by (seed, epoch). The files of
an epoch carry its number and ``state.json`` is written last, so a crash at any moment leaves the
checkpoint of the epoch before.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from magnostic.files import read_json, write_json
from magnostic.models import tensors


@dataclass
class Progress:
    """Where training stands after an epoch."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    folder: Path,
    model: nn.Module,
    best: dict[str, Tensor],
    optimizer: Optimizer,
    progress: Progress,
    identity: str,
    scaler: dict[str, Any],
) -> None:
    """Write the checkpoint of ``progress.epoch`` and remove the one before.

    ``identity`` says what it belongs to; ``scaler`` is the state of fp16's loss scaling.
    """
    tag = f"epoch{progress.epoch:04d}"
    tensors.write(folder / f"{tag}.model.safetensors", model.state_dict())
    tensors.write(folder / f"{tag}.best.safetensors", best)
    moments, groups = _flatten(optimizer)
    tensors.write(folder / f"{tag}.optimizer.safetensors", moments)
    state = {
        "progress": vars(progress),
        "groups": groups,
        "identity": identity,
        "scaler": scaler,
    }
    write_json(folder / "state.json", state)
    for old in folder.glob("epoch*.safetensors"):
        if not old.name.startswith(tag):
            old.unlink()


def restore(
    folder: Path, model: nn.Module, optimizer: Optimizer, identity: str
) -> tuple[Progress, dict[str, Tensor], dict[str, Any]] | None:
    """Load the last whole checkpoint of this identity into model and optimizer.

    None, with model and optimizer untouched, if there is none, or one of another recipe or split.
    """
    if not (folder / "state.json").is_file():
        return None
    state = read_json(folder / "state.json")
    if state["identity"] != identity:
        return None
    progress = Progress(**state["progress"])
    tag = f"epoch{progress.epoch:04d}"
    model.load_state_dict(safetensors.torch.load_file(folder / f"{tag}.model.safetensors"))
    best = safetensors.torch.load_file(folder / f"{tag}.best.safetensors")
    moments = safetensors.torch.load_file(folder / f"{tag}.optimizer.safetensors")
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    parameters: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        index, _, key = name.partition(".")
        weight = weights[int(index)]
        if tensor.shape == weight.shape:
            # Files keep no strides, and fused optimizers go through memory as it lies: moments
            # that lie otherwise than their weights would be other weights'.
            tensor = torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)
        parameters.setdefault(int(index), {})[key] = tensor
    for saved, group in zip(state["groups"], optimizer.param_groups, strict=True):
        saved |= {name: group[name] for name in ("fused", "foreach") if name in group}
    optimizer.load_state_dict({"state": parameters, "param_groups": state["groups"]})
    return progress, best, state["scaler"]


def discard(folder: Path) -> None:
    """Remove the checkpoint of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """A detached copy of all weights on the CPU."""
    return {k: v.detach().to("cpu", copy=True) for k, v in model.state_dict().items()}


def _flatten(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    state = optimizer.state_dict()
    moments = {
        f"{index}.{key}": torch.as_tensor(value)
        for index, entries in state["state"].items()
        for key, value in entries.items()
        if value is not None
    }
    return moments, state["param_groups"]
