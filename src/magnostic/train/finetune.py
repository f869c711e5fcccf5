"""Fine-tuning of all layers: the paper's loop.

Every process draws the same global batches and computes its share of each.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.errors import RunFailed
from magnostic.files import write_text
from magnostic.models.classifier import Classifier
from magnostic.preprocess.balance import Samples, apply_symmetries
from magnostic.progress import say, track
from magnostic.recipe import Finetune
from magnostic.train import checkpoint
from magnostic.train.checkpoint import Progress
from magnostic.train.schedule import learning_rate


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        pixels: uint8 [M, S, S, 3].
        pixel_rows: row in ``pixels`` of each photograph; two names of one photograph share a row.
        y: class index of each photograph.
        train, val: positions of photographs, with the symmetry to apply.
        class_weights: float32 [C], or None.
        identity: what must agree for a checkpoint to be resumed (recipe, data and split hashes).
    """

    pixels: NDArray[np.uint8]
    pixel_rows: NDArray[np.intp]
    y: NDArray[np.intp]
    train: Samples
    val: Samples
    class_weights: NDArray[np.float32] | None
    recipe: Finetune
    seed: int
    identity: str


def finetune(model: Classifier, job: Job, folder: Path, accelerator: Accelerator) -> Classifier:
    """Train, keeping the best weights by validation, and return the model with them loaded.

    Writes ``history.jsonl`` after each epoch, and a checkpoint from which an interrupted run goes
    on. Raises RunFailed when the loss is no longer finite.
    """
    recipe = job.recipe
    model = model.to(accelerator.device)
    optimizer = _optimizer(model, recipe)
    progress, best = Progress(), checkpoint.copy_state(model)
    restored = checkpoint.restore(folder / "checkpoint", model, optimizer, job.identity)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    if restored is not None:
        progress, best, scaler = restored
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(scaler)
        say(f"resuming after epoch {progress.epoch} of {recipe.epochs}")
    while progress.epoch < recipe.epochs:
        started = time.monotonic()
        line = _epoch(wrapped, optimizer, job, progress.epoch, accelerator)
        if len(job.val):
            line |= _validate(wrapped, job, accelerator)
        line["seconds"] = round(time.monotonic() - started, 3)
        progress.epoch += 1
        progress.history.append({"epoch": progress.epoch, **line})
        score = _score(line, recipe)
        if score is None or progress.best_score is None or score > progress.best_score:
            progress.best_score, progress.best_epoch = score, progress.epoch
            best = checkpoint.copy_state(model)
        if accelerator.is_main_process:
            _report(progress, recipe)
            lines = "".join(json.dumps(entry) + "\n" for entry in progress.history)
            write_text(folder / "history.jsonl", lines)
            scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
            checkpoint.save(
                folder / "checkpoint", model, best, optimizer, progress, job.identity, scaler
            )
    model.load_state_dict(best)
    return model.eval()


def order(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    """The order of samples in an epoch; from seed and epoch alone, so a resumed run repeats it."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch_starts(count: int, size: int) -> list[int]:
    """Borders of the batches of an epoch; a last one of a single sample joins the one before.

    Batch normalization can't be trained on one sample.
    """
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [*starts, count]


def _optimizer(model: nn.Module, recipe: Finetune) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(parameters, lr=recipe.lr, momentum=0.9, weight_decay=recipe.weight_decay)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    job: Job,
    epoch: int,
    accelerator: Accelerator,
) -> dict[str, float]:
    recipe = job.recipe
    torch.manual_seed(job.seed * 1_000_003 + epoch)  # dropout: the same after a resume
    samples = job.train.take(order(job.seed, epoch, len(job.train)))
    starts = batch_starts(len(samples), recipe.batch_size)
    batches = len(starts) - 1
    weights = _tensor(job.class_weights, accelerator)
    model.train()
    totals = torch.zeros(3, dtype=torch.float64, device=accelerator.device)
    rate = recipe.lr
    steps = track(range(batches), f"epoch {epoch + 1}/{recipe.epochs}", batches)
    for step in steps:
        batch = np.arange(starts[step], starts[step + 1])
        share = batch[accelerator.process_index :: accelerator.num_processes]
        images, y = _batch(job, samples, share, accelerator)
        rate = learning_rate(epoch * batches + step, recipe.epochs * batches, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with accelerator.autocast():
            logits = model(images)
        losses = functional.cross_entropy(logits.float(), y, weight=weights, reduction="none")
        # Gradients are averaged over processes, so each divides by its even share of the batch.
        loss = losses.sum() * accelerator.num_processes / _batch_weight(job, samples, batch)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        plain = functional.cross_entropy(logits.detach().float(), y, reduction="sum")
        hits = (logits.detach().argmax(dim=1) == y).sum()
        totals[0] += plain
        totals[1] += hits
        totals[2] += len(y)
    totals = accelerator.reduce(totals, "sum")
    loss_sum, right, seen = totals.tolist()
    if not np.isfinite(loss_sum):
        raise RunFailed(
            f"the training loss is no longer finite in epoch {epoch + 1}; lower train.lr or use "
            "train.precision fp32"
        )
    return {"lr": rate, "train_loss": loss_sum / seen, "train_accuracy": right / seen}


def _batch_weight(job: Job, samples: Samples, batch: NDArray[np.intp]) -> float:
    if job.class_weights is None:
        return float(len(batch))
    return float(job.class_weights[job.y[samples.rows[batch]]].sum())


@torch.inference_mode()
def _validate(model: nn.Module, job: Job, accelerator: Accelerator) -> dict[str, float]:
    model.eval()
    loss = right = 0.0
    for index in _chunks(len(job.val), job.recipe.batch_size):
        images, y = _batch(job, job.val, index, accelerator)
        with accelerator.autocast():
            logits = model(images)
        loss += functional.cross_entropy(logits.float(), y, reduction="sum").double().item()
        right += (logits.argmax(dim=1) == y).sum().item()
    return {"val_loss": loss / len(job.val), "val_accuracy": right / len(job.val)}


def _chunks(count: int, size: int) -> Iterator[NDArray[np.intp]]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def _batch(
    job: Job, samples: Samples, index: NDArray[np.intp], accelerator: Accelerator
) -> tuple[Tensor, Tensor]:
    rows = samples.rows[index]
    images = torch.from_numpy(job.pixels[job.pixel_rows[rows]]).to(
        accelerator.device, non_blocking=True
    )
    symmetry = torch.from_numpy(samples.symmetry[index]).to(accelerator.device)
    y = torch.from_numpy(job.y[rows]).to(accelerator.device)
    return apply_symmetries(images, symmetry), y


def _tensor(values: NDArray[np.float32] | None, accelerator: Accelerator) -> Tensor | None:
    return None if values is None else torch.from_numpy(values).to(accelerator.device)


def _score(line: dict[str, float], recipe: Finetune) -> float | None:
    """Higher is better; None where the last epoch counts."""
    if recipe.select == "last" or "val_loss" not in line:
        return None
    score = -line["val_loss"] if recipe.select == "val-loss" else line["val_accuracy"]
    return score if np.isfinite(score) else -sys.float_info.max


def _report(progress: Progress, recipe: Finetune) -> None:
    line = progress.history[-1]
    text = f"epoch {progress.epoch}/{recipe.epochs}: loss {line['train_loss']:.4f}, "
    text += f"accuracy {line['train_accuracy']:.3f}"
    if "val_loss" in line:
        text += f"; validation loss {line['val_loss']:.4f}, accuracy {line['val_accuracy']:.3f}"
    say(f"{text} ({line['seconds']:.1f} s)")
