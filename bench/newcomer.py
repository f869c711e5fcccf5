"""Fine-tuning by magnostic against the loop that a newcomer writes, on the genuine sample.

    python bench/newcomer.py [--data TREE] [--epochs 3] [--models NAME …]

The newcomer's loop is that of the usual tutorials: float32, channels first, a Dataset that opens
PNG files with Pillow, transforms, a DataLoader with two workers, Adam, ``loss.item()`` each step.
magnostic trains by its own ``finetune`` from the pixel cache. Both have the same photographs and
parts, initial weights (Lite0: ImageNet's; ResNet50: random), statistics, optimizer, learning rate
and batch size. The first epoch is left out of the time; validation, and magnostic's checkpoints,
are in it. Accuracies are of one small split after few epochs, and show that both train, no more.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import timm
import torch
from _table import Row, finish
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from magnostic.data import read_images
from magnostic.data.images import classes, targets
from magnostic.data.pixels import open_pixels
from magnostic.models import weights
from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Network
from magnostic.preprocess.balance import as_they_are
from magnostic.preprocess.colour import Colour
from magnostic.preprocess.zscore import IMAGENET, Statistics
from magnostic.recipe import Augment, Finetune
from magnostic.train import device
from magnostic.train.finetune import Job, finetune
from magnostic.train.inputs import Photographs

BATCH, RATE, DECAY, VALIDATION = 32, 3e-4, 1e-4, 0.25
#: Backbone, weights, statistics of its inputs, and how many times faster is aimed at.
MODELS: dict[str, tuple[str, str | None, Statistics, float]] = {
    "resnet50": ("ResNet50", None, IMAGENET, 3.5),
    "tf_efficientnet_lite0": (
        "Lite0",
        "package:efficientnet-lite0",
        ((0.5,) * 3, (0.5,) * 3),
        2.3,
    ),
}
Parts = tuple[NDArray[np.intp], NDArray[np.intp]]


class Pngs(Dataset[tuple[Tensor, int]]):
    def __init__(self, paths: list[str], y: list[int], stats: Statistics) -> None:
        self.paths, self.y = paths, y
        self.transform = v2.Compose(
            [
                v2.Resize((224, 224)),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(*map(list, stats)),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.open(self.paths[index]).convert("RGB")
        return self.transform(image), self.y[index]


def newcomer(
    model: nn.Module, train: Pngs, val: Pngs, epochs: int
) -> tuple[float, dict[str, float]]:
    """Seconds an epoch after the first, and the last epoch's figures."""
    where = device.torch_device()
    model = model.to(where)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    criterion = nn.CrossEntropyLoss()
    loaders = {
        "train": DataLoader(train, batch_size=BATCH, shuffle=True, num_workers=2),
        "val": DataLoader(val, batch_size=BATCH, num_workers=2),
    }
    line: dict[str, float] = {}
    started = time.perf_counter()
    for epoch in range(epochs):
        if epoch == 1:
            started = time.perf_counter()
        for phase, loader in loaders.items():
            model.train(phase == "train")
            running_loss, running_right = 0.0, 0
            for inputs, labels in loader:
                inputs, labels = inputs.to(where), labels.to(where)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * len(inputs)
                running_right += int((outputs.argmax(1) == labels).sum().item())
            count = len(loader.dataset)  # type: ignore[arg-type]
            line[f"{phase}_loss"] = running_loss / count
            line[f"{phase}_accuracy"] = running_right / count
    return (time.perf_counter() - started) / (epochs - 1), line


def ours(model: Classifier, job: Job) -> tuple[float, dict[str, float]]:
    """Seconds an epoch after the first, checkpoints included, and the last epoch's figures."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        finetune(model, job, Path(folder))
        took = time.perf_counter() - started
        text = (Path(folder) / "history.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return (took - lines[0]["seconds"]) / (len(lines) - 1), lines[-1]


def timms(backbone: str, model: Classifier, n_classes: int) -> nn.Module:
    """The same network as timm makes it, with the same values."""
    made: nn.Module = timm.create_model(backbone, num_classes=n_classes)
    assert isinstance(model.encoder, Network)
    made.load_state_dict(model.encoder.backbone.state_dict(), strict=False)
    last = made.get_classifier()  # type: ignore[operator]
    last.load_state_dict(model.head.state_dict())
    return made


def measure(backbone: str, table: pd.DataFrame, parts: Parts, epochs: int) -> list[Row]:
    name, where, stats, limit = MODELS[backbone]
    device.threads()
    kinds = list(classes(table, "subtype"))
    y = pd.Index(kinds).get_indexer(pd.Index(targets(table, "subtype")))
    torch.manual_seed(0)
    source = None if where is None else weights.resolve(where, backbone)
    encoder = Network(weights.build(backbone, source), *stats)
    model = Classifier(encoder, nn.Linear(encoder.width, len(kinds)))
    theirs = timms(backbone, model, len(kinds))
    pixels = open_pixels(table, 224, "squeeze")
    nothing = np.zeros((len(pixels.array), 0), np.float32)
    rows = pixels.rows(table["pixel_hash"])
    job = Job(
        inputs=Photographs(pixels.array, rows, Colour("none"), nothing),
        y=y,
        train=as_they_are(parts[0]),
        val=as_they_are(parts[1]),
        class_weights=None,
        sampling=None,
        recipe=Finetune(
            epochs=epochs,
            batch_size=BATCH,
            lr=RATE,
            schedule="constant",
            weight_decay=DECAY,
        ),
        augment=Augment(),
        precision=device.precision("auto"),
        seed=0,
        identity="bench",
    )
    files = table["path"].tolist()
    sets = [Pngs([files[k] for k in part], y[part].tolist(), stats) for part in parts]
    slow, them = newcomer(theirs, sets[0], sets[1], epochs)
    fast, us = ours(model, job)
    images = len(parts[0])
    found = [
        Row(f"{name}: newcomer's loop, with validation", images / slow, "images/s"),
        Row(f"{name}: magnostic, with validation", images / fast, "images/s"),
        Row(f"{name}: times faster", slow / fast, "x", f">= {limit}", slow / fast >= limit),
    ]
    for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
        words = f"{key.replace('val_', 'validation ').replace('_', ' ')} after {epochs} epochs"
        found.append(Row(f"{name}: newcomer's {words}", them[key], ""))
        found.append(Row(f"{name}: magnostic's {words}", us[key], ""))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).parents[2] / "shared" / "breakhis-sample" / "BreaKHis_v1"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    table = read_images(chosen.data).table
    order = np.random.default_rng(0).permutation(len(table))
    held_out = round(VALIDATION * len(table))
    parts = order[held_out:], order[:held_out]
    rows = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as apart:
        for backbone in chosen.models:
            # In a process of its own: magnostic's settings of memory would help the newcomer's.
            rows += apart.submit(measure, backbone, table, parts, max(2, chosen.epochs)).result()
    finish("newcomer", rows, chosen.json)


if __name__ == "__main__":
    main()
