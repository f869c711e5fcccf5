"""Calibration, operating points, conformal sets and abstention of one protocol, cross-fitted.

Nothing is fitted on a patient to whose images it is applied (``crossfit``). The temperature changes
the stated probabilities only: thresholds, sets and abstention are rules on the probabilities as
predicted, so that each part stands for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from magnostic.evaluate import crossfit, outcomes, selective
from magnostic.evaluate.bootstrap import Sampling, clusters, resample, unit_of
from magnostic.evaluate.gap import RANDOM
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.ratios import Ratios
from magnostic.evaluate.rules import Scored, cross_fit, fit


def assess(predictions: Predictions, protocol: str, sampling: Sampling) -> dict[str, Any]:
    """What metrics.json holds under ``protocols.<name>.probabilities``.

    ``M`` is ``{"estimate", "low", "high"}``, with ``reason`` where there is no interval; values
    are null where undefined. Figures of several repeats are averaged; ``n`` counts predictions::

        {"source": "out-of-fold" | "validation" | null, "reason": null | "…",
         "patients": "new" | "known", "n", "n_clusters", "cluster", "bins",
         "temperatures": [one for each part that was fitted apart],
         "raw": {"log_loss": M, "brier": M, "reliability", "resolution", "uncertainty",
                 "ece", "ece_chance", "classwise_ece", "classwise_ece_chance",
                 "bins": [{"confidence", "accuracy": M, "n"}]},
         "calibrated": the same | null,
         "binary": {"positive": "malignant", "summed": bool, "prevalence",
                    "points": [{"point": "half" | "youden" | "sensitivity", "target": null | 0.95,
                                "thresholds": […], "sensitivity": M, "specificity": M,
                                "ppv_even": M, "npv_even": M} | {"point", "reason"}]} | null,
         "conformal": [{"level", "unit": "image" | "patient", "certifiable", "n_calibration":
                        [fewest, most], "coverage": M, "size": M, "single": M,
                        "sizes": [number of sets of 1, 2, … classes],
                        "by_class": [{"class", "coverage": M, "size": M, "n"}],
                        "by_magnification": [{"magnification", …}]}],
         "selective": {"risk": M, "aurc": M, "curve": [{"coverage", "threshold", "risk": M}],
                       "abstention": {"target", "certifiable", "thresholds", "answered": M,
                                      "answered_wrong": M, "risk": M} | null}}

    Coverage of unit ``image`` is the mean over patients of the share of their images whose set
    holds the true class; of unit ``patient``, the share of patients all of whose images' sets do.
    By class and magnification it is always the former. ``size`` is the mean number of classes in
    a set, ``single`` the share of sets of one class. ``answered_wrong`` is the mean over patients
    of the share of their images answered wrongly, ``risk`` the share wrong among answered images.
    Patients are lab numbers under the accession protocol. Under random images the tested patients
    are ``known`` from training: nothing is then said about new ones.

    Args:
        predictions: val and test rows of the protocol, at least one of them test.
        sampling: of the intervals; its seed also deals patients into parts.
    """
    planned = crossfit.plan(predictions, protocol, sampling.seed)
    everything = Scored.of(predictions)
    rows = np.flatnonzero((predictions.table["part"] == "test").to_numpy())
    test, fits = everything.rows(rows), cross_fit(everything, planned, rows)
    table = predictions.table.iloc[rows].reset_index(drop=True)
    found = clusters(table, unit_of(protocol))
    ratios = Ratios(found.codes, found.n, test.repeats)
    builders = [
        outcomes.calibration_of(ratios, test, fits),
        outcomes.binary_of(ratios, test, fits),
        outcomes.conformal_of(ratios, test, fits, found.codes, table["magnification"]),
        outcomes.selective_of(ratios, test, fits),
    ]
    estimates = ratios.estimates(sampling, f"{protocol}/probabilities")
    kernel = selective.Aurc(test.confidence, test.wrong, found.codes, test.repeats)
    aurc = resample(
        lambda weights: {"aurc": kernel(weights)},
        found.n,
        sampling,
        f"{protocol}/probabilities",
        kernel.width,
    )
    estimates["aurc"] = aurc["aurc"][0]
    result: dict[str, Any] = {
        "source": planned.source,
        "reason": planned.reason,
        "patients": "known" if protocol == RANDOM else "new",
        "n": len(rows),
        "n_clusters": found.n,
        "cluster": found.unit,
    }
    for build in builders:
        result |= build(estimates)
    return result


def fit_for_use(predictions: Predictions, protocol: str) -> dict[str, Any] | None:
    """What is stored beside the model for use, fitted on all out-of-fold or validation rows.

    Args:
        predictions: val and test rows of the protocol whose models the model for use stands for.

    Returns:
        ``version, protocol, source, n_groups, temperature`` and::

            "thresholds": {"positive": "malignant", "points": {"half": 0.5, "youden": t | null,
                           "sensitivity": t | null}} | null
            "conformal": [{"level", "unit", "limit": q | null}]    null: full set, not certifiable
            "abstention": {"target", "threshold": t | null}        null: not certifiable
            "fitted_on": [image ids, sorted]

        A class is in the set where ``1 - p <= limit``, an image positive where its (summed)
        probability is at least the threshold, and answered where its highest probability is above
        the threshold. None where there is nothing to fit on.
    """
    planned = crossfit.plan(predictions, protocol)
    if planned.source is None:
        return None
    scored = Scored.of(predictions).rows(planned.for_use)
    rules = fit(scored, planned.groups[planned.for_use])
    points = None
    if scored.positive is not None:
        points = {"positive": scored.positive, "points": rules.points}
    return {
        "version": 1,
        "protocol": protocol,
        "source": planned.source,
        "n_groups": rules.n_groups,
        "temperature": rules.temperature,
        "thresholds": points,
        "conformal": [
            {"level": level, "unit": unit, "limit": None if np.isinf(limit) else limit}
            for (level, unit), limit in rules.limits.items()
        ],
        "abstention": {"target": selective.TARGET, "threshold": rules.abstention},
        "fitted_on": sorted(set(predictions.table["image_id"].iloc[planned.for_use])),
    }
