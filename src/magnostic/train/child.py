"""One child run: one fold of one protocol, trained, predicted and written to its folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from magnostic.errors import SplitError
from magnostic.evaluate.predictions import Predictions, make
from magnostic.files import write_json, write_text
from magnostic.models import classifier
from magnostic.models.classifier import Classifier, Spec, softmax
from magnostic.preprocess import zscore
from magnostic.preprocess.balance import Samples, as_they_are, class_weights, oversample
from magnostic.recipe import Finetune, Probe
from magnostic.splits.table import Parts
from magnostic.train import device, predict, probe
from magnostic.train.experiment import Experiment
from magnostic.train.finetune import Job, finetune

FeaturesOf = Callable[[NDArray[np.intp]], NDArray[np.float32]]


@dataclass(frozen=True)
class Fitted:
    """A trained network, and what each of its parts was fitted on (image ids; None: nothing).

    Attributes:
        features_of: pooled features, float32 [n, D], of given positions of the table.
        c: the probe's chosen inverse regularization strength, None for a fine-tuned network.
    """

    model: Classifier
    spec: Spec
    features_of: FeaturesOf
    weights: Sequence[str]
    statistics: Sequence[str] | None
    selection: Sequence[str] | None
    c: float | None = None


def train_child(experiment: Experiment, parts: Parts, folder: Path) -> tuple[Predictions, Fitted]:
    """Train on one fold and write model, history, provenance and predictions to ``folder``."""
    write_text(folder / "recipe.yaml", experiment.recipe.to_yaml())
    parts.write(folder)
    fitted = fit(experiment, parts, folder)
    write_fitted(experiment, fitted, folder)
    predictions = predict_parts(
        experiment.table, experiment.y, parts, fitted.spec, fitted.model, fitted.features_of
    )
    predictions.write(folder / "predictions.parquet")
    return predictions, fitted


def fit(
    experiment: Experiment, parts: Parts, folder: Path, train: Finetune | Probe | None = None
) -> Fitted:
    """Train by the recipe's method (or ``train``) on one fold; writes ``history.jsonl``."""
    train = train or experiment.recipe.train
    if isinstance(train, Probe):
        return _fit_probe(experiment, parts, train, folder)
    return _fit_finetune(experiment, parts, train, folder)


def require_validation(train: Finetune | Probe, parts: Parts) -> None:
    """Raise SplitError where several values of c are to be chosen among on no image."""
    if isinstance(train, Probe) and len(train.c) > 1 and parts.ids("val").empty:
        raise SplitError(
            f"protocol {parts.table['protocol'].iloc[0]}, fold {parts.table['fold'].iloc[0]}: no "
            "image is left for validation, and train.c lists several values; give one value, or "
            "fewer folds"
        )


def write_fitted(experiment: Experiment, fitted: Fitted, folder: Path) -> None:
    """Write the model, its description and ``fitted_on.json``."""
    classifier.save(folder, fitted.model, fitted.spec)
    sets = {
        "weights": fitted.weights,
        "statistics": fitted.statistics,
        "selection": fitted.selection,
        "calibration": None,
        "thresholds": None,
    }
    entries = {k: None if v is None else experiment.fingerprint(v) for k, v in sets.items()}
    write_json(folder / "fitted_on.json", entries)


def predict_parts(
    table: pd.DataFrame,
    y: pd.Series,
    parts: Parts,
    spec: Spec,
    model: Classifier,
    features_of: FeaturesOf,
) -> Predictions:
    """Predictions of the parts ``val`` and ``test``, in the order of the split table."""
    first = parts.table.iloc[0]
    frames = []
    for part in ("val", "test"):
        positions = pd.Index(table["image_id"]).get_indexer(pd.Index(parts.ids(part)))
        if not len(positions):
            continue
        probabilities = softmax(predict.logits(model, features_of(positions)))
        frames.append(
            make(
                table.iloc[positions],
                y.iloc[positions].tolist(),
                probabilities,
                spec.classes,
                protocol=str(first["protocol"]),
                repeat=int(first["repeat"]),
                fold=int(first["fold"]),
                part=part,
            )
        )
    return Predictions(pd.concat(frames, ignore_index=True))


def pooled_features(
    model: Classifier, spec: Spec, pixels: NDArray[np.uint8], rows: NDArray[np.intp]
) -> FeaturesOf:
    """Features of positions of a table whose photographs stand in these rows of the pixels."""

    def of(positions: NDArray[np.intp]) -> NDArray[np.float32]:
        return predict.features(
            model,
            pixels,
            rows[positions],
            batch_size=spec.batch_size,
            precision=device.precision(spec.precision),
            what="predicting",
        )

    return of


