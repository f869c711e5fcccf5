"""Figures by patient: Spanhol's patient score, and two decisions that are other metrics.

- patient score: share of the patient's images that are predicted rightly (Spanhol et al., IEEE
  TBME 63(7), 2016).
- patient recognition rate: mean of the patient scores.
- mean-probability accuracy: share of patients for whom the class with the highest mean probability
  over their images is the true one.
- majority-vote accuracy: share of patients for whom the class predicted for most images is the true
  one; of equal votes the class with the higher mean probability wins.

A slide with two labels is one patient and is scored once for each label. With several repeats every
figure is computed in each repeat and averaged. Images without patient id are left out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from magnostic.evaluate.bootstrap import Sampling, clusters, resample
from magnostic.evaluate.metrics import Floats, mean_defined, ratio
from magnostic.evaluate.predictions import Predictions

#: Figures over patients, and the column of :func:`score_table` that each is the mean of.
FIGURES: Final = {
    "recognition_rate": "score",
    "mean_probability_accuracy": "mean_probability_correct",
    "majority_vote_accuracy": "majority_correct",
}


def score_table(predictions: Predictions) -> pd.DataFrame:
    """One row a (repeat, patient, label), sorted so.

    Columns: ``repeat, patient_id, accession, label, n_images, score`` (share in [0, 1]) and
    ``mean_probability_correct, majority_correct`` (0 or 1). ``accession`` is the first one given.
    """
    known = predictions.table["patient_id"].notna().to_numpy()
    table = predictions.table[known]
    n_classes = len(predictions.classes)
    probabilities = predictions.probabilities[known].astype(np.float64)
    predicted = predictions.predicted_index[known]
    keys = ["repeat", "patient_id", "y_true"]
    grouped = table.groupby(keys, sort=True)
    group = grouped.ngroup().to_numpy()
    first = grouped.agg(accession=("accession", "first"), n_images=("image_id", "size"))
    frame = first.reset_index().rename(columns={"y_true": "label"})
    n = len(frame)
    size = frame["n_images"].to_numpy(np.float64)
    mean = np.zeros((n, n_classes))
    np.add.at(mean, group, probabilities)
    mean /= np.maximum(size, 1)[:, None]
    votes = np.bincount(group * n_classes + predicted, minlength=n * n_classes)
    # Votes are whole numbers: half a probability breaks ties and nothing else.
    ballot = votes.reshape(n, n_classes) + mean / 2
    truth = pd.Index(predictions.classes).get_indexer(pd.Index(frame["label"]))
    hits = votes.reshape(n, n_classes)[np.arange(n), truth] if n else np.zeros(0)
    return frame.assign(
        score=hits / np.maximum(size, 1),
        mean_probability_correct=(mean.argmax(axis=1) == truth).astype(np.float64),
        majority_correct=(ballot.argmax(axis=1) == truth).astype(np.float64),
    )


def summarize_patients(
    predictions: Predictions, unit: str, sampling: Sampling, stream: str
) -> dict[str, Any] | None:
    """Figures over patients with intervals that resample ``unit``; None without patient ids.

    Returns:
        ``n`` (patient and label pairs), ``n_patients``, ``n_clusters``, ``cluster``, the three
        :data:`FIGURES`, ``n_images_without_patient`` and ``scores``: a list of ``patient_id,
        label, n_images, score, mean_probability_correct, majority_correct``, means over repeats.
    """
    table = score_table(predictions)
    if table.empty:
        return None
    # A patient stands for one image here, so that bootstrap.clusters can group by either id.
    found = clusters(table.assign(image_id=table["patient_id"]), unit)
    repeats = np.unique(table["repeat"], return_inverse=True)[1]
    shape = (int(repeats.max()) + 1, found.n)
    cell = repeats * found.n + found.codes

    def tally(values: Floats) -> Floats:
        summed = np.bincount(cell, values, minlength=shape[0] * shape[1])
        return summed.reshape(shape).astype(np.float64)

    members = tally(np.ones(len(table)))
    sums = {name: tally(table[column].to_numpy(float)) for name, column in FIGURES.items()}

    def statistic(weights: Floats) -> dict[str, Floats]:
        size = weights @ members.T
        return {name: mean_defined(ratio(weights @ s.T, size)) for name, s in sums.items()}

    estimates = resample(statistic, found.n, sampling, f"{stream}/patients", shape[0])
    by_patient = table.groupby(["patient_id", "label"], sort=True, as_index=False)[
        ["n_images", *FIGURES.values()]
    ].mean()
    by_patient["n_images"] = by_patient["n_images"].round().astype(int)
    return {
        "n": len(by_patient),
        "n_patients": int(by_patient["patient_id"].nunique()),
        "n_clusters": found.n,
        "cluster": found.unit,
        **{name: estimates[name][0].as_dict() for name in FIGURES},
        "n_images_without_patient": int(
            predictions.table.loc[predictions.table["patient_id"].isna(), "image_id"].nunique()
        ),
        "scores": by_patient.to_dict(orient="records"),
    }
