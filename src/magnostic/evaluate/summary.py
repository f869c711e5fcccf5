"""The content of metrics.json: every figure of a report, computed from the predictions table alone.

Test predictions are pooled over the folds of a protocol, so that each image is scored once in a
repeat, by a model that has not seen it. With several repeats (for the official folds: draws) every
figure is computed in each repeat and averaged, inside each resample too; counts of images and
confusion matrices are summed over repeats. AUC and log loss compare probabilities of different
folds' models as they are.

Shape (``M`` is ``{"estimate", "low", "high"}`` and ``"reason"`` where there is no interval; values
are null where undefined, shares in [0, 1])::

    {"version": 1, "classes": [...], "resamples": 1000, "confidence": 0.95, "seed": 0,
     "protocols": {"patient": {
        "n_images", "n_patients", "n_accessions", "n_clusters", "cluster", "repeats", "folds",
        "warnings": ["…"],
        "overall": {"accuracy": M, "balanced_accuracy": M, "macro_precision": M, "macro_recall": M,
                    "macro_f1": M, "macro_auc": M, "log_loss": M},
        "majority": 0.44,
        "by_magnification": {"40": {…overall's figures: M…, "n", "n_clusters"}, …, "unknown": …},
        "by_class": {"DC": {"precision": M, "recall": M, "f1": M, "auc": M, "n", "n_clusters"}},
        "confusion": {"classes": [...], "counts": [[…], …]},
        "patients": {"n", "n_patients", "n_clusters", "cluster", "recognition_rate": M,
                     "mean_probability_accuracy": M, "majority_vote_accuracy": M,
                     "n_images_without_patient", "scores": [{…}, …]} | null,
        "by_fold": [{"repeat", "fold", "accuracy", "macro_f1", "n", "not_estimable"}],
        "estimable": {…overall's figures: M…, "n", "n_clusters", "excluded": {class: n}} | null,
        "probabilities": {… as probabilities.assess says …}}},
     "gap": {"patient": {"n_images", "n_clusters", "cluster",
                         "accuracy": M in points + {"random", "grouped"}, "macro_f1": …,
                         "estimable": {the same on estimable images} | null}}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import TableError
from magnostic.evaluate import gap
from magnostic.evaluate.bootstrap import Estimate, Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import OVERALL, PER_CLASS
from magnostic.evaluate.patients import summarize_patients
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import assess
from magnostic.evaluate.tally import Tally, score

NotEstimable = Mapping[tuple[str, int, int], Sequence[str]]


def summarize(
    predictions: Predictions,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    not_estimable: NotEstimable,
) -> dict[str, Any]:
    """Content of metrics.json; see the head of this file. Equal inputs give equal output.

    Args:
        predictions: any protocols, repeats and folds; rows of ``part`` test are scored, and a
            single fold's calibration is fitted on its rows of ``part`` val.
        resamples: bootstrap resamples, 0 for no intervals.
        confidence: of the intervals, in (0, 1).
        seed: of the bootstrap.
        not_estimable: for (protocol, repeat, fold) the classes without a training image.

    Raises:
        TableError: there is no test prediction.
    """
    test = predictions.where(part="test")
    if test.table.empty:
        raise TableError(
            "predictions table: no row has part 'test', so there is nothing to score; "
            "predict the test part first"
        )
    sampling = Sampling(resamples, confidence, seed)
    sides = {str(name): test.where(protocol=name) for name in pd.unique(test.table["protocol"])}
    estimable = {name: _estimable(side, name, not_estimable) for name, side in sides.items()}
    gaps = {}
    if gap.RANDOM in sides:
        for name in sides:
            if name != gap.RANDOM:
                gaps[name] = _gap(sides, estimable, name, sampling)
    return {
        "version": 1,
        "classes": test.classes,
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
        "protocols": {
            name: {
                **_protocol(side, name, estimable[name], not_estimable, sampling),
                "probabilities": assess(predictions.where(protocol=name), name, sampling),
            }
            for name, side in sides.items()
        },
        "gap": {name: found for name, found in gaps.items() if found is not None},
    }


def _protocol(
    test: Predictions,
    name: str,
    estimable: NDArray[np.bool_],
    not_estimable: NotEstimable,
    sampling: Sampling,
) -> dict[str, Any]:
    table = test.table
    unit = unit_of(name)
    found = clusters(table, unit)
    tally = Tally.of(test, found.codes, found.n)
    estimates = resample(tally.values, found.n, sampling, f"{name}/overall", tally.width)
    counts = tally.confusion.sum(axis=(0, 1))
    magnifications = table["magnification"]
    by_magnification = {}
    for value in sorted(magnifications.dropna().unique()):
        by_magnification[str(int(value))] = _set(
            test, (magnifications == value).to_numpy(bool), unit, sampling, f"{name}/{int(value)}"
        )
    if magnifications.isna().any() and by_magnification:
        by_magnification["unknown"] = _set(
            test, magnifications.isna().to_numpy(), unit, sampling, f"{name}/unknown"
        )
    return {
        "n_images": int(table["image_id"].nunique()),
        "n_patients": _distinct(table["patient_id"]),
        "n_accessions": _distinct(table["accession"]),
        "n_clusters": found.n,
        "cluster": found.unit,
        "repeats": int(table["repeat"].nunique()),
        "folds": len(table[["repeat", "fold"]].drop_duplicates()),
        "warnings": _warnings(test, tally, found.unit, found.warning),
        "overall": {metric: estimates[metric][0].as_dict() for metric in OVERALL},
        "majority": float(counts.sum(axis=1).max() / counts.sum()),
        "by_magnification": by_magnification,
        "by_class": _by_class(test, tally, estimates, found.unit),
        "confusion": {"classes": test.classes, "counts": counts.astype(int).tolist()},
        "patients": summarize_patients(test, unit, sampling, name),
        "by_fold": _by_fold(test, name, not_estimable),
        "estimable": _estimable_only(test, estimable, unit, sampling, name),
    }


def _set(
    test: Predictions, keep: NDArray[np.bool_], unit: str, sampling: Sampling, stream: str
) -> dict[str, Any]:
    """Overall figures of some rows, clusters counted among them alone."""
    rows = Predictions(test.table.loc[keep].reset_index(drop=True))
    found = clusters(rows.table, unit)
    tally = Tally.of(rows, found.codes, found.n)
    estimates = resample(tally.values, found.n, sampling, stream, tally.width)
    return {
        **{metric: estimates[metric][0].as_dict() for metric in OVERALL},
        "n": int(rows.table["image_id"].nunique()),
        "n_clusters": found.n,
    }


def _by_class(
    test: Predictions, tally: Tally, estimates: Mapping[str, list[Estimate]], unit: str
) -> dict[str, Any]:
    result = {}
    images = test.table.groupby("y_true")["image_id"].nunique()
    for k, label in enumerate(test.classes):
        n_clusters = int(tally.class_clusters[k])
        entry: dict[str, Any] = {}
        for metric in PER_CLASS:
            estimate = estimates[metric][k]
            if n_clusters < 2 and estimate.low is not None:
                # Every resample that has the class would repeat the one cluster.
                estimate = estimate.without_interval(f"the class stands in one {unit} only")
            entry[metric] = estimate.unless_constant().as_dict()
        result[label] = {**entry, "n": int(images.get(label, 0)), "n_clusters": n_clusters}
    return result


def _warnings(test: Predictions, tally: Tally, unit: str, missing_ids: str | None) -> list[str]:
    said = [missing_ids] if missing_ids else []
    single = [c for c, n in zip(test.classes, tally.class_clusters, strict=True) if n == 1]
    if single and unit != "image":
        said.append(
            f"{', '.join(single)}: test images of one {unit} only, so that intervals of macro "
            f"figures cannot show how such {unit}s differ."
        )
    of_fold = test.table.groupby(["repeat", "fold"])["y_true"].nunique()
    if len(of_fold) > 2 and (of_fold == 1).mean() > 0.5:
        said.append(
            "Most folds test one class: pooled AUC and log loss compare scores of models that have "
            "each seen fewer of the class they are tested on, and lie below what one model would "
            "reach, at worst at 0. Report accuracy, or fewer and larger folds."
        )
    absent = [c for c, n in zip(test.classes, tally.class_clusters, strict=True) if n == 0]
    if absent:
        said.append(f"{', '.join(absent)}: no test image; macro figures are over the other types.")
    return said


def _by_fold(test: Predictions, name: str, not_estimable: NotEstimable) -> list[dict[str, Any]]:
    rows = []
    for _, group in test.table.groupby(["repeat", "fold"], sort=True):
        values = score(Predictions(group.reset_index(drop=True)))
        key = (name, int(group["repeat"].iloc[0]), int(group["fold"].iloc[0]))
        rows.append(
            {
                "repeat": key[1],
                "fold": key[2],
                "accuracy": values["accuracy"],
                "macro_f1": values["macro_f1"],
                "n": len(group),
                "not_estimable": list(not_estimable.get(key, ())),
            }
        )
    return rows


def _estimable(test: Predictions, name: str, not_estimable: NotEstimable) -> NDArray[np.bool_]:
    """bool [N]: the true class had training images in the row's fold."""
    keep = np.ones(len(test.table), dtype=bool)
    for (protocol, repeat, fold), classes in not_estimable.items():
        if protocol == name:
            here = (test.table["repeat"] == repeat) & (test.table["fold"] == fold)
            keep &= ~(here & test.table["y_true"].isin(list(classes))).to_numpy()
    return keep


