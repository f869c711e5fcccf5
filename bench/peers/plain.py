"""The loop of torchvision's and timm's own examples: float32, a DataLoader over the PNG files.

Settings, and why they are fair: a ``Dataset`` that opens files with Pillow and applies
torchvision's ``Resize``, ``ToTensor`` and ``Normalize``, as in the tutorial on transfer learning;
two worker processes, one a core; ``torch.inference_mode`` where nothing is trained. The probe
computes every photograph's features once and fits scikit-learn's logistic regression for the same
five strengths as magnostic, of which the validation part chooses. Fine-tuning takes magnostic's
optimizer, learning rate and weight decay, and no augmentation.
"""

from __future__ import annotations

import time

import numpy as np
import timm
import torch
from _job import Clock, Job, finish, read
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Photographs(Dataset):
    """Files of some parts, and their class indices."""

    def __init__(self, job: Job, *parts: str) -> None:
        self.paths, self.targets = job.paths(*parts), job.targets(*parts)
        self.transform = transforms.Compose(
            [
                transforms.Resize((job.size, job.size)),
                transforms.ToTensor(),
                transforms.Normalize(job.mean, job.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), self.targets[index]


def loader(job: Job, *parts: str, shuffle: bool = False) -> DataLoader:
    return DataLoader(
        Photographs(job, *parts), job.batch_size, shuffle=shuffle, num_workers=job.workers
    )


def network(job: Job, classes: int) -> nn.Module:
    """timm's network; ``classes`` 0: without classifier. Lacking classifiers stay random."""
    model = timm.create_model(job.backbone, pretrained=False, num_classes=classes)
    if job.weights is not None:
        state = torch.load(job.weights, weights_only=True)
        missing, unexpected = model.load_state_dict(state, strict=False)
        if unexpected or any(not name.startswith(("classifier", "fc")) for name in missing):
            raise SystemExit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    return model


@torch.inference_mode()
def outputs(model: nn.Module, batches: DataLoader) -> np.ndarray:
    model.eval()
    return torch.cat([model(images) for images, _ in batches]).numpy()


def probe(job: Job) -> None:
    clock = Clock()
    features = outputs(network(job, 0), loader(job))
    clock.stage("features")
    first, last = len(job.files("train")), len(job.files("train", "val"))
    heads = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000)).fit(
            features[:first], job.targets("train")
        )
        for c in (0.001, 0.01, 0.1, 1, 10)
    ]
    best = max(heads, key=lambda head: head.score(features[first:last], job.targets("val")))
    predicted = best.predict(features[last:])
    clock.stage("head")
    finish(
        job, "torch", clock.seconds, dict(zip(job.files("test"), map(int, predicted), strict=True))
    )


def finetune(job: Job) -> None:
    torch.manual_seed(0)
    clock = Clock()
    model = network(job, len(job.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4, weight_decay=1e-4)
    criterion = nn.CrossEntropyLoss()
    train, val = loader(job, "train", shuffle=True), loader(job, "val")
    clock.stage("start")
    epochs = []
    for epoch in range(job.epochs):
        started = time.perf_counter()
        model.train()
        for images, y in train:
            optimizer.zero_grad()
            criterion(model(images), y).backward()
            optimizer.step()
        right = (outputs(model, val).argmax(1) == job.targets("val")).mean()
        epochs.append(time.perf_counter() - started)
        print(f"epoch {epoch + 1}: validation accuracy {right:.3f}, {epochs[-1]:.1f} s")
    clock.stage("epochs")
    predicted = outputs(model, loader(job, "test")).argmax(1)
    clock.stage("test")
    named = dict(zip(job.files("test"), map(int, predicted), strict=True))
    finish(job, "torch", clock.seconds, named, epochs)


def predict(job: Job) -> None:
    clock = Clock()
    logits = outputs(network(job, len(job.classes)), loader(job))
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    clock.stage("predict")
    named = dict(zip(job.files(), map(int, probabilities.argmax(1)), strict=True))
    finish(job, "torch", clock.seconds, named)


if __name__ == "__main__":
    jobs = {"probe": probe, "finetune": finetune, "predict": predict}
    job = read(list(jobs))
    jobs[job.name](job)
