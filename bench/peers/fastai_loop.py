"""fastai's ``vision_learner`` over a timm backbone, as its quick start shows it.

Settings, and why they are fair: ``ImageDataLoaders.from_df`` with ``Resize`` to the same squeezed
square and ``Normalize`` by the backbone's own statistics (``vision_learner`` adds these itself
where it fetches the weights); two workers; fastai's own head (pooled by mean and maximum, two
layers, dropout), optimizer, one-cycle schedule and learning rates; no augmentation, so that no
time goes into it. The probe is fastai's way to train a head: the body frozen, five epochs of
``fit_one_cycle``; photographs pass through the body in each of them, since fastai keeps no
features. Fine-tuning unfreezes all layers. Prediction is ``get_preds`` on a ``test_dl``.
"""

from __future__ import annotations

import time

import pandas as pd
import torch
from _job import Clock, Job, finish, read
from fastai.callback.core import Callback
from fastai.callback.schedule import fine_tune  # noqa: F401  # adds fit_one_cycle to Learner
from fastai.data.transforms import Normalize
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.data import ImageDataLoaders
from fastai.vision.learner import vision_learner
from plain import network

PROBE_EPOCHS = 5


class Epochs(Callback):
    """Seconds of each epoch, validation included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def before_epoch(self) -> None:
        self.started = time.perf_counter()

    def after_epoch(self) -> None:
        self.seconds.append(time.perf_counter() - self.started)


def loaders(job: Job) -> ImageDataLoaders:
    names = job.files("train", "val")
    frame = pd.DataFrame(
        {
            "name": names,
            "label": [name.split("/")[0] for name in names],
            "is_valid": [False] * len(job.files("train")) + [True] * len(job.files("val")),
        }
    )
    return ImageDataLoaders.from_df(
        frame,
        path=job.images,
        fn_col="name",
        label_col="label",
        valid_col="is_valid",
        item_tfms=Resize(job.size, method=ResizeMethod.Squish),
        batch_tfms=Normalize.from_stats(job.mean, job.std),
        bs=job.batch_size,
        num_workers=job.workers,
    )


def learner(job: Job) -> Learner:
    set_seed(0)
    made = vision_learner(loaders(job), job.backbone, pretrained=False, metrics=accuracy)
    if job.weights is not None:
        made.model[0].model.load_state_dict(torch.load(job.weights, weights_only=True))
    return made


def predicted(job: Job, trained: Learner, *parts: str) -> dict[str, int]:
    """Class index of each file, counted in the job's order of classes."""
    batches = trained.dls.test_dl(pd.DataFrame({"name": job.files(*parts)}))
    probabilities, _ = trained.get_preds(dl=batches)
    order = [job.classes.index(name) for name in trained.dls.vocab]
    return {
        name: order[int(index)]
        for name, index in zip(job.files(*parts), probabilities.argmax(1), strict=True)
    }


def probe(job: Job) -> None:
    clock, epochs = Clock(), Epochs()
    made = learner(job)
    made.freeze()
    made.fit_one_cycle(PROBE_EPOCHS, cbs=epochs)
    clock.stage("head")
    named = predicted(job, made, "test")
    clock.stage("test")
    finish(job, "fastai", clock.seconds, named, epochs.seconds)


def finetune(job: Job) -> None:
    clock, epochs = Clock(), Epochs()
    made = learner(job)
    made.unfreeze()
    made.fit_one_cycle(job.epochs, cbs=epochs)
    clock.stage("epochs")
    named = predicted(job, made, "test")
    clock.stage("test")
    finish(job, "fastai", clock.seconds, named, epochs.seconds)


def predict(job: Job) -> None:
    clock = Clock()
    made = Learner(loaders(job), network(job, len(job.classes)))
    named = predicted(job, made)
    clock.stage("predict")
    finish(job, "fastai", clock.seconds, named)


if __name__ == "__main__":
    jobs = {"probe": probe, "finetune": finetune, "predict": predict}
    job = read(list(jobs))
    jobs[job.name](job)
