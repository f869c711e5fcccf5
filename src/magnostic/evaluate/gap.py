"""How much higher the random-image figure is than one whose patients were kept apart.

Both protocols are scored on the images that both have tested, and the interval of the difference
draws the same clusters for both (a paired bootstrap), so that what is hard in a patient counts on
both sides.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.bootstrap import Estimate, Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import Floats
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally

#: Figures whose difference is reported.
FIGURES: Final = ("accuracy", "macro_f1")
RANDOM: Final = "random"


def compare(
    random: Predictions,
    grouped: Predictions,
    protocol: str,
    sampling: Sampling,
    stream: str,
) -> dict[str, Any] | None:
    """Random-image minus grouped figures in points (hundredths) over the images common to both.

    Args:
        random: test predictions of the random-image protocol.
        grouped: test predictions of ``protocol``.

    Returns:
        ``n_images, n_clusters, cluster`` and for each of :data:`FIGURES` the difference's
        ``estimate, low, high`` in points with both sides as ``random`` and ``grouped`` (shares in
        [0, 1]); None where no image is common.
    """
    ids = np.intersect1d(_ids(random), _ids(grouped))
    if not len(ids):
        return None
    sides = [rows(p, np.isin(_ids(p), ids)) for p in (random, grouped)]
    unit = unit_of(protocol)
    # Codes follow sorted names and both sides hold the same images: equal codes, equal clusters.
    found = [clusters(side.table, unit) for side in sides]
    n = found[0].n
    tallies = [Tally.of(s, f.codes, n, ranked=False) for s, f in zip(sides, found, strict=True)]

    def statistic(weights: Floats) -> dict[str, Floats]:
        above, below = (tally.values(weights) for tally in tallies)
        values = {name: 100 * (above[name] - below[name]) for name in FIGURES}
        values |= {f"random/{name}": above[name] for name in FIGURES}
        values |= {f"grouped/{name}": below[name] for name in FIGURES}
        return values

    width = max(tally.width for tally in tallies)
    estimates = resample(statistic, n, sampling, stream, width)

    def entry(name: str) -> dict[str, Any]:
        difference: Estimate = estimates[name][0]
        return {
            **difference.as_dict(),
            "random": estimates[f"random/{name}"][0].estimate,
            "grouped": estimates[f"grouped/{name}"][0].estimate,
        }

    return {
        "n_images": len(ids),
        "n_clusters": n,
        "cluster": found[0].unit,
        **{name: entry(name) for name in FIGURES},
    }


def _ids(predictions: Predictions) -> NDArray[np.str_]:
    return predictions.table["image_id"].to_numpy(dtype=str)


def rows(predictions: Predictions, keep: NDArray[np.bool_]) -> Predictions:
    """The rows of a mask [N]."""
    return Predictions(predictions.table.loc[keep].reset_index(drop=True))
