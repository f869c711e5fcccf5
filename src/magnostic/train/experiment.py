"""What the child runs of one recipe share: images, classes, pixels, weights, features."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from magnostic import splits
from magnostic.audit.fitted import fitted_hash
from magnostic.data.derived import derived
from magnostic.data.images import Images, classes, targets
from magnostic.data.pixels import Pixels, open_pixels
from magnostic.errors import RecipeError, SplitError
from magnostic.models import encoders, handcrafted, heads, tensors, weights
from magnostic.models.classifier import Classifier, Spec
from magnostic.models.encoders import Encoder
from magnostic.preprocess import colour, zscore
from magnostic.preprocess.colour import Colour
from magnostic.recipe import HANDCRAFTED, Dense, Finetune, Probe, Recipe
from magnostic.splits.table import Folds
from magnostic.train import colours, device, predict
from magnostic.train.inputs import Photographs

#: Normalizations that do not depend on the split.
_FIXED = ("image", "imagenet", "backbone", "none")


def resolve(recipe: Recipe) -> Recipe:
    """Replace every ``auto`` by what will be used on this device."""
    normalize = recipe.preprocess.normalize
    if recipe.model.backbone == HANDCRAFTED:
        if normalize not in ("auto", "none"):
            raise RecipeError(
                f"preprocess.normalize {normalize}: backbone handcrafted sees plain pixels; "
                "set preprocess.normalize none"
            )
        normalize = "none"
    if normalize == "auto":
        normalize = "train" if isinstance(recipe.train, Finetune) else "backbone"
    used: dict[str, object] = {"precision": device.precision(recipe.train.precision)}
    if not isinstance(recipe.train, Probe) and recipe.split.val_fraction == 0:
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
    if model.backbone == HANDCRAFTED:
        return None
    source = None if model.weights == "none" else weights.resolve(model.weights, model.backbone)
    args = weights.merged_args(source, model.args)
    weights.require_size(model.backbone, recipe.preprocess.size, args)
    return source


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
    _features_key: str | None = field(default=None, init=False)

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

    @cached_property
    def described(self) -> NDArray[np.float32]:
        """float32 [M, K]: parameters of each cached photograph for the method of colour."""
        return colours.describe(self.pixels, self.recipe.preprocess.colour)

    def colour_for(self, rows: NDArray[np.intp]) -> tuple[Colour, list[str]]:
        """The change of colour, its reference chosen among ``rows`` of the table.

        Also the ids of the photographs that it was chosen from (empty: none of ours).
        BadInput where a reference file cannot be read or is too pale.
        """
        preprocess = self.recipe.preprocess
        if preprocess.colour not in colours.TO_REFERENCE:
            return Colour(preprocess.colour, None, ()), []
        if preprocess.reference != "train":
            return colours.from_file(preprocess), []
        here = self.pixel_rows[rows]
        chosen = colours.reference(self.pixels, preprocess.colour, here)
        target = tuple(float(v) for v in self.described[here[chosen]])
        ids = self.table["image_id"].iloc[rows].tolist()
        return Colour(preprocess.colour, str(ids[chosen]), target), ids

    def fell_back(self) -> dict[str, object] | None:
        """How many photographs the method of colour left as they are; None if it can't."""
        method = self.recipe.preprocess.colour
        if method not in colours.TO_REFERENCE:
            return None
        left = np.flatnonzero(np.isnan(self.described[self.pixel_rows]).any(axis=1))
        ids = self.table["image_id"].iloc[left].tolist()
        return {"method": method, "fell_back": len(ids), "of": len(self.table), "ids": ids}

    def photographs(self, chosen: Colour) -> Photographs:
        """All rows of the table, after this change of colour."""
        return Photographs(self.pixels.array, self.pixel_rows, chosen, self.described)

    def statistics(
        self, photographs: Photographs, rows: NDArray[np.intp]
    ) -> tuple[zscore.Statistics, list[str]]:
        """Mean and deviation for the z-score, and the ids that they were computed on, if any."""
        kind = self.recipe.preprocess.normalize
        if kind == "imagenet":
            return zscore.IMAGENET, []
        if kind in ("none", encoders.PER_IMAGE):
            return ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), []
        if kind == "backbone":
            if self.source is not None and self.source.mean and self.source.std:
                return (self.source.mean, self.source.std), []
            return weights.pretrained_statistics(self.recipe.model.backbone), []
        cpu = torch.device("cpu")
        found = zscore.of_rows(lambda some: photographs.images(some, cpu).numpy(), rows)
        return found, self.table["image_id"].iloc[rows].tolist()

    def encoder(self, stats: zscore.Statistics) -> Encoder:
        """A fresh encoder with the initial weights, on the device."""
        model = self.recipe.model
        if model.backbone == HANDCRAFTED:
            return encoders.Handcrafted()
        network = encoders.Network(
            copy.deepcopy(self._backbone),
            *stats,
            per_image=self.recipe.preprocess.normalize == encoders.PER_IMAGE,
            features=model.features,
        )
        return network.to(device.torch_device())

    @cached_property
    def _backbone(self) -> nn.Module:
        torch.manual_seed(self.recipe.seed)
        model = self.recipe.model
        return weights.build(model.backbone, self.source, model.args)

    @cached_property
    def _backbone_digest(self) -> str:
        return tensors.digest(self._backbone.state_dict())

    def frozen_features(
        self, encoder: Encoder, stats: zscore.Statistics, photographs: Photographs
    ) -> NDArray[np.float32]:
        """Features of every row of the table, float32 [N, D]; computed once where they can be.

        Those that do not depend on the split are kept in the cache, for every run that shares
        photographs, preprocessing and weights.
        """
        train, model = self.recipe.train, self.recipe.model
        precision = device.precision(train.precision)
        handcrafted_ = model.backbone == HANDCRAFTED
        described = {
            "pixels": self.pixels.key,
            "colour": photographs.colour.as_dict(),
            "version": colour.VERSION,
            "encoder": handcrafted.VERSION if handcrafted_ else self._backbone_digest,
            "backbone": model.backbone,
            "args": weights.merged_args(self.source, model.args),
            "features": model.features,
            "normalize": [self.recipe.preprocess.normalize == encoders.PER_IMAGE, stats],
            "rounding": encoders.VERSION,
            "precision": "fp32" if handcrafted_ else precision,
            "batch": 0 if handcrafted_ else train.batch_size,
            "device": str(device.torch_device()),
            "libraries": [version(name) for name in ("torch", "timm", "numpy")],
        }
        key = json.dumps(described, sort_keys=True)
        if key != self._features_key:
            every = Photographs(
                photographs.array,
                np.arange(len(photographs.array)),
                photographs.colour,
                photographs.described,
            )

            def compute() -> NDArray[np.float32]:
                return predict.features(
                    Classifier(encoder, nn.Identity()),
                    every,
                    every.rows,
                    batch_size=train.batch_size,
                    precision=precision,
                )

            preprocess = self.recipe.preprocess
            fixed = preprocess.normalize in _FIXED and preprocess.colour not in colours.TO_REFERENCE
            found = derived("features", key, len(every.rows), compute) if fixed else compute()
            self._features_key, self._features = key, found
        assert self._features is not None
        return self._features[self.pixel_rows]

    def spec(self, chosen: Colour, stats: zscore.Statistics, head: nn.Module) -> Spec:
        """The description that is stored beside the weights."""
        recipe, train = self.recipe, self.recipe.train
        return Spec(
            backbone=recipe.model.backbone,
            args=weights.merged_args(self.source, recipe.model.args),
            features=recipe.model.features,
            weights=self.source.name if self.source else "random",
            weights_sha256=self.source.sha256 if self.source else None,
            classes=list(self.classes),
            task=recipe.task,
            size=recipe.preprocess.size,
            fit=recipe.preprocess.fit,
            colour=chosen.as_dict(),
            normalize=recipe.preprocess.normalize,
            mean=stats[0],
            std=stats[1],
            precision=train.precision,
            batch_size=train.batch_size,
            method=train.head if isinstance(train, Probe) else train.method,
            head=heads.describe(head),
            dropout=0.0 if isinstance(train, Dense) else recipe.model.dropout,
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
        reference = Path(self.recipe.preprocess.reference)
        if str(reference) != "train" and reference.is_file():
            digest = hashlib.sha256(reference.read_bytes()).hexdigest()
            recipe["preprocess"]["reference"] = [reference.name, digest]
        if self.source is not None:
            recipe["model"]["weights"] = [self.source.name, self.source.sha256]
        members = folds.table[["image_id", "protocol", "repeat", "fold"]].astype("str")
        text = json.dumps(recipe, sort_keys=True) + self.images.data_hash
        text += "\n".join(members.agg(" ".join, axis=1))
        return hashlib.sha256(text.encode()).hexdigest()
