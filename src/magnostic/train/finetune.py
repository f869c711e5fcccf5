"""Training by gradient descent: the paper's loop, for networks and for heads over features.

Every process draws the same global batches and computes its share of each.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.errors import RunFailed
from magnostic.files import write_text
from magnostic.preprocess import augment
from magnostic.preprocess.balance import Samples
from magnostic.progress import say, track
from magnostic.recipe import Augment, Dense, Finetune
from magnostic.train import checkpoint, device
from magnostic.train.batches import batches
from magnostic.train.checkpoint import Progress
from magnostic.train.device import Precision
from magnostic.train.inputs import Inputs
from magnostic.train.schedule import learning_rate
from magnostic.train.stopping import Stopping, stopping


@dataclass(frozen=True)
class Job:
    """What is trained on what.

    Attributes:
        inputs: photographs or features.
        y: class index of each of them.
        train, val: positions among them, with what is done to each.
        class_weights: float32 [C] of the loss, or None.
        sampling: float64 [len(train)], the probability with which each sample is drawn in an
            epoch of as many draws; None: each once.
        recipe: the settings.
        augment: random changes of training photographs.
        precision: of the arithmetic.
        identity: what must agree for a checkpoint to be resumed (recipe, data and split hashes).
        brief: training takes seconds: no line an epoch, no checkpoint.
    """

    inputs: Inputs
    y: NDArray[np.intp]
    train: Samples
    val: Samples
    class_weights: NDArray[np.float32] | None
    sampling: NDArray[np.float64] | None
    recipe: Finetune | Dense
    augment: Augment
    precision: Precision
    seed: int
    identity: str
    brief: bool = False


Module = TypeVar("Module", bound=nn.Module)


def finetune(model: Module, job: Job, folder: Path) -> Module:
    """Train, keeping the best weights by validation, and return the model with them loaded.

    Writes ``history.jsonl`` and a checkpoint after each epoch, and a checkpoint of the step where a
    signal asks to stop, before it is obeyed (:mod:`magnostic.train.stopping`). An interrupted
    training goes on from there and ends with the same weights, bit for bit on the CPU.
    Raises RunFailed when the loss is no longer finite.
    """
    accelerator = device.accelerator(job.precision)
    if accelerator.device.type == "cpu":
        device.keep_memory()
    recipe = job.recipe
    model = model.to(accelerator.device)
    optimizer = _optimizer(model, recipe, job.precision)
    progress, best = Progress(), checkpoint.copy_state(model)
    restored = checkpoint.restore(folder / "checkpoint", model, optimizer, job.identity)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    if restored is not None:
        progress, best, scaler = restored
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(scaler)
        step = f", step {progress.step}" if progress.step else ""
        say(f"resuming after epoch {progress.epoch}{step} of {recipe.epochs}")
    if accelerator.is_main_process and not job.brief:
        checkpoint.require_room(folder / "checkpoint", model, optimizer)

    def save() -> None:
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
        checkpoint.save(
            folder / "checkpoint", model, best, optimizer, progress, job.identity, scaler
        )

    with contextlib.nullcontext(Stopping()) if job.brief else stopping() as told:
        while progress.epoch < recipe.epochs:
            line = _epoch(wrapped, optimizer, job, progress, accelerator, told)
            started = time.monotonic()
            if line is not None and len(job.val):
                validated = _validate(wrapped, job, accelerator, told)
                line = None if validated is None else line | validated
            if line is None:
                save()
                told.obey()
                raise KeyboardInterrupt
            seconds = progress.partial[3] + time.monotonic() - started
            line["seconds"] = round(seconds, 3)
            progress.epoch, progress.step, progress.partial = progress.epoch + 1, 0, [0.0] * 4
            progress.history.append({"epoch": progress.epoch, **line})
            score = _score(line, recipe)
            if score is None or progress.best_score is None or score > progress.best_score:
                progress.best_score, progress.best_epoch = score, progress.epoch
                best = checkpoint.copy_state(model)
            if accelerator.is_main_process and not job.brief:
                _report(progress, recipe)
                _write_history(progress, folder)
                save()
            if told.asked:
                told.obey()
    if accelerator.is_main_process and job.brief:
        _write_history(progress, folder)
    model.load_state_dict(best)
    return model.eval()


def _write_history(progress: Progress, folder: Path) -> None:
    lines = "".join(json.dumps(entry) + "\n" for entry in progress.history)
    write_text(folder / "history.jsonl", lines)


def order(
    seed: int, epoch: int, count: int, sampling: NDArray[np.float64] | None = None
) -> NDArray[np.intp]:
    """The samples of an epoch in order; from seed and epoch alone, so a resumed run repeats it.

    Each once, or with ``sampling`` (float64 [count], summing to 1) drawn with replacement.
    """
    rng = np.random.default_rng([seed, epoch])
    if sampling is None:
        return rng.permutation(count)
    return rng.choice(count, size=count, p=sampling)


def batch_parts(count: int, size: int) -> list[NDArray[np.intp]]:
    """Positions of each batch of an epoch; a last one of a single sample joins the one before.

    Batch normalization can't be trained on one sample.
    """
    starts = list(range(0, count, size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return [np.arange(*pair) for pair in itertools.pairwise([*starts, count])]


def _optimizer(
    model: nn.Module, recipe: Finetune | Dense, precision: Precision = "fp32"
) -> torch.optim.Optimizer:
    """All weights of a step in one kernel, which halves its time on the CPU."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    lr, decay = recipe.lr, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=decay, fused=True)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=decay, fused=True)
    # A first step that fp16's loss scaling skips would leave fused momentum uninitialized.
    fused = precision != "fp16"
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=decay, fused=fused)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    job: Job,
    progress: Progress,
    accelerator: Accelerator,
    told: Stopping,
) -> dict[str, float] | None:
    """The steps of an epoch that are left; None where it was told to stop."""
    recipe, epoch, first = job.recipe, progress.epoch, progress.step
    started = time.monotonic() - progress.partial[3]
    if not first:
        torch.manual_seed(job.seed * 1_000_003 + epoch)  # dropout: the same after a resume
    samples = job.train.take(order(job.seed, epoch, len(job.train), job.sampling))
    parts = batch_parts(len(samples), recipe.batch_size)
    shares = [part[accelerator.process_index :: accelerator.num_processes] for part in parts]
    weights = _tensor(job.class_weights, accelerator)
    model.train()
    totals = torch.tensor(progress.partial[:3], dtype=torch.float64).to(accelerator.device)
    what = f"epoch {epoch + 1}/{recipe.epochs}"
    with closing(_batches(job, samples, shares[first:], accelerator)) as given:
        shown = given if job.brief else track(given, what, len(parts) - first)
        for step, (images, y) in enumerate(shown, start=first):
            if job.augment.active:
                generator = _generator(job.seed, epoch, step, accelerator.process_index)
                images = augment.jitter(images, job.augment, generator)
            rate = learning_rate(epoch * len(parts) + step, recipe.epochs * len(parts), recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with accelerator.autocast():
                logits = model(images)
            losses = functional.cross_entropy(logits.float(), y, weight=weights, reduction="none")
            # Gradients are averaged over processes: each divides by its even share of the batch.
            whole = _batch_weight(job, samples, parts[step])
            accelerator.backward(losses.sum() * accelerator.num_processes / whole)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            totals[0] += functional.cross_entropy(logits.detach().float(), y, reduction="sum")
            totals[1] += (logits.detach().argmax(dim=1) == y).sum()
            totals[2] += len(y)
            if told.asked:
                progress.step = step + 1
                progress.partial = [*totals.tolist(), time.monotonic() - started]
                return None
    progress.step = len(parts)
    progress.partial = [*totals.tolist(), time.monotonic() - started]
    totals = accelerator.reduce(totals, "sum")
    loss_sum, right, seen = totals.tolist()
    if not np.isfinite(loss_sum):
        raise RunFailed(
            f"the training loss is no longer finite in epoch {epoch + 1}; lower train.lr or use "
            "train.precision fp32"
        )
    rate = optimizer.param_groups[0]["lr"]  # restored, too, where no step was left
    return {"lr": rate, "train_loss": loss_sum / seen, "train_accuracy": right / seen}


def _batch_weight(job: Job, samples: Samples, batch: NDArray[np.intp]) -> float:
    if job.class_weights is None:
        return float(len(batch))
    return float(job.class_weights[job.y[samples.rows[batch]]].sum())


@torch.inference_mode()
def _validate(
    model: nn.Module, job: Job, accelerator: Accelerator, told: Stopping
) -> dict[str, float] | None:
    """Loss and accuracy on the validation part; None where it was told to stop."""
    model.eval()
    totals = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    starts, size = range(0, len(job.val), job.recipe.batch_size), job.recipe.batch_size
    parts = [np.arange(start, min(start + size, len(job.val))) for start in starts]
    with closing(_batches(job, job.val, parts, accelerator)) as given:
        for images, y in given:
            with accelerator.autocast():
                logits = model(images)
            totals[0] += functional.cross_entropy(logits.float(), y, reduction="sum")
            totals[1] += (logits.argmax(dim=1) == y).sum()
            if told.asked:
                return None
    loss, right = totals.tolist()
    return {"val_loss": loss / len(job.val), "val_accuracy": right / len(job.val)}


def _batches(
    job: Job, samples: Samples, parts: list[NDArray[np.intp]], accelerator: Accelerator
) -> Generator[tuple[Tensor, Tensor], None, None]:
    return batches(job.inputs, job.y, samples, parts, accelerator.device, thread=not job.brief)


def _generator(*seeds: int) -> torch.Generator:
    """Random numbers of one step, the same whenever it is repeated."""
    state = int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)


def _tensor(values: NDArray[np.float32] | None, accelerator: Accelerator) -> Tensor | None:
    return None if values is None else torch.from_numpy(values).to(accelerator.device)


def _score(line: dict[str, float], recipe: Finetune | Dense) -> float | None:
    """Higher is better; None where the last epoch counts."""
    if recipe.select == "last" or "val_loss" not in line:
        return None
    score = -line["val_loss"] if recipe.select == "val-loss" else line["val_accuracy"]
    return score if np.isfinite(score) else -sys.float_info.max


def _report(progress: Progress, recipe: Finetune | Dense) -> None:
    line = progress.history[-1]
    text = f"epoch {progress.epoch}/{recipe.epochs}: loss {line['train_loss']:.4f}, "
    text += f"accuracy {line['train_accuracy']:.3f}"
    if "val_loss" in line:
        text += f"; validation loss {line['val_loss']:.4f}, accuracy {line['val_accuracy']:.3f}"
    say(f"{text} ({line['seconds']:.1f} s)")
