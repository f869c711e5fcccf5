"""From probabilities as predicted to what is stated: calibrated, a set, an answer or none.

The rules are those of ``calibration.json`` (docs/probabilities.md): the temperature changes the
stated probabilities alone; sets, abstention and operating points read them as predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import BadInput, WeightsError
from magnostic.evaluate import calibration as calibrate
from magnostic.evaluate import conformal
from magnostic.evaluate.collapse import places, summed
from magnostic.stored import CALIBRATION, as_written

LEVEL: Final = 0.9


@dataclass(frozen=True)
class Rules:
    """What is applied to the probabilities of one model.

    Attributes:
        classes: in the order of the probabilities.
        temperature: 1 where none was fitted.
        level: of the sets.
        limit: highest ``1 - p`` of a class in a set; infinity: the level is not certifiable, and
            every class is in the set; None: nothing was fitted, there are no sets.
        answer_above: highest probability above which an image is answered; None: not certifiable
            or not fitted.
        positive: indices of the classes whose probabilities sum to the positive one's.
        points: name of each operating point -> threshold on that sum.
    """

    classes: tuple[str, ...]
    temperature: float = 1.0
    level: float = LEVEL
    limit: float | None = None
    answer_above: float | None = None
    positive_name: str = ""
    positive: tuple[int, ...] = ()
    points: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def of(
        calibration: Mapping[str, Any] | None,
        classes: Sequence[str],
        level: float = LEVEL,
        place: Path = Path(),
    ) -> Rules:
        """The rules of a ``calibration.json``, with sets of this level for single images.

        Args:
            place: the folder that it lies in, for errors.

        Raises BadInput for a level that was not fitted, WeightsError for what are no such rules.
        """
        if calibration is None:
            return Rules(tuple(classes), level=level)
        with as_written(place / CALIBRATION, WeightsError):
            return Rules._of(calibration, classes, level)

    @staticmethod
    def _of(calibration: Mapping[str, Any], classes: Sequence[str], level: float) -> Rules:
        entries = [e for e in calibration["conformal"] if e["unit"] == conformal.IMAGE]
        chosen = [e for e in entries if abs(e["level"] - level) < 1e-9]
        if not chosen:
            known = ", ".join(f"{e['level']:g}" for e in entries)
            raise BadInput(f"--level {level:g}: no sets of this level were fitted; known: {known}")
        limit = chosen[0]["limit"]
        told = calibration["thresholds"]
        points = {} if told is None else told["points"]
        name = "" if told is None else told["positive"]
        temperature = float(calibration["temperature"])
        above = calibration["abstention"]["threshold"]
        if not 0 < temperature < math.inf:
            raise ValueError(f"a temperature of {temperature}")
        return Rules(
            tuple(classes),
            temperature,
            level,
            float("inf") if limit is None else float(limit),
            None if above is None else float(above),
            name,
            places(name, classes),
            {str(k): float(t) for k, t in points.items() if t is not None},
        )

    def calibrated(self, raw: NDArray[np.float32]) -> NDArray[np.float64]:
        """Stated probabilities of probabilities as predicted, [N, C]."""
        if self.temperature == 1:
            return raw.astype(np.float64)
        return calibrate.temper(raw, self.temperature)

    def sets(self, raw: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Which classes are in each image's set, bool [N, C]; None without a fitted limit."""
        return None if self.limit is None else conformal.sets(raw, self.limit)

    def answered(self, raw: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Whether each image is answered, bool [N]; None without a fitted threshold."""
        if self.answer_above is None:
            return None
        found: NDArray[np.bool_] = raw.max(axis=1).astype(np.float64) > self.answer_above
        return found

    def at_points(self, raw: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
        """Name of each operating point -> whether an image counts as positive there, bool [N]."""
        if not self.positive:
            return {}
        score = summed(raw, self.positive).astype(np.float64)
        return {name: score >= threshold for name, threshold in self.points.items()}

    @property
    def certifiable(self) -> bool:
        """Whether sets hold what their level promises."""
        return self.limit is not None and bool(np.isfinite(self.limit))

    @property
    def vacuous(self) -> bool:
        """Whether every set holds every class, since no probability is low enough to leave it."""
        return self.certifiable and self.limit is not None and self.limit >= 1
