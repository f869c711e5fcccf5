"""Which predictions something may be fitted on before it is applied to which others.

Temperature, thresholds, sets and abstention are never fitted on a patient (a lab number, under the
accession protocol) to whose images they are applied:

- Where a repeat has several folds, the source is the out-of-fold test predictions of that repeat.
  Where it has one (a single run, an official draw), the source is its validation predictions, since
  the one test part must stay unread; without a validation part nothing is fitted.
- Where the folds keep patients apart, each fold's images get what was fitted on the other folds.
  Where they do not (random images), patients are dealt into five parts by lot, and each part's
  images get what was fitted on the source images of all other patients.
- Repeats are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.bootstrap import clusters, unit_of
from magnostic.evaluate.predictions import Predictions

#: Parts that patients are dealt into where folds do not keep them apart.
PARTS: Final = 5
OUT_OF_FOLD: Final = "out-of-fold"
VALIDATION: Final = "validation"

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Step:
    """Rows of the protocol's predictions to fit on, and the test rows to apply the fit to."""

    fit: Rows
    apply: Rows


@dataclass(frozen=True)
class Plan:
    """Cross-fitting of one protocol.

    groups: intp [N], patient or accession of each row of the table, val rows included.
    source: ``out-of-fold`` or ``validation``; None: nothing can be fitted, ``reason`` says why.
    steps: together they apply to every test row once; empty where nothing can be fitted.
    for_use: the rows that what is stored beside the model for use is fitted on: all of the source.
    """

    groups: Rows
    source: str | None
    steps: tuple[Step, ...]
    for_use: Rows
    reason: str | None = None


def plan(predictions: Predictions, protocol: str, seed: int = 0) -> Plan:
    """How to cross-fit on the val and test predictions of one protocol.

    Args:
        predictions: rows of that protocol alone.
        seed: of the lots by which patients are dealt into parts.
    """
    table = predictions.table
    groups = clusters(table, unit_of(protocol)).codes
    test = (table["part"] == "test").to_numpy()
    repeats, folds = table["repeat"].to_numpy(), table["fold"].to_numpy()
    steps: list[Step] = []
    for_use: list[Rows] = []
    found = []
    for repeat in np.unique(repeats[test]):
        here = repeats == repeat
        target = np.flatnonzero(here & test)
        several = len(np.unique(folds[target])) > 1
        source = target if several else np.flatnonzero(here & ~test)
        found.append(OUT_OF_FOLD if several else VALIDATION)
        if not len(source):
            return _nothing(groups, "no validation part was set aside, and there is one fold only")
        part = _parts(groups, target, source, folds[target], seed)
        for k in np.unique(part):
            applied = target[part == k]
            fit = source[~np.isin(groups[source], groups[applied])]
            if not len(fit):
                return _nothing(groups, "no image of another patient is left to fit on")
            steps.append(Step(fit, applied))
        for_use.append(source)
    return Plan(groups, found[0], tuple(steps), np.sort(np.concatenate(for_use)))


def _nothing(groups: Rows, reason: str) -> Plan:
    return Plan(groups, None, (), np.empty(0, np.intp), reason)


def _parts(groups: Rows, target: Rows, source: Rows, fold: Rows, seed: int) -> Rows:
    """intp [T]: the part of each target row; rows of one group share it."""
    of_target = groups[target]
    if target is not source and not np.isin(of_target, groups[source]).any():
        return np.zeros(len(target), np.intp)
    pairs = np.unique(np.stack([of_target, fold], axis=1), axis=0)
    if target is source and len(pairs) == len(np.unique(of_target)):
        return np.unique(fold, return_inverse=True)[1].astype(np.intp)
    names, place = np.unique(of_target, return_inverse=True)
    dealt = np.random.default_rng([seed, len(names)]).permutation(len(names)) % PARTS
    return np.asarray(dealt[place], dtype=np.intp)
