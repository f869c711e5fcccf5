"""Decisions for patients from the rows of their photographs; as in :mod:`evaluate.patients`.

====================  =======  ===================================================================
column                type     meaning
====================  =======  ===================================================================
patient_id            string   as the input brought it
images, unread        int      photographs predicted, and those with an error instead
to_review             int      photographs with the flag
by_mean_probability   string?  class with the highest mean of the probabilities as predicted
by_majority           string?  class predicted for most photographs; of equal votes the one with the
                               higher mean probability
mean_p_<class>        float?   the mean, in [0, 1]
votes_<class>         int      photographs predicted as it
====================  =======  ===================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from magnostic.deploy.decisions import Rules
from magnostic.evaluate.predictions import PREFIX


class Patients:
    """Sums over the photographs of each patient; grows with patients, not with photographs."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._names = [PREFIX + c for c in rules.classes]
        self._sums: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Count one row of a prediction; rows without a patient are passed over."""
        patient = row["patient_id"]
        if patient is None:
            return
        n = len(self._names)
        # Probabilities, votes, images, unread, to review.
        sums = self._sums.setdefault(patient, np.zeros(2 * n + 3))
        sums[-1] += bool(row["review"])
        if row["error"] is not None:
            sums[-2] += 1
            return
        # The decisions were judged on probabilities as predicted: the temperature is undone.
        raw = np.array([row[name] for name in self._names]) ** self._rules.temperature
        sums[:n] += raw / raw.sum()
        sums[n + self._rules.classes.index(row["y_pred"])] += 1
        sums[-3] += 1

    def table(self) -> list[dict[str, Any]]:
        """One row a patient, sorted by id."""
        return [self._row(patient) for patient in sorted(self._sums)]

    def _row(self, patient: str) -> dict[str, Any]:
        classes, n = self._rules.classes, len(self._names)
        sums = self._sums[patient]
        images = int(sums[-3])
        mean, votes = sums[:n] / max(images, 1), sums[n : 2 * n]
        majority = (votes + mean / 2).argmax()  # votes are whole: half a probability breaks ties
        return {
            "patient_id": patient,
            "images": images,
            "unread": int(sums[-2]),
            "to_review": int(sums[-1]),
            "by_mean_probability": classes[int(mean.argmax())] if images else None,
            "by_majority": classes[int(majority)] if images else None,
            **{
                f"mean_{c}": float(p) if images else None
                for c, p in zip(self._names, mean, strict=True)
            },
            **{f"votes_{c}": int(v) for c, v in zip(classes, votes, strict=True)},
        }
