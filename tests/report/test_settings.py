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