def _estimable_only(
    test: Predictions, keep: NDArray[np.bool_], unit: str, sampling: Sampling, name: str
) -> dict[str, Any] | None:
    if keep.all():
        return None
    excluded = test.table.loc[~keep].groupby("y_true")["image_id"].nunique()
    counts = {c: int(excluded[c]) for c in test.classes if c in excluded.index}
    if not keep.any():
        nothing = Estimate(None, None, None, 0, "no type could be learnt").as_dict()
        return {**dict.fromkeys(OVERALL, nothing), "n": 0, "n_clusters": 0, "excluded": counts}
    return {**_set(test, keep, unit, sampling, f"{name}/estimable"), "excluded": counts}


def _gap(
    sides: Mapping[str, Predictions],
    estimable: Mapping[str, NDArray[np.bool_]],
    name: str,
    sampling: Sampling,
) -> dict[str, Any] | None:
    found = gap.compare(sides[gap.RANDOM], sides[name], name, sampling, f"gap/{name}")
    if found is None:
        return None
    found["estimable"] = None
    pair = (gap.RANDOM, name)
    if not all(estimable[side].all() for side in pair):
        random, grouped = (
            Predictions(sides[side].table.loc[estimable[side]].reset_index(drop=True))
            for side in pair
        )
        found["estimable"] = gap.compare(random, grouped, name, sampling, f"gap/{name}/estimable")
    return found


def _distinct(ids: pd.Series) -> int | None:
    """Number of different ids; None where there are none."""
    return int(ids.nunique()) or None