def _statistics(
    experiment: Experiment, train: NDArray[np.intp], val: NDArray[np.intp]
) -> tuple[zscore.Statistics, list[str] | None]:
    """Statistics of the z-score, and the ids that they were computed on (None: on none of ours)."""
    kind = experiment.recipe.preprocess.normalize
    if kind not in ("train", "train+val"):
        return experiment.statistics(train), None
    rows = np.union1d(train, val) if kind == "train+val" else np.unique(train)
    return experiment.statistics(rows), experiment.table["image_id"].iloc[rows].tolist()


def _fit_finetune(experiment: Experiment, parts: Parts, train: Finetune, folder: Path) -> Fitted:
    recipe = experiment.recipe
    first = parts.table.iloc[0]
    rng = np.random.default_rng([recipe.seed, int(first["repeat"]), int(first["fold"]), 2])
    samples, val = _samples(experiment, parts, rng)
    stats, statistics_ids = _statistics(experiment, samples.rows, val.rows)
    weights = None
    if recipe.balance.method == "class-weights":
        weights = class_weights(experiment.y_index[samples.rows], len(experiment.classes))
    job = Job(
        pixels=experiment.pixels.array,
        pixel_rows=experiment.pixel_rows,
        y=experiment.y_index,
        train=samples,
        val=val,
        class_weights=weights,
        recipe=train,
        seed=recipe.seed,
        identity=hash_of_split(experiment, parts),
    )
    accelerator = device.accelerator(device.precision(train.precision))
    model = finetune(experiment.network(stats), job, folder, accelerator)
    spec = experiment.spec(stats)
    names = experiment.table["image_id"]
    selects = len(val) > 0 and train.select != "last"
    return Fitted(
        model=model,
        spec=spec,
        features_of=pooled_features(model, spec, job.pixels, job.pixel_rows),
        weights=names.iloc[np.unique(samples.rows)].tolist(),
        statistics=statistics_ids,
        selection=names.iloc[np.unique(val.rows)].tolist() if selects else None,
    )


def _samples(
    experiment: Experiment, parts: Parts, rng: np.random.Generator
) -> tuple[Samples, Samples]:
    """Training and validation samples, positions of the table, balanced as the recipe says."""
    balance, y = experiment.recipe.balance, experiment.y_index
    train = experiment.positions(parts.ids("train"))
    val = as_they_are(experiment.positions(parts.ids("val")))
    if balance.method != "oversample":
        return as_they_are(train), val
    copies = oversample(train, y[train], rng)
    if balance.when == "after-val":
        return copies, val
    shuffled = rng.permutation(len(copies))
    n_val = math.ceil(experiment.recipe.split.val_fraction * len(copies))
    return copies.take(shuffled[n_val:]), copies.take(shuffled[:n_val])


def _fit_probe(experiment: Experiment, parts: Parts, train: Probe, folder: Path) -> Fitted:
    recipe, y = experiment.recipe, experiment.y_index
    rows = experiment.positions(parts.ids("train"))
    val = experiment.positions(parts.ids("val"))
    stats, statistics_ids = _statistics(experiment, rows, val)
    model = experiment.network(stats).eval()
    features = experiment.frozen_features(model)
    head, history = probe.fit(
        features[rows],
        y[rows],
        len(experiment.classes),
        train,
        balanced=recipe.balance.method == "class-weights",
        val=(features[val], y[val]),
        seed=recipe.seed,
    )
    write_text(folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in history))
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight))
        model.head.bias.copy_(torch.from_numpy(head.bias))
    names = experiment.table["image_id"]
    return Fitted(
        model=model,
        spec=experiment.spec(stats),
        features_of=lambda positions: features[positions],
        weights=names.iloc[rows].tolist(),
        # The head standardizes features by the training part, whatever the pixels' statistics.
        statistics=statistics_ids or names.iloc[rows].tolist(),
        selection=names.iloc[val].tolist() if len(train.c) > 1 else None,
        c=head.c,
    )


def hash_of_split(experiment: Experiment, parts: Parts) -> str:
    """Hex digest of recipe, data and the part of each image: what a checkpoint belongs to."""
    text = experiment.recipe.to_yaml() + experiment.images.data_hash
    text += "\n".join(parts.table["image_id"] + " " + parts.table["part"])
    return hashlib.sha256(text.encode()).hexdigest()
