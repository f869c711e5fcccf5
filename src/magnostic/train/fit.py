"""Fitting one fold by the recipe's method: fine-tuning, dense layers or a classical head."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from magnostic.errors import SplitError
from magnostic.files import write_text
from magnostic.models import heads
from magnostic.models.classifier import Classifier, Spec
from magnostic.models.encoders import freeze
from magnostic.preprocess import zscore
from magnostic.preprocess.balance import (
    Samples,
    as_they_are,
    class_weights,
    equal_shares,
    oversample,
)
from magnostic.preprocess.smote import smote_features, smote_pixels
from magnostic.recipe import Dense, Finetune, Probe
from magnostic.splits.table import Parts
from magnostic.train import device, predict, probe
from magnostic.train.experiment import Experiment
from magnostic.train.finetune import Job, finetune
from magnostic.train.inputs import Inputs, Photographs, Vectors

FeaturesOf = Callable[[NDArray[np.intp]], NDArray[np.float32]]
Method = Finetune | Dense | Probe


@dataclass(frozen=True)
class Fitted:
    """A trained network, and what each of its parts was fitted on (image ids; None: nothing).

    Attributes:
        features_of: what the head sees, float32 [n, D], of given positions of the table.
        c: the probe's chosen inverse regularization strength, None for other systems.
    """

    model: Classifier
    spec: Spec
    features_of: FeaturesOf
    weights: Sequence[str]
    statistics: Sequence[str] | None
    selection: Sequence[str] | None
    c: float | None = None


@dataclass(frozen=True)
class _Prepared:
    """What all methods need of one fold: changes of colour, statistics, and who gave them."""

    photographs: Photographs
    stats: zscore.Statistics
    fitted_on: list[str]


def fit(experiment: Experiment, parts: Parts, folder: Path, train: Method | None = None) -> Fitted:
    """Train by the recipe's method (or ``train``) on one fold; writes ``history.jsonl``."""
    train = train or experiment.recipe.train
    if isinstance(train, Finetune):
        return _fit_finetune(experiment, parts, train, folder)
    return _fit_frozen(experiment, parts, train, folder)


def require_validation(train: Method, parts: Parts) -> None:
    """Raise SplitError where several values of c are to be chosen among on no image."""
    if isinstance(train, Probe) and len(train.c) > 1 and parts.ids("val").empty:
        raise SplitError(
            f"protocol {parts.table['protocol'].iloc[0]}, fold {parts.table['fold'].iloc[0]}: no "
            "image is left for validation, and train.c lists several values; give one value, or "
            "fewer folds"
        )


def frozen_features(experiment: Experiment, parts: Parts) -> tuple[NDArray[np.float32], bool]:
    """What the head of a frozen encoder sees of every row of the table, float32 [N, D].

    Also whether the photographs' colours or statistics were taken from this fold's training part.
    """
    rows, val = (experiment.positions(parts.ids(part)) for part in ("train", "val"))
    ready = _prepare(experiment, rows, val)
    encoder = experiment.encoder(ready.stats)
    features = experiment.frozen_features(encoder, ready.stats, ready.photographs)
    return features, bool(ready.fitted_on)


def pooled_features(model: Classifier, spec: Spec, photographs: Photographs) -> FeaturesOf:
    """What the head sees, computed anew for the positions that are asked for."""

    def of(positions: NDArray[np.intp]) -> NDArray[np.float32]:
        return predict.features(
            model,
            photographs,
            positions,
            batch_size=spec.batch_size,
            precision=device.precision(spec.precision),
            what="predicting",
        )

    return of


def _prepare(experiment: Experiment, train: NDArray[np.intp], val: NDArray[np.intp]) -> _Prepared:
    rows = np.unique(train)
    chosen, reference_from = experiment.colour_for(rows)
    photographs = experiment.photographs(chosen)
    if experiment.recipe.preprocess.normalize == "train+val":
        rows = np.union1d(rows, val)
    stats, counted = experiment.statistics(photographs, rows)
    return _Prepared(photographs, stats, sorted({*reference_from, *counted}))


def _fit_finetune(experiment: Experiment, parts: Parts, train: Finetune, folder: Path) -> Fitted:
    recipe = experiment.recipe
    samples, val = _samples(experiment, parts, _rng(experiment, parts))
    ready = _prepare(experiment, samples.used, val.rows)
    job = _job(experiment, parts, train, ready.photographs, experiment.y_index, samples, val)
    encoder = experiment.encoder(ready.stats)
    freeze(encoder, train)
    torch.manual_seed(recipe.seed)
    head = nn.Linear(encoder.width, len(experiment.classes))
    model = finetune(Classifier(encoder, head, recipe.model.dropout), job, folder)
    spec = experiment.spec(ready.photographs.colour, ready.stats, head)
    names = experiment.table["image_id"]
    return Fitted(
        model=model,
        spec=spec,
        features_of=pooled_features(model, spec, ready.photographs),
        weights=names.iloc[samples.used].tolist(),
        statistics=ready.fitted_on or None,
        selection=_selection(experiment, val, train),
    )


def _rng(experiment: Experiment, parts: Parts) -> np.random.Generator:
    first = parts.table.iloc[0]
    return np.random.default_rng(
        [experiment.recipe.seed, int(first["repeat"]), int(first["fold"]), 2]
    )


def _selection(experiment: Experiment, val: Samples, train: Finetune | Dense) -> list[str] | None:
    if not len(val) or train.select == "last":
        return None
    names: list[str] = experiment.table["image_id"].iloc[val.used].tolist()
    return names


