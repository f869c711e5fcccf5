"""Accuracy and macro F1 of one system under several protocols, and what random images gain.

The figures of the negative controls, which need no more than these; definitions, clusters and
streams are those of metrics.json (see :mod:`magnostic.evaluate.summary`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate import gap
from magnostic.evaluate.bootstrap import Sampling, clusters, resample, unit_of
from magnostic.evaluate.metrics import Floats
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally


def contrast(
    sides: Mapping[str, Predictions],
    learnable: Mapping[str, NDArray[np.bool_]],
    sampling: Sampling,
    stream: str,
) -> dict[str, Any]:
    """Figures by protocol, and gaps.

    Args:
        sides: test predictions of each protocol, ``random`` among them for gaps.
        learnable: of each, bool [N]: the row's fold had training images of its class.
        sampling: of the intervals.
        stream: prefix of the random streams' names.

    Returns:
        ``protocols``: of each ``accuracy``, ``macro_f1`` (``estimate, low, high``), ``n_images``
        and ``estimable``: the same figures and ``n`` of the learnable images, None where all are
        or none is. ``gap``: of each protocol but ``random`` what :func:`gap.compare` gives, with
        ``estimable`` likewise.
    """
    protocols = {}
    for name, side in sides.items():
        only = _some(learnable[name])
        protocols[name] = {
            **_figures(side, name, sampling, f"{stream}/{name}"),
            "n_images": int(side.table["image_id"].nunique()),
            "estimable": None,
        }
        if only is not None:
            rows = gap.rows(side, only)
            protocols[name]["estimable"] = {
                **_figures(rows, name, sampling, f"{stream}/{name}/estimable"),
                "n": int(rows.table["image_id"].nunique()),
            }
    gaps = {}
    for name in sides:
        if name == gap.RANDOM or gap.RANDOM not in sides:
            continue
        random, grouped = sides[gap.RANDOM], sides[name]
        found = gap.compare(random, grouped, name, sampling, f"{stream}/gap/{name}")
        if found is None:
            continue
        keep = [learnable[gap.RANDOM], learnable[name]]
        found["estimable"] = None
        if not all(k.all() for k in keep):
            found["estimable"] = gap.compare(
                gap.rows(random, keep[0]),
                gap.rows(grouped, keep[1]),
                name,
                sampling,
                f"{stream}/gap/{name}/estimable",
            )
        gaps[name] = found
    return {"protocols": protocols, "gap": gaps}


def _some(keep: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    return keep if keep.any() and not keep.all() else None


def _figures(side: Predictions, name: str, sampling: Sampling, stream: str) -> dict[str, Any]:
    found = clusters(side.table, unit_of(name))
    tally = Tally.of(side, found.codes, found.n, ranked=False)

    def statistic(weights: Floats) -> dict[str, Floats]:
        values = tally.values(weights)
        return {key: values[key] for key in gap.FIGURES}

    estimates = resample(statistic, found.n, sampling, stream, tally.width)
    return {key: estimates[key][0].as_dict() for key in gap.FIGURES}
