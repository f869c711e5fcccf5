"""Whether a system is independent of the magnification: where it falls, and whether it agrees.

Systems that were trained at different magnifications are tested at each one, on the same images,
patients kept apart. Beside that stands the agreement of one system with itself: whether it decides
on a patient in the same way at every magnification at which the patient was photographed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.errors import TableError
from magnostic.evaluate.bootstrap import Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import Floats, mean_defined, ratio
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally

#: Figures of a cell.
FIGURES: Final = ("accuracy", "macro_f1")
#: What a system could not learn: (repeat, fold) to classes without a training image.
Unlearnt = Mapping[tuple[int, int], Collection[str]]


def matrix(
    tests: Sequence[Predictions],
    trained: Sequence[Collection[int]],
    unlearnt: Sequence[Unlearnt],
    protocol: str,
    sampling: Sampling,
) -> dict[str, Any]:
    """Figures of several systems at each magnification, on the images that all could learn.

    An image is left out where its class had no training image in its fold for any one of the
    systems, so that all rows stand on the same images.

    Args:
        tests: test predictions under ``protocol``, one table a system.
        trained: magnifications that each was trained at; none: all.
        unlearnt: classes that each could not learn, by repeat and fold.
        sampling: of the bootstrap, over patients (accessions under that protocol).

    Returns:
        With ``M`` as in metrics.json; ``unseen`` in points: at the magnifications that a system was
        not trained at, the mean figure of the system trained at all of them minus its own. None
        where nothing is unseen, or no system was trained at all::

            {"magnifications": [40, …], "cluster", "n_clusters", "excluded": {class: images},
             "columns": {40: {"n", "n_clusters"}, …},
             "rows": [{"cells": {40: {"accuracy": M, "macro_f1": M}, …}, "worst": 40 or None,
                       "unseen": {"accuracy": M, "macro_f1": M} or None}, …]}

    Raises:
        TableError: the systems tested different images.
    """
    first = _keys(tests[0])
    for other in tests[1:]:
        if not _keys(other).equals(first):
            raise TableError(
                f"predictions tables: the systems tested different images under protocol {protocol}"
                "; run them with the same data, seed and split"
            )
    out = _unlearnt_by_any(tests[0], unlearnt)
    kept = [_without(test, out) for test in tests]
    left_out = tests[0].table.merge(out, on=["repeat", "fold", "y_true"])
    excluded = left_out.groupby("y_true")["image_id"].nunique()
    seen = kept[0].table["magnification"]
    magnifications = sorted(int(m) for m in seen.dropna().unique())
    found = clusters(kept[0].table, unit_of(protocol))
    cells = [_by_magnification(test, magnifications, protocol) for test in kept]
    seen_at = [set(at) or set(magnifications) for at in trained]
    everything = next((k for k, at in enumerate(seen_at) if at >= set(magnifications)), None)
    rows = []
    for own, at in zip(cells, seen_at, strict=True):
        unseen = [m for m in magnifications if m not in at]
        reference = None if everything is None or not unseen else cells[everything]
        rows.append(_row(own, reference, unseen, found.n, protocol, sampling))
    return {
        "magnifications": magnifications,
        "cluster": found.unit,
        "n_clusters": found.n,
        "excluded": {c: int(excluded[c]) for c in tests[0].classes if c in excluded.index},
        "columns": {
            m: {
                "n": int(kept[0].table.loc[(seen == m).to_numpy(bool), "image_id"].nunique()),
                "n_clusters": len(set(found.codes[(seen == m).to_numpy(bool)])),
            }
            for m in magnifications
        },
        "rows": rows,
    }


def _keys(test: Predictions) -> pd.DataFrame:
    columns = ["repeat", "fold", "image_id", "y_true"]
    return test.table[columns].sort_values(columns, ignore_index=True)


def _unlearnt_by_any(test: Predictions, unlearnt: Sequence[Unlearnt]) -> pd.DataFrame:
    """Columns repeat, fold and y_true of what at least one system could not learn."""
    found = {
        (repeat, fold, str(c))
        for one in unlearnt
        for (repeat, fold), classes in one.items()
        for c in classes
    }
    frame = pd.DataFrame(sorted(found), columns=["repeat", "fold", "y_true"])
    return frame.astype({key: test.table[key].dtype for key in frame.columns})


def _without(test: Predictions, out: pd.DataFrame) -> Predictions:
    merged = test.table.merge(out, on=["repeat", "fold", "y_true"], how="left", indicator=True)
    keep = (merged["_merge"] == "left_only").to_numpy()
    return Predictions(test.table[keep].reset_index(drop=True))


def _by_magnification(
    test: Predictions, magnifications: Sequence[int], protocol: str
) -> dict[int, Tally]:
    # Codes follow sorted names: tables of the same images number the clusters alike.
    found = clusters(test.table, unit_of(protocol))
    repeats = np.unique(test.table["repeat"], return_inverse=True)[1]
    tallies = {}
    for m in magnifications:
        here = (test.table["magnification"] == m).to_numpy(bool)
        rows = Predictions(test.table[here].reset_index(drop=True))
        tallies[m] = Tally.of(rows, found.codes[here], found.n, repeats[here], ranked=False)
    return tallies


def _row(
    own: Mapping[int, Tally],
    reference: Mapping[int, Tally] | None,
    unseen: Sequence[int],
    n_clusters: int,
    protocol: str,
    sampling: Sampling,
) -> dict[str, Any]:
    def statistic(weights: Floats) -> dict[str, Floats]:
        cells = {m: tally.values(weights) for m, tally in own.items()}
        values = {f"{m}/{figure}": cell[figure] for m, cell in cells.items() for figure in FIGURES}
        if reference is not None:
            others = {m: reference[m].values(weights) for m in unseen}
            for figure in FIGURES:
                lost = np.stack([others[m][figure] - cells[m][figure] for m in unseen])
                values[f"unseen/{figure}"] = 100 * mean_defined(lost, axis=0)
        return values

    width = 2 * sum(tally.confusion[0, 0].size for tally in own.values())
    estimates = resample(statistic, n_clusters, sampling, f"{protocol}/magnification", width)

    def figures(name: str) -> dict[str, Any]:
        return {figure: estimates[f"{name}/{figure}"][0].as_dict() for figure in FIGURES}

    cells = {m: figures(str(m)) for m in own}
    known = {m: c["accuracy"]["estimate"] for m, c in cells.items()}
    known = {m: value for m, value in known.items() if value is not None}
    return {
        "cells": cells,
        "worst": min(known, key=lambda m: known[m]) if known else None,
        "unseen": None if reference is None else figures("unseen"),
    }


def agreement(test: Predictions, protocol: str, sampling: Sampling) -> dict[str, Any] | None:
    """How often a system decides on a patient in the same way at every magnification.

    A decision is the class predicted for most of the patient's images at one magnification; of
    equal votes the class with the higher mean probability wins. ``same`` is the share of patients
    with one decision at all their magnifications, ``kappa`` the agreement beyond chance after
    Fleiss (Psychological Bulletin 76(5), 1971), with as many ratings of a patient as it has
    magnifications: ``(P - E) / (1 - E)``, P the mean over patients of the share of agreeing pairs
    of magnifications, E the sum over classes of their squared share of all decisions. Agreement is
    not accuracy: a system that is wrong everywhere alike agrees.

    Args:
        test: test predictions under ``protocol``; with several repeats figures are averaged.

    Returns:
        ``{"n_patients", "n_clusters", "cluster", "same": M, "kappa": M}`` over patients that have
        two magnifications or more; None where there are fewer than two of them.
    """
    decided = _decisions(test)
    if decided.groupby("repeat").size().min() < 2 if len(decided) else True:
        return None
    # A patient stands for one image here, so that bootstrap.clusters can group by either id.
    found = clusters(decided.assign(image_id=decided["patient_id"]), unit_of(protocol))
    repeats = np.unique(decided["repeat"], return_inverse=True)[1]
    shape = (int(repeats.max()) + 1, found.n)
    cell = repeats * found.n + found.codes

    def tally(values: NDArray[Any]) -> Floats:
        summed = np.bincount(cell, values.astype(float), minlength=shape[0] * shape[1])
        return summed.reshape(shape).astype(np.float64)

    votes = decided[_votes(test)].to_numpy(float)  # [P, C] decisions for each class
    ratings = votes.sum(axis=1)
    pairs = ((votes**2).sum(axis=1) - ratings) / (ratings * (ratings - 1))
    patients, agreeing = tally(np.ones(len(decided))), tally(pairs)
    unanimous, of_ratings = tally(votes.max(axis=1) == ratings), tally(ratings)
    by_class = [tally(votes[:, c]) for c in range(votes.shape[1])]

    def statistic(weights: Floats) -> dict[str, Floats]:
        n = weights @ patients.T
        share = np.stack([ratio(weights @ c.T, weights @ of_ratings.T) for c in by_class])
        chance = (share**2).sum(axis=0)
        kappa = ratio(ratio(weights @ agreeing.T, n) - chance, 1 - chance)
        same = ratio(weights @ unanimous.T, n)
        return {"same": mean_defined(same), "kappa": mean_defined(kappa)}

    estimates = resample(statistic, found.n, sampling, f"{protocol}/agreement", shape[0])
    return {
        "n_patients": int(decided["patient_id"].nunique()),
        "n_clusters": found.n,
        "cluster": found.unit,
        **{name: estimates[name][0].as_dict() for name in ("same", "kappa")},
    }


def _decisions(test: Predictions) -> pd.DataFrame:
    """One row a (repeat, patient) with decisions at two magnifications or more.

    Columns: repeat, patient_id, accession, and for each class the number of decisions for it.
    """
    known = test.table["patient_id"].notna() & test.table["magnification"].notna()
    table = test.table[known]
    columns = _votes(test)
    keys = ["repeat", "patient_id", "magnification"]
    grouped = table.groupby(keys, sort=True)
    group = grouped.ngroup().to_numpy()
    frame = grouped.agg(accession=("accession", "first")).reset_index()
    ballot = np.zeros((len(frame), len(columns)))
    np.add.at(ballot, (group, test.predicted_index[known.to_numpy()]), 1.0)
    mean = np.zeros_like(ballot)
    np.add.at(mean, group, test.probabilities[known.to_numpy()].astype(np.float64))
    # Votes are whole numbers: half a mean probability breaks ties and nothing else.
    mean /= np.maximum(ballot.sum(axis=1, keepdims=True), 1)
    chosen = (ballot + mean / 2).argmax(axis=1)
    frame[columns] = np.eye(len(columns))[chosen]
    by_patient = frame.groupby(["repeat", "patient_id"], sort=True)
    decided = by_patient.agg(
        accession=("accession", "first"), **{c: (c, "sum") for c in columns}
    ).reset_index()
    several = decided[columns].sum(axis=1) >= 2
    return decided[several.to_numpy()].reset_index(drop=True)


def _votes(test: Predictions) -> list[str]:
    """Names of columns that no class name can clash with."""
    return [f"votes_{k}" for k in range(len(test.classes))]
