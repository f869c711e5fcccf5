"""What the child runs of one recipe share: images, classes, pixels, weights, features."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from magnostic import splits
from magnostic.audit.fitted import fitted_hash
from magnostic.data.images import Images, classes, targets
from magnostic.data.pixels import Pixels, open_pixels
from magnostic.errors import SplitError
from magnostic.models import weights
from magnostic.models.classifier import Classifier, Spec
from magnostic.preprocess import zscore
from magnostic.recipe import Finetune, Probe, Recipe
from magnostic.splits.table import Folds
from magnostic.train import device, predict

#: Normalizations that do not depend on the split.
_FIXED = ("imagenet", "backbone", "none")


def resolve(recipe: Recipe) -> Recipe:
    """Replace every ``auto`` by what will be used on this device."""
    normalize = recipe.preprocess.normalize
    if normalize == "auto":
        normalize = "backbone" if isinstance(recipe.train, Probe) else "train"
    used: dict[str, object] = {"precision": device.precision(recipe.train.precision)}
    if isinstance(recipe.train, Finetune) and recipe.split.val_fraction == 0:
        used["select"] = "last"
    return recipe.model_copy(
        update={
            "preprocess": recipe.preprocess.model_copy(update={"normalize": normalize}),
            "train": recipe.train.model_copy(update=used),
        }
    )


def load_source(recipe: Recipe) -> weights.Source | None:
    """The backbone's initial weights; None for random ones.

    RecipeError where the backbone does not take the recipe's input size.
    """
    model = recipe.model
    weights.require_size(model.backbone, recipe.preprocess.size)
    return None if model.weights == "none" else weights.resolve(model.weights, model.backbone)


@dataclass
class Experiment:
    """A resolved recipe on its images.

    Attributes:
        images: the images table as read.
        source: the backbone's initial weights, None for random ones.
    """

    recipe: Recipe
    images: Images
    source: weights.Source | None
    _features: NDArray[np.float32] | None = field(default=None, init=False)

    @cached_property
    def selection(self) -> splits.Selection:
        return splits.apply_policies(self.images, self.recipe.data)

    @property
    def table(self) -> pd.DataFrame:
        """Rows of the images table that the policies leave, index 0..n-1."""
        return self.selection.table

    @cached_property
    def y(self) -> pd.Series:
        """Class name of each row of :attr:`table`."""
        return targets(self.table, self.recipe.task)

    @cached_property
    def classes(self) -> Sequence[str]:
        return classes(self.table, self.recipe.task)

    def require_two_classes(self) -> None:
        """Raise SplitError where there is nothing to tell apart."""
        if len(self.classes) < 2:
            raise SplitError(
                f"task {self.recipe.task!r}: only one class ({self.classes[0]}) in the data; "
                "give images of two classes or more"
            )

    @cached_property
    def y_index(self) -> NDArray[np.intp]:
        """intp [N]: position of each row's class in :attr:`classes`."""
        return pd.Index(self.classes).get_indexer(pd.Index(self.y))

    @cached_property
    def pixels(self) -> Pixels:
        return open_pixels(self.table, self.recipe.preprocess.size, self.recipe.preprocess.fit)

    @cached_property
    def pixel_rows(self) -> NDArray[np.intp]:
        """intp [N]: row in the pixel array of each row of :attr:`table`."""
        return self.pixels.rows(self.table["pixel_hash"])

    def positions(self, image_ids: Sequence[str] | pd.Series) -> NDArray[np.intp]:
        """Rows of :attr:`table` with these ids."""
        found: NDArray[np.intp] = pd.Index(self.table["image_id"]).get_indexer(pd.Index(image_ids))
        return found

    def statistics(self, rows: NDArray[np.intp]) -> zscore.Statistics:
        """Mean and deviation for the z-score, computed on ``rows`` of the table if at all."""
        kind = self.recipe.preprocess.normalize
        if kind == "imagenet":
            return zscore.IMAGENET
        if kind == "none":
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if kind == "backbone":
            if self.source is not None and self.source.mean and self.source.std:
                return self.source.mean, self.source.std
            return weights.pretrained_statistics(self.recipe.model.backbone)
        return zscore.of_rows(self.pixels.array, self.pixel_rows[rows])

    def network(self, stats: zscore.Statistics) -> Classifier:
        """A fresh network with the initial weights; the head is random, by the recipe's seed."""
        backbone = copy.deepcopy(self._backbone)
        torch.manual_seed(self.recipe.seed)
        network = Classifier(backbone, len(self.classes), *stats, self.recipe.model.dropout)
        return network.to(device.torch_device())

    @cached_property
    def _backbone(self) -> nn.Module:
        torch.manual_seed(self.recipe.seed)
        return weights.build(self.recipe.model.backbone, self.source)

    def frozen_features(self, model: Classifier) -> NDArray[np.float32]:
        """Features of every row of the table, float32 [N, D]; computed once where they can be."""
        train = self.recipe.train
        shared = self.recipe.preprocess.normalize in _FIXED
        if shared and self._features is not None:
            return self._features
        found = predict.features(
            model,
            self.pixels.array,
            self.pixel_rows,
            batch_size=train.batch_size,
            precision=device.precision(train.precision),
        )
        self._features = found if shared else None
        return found

    def spec(self, stats: zscore.Statistics) -> Spec:
        """The description that is stored beside the weights."""
        recipe, train = self.recipe, self.recipe.train
        return Spec(
            backbone=recipe.model.backbone,
            weights=self.source.name if self.source else "random",
            weights_sha256=self.source.sha256 if self.source else None,
            classes=list(self.classes),
            task=recipe.task,
            size=recipe.preprocess.size,
            fit=recipe.preprocess.fit,
            normalize=recipe.preprocess.normalize,
            mean=stats[0],
            std=stats[1],
            precision=train.precision,
            batch_size=train.batch_size,
            head=train.head if isinstance(train, Probe) else "finetune",
            dropout=recipe.model.dropout,
        )

    def fingerprint(self, image_ids: Sequence[str]) -> dict[str, object]:
        """Entry of ``fitted_on.json``: sorted ids, and a hash over ids and pixels."""
        return {
            "ids": sorted(image_ids),
            "sha256": fitted_hash(self.table, image_ids),
        }

    def identity(self, folds: Folds) -> str:
        """What must be the same for an interrupted run to go on; free of the machine's paths."""
        recipe = self.recipe.model_dump(mode="json")
        recipe["split"]["official_dir"] = None  # the folds themselves count
        if self.source is not None:
            recipe["model"]["weights"] = [self.source.name, self.source.sha256]
        members = folds.table[["image_id", "protocol", "repeat", "fold"]].astype("str")
        text = json.dumps(recipe, sort_keys=True) + self.images.data_hash
        text += "\n".join(members.agg(" ".join, axis=1))
        return hashlib.sha256(text.encode()).hexdigest()
