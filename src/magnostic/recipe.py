"""What one experiment is: the fields of a recipe, their meaning and their defaults.

A recipe reads like prose, every field has a default that suits an honest evaluation, and the
resolved recipe (every ``auto`` replaced by what was used) is stored in the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

Policy = Literal["keep", "drop", "together"]
Protocol = Literal["random", "patient", "accession", "official"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def several(value: object) -> object:
    """One value or a comma-separated text as a tuple; the command line has no lists."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return (value,) if isinstance(value, int | float) else value


class Data(_Section):
    """Which photographs are used.

    duplicates: pixel-identical photographs under several names: ``keep`` all as the paper does,
        ``drop`` all but the first (all, where their labels contradict), or keep them
        ``together`` on one side of every split.
    double_labels: a slide filed under two labels: ``keep``, ``drop`` its images, or keep the
        slide ``together`` on one side of every split, also a random one.
    on_bad: unreadable or misnamed files ``stop`` the run with a full list, or are left out
        (``skip``) and named in the report.
    magnifications: use only these; empty for all.
    """

    duplicates: Policy = "together"
    double_labels: Policy = "together"
    on_bad: Literal["stop", "skip"] = "stop"
    magnifications: tuple[int, ...] = ()

    @field_validator("magnifications", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)


class Split(_Section):
    """How train and test are kept apart.

    protocols: ``random`` draws single images (the paper; one patient on both sides), ``patient``
        and ``accession`` keep whole slides or lab numbers on one side, ``official`` reads the
        data set's five fold files from ``official_dir``.
    folds: 1 for a hold-out of ``test_fraction``, k for k-fold cross-validation whose out-of-fold
        predictions are pooled. The official protocol has its own five draws.
    repeats: how often the folds are drawn anew.
    val_fraction: share of the training images set aside to choose weights (0: none), drawn by the
        same grouping as the protocol's.
    stratify: keep class shares alike in all parts, as far as groups allow. The paper did not.
    strict: stop where a class cannot be estimated instead of reporting it (MG005).
    """

    protocols: tuple[Protocol, ...] = ("patient",)
    folds: PositiveInt = 5
    repeats: PositiveInt = 1
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25
    stratify: bool = True
    strict: bool = False
    official_dir: Path | None = None

    @field_validator("protocols", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)

    @model_validator(mode="after")
    def _consistent(self) -> Split:
        if not self.protocols or len(set(self.protocols)) != len(self.protocols):
            raise ValueError("protocols must name one or several different protocols")
        if "official" in self.protocols and self.official_dir is None:
            raise ValueError(
                "protocol official needs split.official_dir, the folder of dsfold1..5.txt "
                "(--split.official-dir DIR)"
            )
        return self


class Preprocess(_Section):
    """From photograph to network input.

    size: side of the square input in pixels.
    fit: ``squeeze`` to the square (the paper), or ``crop`` the centre after fitting the short side.
    normalize: statistics of the z-score: ``train`` (training part alone), ``train+val`` (the
        paper's other reading), ``imagenet``, ``backbone`` (as it was pretrained), ``none``
        ([0, 1]), or ``auto``: the backbone's own for a frozen one, else ``train``.
    """

    size: Annotated[int, Field(ge=32, le=2048)] = 224
    fit: Literal["squeeze", "crop"] = "squeeze"
    normalize: Literal["auto", "train", "train+val", "imagenet", "backbone", "none"] = "auto"


class Balance(_Section):
    """What is done about unequal classes.

    method: ``oversample`` adds flipped and right-angle-rotated copies of minority images up to the
        majority's count, ``class-weights`` weights the loss inversely to frequency, or ``none``.
    when: ``after-val`` copies only training images. ``before-val-leaky`` copies before the
        validation draw, one reading of the paper: copies of one photograph then stand in both.
    """

    method: Literal["none", "oversample", "class-weights"] = "none"
    when: Literal["after-val", "before-val-leaky"] = "after-val"


class Model(_Section):
    """The backbone, by timm name, and where its weights come from.

    weights: ``imagenet`` (timm's default tag), another timm tag, ``hf_hub:owner/name``, a local
        .safetensors/.pth/.pt path, ``package:efficientnet-lite0`` (lite1, lite2), or ``none``.
    """

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "package:efficientnet-lite0"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Finetune(_Section):
    """All layers trained; defaults are the paper's.

    lr, lr_end: learning rate of the first and the last step; ``schedule`` says how it falls.
    precision: ``auto`` takes bf16 where the device computes in it, else fp32.
    """

    method: Literal["finetune"] = "finetune"
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 3e-4
    lr_end: Annotated[float, Field(gt=0)] = 1e-5
    schedule: Literal["cosine", "linear", "exponential", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    select: Literal["val-loss", "val-accuracy", "last"] = "val-loss"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


class Probe(_Section):
    """Frozen features once, then a linear head.

    head: ``logistic`` regression, or a linear ``svm``, whose probabilities are a softmax of its
        margins and not calibrated.
    c: inverse regularization strength; several values are chosen among on the validation part, by
        log loss (svm: accuracy).
    """

    method: Literal["probe"]
    head: Literal["logistic", "svm"] = "logistic"
    c: tuple[Annotated[float, Field(gt=0)], ...] = (0.1,)
    batch_size: PositiveInt = 32
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"

    @field_validator("c", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)


class Evaluate(_Section):
    """Intervals by patient-clustered bootstrap: number of resamples and confidence."""

    resamples: Annotated[int, Field(ge=0)] = 1000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class Recipe(_Section):
    """One experiment. ``description`` states in prose what it is, its cost and what to expect.

    keep_reference: what stays of the training images beside a model meant for use, for nearest
        cases and distance checks: ``none``, their ``features``, or ``thumbnails`` as well. A
        privacy choice: thumbnails are recognizable, features may be inverted in part.
    """

    name: str
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    task: Literal["binary", "subtype", "label"] = "subtype"
    data: Data = Data()
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    balance: Balance = Balance()
    model: Model = Model()
    train: Annotated[Finetune | Probe, Field(discriminator="method")] = Finetune()
    evaluate: Evaluate = Evaluate()
    keep_reference: Literal["none", "features", "thumbnails"] = "features"

    @field_validator("train", mode="before")
    @classmethod
    def _default_method(cls, value: object) -> object:
        if isinstance(value, Mapping) and "method" not in value:
            return {"method": "finetune", **value}
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if isinstance(self.train, Probe):
            if self.model.dropout:
                raise ValueError("model.dropout is for train.method finetune")
            if len(self.train.c) > 1 and self.split.val_fraction == 0:
                raise ValueError("train.c lists several values: give split.val_fraction > 0")
            if self.balance.method == "oversample":
                raise ValueError(
                    "balance.method oversample is for train.method finetune; features of a probe "
                    "are computed once, so use class-weights"
                )
        if self.balance.when == "before-val-leaky" and self.balance.method != "oversample":
            raise ValueError("balance.when before-val-leaky needs balance.method oversample")
        return self

    def to_yaml(self) -> str:
        """YAML with every field, in the order of this file."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
