"""How far figures fall when the test photographs are shifted, more and more.

The table ``robustness.parquet`` of a run holds the test predictions of its models on shifted
photographs: the columns of :mod:`magnostic.evaluate.predictions` and

========  =======  ================================================================================
column    type     meaning
========  =======  ================================================================================
shift     string   what was done to the photographs, a name of ``magnostic.preprocess.shifts``
severity  float32  how strongly, in (0, 1]; the run's own predictions are severity 0
========  =======  ================================================================================

Every shift and severity has the same rows: the test images of the protocols at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from magnostic import tables
from magnostic.errors import TableError
from magnostic.evaluate import predictions as contract
from magnostic.evaluate.bootstrap import Estimate, Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import Floats
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally

COLUMNS: Final = (
    *contract.COLUMNS,
    tables.Column("shift", pa.string()),
    tables.Column("severity", pa.float32()),
)
#: Figures that curves are drawn of.
FIGURES: Final = ("accuracy", "macro_f1")
#: What names a test prediction within one shift and severity.
_KEY: Final = ["protocol", "repeat", "fold", "image_id"]


@dataclass(frozen=True)
class Shifted:
    """Test predictions on shifted photographs; TableError where they are not such a table."""

    table: pd.DataFrame

    def __post_init__(self) -> None:
        tables.check(self.table, COLUMNS, "robustness table")
        wrong = ~self.table["severity"].between(0, 1, inclusive="right")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise TableError(
                f"robustness table: row {row} has severity {self.table['severity'].iloc[row]}; "
                "severities are above 0 and at most 1"
            )

    @property
    def shifts(self) -> list[str]:
        """In the order of the table."""
        return [str(name) for name in pd.unique(self.table["shift"])]

    @property
    def severities(self) -> list[float]:
        """Ascending, as written in decimal: 0.1 and not float32's 0.10000000149."""
        return sorted(float(str(value)) for value in np.unique(self.table["severity"]))

    def at(self, shift: str, severity: float) -> Predictions:
        """The checked predictions under one shift; none where there are none."""
        keep = (self.table["shift"] == shift) & (self.table["severity"] == np.float32(severity))
        rows = self.table[keep].drop(columns=["shift", "severity"])
        return Predictions(rows.reset_index(drop=True))

    def write(self, path: Path) -> None:
        tables.write(self.table, COLUMNS, path, "robustness", {"version": 1})

    @staticmethod
    def read(path: Path) -> Shifted:
        return Shifted(tables.read(path, COLUMNS, "robustness")[0])


def summarize(
    own: Predictions,
    shifted: Shifted,
    about: Mapping[str, Mapping[str, str]],
    sampling: Sampling,
) -> dict[str, Any]:
    """Content of ``robustness.json``: figures against severity, and how far they fall.

    Intervals draw whole patients (accessions under that protocol), the same ones for all shifts, so
    that the interval of a fall is a paired one.

    Args:
        own: the run's predictions, of which those of part test are severity 0.
        shifted: on shifted photographs.
        about: ``title`` and ``strongest`` (what severity 1 is) of each shift.
        sampling: of the bootstrap.

    Returns:
        With ``M`` as in metrics.json; falls in points (hundredths), positive where a figure fell::

            {"version": 1, "resamples", "confidence", "seed", "severities": [0.25, …],
             "shifts": {"blur": {"title", "strongest"}, …},
             "protocols": {"patient": {"n_images", "n_clusters", "cluster", "majority",
                 "own": {"accuracy": M, "macro_f1": M},
                 "curves": {"blur": [{"severity": 0.25, "accuracy": M, "macro_f1": M,
                                      "fall": {"accuracy": M, "macro_f1": M}}, …]}}}}

    Raises:
        TableError: a shift lacks test images of a protocol at hand.
    """
    wanted = pd.unique(shifted.table["protocol"])
    return {
        "version": 1,
        "resamples": sampling.resamples,
        "confidence": sampling.confidence,
        "seed": sampling.seed,
        "severities": shifted.severities,
        "shifts": {name: dict(about[name]) for name in shifted.shifts},
        "protocols": {
            str(name): _protocol(
                own.where(part="test", protocol=name), shifted, str(name), sampling
            )
            for name in wanted
        },
    }


def _protocol(own: Predictions, shifted: Shifted, name: str, sampling: Sampling) -> dict[str, Any]:
    keys = own.table[_KEY].sort_values(_KEY, ignore_index=True)
    found = clusters(own.table, unit_of(name))
    tallies = {("", 0.0): Tally.of(own, found.codes, found.n, ranked=False)}
    for shift in shifted.shifts:
        for severity in shifted.severities:
            here = shifted.at(shift, severity).where(protocol=name)
            if not here.table[_KEY].sort_values(_KEY, ignore_index=True).equals(keys):
                raise TableError(
                    f"robustness table: {shift} at severity {severity:g} has not the test images "
                    f"of protocol {name}; measure it again (magnostic robustness RUN --data DATA)"
                )
            # Codes follow sorted names, and the images are the same: equal codes, equal clusters.
            codes = clusters(here.table, unit_of(name)).codes
            tallies[shift, severity] = Tally.of(here, codes, found.n, ranked=False)

    def statistic(weights: Floats) -> dict[str, Floats]:
        values: dict[str, Floats] = {}
        own_values: dict[str, Floats] = {}
        for (shift, severity), tally in tallies.items():
            at = tally.values(weights)
            own_values = own_values or at
            for figure in FIGURES:
                values[f"{shift}/{severity}/{figure}"] = at[figure]
                if shift:
                    fall = 100 * (own_values[figure] - at[figure])
                    values[f"{shift}/{severity}/{figure}/fall"] = fall
        return values

    width = max(tally.confusion[0, 0].size for tally in tallies.values())
    found_values = resample(statistic, found.n, sampling, f"{name}/robustness", width)

    def figures(shift: str, severity: float, suffix: str = "") -> dict[str, Any]:
        estimates: Sequence[Estimate] = [
            found_values[f"{shift}/{severity}/{figure}{suffix}"][0] for figure in FIGURES
        ]
        return {f: e.as_dict() for f, e in zip(FIGURES, estimates, strict=True)}

    counts = own.table["y_true"].value_counts()
    return {
        "n_images": int(own.table["image_id"].nunique()),
        "n_clusters": found.n,
        "cluster": found.unit,
        "majority": float(counts.max() / counts.sum()),
        "own": figures("", 0.0),
        "curves": {
            shift: [
                {
                    "severity": severity,
                    **figures(shift, severity),
                    "fall": figures(shift, severity, "/fall"),
                }
                for severity in shifted.severities
            ]
            for shift in shifted.shifts
        },
    }
