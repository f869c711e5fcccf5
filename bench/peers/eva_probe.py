"""kaiko-eva's offline evaluation: embeddings written to files, then a linear head on them.

Settings, and why they are fair: the classes and values of eva's own configuration for BreaKHis
(``configs/vision/pathology/offline/classification/breakhis.yaml``): embeddings in batches of 64 by
``ClassificationEmbeddingsWriter``, then ``HeadModule`` with a linear layer, AdamW at 3e-4, batches
of 256, the best epoch by validation accuracy. What differs makes it quicker: one run instead of
five; no TensorBoard, no progress bar; the same squeezed square as input; two workers for the
photographs instead of four, for two cores, and none for the embeddings, since each worker is a new
process that imports eva; and ``--option steps=N`` (500) instead of 12,500 steps, which the
configuration stops after 500 epochs without improvement. eva's own metrics of the test part are
computed by ``Interface.predict_fit``; the accuracy compared is that of the head it saved.
"""

from __future__ import annotations

from pathlib import Path

import torch
from _job import Clock, Job, finish, read
from eva import (
    DataLoader,
    DataloadersSchema,
    DataModule,
    DatasetsSchema,
    HeadModule,
    Interface,
    Trainer,
    metrics,
)
from eva.core.callbacks import ClassificationEmbeddingsWriter
from eva.core.data.datasets import EmbeddingsClassificationDataset
from eva.vision.data.datasets import VisionDataset
from eva.vision.data.transforms.common import ResizeAndCrop
from eva.vision.models.wrappers import TimmModel
from eva.vision.utils import io
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import nn
from torchvision import tv_tensors

STEPS = "500"
FEATURES = 1280
PARTS = ("train", "val", "test")
BEST = "val/MulticlassAccuracy"


class Photographs(VisionDataset[tv_tensors.Image, torch.Tensor]):
    """Files of one part of the split."""

    def __init__(self, job: Job, part: str) -> None:
        super().__init__(transforms=_OnImages(job))
        self._root = job.images
        self._files, self._targets = job.files(part), job.targets(part)

    def __len__(self) -> int:
        return len(self._files)

    def filename(self, index: int) -> str:
        return self._files[index]

    def load_data(self, index: int) -> tv_tensors.Image:
        return io.read_image_as_tensor(str(self._root / self._files[index]))

    def load_target(self, index: int) -> torch.Tensor:
        return torch.tensor(self._targets[index], dtype=torch.long)


class _OnImages:
    """eva's transform, which takes and gives image and target."""

    def __init__(self, job: Job) -> None:
        self.transform = ResizeAndCrop([job.size, job.size], job.mean, job.std)

    def __call__(
        self, image: tv_tensors.Image, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.transform(image), target


class Stage(Callback):
    """Stops the clock where the embeddings are written."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __deepcopy__(self, memo: object) -> Stage:  # eva copies its trainer, the clock is one
        return self

    def on_predict_end(self, trainer: object, pl_module: object) -> None:  # noqa: ARG002
        self.clock.stage("features")


def backbone(job: Job) -> TimmModel:
    """eva's wrapper, its weights read from the same file as everybody's."""
    model = TimmModel(job.backbone, pretrained=False, model_kwargs={"num_classes": 0})
    if job.weights is not None:
        model.model.load_state_dict(torch.load(job.weights, weights_only=True))
    return model


def data(job: Job, embeddings: Path) -> DataModule:
    def written(part: str) -> EmbeddingsClassificationDataset:
        return EmbeddingsClassificationDataset(str(embeddings), "manifest.csv", split=part)

    # A worker is a new process that imports eva: for vectors of 5 KiB none is quicker than two.
    heads = {
        "batch_size": 256,
        "num_workers": 0,
        "persistent_workers": False,
        "prefetch_factor": None,
    }
    return DataModule(
        datasets=DatasetsSchema(
            train=written("train"),
            val=written("val"),
            test=written("test"),
            predict=[Photographs(job, part) for part in PARTS],
        ),
        dataloaders=DataloadersSchema(
            train=DataLoader(shuffle=True, **heads),
            val=DataLoader(**heads),
            test=DataLoader(**heads),
            predict=DataLoader(batch_size=64, num_workers=job.workers),
        ),
    )


def head_of(checkpoint: Path) -> nn.Linear:
    state = torch.load(checkpoint, weights_only=False)["state_dict"]
    head = nn.Linear(*reversed(state["head.weight"].shape))
    head.load_state_dict({"weight": state["head.weight"], "bias": state["head.bias"]})
    return head


def probe(job: Job) -> None:
    torch.manual_seed(0)
    clock = Clock()
    embeddings, kept = job.work / "embeddings", job.work / "kept"
    classes = len(job.classes)
    trainer = Trainer(
        default_root_dir=str(job.work / "logs"),
        max_steps=int(job.options.get("steps", STEPS)),
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        callbacks=[
            ClassificationEmbeddingsWriter(
                output_dir=str(embeddings),
                dataloader_idx_map=dict(enumerate(PARTS)),
                backbone=backbone(job),
            ),
            ModelCheckpoint(dirpath=str(kept), filename="best", monitor=BEST, mode="max"),
            Stage(clock),
        ],
    )
    module = HeadModule(
        head=nn.Linear(FEATURES, classes),
        criterion=nn.CrossEntropyLoss(),
        optimizer=_optimizer,
        metrics=metrics.MetricsSchema(
            common=[metrics.AverageLoss(), metrics.MulticlassClassificationMetrics(classes)]
        ),
    )
    Interface().predict_fit(trainer, module, data(job, embeddings))
    clock.stage("head")
    head = head_of(kept / "best.ckpt")
    test = data(job, embeddings).datasets.test
    test.setup()
    with torch.inference_mode():
        found = head(torch.stack([test.load_embeddings(i) for i in range(len(test))])).argmax(1)
    names = [str(Path(test.filename(i)).with_suffix(".png")) for i in range(len(test))]
    finish(job, "kaiko-eva", clock.seconds, dict(zip(names, map(int, found), strict=True)))


def _optimizer(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-4)


if __name__ == "__main__":
    probe(read(["probe"]))
