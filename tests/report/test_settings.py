"""The facts box: every choice of the training, for probes and for finetunes."""

from __future__ import annotations

from typing import Any

import pytest

from magnostic.report.folder import Child, RunFolder
from magnostic.report.settings import settings


def _facts(
    train: dict[str, Any], split: dict[str, Any] | None = None, chosen: tuple[float, ...] = ()
) -> dict[str, str]:
    recipe = {"train": train, "split": split or {"folds": 5, "repeats": 1}}
    children = [Child("patient", 0, fold, [], c=c) for fold, c in enumerate(chosen)]
    run = {"task": "binary", "classes": ["benign", "malignant"]}
    return dict(settings(RunFolder(run, recipe, {}, {"classes": []}, [], {}, {}, children)))


def test_finetune() -> None:
    facts = _facts(
        {
            "method": "finetune", "epochs": 30, "batch_size": 32, "optimizer": "adam", "lr": 3e-4,
            "lr_end": 1e-5, "schedule": "cosine", "weight_decay": 1e-4, "select": "val-loss",
            "precision": "bf16",
        }
    )  # fmt: skip
    assert facts["Epochs"] == "30, batches of 32"
    assert facts["Optimizer"] == "adam, weight decay 0.0001"
    assert facts["Learning rate"] == "0.0003 to 1e-05, cosine"
    assert facts["Selection"] == "epoch with the lowest validation loss"
    assert facts["Precision"] == "bf16"


def test_constant_learning_rate_has_no_end() -> None:
    facts = _facts({"method": "finetune", "lr": 1e-3, "lr_end": 1e-5, "schedule": "constant"})
    assert facts["Learning rate"] == "0.001, constant"


@pytest.mark.parametrize(
    ("offered", "chosen", "says"),
    [
        ([0.1], (0.1, 0.1), "0.1"),
        ([0.1, 1.0], (0.1, 0.1), "0.1, 1 offered; chosen: 0.1"),
        ([0.1, 1.0], (0.1, 1.0, 1.0), "0.1, 1 offered; chosen: 0.1 (1 model), 1 (2 models)"),
        ([0.1, 1.0], (), "0.1, 1 offered; chosen: not recorded"),
    ],
)
def test_probe(offered: list[float], chosen: tuple[float, ...], says: str) -> None:
    facts = _facts({"method": "probe", "head": "logistic", "c": offered}, chosen=chosen)
    assert facts["Training"] == "probe: frozen features, logistic regression"
    assert facts["Regularization"] == f"C {says}"


def test_svm_says_what_its_probabilities_are() -> None:
    facts = _facts({"method": "probe", "head": "svm", "c": [0.1]})
    assert "probabilities are a softmax of margins, uncalibrated" in facts["Training"]


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ({"folds": 5, "val_fraction": 0.0}, "5 folds, 1 repeat; no validation part"),
        (
            {"folds": 1, "test_fraction": 0.3, "val_fraction": 0.25},
            "hold-out of 0.3, 1 repeat; validation share 0.25 of training images",
        ),
        ({"protocols": ["official"]}, "the data set's own draws; no validation part"),
        (
            {"protocols": ["patient", "official"], "folds": 5},
            "5 folds, 1 repeat; official: the data set's own draws; no validation part",
        ),
    ],
)
def test_split(split: dict[str, Any], says: str) -> None:
    assert _facts({"method": "probe"}, split)["Split"] == says


