"""What one experiment is: the fields of a recipe, their meaning and their defaults.

A recipe reads like prose, every field has a default that suits an honest evaluation, and the
resolved recipe (every ``auto`` replaced by what was used) is stored in the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

Policy = Literal["keep", "drop", "together"]
Protocol = Literal["random", "patient", "accession", "official", "source"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]

#: ``model.backbone`` of Hu moments, Haralick textures and colour histogram instead of a network.
HANDCRAFTED: Final = "handcrafted"
#: Photographs of a step, at most: a stored model that asks for more is not loaded.
LARGEST_BATCH: Final = 8192
_BatchSize = Annotated[int, Field(ge=1, le=LARGEST_BATCH)]


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
    sources: where several data sets were merged, use only these; empty for all.
    magnifications: use only these; empty for all.
    train_magnifications: train and choose on these alone, while the test parts stay whole; empty
        for all. One of four asks how far a model carries over to the other magnifications; all
        but one is leave-one-magnification-out.
    """

    duplicates: Policy = "together"
    double_labels: Policy = "together"
    on_bad: Literal["stop", "skip"] = "stop"
    sources: tuple[str, ...] = ()
    magnifications: tuple[int, ...] = ()
    train_magnifications: tuple[int, ...] = ()

    @field_validator("sources", "magnifications", "train_magnifications", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)

    @model_validator(mode="after")
    def _consistent(self) -> Data:
        if self.magnifications:
            for value in self.train_magnifications:
                if value not in self.magnifications:
                    raise ValueError(
                        f"train_magnifications {value} is not among magnifications "
                        f"{', '.join(map(str, self.magnifications))}; add it there"
                    )
        return self


class Split(_Section):
    """How train and test are kept apart.

    protocols: ``random`` draws single images (the paper; one patient on both sides), ``patient``
        and ``accession`` keep whole slides or lab numbers on one side, ``official`` reads the
        data set's five fold files from ``official_dir``, ``source`` keeps whole data sets apart
        where several were merged (folds: at most their number).
    folds: 1 for a hold-out of ``test_fraction``, k for k-fold cross-validation whose out-of-fold
        predictions are pooled. ``each`` leaves out one group at a time (a patient, an accession,
        a data set, as the protocol has it). The official protocol has its own five draws.
    repeats: how often the folds are drawn anew.
    val_fraction: share of the training images set aside to choose weights (0: none), drawn by the
        same grouping as the protocol's.
    stratify: keep class shares alike in all parts, as far as groups allow. The paper did not.
    strict: stop where a class cannot be estimated instead of reporting it (MG005).
    """

    protocols: tuple[Protocol, ...] = ("patient",)
    folds: PositiveInt | Literal["each"] = 5
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
        if self.folds == "each":
            if "random" in self.protocols:
                raise ValueError(
                    "folds each leaves out one group at a time, and protocol random has none; "
                    "give a number of folds, or protocols patient, accession or source"
                )
            if self.repeats > 1:
                raise ValueError("folds each has one draw: set repeats 1")
        return self


Side = Annotated[int, Field(ge=32, le=2048)]


