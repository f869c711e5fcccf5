"""One child run: one fold of one protocol, trained, predicted and written to its folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from magnostic.evaluate.predictions import Predictions, make
from magnostic.files import write_json, write_text
from magnostic.models import classifier
from magnostic.models.classifier import Classifier, Spec, softmax
from magnostic.splits.table import Parts
from magnostic.train import predict
from magnostic.train.experiment import Experiment
from magnostic.train.fit import FeaturesOf, Fitted, fit


def train_child(
    experiment: Experiment, parts: Parts, folder: Path, shared: Path | None = None
) -> tuple[Predictions, Fitted]:
    """Train on one fold and write model, history, provenance and predictions to ``folder``.

    Args:
        shared: file that holds the frozen encoder of all children; None: it goes with the head.
    """
    write_text(folder / "recipe.yaml", experiment.recipe.to_yaml())
    parts.write(folder)
    fitted = fit(experiment, parts, folder)
    write_fitted(experiment, fitted, folder, shared)
    predictions = predict_parts(
        experiment.table, experiment.y, parts, fitted.spec, fitted.model, fitted.features_of
    )
    predictions.write(folder / "predictions.parquet")
    return predictions, fitted


def write_fitted(
    experiment: Experiment, fitted: Fitted, folder: Path, shared: Path | None = None
) -> None:
    """Write the model, its description and ``fitted_on.json``."""
    spec = fitted.spec
    if shared is not None and next(fitted.model.encoder.parameters(), None) is not None:
        if not shared.is_file():
            classifier.save_encoder(shared, fitted.model.encoder)
        spec = replace(spec, backbone_file=os.path.relpath(shared, folder))
    classifier.save(folder, fitted.model, spec)
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
        probabilities = softmax(predict.logits(model.head, features_of(positions)))
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