def _job(
    experiment: Experiment,
    parts: Parts,
    train: Finetune | Dense,
    inputs: Inputs,
    y: NDArray[np.intp],
    samples: Samples,
    val: Samples,
) -> Job:
    recipe = experiment.recipe
    method, of_samples = recipe.balance.method, y[samples.rows]
    weights = class_weights(of_samples, len(experiment.classes))
    frozen = isinstance(train, Dense)
    return Job(
        inputs=inputs,
        y=y,
        train=samples,
        val=val,
        class_weights=weights if method == "class-weights" else None,
        sampling=equal_shares(of_samples) if method == "weighted-sampler" else None,
        recipe=train,
        augment=recipe.augment,
        precision="fp32" if frozen else device.precision(train.precision),
        seed=recipe.seed,
        identity=hash_of_split(experiment, parts),
        brief=frozen,
    )


def _samples(
    experiment: Experiment, parts: Parts, rng: np.random.Generator
) -> tuple[Samples, Samples]:
    """Training and validation samples, positions of the table, balanced as the recipe says."""
    balance, y = experiment.recipe.balance, experiment.y_index
    train = experiment.positions(parts.ids("train"))
    val = as_they_are(experiment.positions(parts.ids("val")))
    if balance.method == "smote-pixels":
        pixels, rows = experiment.pixels.array, experiment.pixel_rows[train]
        mixed = smote_pixels(pixels, rows, y[train], int(rng.integers(2**31)))
        still = np.zeros(len(mixed.first), dtype=np.int8)
        return Samples(train[mixed.first], still, train[mixed.second], mixed.share), val
    if balance.method != "oversample":
        return as_they_are(train), val
    copies = oversample(train, y[train], rng)
    if balance.when == "after-val":
        return copies, val
    shuffled = rng.permutation(len(copies))
    n_val = math.ceil(experiment.recipe.split.val_fraction * len(copies))
    return copies.take(shuffled[n_val:]), copies.take(shuffled[:n_val])


def _fit_frozen(experiment: Experiment, parts: Parts, train: Probe | Dense, folder: Path) -> Fitted:
    rows = experiment.positions(parts.ids("train"))
    val = experiment.positions(parts.ids("val"))
    ready = _prepare(experiment, rows, val)
    encoder = experiment.encoder(ready.stats)
    features = experiment.frozen_features(encoder, ready.stats, ready.photographs)
    known = features[rows], experiment.y_index[rows]
    if experiment.recipe.balance.method == "smote-features":
        known = _filled_up(known, int(_rng(experiment, parts).integers(2**31)))
    if isinstance(train, Probe):
        head, c = _probe(experiment, train, known, (features[val], experiment.y_index[val]), folder)
        selects = len(train.c) > 1
    else:
        c, selects = None, len(val) > 0 and train.select != "last"
        head = _dense(experiment, parts, train, known, features, val, folder)
    names = experiment.table["image_id"]
    return Fitted(
        model=Classifier(encoder, head).eval(),
        spec=experiment.spec(ready.photographs.colour, ready.stats, head),
        features_of=lambda positions: features[positions],
        weights=names.iloc[rows].tolist(),
        # The head standardizes features by the training part, whatever the pixels' statistics.
        statistics=sorted({*ready.fitted_on, *names.iloc[rows]}),
        selection=names.iloc[val].tolist() if selects else None,
        c=c,
    )


Labelled = tuple[NDArray[np.float32], NDArray[np.intp]]


def _filled_up(known: Labelled, seed: int) -> Labelled:
    """SMOTE among standardized features: else those of large values alone decide who is near."""
    features, y = known
    shift, scale = heads.standardization(features)
    mixed, labels = smote_features((features - shift) / scale, y, seed)
    made = mixed[len(features) :] * scale + shift
    return np.concatenate([features, made]), labels


def _probe(
    experiment: Experiment, train: Probe, known: Labelled, val: Labelled, folder: Path
) -> tuple[nn.Module, float | None]:
    recipe = experiment.recipe
    balanced = recipe.balance.method == "class-weights"
    with device.one_thread():
        head, c, history = probe.fit(
            *known, len(experiment.classes), train, balanced, val=val, seed=recipe.seed
        )
    write_text(folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in history))
    return head, c


def _dense(
    experiment: Experiment,
    parts: Parts,
    train: Dense,
    known: Labelled,
    features: NDArray[np.float32],
    val: NDArray[np.intp],
    folder: Path,
) -> nn.Module:
    """Fully connected layers over features that are standardized by the training part."""
    recipe = experiment.recipe
    vectors = np.concatenate([known[0], features[val]])
    y = np.concatenate([known[1], experiment.y_index[val]])
    samples, chosen = (
        as_they_are(np.arange(start, stop))
        for start, stop in ((0, len(known[1])), (len(known[1]), len(y)))
    )
    torch.manual_seed(recipe.seed)
    head = heads.dense(
        vectors.shape[1], train.hidden, len(experiment.classes), recipe.model.dropout, known[0]
    )
    job = _job(experiment, parts, train, Vectors(vectors), y, samples, chosen)
    with device.one_thread():  # matrices this small cost more to share than to multiply
        return finetune(head, job, folder)


def hash_of_split(experiment: Experiment, parts: Parts) -> str:
    """Hex digest of recipe, data and the part of each image: what a checkpoint belongs to."""
    text = experiment.recipe.to_yaml() + experiment.images.data_hash
    text += "\n".join(parts.table["image_id"] + " " + parts.table["part"])
    return hashlib.sha256(text.encode()).hexdigest()
