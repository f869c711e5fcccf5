"""One checkpoint an epoch: weights, best weights, optimizer and history, in safetensors and JSON.

Shuffling, dropout and augmentation are seeded by (seed, epoch) or (seed, epoch, step); where an
epoch is stopped in its middle, the state of the random numbers is kept, too. The files of a
checkpoint carry its place and ``state.json`` is written last, so a crash at any moment leaves the
checkpoint before.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from magnostic.errors import BadInput, DiskFull, RunFailed
from magnostic.files import free, read_object, write_json
from magnostic.models import tensors
from magnostic.progress import amount


@dataclass
class Progress:
    """Where training stands.

    Attributes:
        epoch: epochs that are done.
        step: steps that are done of the next one.
        partial: sum of losses, right ones and samples of those steps, and seconds.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    partial: list[float] = field(default_factory=lambda: [0.0] * 4)


def require_room(folder: Path, model: nn.Module, optimizer: Optimizer) -> None:
    """Raise DiskFull where checkpoints will not fit; two of them stand there for a moment."""
    weights = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    trained = sum(
        p.numel() * p.element_size() for group in optimizer.param_groups for p in group["params"]
    )
    moments = trained * (1 if isinstance(optimizer, torch.optim.SGD) else 2)
    there = sum(path.stat().st_size for path in folder.glob("epoch*.safetensors"))
    needed, left = 2 * (2 * weights + moments) - there, free(folder)
    if left is not None and left < needed:
        raise DiskFull(
            f"{folder}: training needs {amount(needed)} for its checkpoints, and {amount(left)} "
            "are free; free space, then give the same command again (train: with --resume)"
        )


def save(
    folder: Path,
    model: nn.Module,
    best: dict[str, Tensor],
    optimizer: Optimizer,
    progress: Progress,
    identity: str,
    scaler: dict[str, Any],
) -> None:
    """Write the checkpoint of ``progress`` and remove the one before.

    ``identity`` says what it belongs to; ``scaler`` is the state of fp16's loss scaling.
    """
    tag = _tag(progress)
    tensors.write(folder / f"{tag}.model.safetensors", model.state_dict())
    tensors.write(folder / f"{tag}.best.safetensors", best)
    moments, groups = _flatten(optimizer)
    tensors.write(folder / f"{tag}.optimizer.safetensors", moments)
    if progress.step:
        tensors.write(folder / f"{tag}.random.safetensors", random_states())
    state = {
        "progress": vars(progress),
        "groups": groups,
        "identity": identity,
        "scaler": scaler,
    }
    write_json(folder / "state.json", state)
    for old in folder.glob("epoch*.safetensors"):
        if old.name.partition(".")[0] != tag:
            old.unlink()


def restore(
    folder: Path, model: nn.Module, optimizer: Optimizer, identity: str
) -> tuple[Progress, dict[str, Tensor], dict[str, Any]] | None:
    """Load the last whole checkpoint of this identity into model and optimizer.

    None, with model and optimizer untouched, if there is none, or one of another recipe or split.
    Raises BadInput for one whose files are damaged, RunFailed for files that cannot be read now.
    """
    if not (folder / "state.json").is_file():
        return None
    state = read_object(folder / "state.json")
    if state.get("identity") != identity:
        return None
    try:
        return _restored(folder, model, optimizer, state)
    except (
        FileNotFoundError, SafetensorError, RuntimeError, LookupError, TypeError, ValueError,
    ) as error:  # fmt: skip
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"{folder}: damaged checkpoint ({reason}); remove this folder, and the training that "
            "it belongs to starts from its beginning"
        ) from None
    except OSError as error:  # it may well be whole
        raise RunFailed(
            f"{error.filename or folder}: cannot be read ({error.strerror or error}); mend that, "
            "then --resume"
        ) from None


def _restored(
    folder: Path, model: nn.Module, optimizer: Optimizer, state: dict[str, Any]
) -> tuple[Progress, dict[str, Tensor], dict[str, Any]]:
    progress = Progress(**state["progress"])
    tag = _tag(progress)
    model.load_state_dict(tensors.read(folder / f"{tag}.model.safetensors"))
    best = tensors.read(folder / f"{tag}.best.safetensors")
    moments = tensors.read(folder / f"{tag}.optimizer.safetensors")
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
    if progress.step:
        set_random_states(tensors.read(folder / f"{tag}.random.safetensors"))
    return progress, best, state["scaler"]


def _tag(progress: Progress) -> str:
    within = f"-step{progress.step:06d}" if progress.step else ""
    return f"epoch{progress.epoch:04d}{within}"


def random_states() -> dict[str, Tensor]:
    """The states of the CPU's and of this process's GPU's random numbers, uint8."""
    found = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_random_states(states: dict[str, Tensor]) -> None:
    """Go on with the random numbers from here, also on another GPU than they were taken from."""
    torch.set_rng_state(states["cpu"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


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
