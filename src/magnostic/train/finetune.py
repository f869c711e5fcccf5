"""Training by gradient descent: the paper's loop, for networks and for heads over features.

Several processes (:mod:`magnostic.train.ranks`) draw the same batches and the same random changes,
and each computes its share: the batches, steps and losses are those of one process.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import operator
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.files import write_text
from magnostic.preprocess import augment
from magnostic.preprocess.balance import Samples
from magnostic.progress import say, track
from magnostic.recipe import Augment, Dense, Finetune
from magnostic.train import batch_norm, checkpoint, device, ranks
from magnostic.train.batch_norm import WholeBatch
from magnostic.train.batches import batches
from magnostic.train.checkpoint import Progress
from magnostic.train.device import Precision
from magnostic.train.drops import WholeBatchDrops
from magnostic.train.inputs import Inputs
from magnostic.train.ranks import Agreed, Group
from magnostic.train.schedule import learning_rate
from magnostic.train.stopping import REPEATED, Stopping, stopping


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
    training goes on from there and ends with the same weights, bit for bit on the CPU; it may go on
    with another number of processes. Raises RunFailed when the loss is no longer finite.
    """
    group = ranks.ALONE if job.brief else ranks.current()
    accelerator = device.accelerator(job.precision)
    model = model.to(accelerator.device)
    optimizer = _optimizer(model, job.recipe, job.precision)
    start = Start(Progress(), checkpoint.copy_state(model), {})
    restored = checkpoint.restore(folder / "checkpoint", model, optimizer, job.identity)
    if restored is not None:
        start = Start(*restored)
        step = f", step {start.progress.step}" if start.progress.step else ""
        say(f"resuming after epoch {start.progress.epoch}{step} of {job.recipe.epochs}")
    if not job.brief:
        checkpoint.require_room(folder / "checkpoint", model, optimizer)
    with group.together():
        state = start.progress, optimizer.state_dict(), start.scaler, checkpoint.random_states()
        group.call(_join, model, job, *state)
        with _norms(model, group) as norms:
            best = _train(model, norms, optimizer, job, start, group, accelerator, folder)
    model.load_state_dict(best)
    return model.eval()


@dataclass
class Start:
    """Where training begins or goes on: best weights so far, and the state of loss scaling."""

    progress: Progress
    best: dict[str, Tensor]
    scaler: dict[str, Any]


def _join(
    model: nn.Module,
    job: Job,
    progress: Progress,
    moments: dict[str, Any],
    scaler: dict[str, Any],
    random: dict[str, Tensor],
) -> None:
    """Train beside process 0, from what it has: copies of its model, optimizer and states."""
    accelerator = device.accelerator(job.precision)
    optimizer = _optimizer(model, job.recipe, job.precision)
    optimizer.load_state_dict(moments)
    checkpoint.set_random_states(random)
    start = Start(replace(progress, partial=[0.0] * 4), {}, scaler)  # counted by process 0
    group = ranks.current()
    with _norms(model, group) as norms:
        _train(model, norms, optimizer, job, start, group, accelerator, None)


def _norms(
    model: nn.Module, group: Group
) -> contextlib.AbstractContextManager[Sequence[WholeBatch]]:
    none: Sequence[WholeBatch] = ()
    several = group.size > 1
    return batch_norm.across_processes(model) if several else contextlib.nullcontext(none)


