"""A fine-tuning epoch against the same steps on one batch that lies normalized in memory.

    python bench/train_step.py [--data TREE] [--steps 20] [--rounds 3] [--models NAME …]

The genuine sample is repeated to 2,000 photographs in a pixel cache on disk, from which every epoch
draws ``--steps`` batches of 32 through magnostic's own ``finetune``: as the paper's recipe feeds
them (copies turned and flipped), and with every random change besides (flips, colour, stain). The
reference is the same network, optimizer and precision, stepping on one batch that is never read,
turned or normalized. Sides take turns, and the median of the rounds counts. An epoch of 2,000
photographs has 63 steps and one checkpoint: the ratios are of that, the checkpoint included.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from _table import Row, finish
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.data import read_images
from magnostic.data.pixels import open_pixels
from magnostic.models import weights
from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Network
from magnostic.preprocess.balance import SYMMETRIES, Samples
from magnostic.preprocess.colour import Colour
from magnostic.preprocess.zscore import IMAGENET
from magnostic.recipe import Augment, Finetune
from magnostic.taxonomy import CODES
from magnostic.train import device
from magnostic.train.finetune import Job, _optimizer, finetune
from magnostic.train.inputs import Photographs

IMAGES, BATCH, LIMIT = 2000, 32, 1.05
MODELS = {"resnet50": "ResNet50", "tf_efficientnet_lite0": "Lite0"}
SIDES = {
    "the paper's recipe": Augment(),
    "flips, colour and stain": Augment(flips=True, colour=0.5, stain=0.5),
}


def repeated(tree: Path, folder: Path) -> NDArray[np.uint8]:
    """uint8 [2000, 224, 224, 3] on disk: the photographs at ``tree`` over and over."""
    pixels = open_pixels(read_images(tree).table, 224, "squeeze").array
    path = folder / "pixels.npy"
    shape = (IMAGES, *pixels.shape[1:])
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for row in range(IMAGES):
        written[row] = pixels[row % len(pixels)]
    written.flush()
    read: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return read


def network(backbone: str) -> Classifier:
    torch.manual_seed(0)
    encoder = Network(weights.build(backbone, None), *IMAGENET)
    return Classifier(encoder, nn.Linear(encoder.width, len(CODES)))


def job(array: NDArray[np.uint8], steps: int, augment: Augment) -> Job:
    """One epoch of so many steps; half of its samples are turned copies, as after balancing."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(IMAGES)[: steps * BATCH]
    turns = np.where(rng.random(len(rows)) < 0.5, rng.integers(1, SYMMETRIES, len(rows)), 0)
    none = np.empty(0, dtype=np.intp)
    return Job(
        inputs=Photographs(
            array, np.arange(IMAGES), Colour("none"), np.zeros((IMAGES, 0), np.float32)
        ),
        y=rng.integers(len(CODES), size=IMAGES),
        train=Samples(rows, turns.astype(np.int8)),
        val=Samples(none, none.astype(np.int8)),
        class_weights=None,
        sampling=None,
        recipe=Finetune(epochs=1, batch_size=BATCH, weight_decay=1e-4, select="last"),
        augment=augment,
        precision=device.precision("auto"),
        seed=0,
        identity="bench",
    )


def epoch(model: Classifier, work: Job) -> tuple[float, float]:
    """Seconds of all steps and of what comes after them, its checkpoint most of all."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        finetune(copy.deepcopy(model), work, Path(folder))
        took = time.perf_counter() - started
        history = (Path(folder) / "history.jsonl").read_text(encoding="utf-8")
        steps = float(json.loads(history)["seconds"])
    return steps, took - steps


def in_memory(model: Classifier, work: Job) -> float:
    """Seconds of as many steps, with the same optimizer and precision, on one batch."""
    stepped = copy.deepcopy(model).to(device.torch_device()).train()
    encoder = stepped.encoder
    assert isinstance(encoder, Network)
    held = work.inputs.read(work.train.take(np.arange(BATCH)), pinned=False)
    batch = encoder.normalize(work.inputs.place(held, device.torch_device()))
    encoder.normalize = lambda images: images  # type: ignore[method-assign]
    y = torch.from_numpy(work.y[work.train.rows[:BATCH]]).to(batch.device)
    optimizer = _optimizer(stepped, work.recipe)
    started = time.perf_counter()
    for _ in range(len(work.train) // BATCH):
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=work.precision == "bf16"):
            logits: Tensor = stepped(batch)
        functional.cross_entropy(logits.float(), y).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    if batch.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(backbone: str, array: NDArray[np.uint8], steps: int, rounds: int) -> list[Row]:
    model, name = network(backbone), MODELS[backbone]
    works = {side: job(array, steps, augment) for side, augment in SIDES.items()}
    warm = job(array, 2, Augment())
    in_memory(model, warm)
    epoch(model, warm)
    memory: list[float] = []
    epochs: dict[str, list[float]] = {side: [] for side in SIDES}
    checkpoints: list[float] = []
    for _ in range(rounds):
        memory.append(in_memory(model, works["the paper's recipe"]))
        for side, work in works.items():
            seconds, after = epoch(model, work)
            epochs[side].append(seconds)
            checkpoints.append(after)
    of_all = IMAGES / (steps * BATCH)
    reference, checkpoint = float(np.median(memory)), float(np.median(checkpoints))
    rows = [Row(f"{name}: batch in memory", steps * BATCH / reference, "images/s")]
    for side, taken in epochs.items():
        seconds = float(np.median(taken))
        ratio = (seconds * of_all + checkpoint) / (reference * of_all)
        rows += [
            Row(f"{name}: epoch, {side}", steps * BATCH / seconds, "images/s"),
            Row(
                f"{name}: epoch with its checkpoint over steps in memory, {side}",
                ratio,
                "x",
                f"<= {LIMIT}",
                ratio <= LIMIT,
            ),
        ]
    rows.append(Row(f"{name}: checkpoint after an epoch", checkpoint, "s"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[2] / "shared" / "breakhis-sample" / "BreaKHis_v1"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    device.threads()
    device.keep_memory()  # as ``finetune`` does: for both sides
    rows = []
    with TemporaryDirectory() as folder:
        array = repeated(chosen.data, Path(folder))
        for backbone in chosen.models:
            rows += measure(backbone, array, chosen.steps, chosen.rounds)
    finish("train_step", rows, chosen.json)


if __name__ == "__main__":
    main()