class Preprocess(_Section):
    """From photograph to network input.

    size: side of the square input in pixels, or its height and width.
    fit: ``squeeze`` to the square (the paper), ``crop`` the centre after fitting the short side,
        or ``pad`` with black, which keeps a round field of view round.
    colour: ``grayscale`` (Gupta et al.), or bring every photograph to the colours of a reference:
        ``reinhard`` (mean and deviation in LAB; Kausar et al.), ``macenko`` or ``vahadane`` (stain
        vectors and concentrations). Photographs too pale for it stay as they are and are counted.
    reference: of those three: ``train`` takes the photograph of the training part whose colours
        are nearest to its median; or an image file.
    normalize: statistics of the z-score: ``train`` (training part alone), ``train+val`` (the
        paper's other reading), ``image`` (each photograph by its own), ``imagenet``, ``backbone``
        (as it was pretrained), ``none`` ([0, 1]), or ``auto``: the backbone's own for a frozen
        one, else ``train``.
    """

    size: Side | tuple[Side, Side] = 224
    fit: Literal["squeeze", "crop", "pad"] = "squeeze"
    colour: Literal["none", "grayscale", "reinhard", "macenko", "vahadane"] = "none"
    reference: str = "train"
    normalize: Literal["auto", "train", "train+val", "image", "imagenet", "backbone", "none"] = (
        "auto"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return several(value) if isinstance(value, str) else value

    @property
    def square(self) -> bool:
        return isinstance(self.size, int) or self.size[0] == self.size[1]


class Augment(_Section):
    """Random changes of training images, drawn anew for every image in every epoch.

    flips: one of the eight flips and right-angle rotations.
    colour: strength in [0, 1] of changes of brightness, contrast, saturation and hue.
    stain: strength in [0, 1] of changes of the amounts of haematoxylin and eosin (Tellez et al.).
    """

    flips: bool = False
    colour: Annotated[float, Field(ge=0, le=1)] = 0.0
    stain: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def active(self) -> bool:
        return self.flips or self.colour > 0 or self.stain > 0


class Balance(_Section):
    """What is done about unequal classes.

    method: ``oversample`` adds flipped and right-angle-rotated copies of minority images up to the
        majority's count; ``smote-pixels`` and ``smote-features`` add mixtures of near neighbours
        of a class instead, of images or of frozen features; ``class-weights`` weights the loss
        inversely to frequency; ``weighted-sampler`` draws each epoch's images so that classes are
        equally likely; or ``none``.
    when: ``after-val`` copies only training images. ``before-val-leaky`` copies before the
        validation draw, one reading of the paper: copies of one photograph then stand in both.
    """

    method: Literal[
        "none",
        "oversample",
        "class-weights",
        "weighted-sampler",
        "smote-pixels",
        "smote-features",
    ] = "none"
    when: Literal["after-val", "before-val-leaky"] = "after-val"


class Model(_Section):
    """The backbone, and where its weights come from.

    backbone: timm name, or ``handcrafted``: Hu moments, Haralick textures and colour histogram.
    weights: ``imagenet`` (timm's default tag), another timm tag, ``hf_hub:owner/name``, a local
        .safetensors/.pth/.pt path, ``package:efficientnet-lite0`` (lite1, lite2), or ``none``.
    args: timm's options for building the backbone, as some published weights need them.
    features: what the head sees: the backbone's own ``pooled`` features, ``multi-level``: the
        mean-pooled maps of all its stages side by side, or ``token+mean``: a transformer's class
        token beside the mean of its patch tokens.
    """

    backbone: str = "tf_efficientnet_lite0"
    weights: str = "package:efficientnet-lite0"
    args: dict[str, Any] = Field(default_factory=dict)
    features: Literal["pooled", "multi-level", "token+mean"] = "pooled"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        if self.backbone == HANDCRAFTED and (self.weights != "none" or self.args):
            raise ValueError("backbone handcrafted has no weights: set model.weights none")
        if self.backbone == HANDCRAFTED and self.features != "pooled":
            raise ValueError("model.features is for a network, not for backbone handcrafted")
        return self


class _ByGradient(_Section):
    """Training by gradient descent; defaults are the paper's.

    lr, lr_end: learning rate of the first and the last step; ``schedule`` says how it falls.
    select: which epoch's weights are kept.
    precision: ``auto`` takes bf16 where the device computes in it, else fp32.
    """

    epochs: PositiveInt = 30
    batch_size: _BatchSize = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 3e-4
    lr_end: Annotated[float, Field(gt=0)] = 1e-5
    schedule: Literal["cosine", "linear", "exponential", "constant"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    select: Literal["val-loss", "val-accuracy", "last"] = "val-loss"
    precision: Precision = "auto"


class Finetune(_ByGradient):
    """The backbone is trained with its head.

    trainable: ``all`` layers (the paper), or the number of last layer groups of the backbone that
        are trained, the others frozen: layer-wise fine-tuning. 0 trains the head alone.
    freeze_batch_norm: keep the running statistics that the backbone came with, and normalize by
        them in training too, for batches too small to have statistics; weights still learn.
    """

    method: Literal["finetune"] = "finetune"
    trainable: Literal["all"] | NonNegativeInt = "all"
    freeze_batch_norm: bool = False


class Dense(_ByGradient):
    """Frozen features once, then fully connected layers trained on them by gradient descent.

    hidden: widths of the hidden layers, each followed by a ReLU and ``model.dropout``; the last
        layer, one output a class, comes after them.
    """

    method: Literal["dense"]
    hidden: tuple[PositiveInt, ...] = ()

    @field_validator("hidden", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)


class Probe(_Section):
    """Frozen features once, then a classical classifier (scikit-learn).

    head: ``logistic`` regression, a linear ``svm``, an ``rbf-svm`` (one against the rest), a
        ``random-forest`` or ``knn``. Probabilities of the SVMs are a softmax of their margins and
        not calibrated.
    c: inverse regularization strength of the first three; several values are chosen among on the
        validation part, by log loss (SVMs: accuracy).
    trees: of the random forest.
    neighbours: of knn.
    """

    method: Literal["probe"]
    head: Literal["logistic", "svm", "rbf-svm", "random-forest", "knn"] = "logistic"
    c: tuple[Annotated[float, Field(gt=0)], ...] = (0.1,)
    trees: PositiveInt = 300
    neighbours: PositiveInt = 5
    batch_size: _BatchSize = 32
    precision: Precision = "auto"

    @field_validator("c", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return several(value)

    @model_validator(mode="after")
    def _consistent(self) -> Probe:
        if self.head in ("random-forest", "knn") and len(self.c) > 1:
            raise ValueError(f"several values of train.c are for other heads than {self.head}")
        return self


class Evaluate(_Section):
    """Intervals by patient-clustered bootstrap: number of resamples and confidence.

    controls: where random images stand beside a grouped protocol, also measure what colours
        alone, recognized slides and training parts of equal size explain of the gap.
    """

    resamples: Annotated[int, Field(ge=0, le=100_000)] = 1000
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    controls: bool = True


class Recipe(_Section):
    """One experiment. ``description`` states in prose what it is, its cost and what to expect.

    keep_reference: what stays of the training images beside a model meant for use, for nearest
        cases and distance checks: ``none``, their ``features``, or ``thumbnails`` as well. A
        privacy choice: thumbnails are recognizable, features may be inverted in part. The heads
        ``knn`` and ``rbf-svm`` hold features of training images whatever is said here.
    """

    name: str
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    task: Literal["binary", "subtype", "label"] = "subtype"
    data: Data = Data()
    split: Split = Split()
    preprocess: Preprocess = Preprocess()
    augment: Augment = Augment()
    balance: Balance = Balance()
    model: Model = Model()
    train: Annotated[Finetune | Dense | Probe, Field(discriminator="method")] = Finetune()
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
        train, balance = self.train, self.balance
        if isinstance(train, Probe):
            if self.model.dropout:
                raise ValueError("model.dropout is for train.method finetune or dense")
            if len(train.c) > 1 and self.split.val_fraction == 0:
                raise ValueError("train.c lists several values: give split.val_fraction > 0")
            if balance.method == "weighted-sampler":
                raise ValueError(
                    "balance.method weighted-sampler is for train.method finetune or dense; a "
                    "probe has no batches, so use class-weights"
                )
            if train.head == "knn" and balance.method == "class-weights":
                raise ValueError("train.head knn takes no class weights; use smote-features")
        if isinstance(train, Finetune):
            if self.model.backbone == HANDCRAFTED:
                raise ValueError("backbone handcrafted can't be trained; use probe or dense")
            if not self.preprocess.square and (
                self.augment.flips or balance.method == "oversample"
            ):
                raise ValueError(
                    "preprocess.size: quarter turns need a square input; give one side, or leave "
                    "out augment.flips and balance.method oversample"
                )
            if balance.method == "smote-features":
                raise ValueError(
                    "balance.method smote-features is for train.method probe or dense; features "
                    "change during fine-tuning, so use smote-pixels or oversample"
                )
        else:
            if balance.method in ("oversample", "smote-pixels"):
                raise ValueError(
                    f"balance.method {balance.method} is for train.method finetune; features of a "
                    f"{train.method} are computed once, so use smote-features or class-weights"
                )
            if self.augment.active:
                raise ValueError(
                    "augment is for train.method finetune; features of a "
                    f"{train.method} are computed once"
                )
        if balance.when == "before-val-leaky" and balance.method != "oversample":
            raise ValueError("balance.when before-val-leaky needs balance.method oversample")
        if self.preprocess.reference != "train" and self.preprocess.colour in ("none", "grayscale"):
            raise ValueError("preprocess.reference needs colour reinhard, macenko or vahadane")
        return self

    def to_yaml(self) -> str:
        """YAML with every field, in the order of this file."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
