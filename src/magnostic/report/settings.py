"""How the system was made, as the facts box beside the headline figures tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from magnostic.report.folder import RunFolder
from magnostic.report.words import plural, without_machine

TASKS: Final = {
    "binary": "benign or malignant",
    "subtype": "tumour type",
    "label": "the data set's own labels",
}
_HEADS: Final = {
    "logistic": "logistic regression",
    "svm": "linear SVM; probabilities are a softmax of margins, uncalibrated",
}
_SELECTION: Final = {
    "val-loss": "epoch with the lowest validation loss",
    "val-accuracy": "epoch with the highest validation accuracy",
    "last": "none: last epoch",
}

Pairs = list[tuple[str, str]]


def settings(run: RunFolder) -> Pairs:
    """Task, model, training, input and split as pairs of term and description."""
    recipe = run.recipe
    model, preprocess = recipe.get("model", {}), recipe.get("preprocess", {})
    weights = without_machine(str(model.get("weights")))
    return [
        ("Task", f"{TASKS.get(run.task, run.task)}: {', '.join(run.classes)}"),
        ("Model", f"{model.get('backbone')}, weights {weights}"),
        *_training(run),
        (
            "Input",
            f"{preprocess.get('size')} × {preprocess.get('size')}, {preprocess.get('fit')}, "
            f"normalization {preprocess.get('normalize')}",
        ),
        ("Balance", f"{recipe.get('balance', {}).get('method', 'none')}"),
        ("Split", _split(recipe.get("split", {}))),
        ("Stratified", "yes" if recipe.get("split", {}).get("stratify") else "no"),
        ("Seed", str(recipe.get("seed"))),
    ]


def _split(split: Mapping[str, Any]) -> str:
    folds, protocols = split.get("folds"), split.get("protocols") or []
    drawn = f"hold-out of {split.get('test_fraction')}" if folds == 1 else f"{folds} folds"
    drawn += f", {plural(int(split.get('repeats', 1)), 'repeat')}"
    if "official" in protocols:
        fixed = "the data set's own draws"
        drawn = fixed if len(protocols) == 1 else f"{drawn}; official: {fixed}"
    share = split.get("val_fraction")
    return f"{drawn}; " + (
        f"validation share {share} of training images" if share else "no validation part"
    )


def _training(run: RunFolder) -> Pairs:
    train = run.recipe.get("train", {})
    if train.get("method") == "probe":
        return _probe(run, train)
    return _finetune(train) if train.get("method") == "finetune" else []


def _probe(run: RunFolder, train: Mapping[str, Any]) -> Pairs:
    head = str(train.get("head", "logistic"))
    pairs = [("Training", f"probe: frozen features, {_HEADS.get(head, head)}")]
    offered = train.get("c")
    offered = offered if isinstance(offered, list) else [offered]
    if offered != [None]:
        says = ", ".join(f"{c:g}" for c in offered)
        if len(offered) > 1:
            says += f" offered; chosen: {_chosen(run)}"
        pairs.append(("Regularization", f"C {says}"))
    return [*pairs, *_precision(train)]


def _chosen(run: RunFolder) -> str:
    found = Counter(child.c for child in run.children if child.c is not None)
    if not found:
        return "not recorded"
    if len(found) == 1:
        return f"{next(iter(found)):g}"
    return ", ".join(f"{c:g} ({plural(n, 'model')})" for c, n in sorted(found.items()))


def _finetune(train: Mapping[str, Any]) -> Pairs:
    pairs = [("Training", "finetune: all layers")]
    if "epochs" in train:
        pairs.append(("Epochs", f"{train['epochs']}, batches of {train.get('batch_size')}"))
    if "optimizer" in train:
        pairs.append(
            ("Optimizer", f"{train['optimizer']}, weight decay {_plain(train.get('weight_decay'))}")
        )
    if "lr" in train:
        pairs.append(("Learning rate", _rate(train)))
    if "select" in train:
        pairs.append(("Selection", _SELECTION.get(train["select"], str(train["select"]))))
    return [*pairs, *_precision(train)]


def _rate(train: Mapping[str, Any]) -> str:
    if train.get("schedule") == "constant":
        return f"{_plain(train['lr'])}, constant"
    return f"{_plain(train['lr'])} to {_plain(train.get('lr_end'))}, {train.get('schedule')}"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _precision(train: Mapping[str, Any]) -> Pairs:
    return [("Precision", str(train["precision"]))] if "precision" in train else []
