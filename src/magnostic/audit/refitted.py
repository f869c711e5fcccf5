"""MG006 by recomputation: temperatures, thresholds and limits, fitted anew on the predictions.

``fitted_on.json`` says what something was fitted on. Here it need not be believed: the rules in
``calibration.json`` and the cross-fitted ones in ``metrics.json`` follow from the predictions table
alone, so that a rule that was fitted on anything else is another number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.audit.findings import Finding
from magnostic.evaluate import conformal, crossfit, thresholds
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.rules import Rules, Scored, fit
from magnostic.files import read_object

#: Another processor may round differently; a rule of other images is further off.
_RELATIVE: Final = 1e-6
_ABSTENTION: Final = "abstention"

#: A rule's values by its name, one for each part that was fitted apart; None: it can't be fitted.
Values = dict[str, list[float | None]]


@dataclass
class _Judged:
    """The predictions of one protocol, and what was found wrong with rules that rest on them."""

    scored: Scored
    ids: NDArray[Any]
    wrong: list[str] = field(default_factory=list)
    peeked: set[str] = field(default_factory=set)

    def refit(self, groups: NDArray[np.intp], rows: NDArray[np.intp]) -> Rules:
        return fit(self.scored.rows(rows), groups[rows])


def rules_refitted(folder: Path, predictions: Predictions, protocol: str, scope: str) -> Finding:
    """MG006: the rules that a run states are what the images give that they may be fitted on.

    Issue where one is not. Its ids are the tested images, where the rule is what these give
    themselves; none where it comes from elsewhere.

    Args:
        folder: of the run. Where it has no ``metrics.json`` or ``calibration.json`` it states none.
        predictions: of the run, validation rows included, test rows of the protocol among them.
        protocol: the one to look at.
        scope: of the finding.
    """
    rows = predictions.where(protocol=protocol)
    judged = _Judged(Scored.of(rows), rows.table["image_id"].to_numpy())
    metrics, stored = (_read(folder / f"{name}.json") for name in ("metrics", "calibration"))
    stated = metrics.get("protocols", {}).get(protocol, {}).get("probabilities")
    if stated:
        _crossed(judged, crossfit.plan(rows, protocol, int(metrics.get("seed", 0))), stated)
    if stored.get("protocol") == protocol:
        test = np.flatnonzero((rows.table["part"] == "test").to_numpy())
        _for_use(judged, crossfit.plan(rows, protocol), test, stored)
    if not judged.wrong:
        message = "Nothing was chosen on the test part"
        if stated or stored.get("protocol") == protocol:
            message += ": temperature and thresholds, fitted anew without it, are those stated"
        return Finding("MG006", "passed", scope, f"{message}.")
    n = len(judged.peeked)
    peeked = f" What is stated is what {n} tested images give themselves." if n else ""
    return Finding(
        "MG006",
        "issue",
        scope,
        f"Not fitted on the images that the protocol gives for it: {'; '.join(judged.wrong)}."
        f"{peeked} Figures that rest on it don't hold for new patients; run the recipe again.",
        tuple(sorted(judged.peeked)),
    )


def _crossed(judged: _Judged, plan: crossfit.Plan, stated: Mapping[str, Any]) -> None:
    """The rules of metrics.json, each fitted on other patients than it is applied to."""
    binary, selective = stated.get("binary") or {}, stated.get("selective") or {}
    given: Values = {"temperature": stated.get("temperatures", [])}
    for point in binary.get("points", ()):
        given[point["point"]] = point.get("thresholds", [])
    given.pop(thresholds.HALF, None)
    given[_ABSTENTION] = (selective.get("abstention") or {}).get("thresholds", [])
    due = _values([judged.refit(plan.groups, step.fit) for step in plan.steps])
    for name, found in given.items():
        values = due.get(name, [])
        steps = plan.steps
        if None in values:  # not stated where one part lacks it; abstention for the other parts
            kept = [] if name != _ABSTENTION else [n for n, v in enumerate(values) if v is not None]
            values, steps = [values[n] for n in kept], tuple(plan.steps[n] for n in kept)
        if _equal(found, values):
            continue
        judged.wrong.append(f"{name} of metrics.json ({_words(found)}, fitted: {_words(values)})")
        for value, step in zip(found, steps, strict=False):
            if _equal([value], _values([judged.refit(plan.groups, step.apply)]).get(name, [])):
                judged.peeked |= set(judged.ids[step.apply])


def _for_use(
    judged: _Judged, plan: crossfit.Plan, test: NDArray[np.intp], stored: Mapping[str, Any]
) -> None:
    """The rules of calibration.json, which the model in use takes along."""
    if plan.source is None:
        judged.wrong.append(f"calibration.json ({plan.reason})")
        return
    if set(stored.get("fitted_on", ())) != set(judged.ids[plan.for_use]):
        judged.wrong.append(f"calibration.json (names other images than the {plan.source} ones)")
    points = (stored.get("thresholds") or {}).get("points", {})
    given: Values = {
        "temperature": [stored.get("temperature")],
        _ABSTENTION: [(stored.get("abstention") or {}).get("threshold")],
        **{name: [value] for name, value in points.items() if name != thresholds.HALF},
        **{_set(e["level"], e["unit"]): [e["limit"]] for e in stored.get("conformal", ())},
    }
    due = _values([judged.refit(plan.groups, plan.for_use)])
    for name in sorted({*given, *due}):
        found, values = given.get(name, []), due.get(name, [])
        if _equal(found, values):
            continue
        told = f"{name} of calibration.json ({_words(found)}, fitted: {_words(values)})"
        judged.wrong.append(told)
        own = _values([judged.refit(plan.groups, test)])
        if plan.source == crossfit.VALIDATION and _equal(found, own.get(name, [])):
            judged.peeked |= set(judged.ids[test])


def _values(rules: Sequence[Rules]) -> Values:
    if not rules:
        return {}
    values: Values = {
        "temperature": [r.temperature for r in rules],
        _ABSTENTION: [r.abstention for r in rules],
    }
    for point in rules[0].points:
        if point != thresholds.HALF:
            values[point] = [r.points[point] for r in rules]
    for level in conformal.LEVELS:
        for unit in conformal.UNITS:
            limits = [r.limits[level, unit] for r in rules]
            values[_set(level, unit)] = [v if math.isfinite(v) else None for v in limits]
    return values


def _set(level: float, unit: str) -> str:
    return f"limit of {level:g} sets ({unit})"


def _equal(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    if len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(
        a is b if a is None or b is None else math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=1e-9)
        for a, b in pairs
    )


def _words(values: Sequence[float | None]) -> str:
    return ", ".join("none" if v is None else f"{v:.4g}" for v in values) or "none"


def _read(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