def _said(**recipe: Any) -> dict[str, str]:
    run = {"task": "binary", "classes": ["benign", "malignant"]}
    recipe = {"train": {"method": "probe"}, "split": {"folds": 5}, **recipe}
    return dict(settings(RunFolder(run, recipe, {}, {"classes": []}, [], {}, {}, [])))


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"method": "finetune", "trainable": "all"}, "finetune: all layers"),
        ({"method": "finetune", "trainable": 0}, "finetune: the head alone, the backbone frozen"),
        (
            {"method": "finetune", "trainable": "all", "freeze_batch_norm": True},
            "finetune: all layers; statistics of batch normalization kept",
        ),
        (
            {"method": "finetune", "trainable": 1},
            "finetune: the last layer group and the head, the rest frozen",
        ),
        (
            {"method": "finetune", "trainable": 3},
            "finetune: the last 3 layer groups and the head, the rest frozen",
        ),
        (
            {"method": "dense", "hidden": []},
            "dense: frozen features, one fully connected layer",
        ),
        (
            {"method": "dense", "hidden": [512, 256, 128]},
            "dense: frozen features, 4 fully connected layers (hidden: 512, 256, 128)",
        ),
        ({"method": "probe", "head": "random-forest"}, "probe: frozen features, random forest"),
    ],
)
def test_what_is_trained(train: dict[str, Any], says: str) -> None:
    assert _facts(train)["Training"] == says


def test_heads_show_their_own_settings_alone() -> None:
    forest = _facts({"method": "probe", "head": "random-forest", "c": [0.1], "trees": 300})
    assert forest["Trees"] == "300"
    assert "Regularization" not in forest
    neighbours = _facts({"method": "probe", "head": "knn", "c": [0.1], "neighbours": 5})
    assert neighbours["Neighbours"] == "5"
    kernel = _facts({"method": "probe", "head": "rbf-svm", "c": [1.0]})
    assert kernel["Regularization"] == "C 1"


def test_handcrafted_features_are_no_network() -> None:
    model = {"backbone": "handcrafted", "weights": "none"}
    says = _said(model=model, train={"method": "dense", "hidden": [64]})
    assert says["Model"].startswith("handcrafted features: Hu moments")
    assert says["Training"].startswith("dense: handcrafted features, 2 fully connected")


def test_model_names_its_features_arguments_and_random_start() -> None:
    model = {
        "backbone": "vit", "weights": "none", "args": {"depth": 2}, "features": "token+mean",
        "dropout": 0.2,
    }  # fmt: skip
    says = _said(model=model, train={"method": "finetune"})
    assert says["Model"] == "vit, weights none (random start); depth 2"
    assert says["Features"] == "token+mean: class token beside the mean of the patch tokens"
    assert says["Dropout"] == "0.2"
    assert "Features" not in _said(model={"backbone": "resnet50", "features": "pooled"})


@pytest.mark.parametrize(
    ("preprocess", "says"),
    [
        ({}, None),
        ({"colour": "none"}, None),
        ({"colour": "grayscale"}, "grayscale"),
        (
            {"colour": "reinhard", "reference": "train"},
            "Reinhard: mean and deviation in LAB; reference: the training photograph nearest to "
            "the median",
        ),
        (
            {"colour": "macenko", "reference": "/data/machine/r.png"},
            "Macenko: stain vectors and concentrations; reference: …/r.png",
        ),
    ],
)
def test_colour(preprocess: dict[str, Any], says: str | None) -> None:
    assert _said(preprocess=preprocess).get("Colour") == says


def test_augmentation_balance_and_magnifications() -> None:
    says = _said(
        augment={"flips": True, "colour": 0.0, "stain": 0.5},
        balance={"method": "oversample", "when": "before-val-leaky"},
        data={"magnifications": [40, 400]},
        preprocess={"size": 96, "fit": "pad", "normalize": "train"},
    )
    assert says["Augmentation"] == "flips and right-angle rotations; stain, strength 0.5"
    assert "copies stand on both sides" in says["Balance"]
    assert says["Magnifications"] == "40X, 400X alone"
    assert says["Input"] == "96 × 96, padded with black, normalization train"
    assert "Augmentation" not in _said(augment={"flips": False, "colour": 0.0})
    assert _said(balance={"method": "smote-features"})["Balance"].startswith("SMOTE on frozen")
