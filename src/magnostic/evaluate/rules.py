"""The rules that are fitted on predictions: temperature, thresholds, sets, abstention; together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate import calibration, conformal, selective, thresholds
from magnostic.evaluate.collapse import collapse, collapsible
from magnostic.evaluate.crossfit import Plan
from magnostic.evaluate.metrics import Floats
from magnostic.evaluate.predictions import Predictions
from magnostic.taxonomy import MALIGNANCIES

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Scored:
    """N predictions as arrays, C classes.

    p: float32 [N, C]. true: intp [N]. repeats: [N].
    positive: what counts as positive in the binary task; None: there is none.
    summed: whether its probability is a sum over types.
    score, is_positive: [N], probability of the positive class and whether it is the true one.
    """

    classes: list[str]
    p: NDArray[np.float32]
    true: Rows
    repeats: NDArray[Any]
    positive: str | None
    summed: bool
    score: Floats
    is_positive: NDArray[np.bool_]

    @staticmethod
    def of(predictions: Predictions) -> Scored:
        """Benign and malignant, or types summed to them; of two other classes the second."""
        classes = predictions.classes
        side = predictions
        positive: str | None = None
        if sorted(classes) == sorted(MALIGNANCIES) or collapsible(classes):
            side, positive = collapse(predictions), MALIGNANCIES[1]
        elif len(classes) == 2:
            positive = classes[1]
        column = side.classes.index(positive) if positive else 0
        return Scored(
            classes,
            predictions.probabilities,
            predictions.true_index,
            predictions.table["repeat"].to_numpy(),
            positive,
            side is not predictions,
            side.probabilities[:, column].astype(np.float64),
            side.true_index == column,
        )

    def rows(self, rows: Rows) -> Scored:
        """Some of the predictions."""
        return Scored(
            self.classes,
            self.p[rows],
            self.true[rows],
            self.repeats[rows],
            self.positive,
            self.summed,
            self.score[rows],
            self.is_positive[rows],
        )

    @property
    def confidence(self) -> Floats:
        """float64 [N]: the highest probability."""
        return np.asarray(self.p.max(axis=1), dtype=np.float64)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """bool [N]: the likeliest class is not the true one."""
        return np.asarray(self.p.argmax(axis=1) != self.true)


@dataclass(frozen=True)
class Rules:
    """Everything fitted on some images of ``n_groups`` patients.

    points: threshold of each operating point; None where it cannot be locked.
    limits: largest score of a class of the set by (level, unit); infinity: not certifiable.
    abstention: confidence above which images are answered; None: not certifiable.
    """

    temperature: float
    points: dict[str, float | None]
    limits: dict[tuple[float, str], float]
    abstention: float | None
    n_groups: int


def fit(scored: Scored, groups: Rows) -> Rules:
    """Fit all rules on N >= 1 predictions of the patients ``groups`` [N]."""
    score = conformal.scores(scored.p, scored.true)
    points = thresholds.POINTS if scored.positive is not None else ()
    return Rules(
        calibration.fit_temperature(scored.p, scored.true),
        {name: thresholds.lock(name, scored.score, scored.is_positive) for name in points},
        {
            (level, unit): conformal.quantile(unit, level, score, groups, scored.repeats)
            for level in conformal.LEVELS
            for unit in conformal.UNITS
        },
        selective.abstention(scored.confidence, scored.wrong, groups),
        len(np.unique(groups)),
    )


@dataclass(frozen=True)
class CrossFitted:
    """The rules for each test image, fitted without its patient.

    rules: one for each part that was fitted apart; empty where nothing could be fitted.
    part: intp [N test rows], which of them applies.
    """

    rules: tuple[Rules, ...]
    part: Rows

    def __bool__(self) -> bool:
        return bool(self.rules)

    def spread(self, values: list[float]) -> Floats:
        """float64 [N]: a value of each part, for the images that it applies to."""
        return np.asarray(values, dtype=np.float64)[self.part]


def cross_fit(scored: Scored, plan: Plan, test: Rows) -> CrossFitted:
    """Fit the rules of every step of the plan once.

    Args:
        scored: val and test rows of a protocol.
        test: positions of the test rows.
    """
    part = np.full(len(scored.true), -1, np.intp)
    for k, step in enumerate(plan.steps):
        part[step.apply] = k
    rules = tuple(fit(scored.rows(s.fit), plan.groups[s.fit]) for s in plan.steps)
    return CrossFitted(rules, part[test])
