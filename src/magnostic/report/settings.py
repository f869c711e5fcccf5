"""How the system was made, as the facts box beside the headline figures tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from magnostic.recipe import HANDCRAFTED
from magnostic.report.folder import RunFolder
from magnostic.report.words import plural, without_machine

TASKS: Final = {
    "binary": "benign or malignant",
    "subtype": "tumour type",
    "label": "the data set's own labels",
}
_UNCALIBRATED: Final = "probabilities are a softmax of margins, uncalibrated"
_HEADS: Final = {
    "logistic": "logistic regression",
    "svm": f"linear SVM; {_UNCALIBRATED}",
    "rbf-svm": f"SVM with Gaussian kernel, one against the rest; {_UNCALIBRATED}",
    "random-forest": "random forest",
    "knn": "nearest neighbours",
}
_SELECTION: Final = {
    "val-loss": "epoch with the lowest validation loss",
    "val-accuracy": "epoch with the highest validation accuracy",
    "last": "none: last epoch",
}

_FEATURES: Final = {
    "multi-level": "mean-pooled maps of all stages side by side",
    "token+mean": "class token beside the mean of the patch tokens",
}
_COLOUR: Final = {
    "grayscale": "grayscale",
    "reinhard": "Reinhard: mean and deviation in LAB",
    "macenko": "Macenko: stain vectors and concentrations",
    "vahadane": "Vahadane: sparse stain vectors and concentrations",
}
_FIT: Final = {
    "squeeze": "squeezed to the square",
    "crop": "centre crop after fitting the short side",
    "pad": "padded with black",
}
_BALANCE: Final = {
    "none": "none",
    "oversample": "oversample: flipped and rotated copies of minority images",
    "class-weights": "class weights in the loss",
    "weighted-sampler": "weighted sampler: classes equally likely in an epoch",
    "smote-pixels": "SMOTE in pixel space: mixtures of near images of a class",
    "smote-features": "SMOTE on frozen features: mixtures of near ones of a class",
}

Pairs = list[tuple[str, str]]


def settings(run: RunFolder) -> Pairs:
    """Task, model, training, input and split as pairs of term and description."""
    if run.run.get("kind") == "outside":
        return _outside(run)
    recipe = run.recipe
    return [
        ("Task", f"{TASKS.get(run.task, run.task)}: {', '.join(run.classes)}"),
        *_magnifications(recipe.get("data", {})),
        *_model(recipe.get("model", {})),
        *_training(run),
        *_input(recipe.get("preprocess", {})),
        *_augmentation(recipe.get("augment", {})),
        ("Balance", _balance(recipe.get("balance", {}))),
        ("Split", _split(recipe.get("split", {}))),
        ("Stratified", "yes" if recipe.get("split", {}).get("stratify") else "no"),
        ("Seed", str(recipe.get("seed"))),
    ]


def _outside(run: RunFolder) -> Pairs:
    """All that is known of a system whose predictions were made elsewhere."""
    n = run.run.get("trained_on")
    gives = "classes alone" if run.run.get("decisions_only") else "a probability for each class"
    return [
        ("Task", f"{TASKS.get(run.task, run.task)}: {', '.join(run.classes)}"),
        ("System", f"made elsewhere; predictions of {run.run.get('source')}"),
        ("It gives", gives),
        ("Trained on", "not told" if n is None else f"{n:,} images that were named"),
    ]


def _magnifications(data: Mapping[str, Any]) -> Pairs:
    used, taught = (
        ", ".join(f"{m}X" for m in data.get(key) or ())
        for key in ("magnifications", "train_magnifications")
    )
    named = ", ".join(map(str, data.get("sources") or ()))
    pairs = [("Data sets", f"{named} alone")] if named else []
    pairs += [("Magnifications", f"{used} alone")] if used else []
    if taught:
        pairs.append(("Trained on", f"{taught} alone; tested on {used or 'all magnifications'}"))
    return pairs


def _model(model: Mapping[str, Any]) -> Pairs:
    if model.get("backbone") == HANDCRAFTED:
        return [("Model", "handcrafted features: Hu moments, Haralick textures, colour histogram")]
    weights = without_machine(str(model.get("weights")))
    says = f"{model.get('backbone')}, weights {weights}"
    if model.get("weights") == "none":
        says += " (random start)"
    args = model.get("args") or {}
    if args:
        says += f"; {', '.join(f'{k} {v}' for k, v in args.items())}"
    pairs = [("Model", says)]
    features = model.get("features", "pooled")
    if features != "pooled":
        pairs.append(("Features", f"{features}: {_FEATURES.get(features, features)}"))
    return pairs


def _input(preprocess: Mapping[str, Any]) -> Pairs:
    size, fit = preprocess.get("size"), str(preprocess.get("fit"))
    height, width = size if isinstance(size, list) else (size, size)
    pairs = [
        (
            "Input",
            f"{width} × {height}, {_FIT.get(fit, fit)}, "
            f"normalization {preprocess.get('normalize')}",
        )
    ]
    colour = preprocess.get("colour", "none")
    if colour != "none":
        says = _COLOUR.get(colour, colour)
        if colour != "grayscale":
            reference = preprocess.get("reference", "train")
            name = without_machine(str(reference))
            says += "; reference: " + (
                "the training photograph nearest to the median" if reference == "train" else name
            )
        pairs.append(("Colour", says))
    return pairs


def _augmentation(augment: Mapping[str, Any]) -> Pairs:
    says = ["flips and right-angle rotations"] if augment.get("flips") else []
    says += [f"{k}, strength {_plain(augment[k])}" for k in ("colour", "stain") if augment.get(k)]
    return [("Augmentation", "; ".join(says))] if says else []


def _balance(balance: Mapping[str, Any]) -> str:
    method = str(balance.get("method", "none"))
    says = _BALANCE.get(method, method)
    if balance.get("when") == "before-val-leaky":
        says += "; copied before the validation draw, so that copies stand on both sides of it"
    return says


def _split(split: Mapping[str, Any]) -> str:
    folds, protocols = split.get("folds"), split.get("protocols") or []
    drawn = f"hold-out of {split.get('test_fraction')}" if folds == 1 else f"{folds} folds"
    if folds == "each":
        drawn = "one group left out at a time, each once"
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
    method = train.get("method")
    if method == "probe":
        return _probe(run, train)
    if method not in ("finetune", "dense"):
        return []
    dropout = run.recipe.get("model", {}).get("dropout")
    says = _dense(run, train) if method == "dense" else _finetuned(train)
    return [
        ("Training", f"{method}: {says}"),
        *([("Dropout", _plain(dropout))] if dropout else []),
        *_by_gradient(train),
    ]


def _finetuned(train: Mapping[str, Any]) -> str:
    says = _trainable(train.get("trainable", "all"))
    kept = "statistics of batch normalization kept"
    return f"{says}; {kept}" if train.get("freeze_batch_norm") else says


def _trainable(layers: object) -> str:
    """How much of the backbone is trained: ``all`` or the number of its last layer groups."""
    if layers == "all":
        return "all layers"
    if layers == 0:
        return "the head alone, the backbone frozen"
    which = "last layer group" if layers == 1 else f"last {layers} layer groups"
    return f"the {which} and the head, the rest frozen"


def _dense(run: RunFolder, train: Mapping[str, Any]) -> str:
    hidden = train.get("hidden") or ()
    if not hidden:
        return f"{_frozen(run)}, one fully connected layer"
    widths = ", ".join(map(str, hidden))
    return f"{_frozen(run)}, {len(hidden) + 1} fully connected layers (hidden: {widths})"


def _probe(run: RunFolder, train: Mapping[str, Any]) -> Pairs:
    head = str(train.get("head", "logistic"))
    pairs = [("Training", f"probe: {_frozen(run)}, {_HEADS.get(head, head)}")]
    if head == "random-forest":
        return [*pairs, ("Trees", _plain(train.get("trees"))), *_precision(train)]
    if head == "knn":
        return [*pairs, ("Neighbours", _plain(train.get("neighbours"))), *_precision(train)]
    offered = train.get("c")
    offered = offered if isinstance(offered, list) else [offered]
    if offered != [None]:
        says = ", ".join(f"{c:g}" for c in offered)
        if len(offered) > 1:
            says += f" offered; chosen: {_chosen(run)}"
        pairs.append(("Regularization", f"C {says}"))
    return [*pairs, *_precision(train)]


def _frozen(run: RunFolder) -> str:
    handcrafted = run.recipe.get("model", {}).get("backbone") == HANDCRAFTED
    return "handcrafted features" if handcrafted else "frozen features"


def _chosen(run: RunFolder) -> str:
    found = Counter(child.c for child in run.children if child.c is not None)
    if not found:
        return "not recorded"
    if len(found) == 1:
        return f"{next(iter(found)):g}"
    return ", ".join(f"{c:g} ({plural(n, 'model')})" for c, n in sorted(found.items()))


def _by_gradient(train: Mapping[str, Any]) -> Pairs:
    pairs: Pairs = []
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
