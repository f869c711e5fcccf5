"""How the cross-fitted rules did on the test images: the parts of ``probabilities.assess``.

Each function adds its shares and means to the common :class:`Ratios` and returns what builds its
part of the result from their estimates; shapes are told in ``probabilities.assess``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.evaluate import calibration, conformal, selective, thresholds
from magnostic.evaluate.bootstrap import Estimate
from magnostic.evaluate.metrics import Floats, image_loss
from magnostic.evaluate.ratios import Ratios
from magnostic.evaluate.rules import CrossFitted, Scored

Rows = NDArray[np.intp]
Found = Mapping[str, Estimate]
Build = Callable[[Found], dict[str, Any]]
#: Predictive values at a prevalence of one half.
_EVEN: Final = ("ppv_even", "npv_even")


def calibration_of(ratios: Ratios, test: Scored, fits: CrossFitted) -> Build:
    """Log loss, Brier score, ECE and reliability, as predicted and after the temperature."""
    versions: dict[str, NDArray[Any]] = {"raw": test.p}
    if fits:
        heat = [rules.temperature for rules in fits.rules]
        versions["calibrated"] = calibration.temper(test.p, fits.spread(heat)[:, None])
    n_bins = calibration.bins_for(len(test.true))
    confidences: dict[str, Floats] = {}
    for name, p in versions.items():
        ratios.add(f"{name}/log_loss", image_loss(p, test.true))
        ratios.add(f"{name}/brier", calibration.brier(p, test.true))
        binned = calibration.equal_mass(p.max(axis=1), n_bins)
        confidences[name] = binned.means(p.max(axis=1))
        for k in range(len(binned.size)):
            ratios.add(f"{name}/bin{k}", ~test.wrong, binned.codes == k)

    def build(found: Found) -> dict[str, Any]:
        result: dict[str, Any] = {
            "bins": n_bins,
            "temperatures": [rules.temperature for rules in fits.rules],
            "calibrated": None,
        }
        for name, p in versions.items():
            sizes = calibration.equal_mass(p.max(axis=1), n_bins).size
            result[name] = {
                "log_loss": found[f"{name}/log_loss"].as_dict(),
                "brier": found[f"{name}/brier"].as_dict(),
                **_by_repeat(p, test, n_bins),
                "bins": [
                    {
                        "confidence": float(confidence),
                        "accuracy": found[f"{name}/bin{k}"].as_dict(),
                        "n": int(sizes[k]),
                    }
                    for k, confidence in enumerate(confidences[name])
                ],
            }
        return result

    return build


def _by_repeat(p: NDArray[Any], test: Scored, bins: int) -> dict[str, float]:
    """Figures that are no mean over images, in each repeat and averaged."""
    rows = []
    for repeat in np.unique(test.repeats):
        here = test.repeats == repeat
        of_repeat, true = p[here], test.true[here]
        ece, chance = calibration.top_label_error(of_repeat, true, bins)
        classwise, classwise_chance = calibration.classwise_error(of_repeat, true, bins)
        rows.append(
            {
                **calibration.brier_parts(of_repeat, true, bins),
                "ece": ece,
                "ece_chance": chance,
                "classwise_ece": classwise,
                "classwise_ece_chance": classwise_chance,
            }
        )
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def binary_of(ratios: Ratios, test: Scored, fits: CrossFitted) -> Build:
    """Sensitivity, specificity and predictive values at each operating point."""
    if test.positive is None:
        return lambda _: {"binary": None}
    locked: dict[str, list[float]] = {thresholds.HALF: [0.5]}
    called = {thresholds.HALF: test.score >= 0.5}
    for point in thresholds.POINTS[1:] if fits else ():
        values = [rules.points[point] for rules in fits.rules]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            locked[point] = known
            called[point] = test.score >= fits.spread(known)
    for point, answer in called.items():
        ratios.add(f"{point}/sensitivity", answer, test.is_positive)
        ratios.add(f"{point}/specificity", ~answer, ~test.is_positive)
        for k, name in enumerate(_EVEN):
            ratios.derive(f"{point}/{name}", _even(point, k))

    def entry(point: str, found: Found) -> dict[str, Any]:
        if point not in locked:
            why = "images of both kinds are needed to lock it" if fits else "nothing to lock it on"
            return {"point": point, "reason": why}
        figures = ("sensitivity", "specificity", *_EVEN)
        return {
            "point": point,
            "target": thresholds.TARGET if point == thresholds.SENSITIVITY else None,
            "thresholds": locked[point],
            **{name: found[f"{point}/{name}"].as_dict() for name in figures},
        }

    def build(found: Found) -> dict[str, Any]:
        return {
            "binary": {
                "positive": test.positive,
                "summed": test.summed,
                "prevalence": float(test.is_positive.mean()),
                "points": [entry(point, found) for point in thresholds.POINTS],
            }
        }

    return build


def _even(point: str, which: int) -> Callable[[Mapping[str, Floats]], Floats]:
    return lambda values: thresholds.even_values(
        values[f"{point}/sensitivity"], values[f"{point}/specificity"]
    )[which]


def conformal_of(
    ratios: Ratios, test: Scored, fits: CrossFitted, codes: Rows, magnifications: pd.Series
) -> Build:
    """Coverage and size of the sets at each level and unit, overall and of subsets."""
    if not fits:
        return lambda _: {"conformal": []}
    of_type = [(c, test.true == k) for k, c in enumerate(test.classes)]
    lens = magnifications.to_numpy(dtype=float, na_value=np.nan)
    of_lens: list[tuple[str | int, NDArray[np.bool_]]] = [
        (int(value), lens == value) for value in np.unique(lens[~np.isnan(lens)])
    ]
    subsets: dict[str, list[tuple[str | int, NDArray[np.bool_]]]] = {
        "class": [(label, rows) for label, rows in of_type if rows.any()],
        "magnification": of_lens,
    }
    together = np.unique(np.stack([codes, test.repeats]), axis=1, return_inverse=True)[1].ravel()
    sizes: dict[str, NDArray[np.intp]] = {}
    keys = [(level, unit) for level in conformal.LEVELS for unit in conformal.UNITS]
    for level, unit in keys:
        name = f"set/{level}/{unit}"
        limits = fits.spread(_limits(fits, level, unit))
        members = conformal.sets(test.p, limits)
        covered = members[np.arange(len(test.true)), test.true]
        size = members.sum(axis=1)
        sizes[name] = np.bincount(size, minlength=len(test.classes) + 1)[1:]
        whole = covered
        if unit == conformal.PATIENT:
            whole = np.bincount(together, ~covered)[together] == 0
        ratios.add(f"{name}/coverage", whole, even=True)
        ratios.add(f"{name}/size", size)
        ratios.add(f"{name}/single", size == 1)
        for kind, entries in subsets.items():
            for label, rows in entries:
                ratios.add(f"{name}/{kind}/{label}/coverage", covered, rows, even=True)
                ratios.add(f"{name}/{kind}/{label}/size", size, rows)

    def entry(level: float, unit: str, found: Found) -> dict[str, Any]:
        name = f"set/{level}/{unit}"

        def figures(stem: str, *names: str) -> dict[str, Any]:
            return {figure: found[f"{stem}/{figure}"].as_dict() for figure in names}

        return {
            "level": level,
            "unit": unit,
            "certifiable": bool(np.isfinite(_limits(fits, level, unit)).all()),
            "n_calibration": _range([rules.n_groups for rules in fits.rules]),
            **figures(name, "coverage", "size", "single"),
            "sizes": sizes[name].tolist(),
            **{
                f"by_{kind}": [
                    {
                        kind: label,
                        **figures(f"{name}/{kind}/{label}", "coverage", "size"),
                        "n": int(rows.sum()),
                    }
                    for label, rows in entries
                ]
                for kind, entries in subsets.items()
            },
        }

    return lambda found: {"conformal": [entry(level, unit, found) for level, unit in keys]}


def _limits(fits: CrossFitted, level: float, unit: str) -> list[float]:
    """One for each part; all infinite where one of them is not certifiable."""
    limits = [rules.limits[level, unit] for rules in fits.rules]
    return limits if np.isfinite(limits).all() else [float("inf")] * len(limits)


def _range(values: list[int]) -> list[int]:
    return [min(values), max(values)]


def selective_of(ratios: Ratios, test: Scored, fits: CrossFitted) -> Build:
    """Errors among the answered images, and what the abstention threshold does."""
    limits = selective.thresholds_at(test.confidence)
    for k, limit in enumerate(limits):
        ratios.add(f"curve{k}", test.wrong, test.confidence >= limit)
    found_limits = [rules.abstention for rules in fits.rules]
    known = [limit for limit in found_limits if limit is not None]
    certifiable = bool(fits) and len(known) == len(found_limits)
    if certifiable:
        answered = test.confidence > fits.spread(known)
        ratios.add("answered", answered)
        ratios.add("answered_wrong", answered & test.wrong, even=True)
        ratios.add("answered_risk", test.wrong, answered)

    def build(found: Found) -> dict[str, Any]:
        abstention: dict[str, Any] | None = None
        if fits:
            abstention = {
                "target": selective.TARGET,
                "certifiable": certifiable,
                "thresholds": known,
            }
        if abstention and certifiable:
            abstention["answered"] = found["answered"].as_dict()
            abstention["answered_wrong"] = found["answered_wrong"].as_dict()
            abstention["risk"] = found["answered_risk"].as_dict()
        curve = [
            {
                "coverage": float((test.confidence >= limit).mean()),
                "threshold": float(limit),
                "risk": found[f"curve{k}"].as_dict(),
            }
            for k, limit in enumerate(limits)
        ]
        return {
            "selective": {
                "risk": curve[-1]["risk"],
                "aurc": found["aurc"].as_dict(),
                "curve": curve,
                "abstention": abstention,
            }
        }

    return build