def _train(
    model: nn.Module,
    norms: Sequence[WholeBatch],
    optimizer: torch.optim.Optimizer,
    job: Job,
    start: Start,
    group: Group,
    accelerator: Accelerator,
    folder: Path | None,
) -> dict[str, Tensor]:
    """The epochs that are left; returns the best weights. ``folder``: of process 0 alone."""
    if accelerator.device.type == "cpu":
        device.keep_memory()
    recipe, progress, best = job.recipe, start.progress, start.best
    # Without ``evaluation_mode`` accelerate would wrap the model itself, on GPUs and there alone.
    prepared = accelerator.prepare_model(model, evaluation_mode=True)
    wrapped = group.data_parallel(prepared)
    optimizer = accelerator.prepare_optimizer(optimizer)
    if accelerator.scaler is not None and start.scaler:
        accelerator.scaler.load_state_dict(start.scaler)
    leads = folder is not None

    def save() -> None:
        assert folder is not None
        scaler = accelerator.scaler.state_dict() if accelerator.scaler is not None else {}
        checkpoint.save(
            folder / "checkpoint", model, best, optimizer, progress, job.identity, scaler
        )

    repeated = REPEATED if group.size > 1 else 0.0
    notes = leads and not job.brief
    with stopping(repeated) if notes else contextlib.nullcontext(Stopping()) as told:
        while progress.epoch < recipe.epochs:
            line = _epoch(wrapped, norms, optimizer, job, progress, accelerator, group, told)
            started = time.monotonic()
            if line is not None and len(job.val):
                validated = _validate(prepared, job, accelerator, group, told)
                line = None if validated is None else line | validated
            if line is None:
                if not leads:
                    return best
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
                best = checkpoint.copy_state(model) if leads else best
            if folder is not None and not job.brief:
                _report(progress, recipe)
                _write_history(progress, folder)
                save()
            if group.agreed(told.asked):
                if not leads:
                    return best
                told.obey()
    if folder is not None and job.brief:
        _write_history(progress, folder)
    if group.size > 1:  # what mixed precision has wrapped could not be sent to the others again
        accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    return best


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
    norms: Sequence[WholeBatch],
    optimizer: torch.optim.Optimizer,
    job: Job,
    progress: Progress,
    accelerator: Accelerator,
    group: Group,
    told: Stopping,
) -> dict[str, float] | None:
    """The steps of an epoch that are left; None where it was told to stop."""
    recipe, epoch, first = job.recipe, progress.epoch, progress.step
    started = time.monotonic() - progress.partial[3]
    if not first:
        torch.manual_seed(job.seed * 1_000_003 + epoch)  # dropout: the same after a resume
    samples = job.train.take(order(job.seed, epoch, len(job.train), job.sampling))
    parts = batch_parts(len(samples), recipe.batch_size)
    mine = [group.share(np.arange(len(part))) for part in parts]
    # A batch that is too small for every process to have a share: one sample, which counts nothing.
    taken = [here if len(here) else np.arange(1) for here in mine]
    shares = [part[here] for part, here in zip(parts, taken, strict=True)]
    weights = _tensor(job.class_weights, accelerator)
    model.train()
    totals = torch.tensor(progress.partial[:3], dtype=torch.float64).to(accelerator.device)
    what = f"epoch {epoch + 1}/{recipe.epochs}"
    with closing(_batches(job, samples, shares[first:], accelerator)) as given:
        quiet = job.brief or group.rank > 0
        shown = given if quiet else track(given, what, len(parts) - first)
        for step, (images, y) in enumerate(shown, start=first):
            if job.augment.active:
                generator = _generator(job.seed, epoch, step, 0)
                drawn = augment.draw(len(parts[step]), job.augment, generator)
                images = augment.change(images, drawn.take(taken[step]))
            rate = learning_rate(epoch * len(parts) + step, recipe.epochs * len(parts), recipe)
            for weights_of in optimizer.param_groups:
                weights_of["lr"] = rate
            counts = len(mine[step]) > 0
            for norm in norms:
                norm.silent = not counts
            drops = WholeBatchDrops(len(parts[step]), taken[step]) if group.size > 1 else None
            with accelerator.autocast(), drops or contextlib.nullcontext():
                logits = model(images)
            losses = functional.cross_entropy(logits.float(), y, weight=weights, reduction="none")
            # Gradients are averaged over processes: each divides by its even share of the batch.
            whole = _batch_weight(job, samples, parts[step])
            accelerator.backward(losses.sum() * (group.size * counts) / whole)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if counts:
                totals[0] += functional.cross_entropy(logits.detach().float(), y, reduction="sum")
                totals[1] += (logits.detach().argmax(dim=1) == y).sum()
                totals[2] += len(y)
            if group.agreed(told.asked):
                progress.step = step + 1
                totals = group.sum(totals)
                progress.partial = [*totals.tolist(), time.monotonic() - started]
                return None
    progress.step = len(parts)
    totals = group.sum(totals)
    progress.partial = [*totals.tolist(), time.monotonic() - started]
    if not group.alike(torch.cat([*checkpoint.random_states().values()])):
        raise Agreed(
            f"the processes drew unlike random numbers in epoch {epoch + 1}, so the backbone drops "
            "what can't be shared; leave that out of model.args, or train with one process"
        )
    loss_sum, right, seen = totals.tolist()
    if not np.isfinite(loss_sum):
        raise Agreed(
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
    model: nn.Module, job: Job, accelerator: Accelerator, group: Group, told: Stopping
) -> dict[str, float] | None:
    """Loss and accuracy on the validation part; None where one process alone is told to stop."""
    model.eval()
    starts, size = range(0, len(job.val), job.recipe.batch_size), job.recipe.batch_size
    parts = [np.arange(start, min(start + size, len(job.val))) for start in starts]
    found = torch.zeros(len(parts), 2, dtype=torch.float64, device=accelerator.device)
    own = group.of(group.rank, range(len(parts)))
    with closing(_batches(job, job.val, [parts[i] for i in own], accelerator)) as given:
        for batch, (images, y) in zip(own, given, strict=True):
            with accelerator.autocast():
                logits = model(images)
            found[batch, 0] = functional.cross_entropy(logits.float(), y, reduction="sum")
            found[batch, 1] = (logits.argmax(dim=1) == y).sum()
            if told.asked and group.size == 1:
                return None
    # One after another, so that the sum does not depend on who computed what.
    loss, right = (functools.reduce(operator.add, column) for column in group.sum(found).T.tolist())
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
