"""Percentile intervals by the cluster bootstrap: whole patients are drawn, never single images.

Images of one patient are alike, so that an interval that draws images is far too narrow. Here G
clusters are drawn with replacement from the G that there are (Davison and Hinkley, *Bootstrap
Methods and their Application*, 1997, section 3.8) and each figure is computed anew under the
resulting weights. In a resample that lacks a class, macro figures are means over the classes that
it has, and the figures of the lacking class are left out of that class's interval.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.evaluate.metrics import Floats, number

#: Floats worked on at once: 8 MiB of float64, the fastest of the powers of two tried.
_CHUNK: Final = 2**20

Statistic = Callable[[Floats], dict[str, Floats]]


@dataclass(frozen=True)
class Clusters:
    """The unit of resampling of N rows.

    codes: intp [N] in 0..n-1. unit: ``patient``, ``accession`` or ``image``.
    warning: what the reader has to know where ids are missing, else None.
    """

    codes: NDArray[np.intp]
    n: int
    unit: str
    warning: str | None = None


@dataclass(frozen=True)
class Sampling:
    """How intervals are made: number of resamples (0: none), confidence in (0, 1), seed."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    """A figure and its percentile interval; ``reason`` says why there is no interval."""

    estimate: float | None
    low: float | None
    high: float | None
    n_clusters: int
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """``estimate, low, high`` for metrics.json, and ``reason`` where there is one."""
        values: dict[str, Any] = {"estimate": self.estimate, "low": self.low, "high": self.high}
        if self.reason is not None:
            values["reason"] = self.reason
        return values

    def without_interval(self, reason: str) -> Estimate:
        return Estimate(self.estimate, None, None, self.n_clusters, reason)


def unit_of(protocol: str) -> str:
    """What a protocol holds independent: ``accession`` for that protocol, else ``patient``."""
    return "accession" if protocol == "accession" else "patient"


def clusters(table: pd.DataFrame, unit: str) -> Clusters:
    """Group rows by ``patient`` or ``accession``; an image without an id is a cluster of its own.

    Codes follow the sorted names, so that the order of rows does not change an interval.
    """
    ids = table["patient_id" if unit == "patient" else unit]
    missing = ids.isna().to_numpy()
    images = table["image_id"].astype(str)
    names = ("g:" + ids.astype(str)).where(~missing, "i:" + images)
    found, codes = np.unique(names.to_numpy(dtype=str), return_inverse=True)
    warning = None
    n_missing = int(images[missing].nunique())
    if missing.all():
        unit_found = "image"
        warning = (
            f"No image has a {unit} id: intervals draw single images and are too narrow wherever "
            f"several images come from one {unit}."
        )
    else:
        unit_found = unit
        if n_missing:
            warning = (
                f"{n_missing} of {images.nunique()} images have no {unit} id and count as a "
                "cluster each: intervals may be too narrow."
            )
    return Clusters(codes.astype(np.intp), len(found), unit_found, warning)


def resample(
    statistic: Statistic,
    n_clusters: int,
    sampling: Sampling,
    stream: str,
    width: int = 1,
) -> dict[str, list[Estimate]]:
    """Every figure of ``statistic`` with its interval.

    Args:
        statistic: from weights float64 [B, G] to named figures of shape [B] or [B, C].
        n_clusters: G.
        stream: name of the random stream; equal seed and name give equal intervals.
        width: floats that the statistic needs for one resample, for the size of chunks.

    Returns:
        A list of one Estimate for figures of shape [B], of C for [B, C].
    """
    whole = statistic(np.ones((1, n_clusters)))
    reason = _why_none(n_clusters, sampling)
    drawn: dict[str, list[Floats]] = {name: [] for name in whole}
    if reason is None:
        for weights in _weights(n_clusters, sampling, stream, width):
            for name, values in statistic(weights).items():
                drawn[name].append(values)
    result = {}
    for name, values in whole.items():
        estimates = values[0].reshape(-1)
        if reason is None:
            every = np.concatenate(drawn[name]).reshape(sampling.resamples, -1)
        else:
            every = np.empty((0, len(estimates)))
        result[name] = [
            _interval(estimate, every[:, k], n_clusters, sampling.confidence, reason)
            for k, estimate in enumerate(estimates)
        ]
    return result


def _why_none(n_clusters: int, sampling: Sampling) -> str | None:
    if sampling.resamples == 0:
        return "no resamples were asked for"
    if n_clusters < 2:
        return "fewer than two clusters: nothing to resample"
    return None


def _weights(n_clusters: int, sampling: Sampling, stream: str, width: int) -> Iterator[Floats]:
    """Chunks [b, G] of how often each cluster is drawn."""
    rng = np.random.default_rng([sampling.seed, zlib.crc32(stream.encode())])
    step = max(1, _CHUNK // max(n_clusters, width, 1))
    for start in range(0, sampling.resamples, step):
        b = min(step, sampling.resamples - start)
        picked = rng.integers(0, n_clusters, size=(b, n_clusters))
        picked += np.arange(b)[:, None] * n_clusters
        counts = np.bincount(picked.reshape(-1), minlength=b * n_clusters)
        yield counts.reshape(b, n_clusters).astype(np.float64)


def _interval(
    estimate: np.float64, drawn: Floats, n_clusters: int, confidence: float, reason: str | None
) -> Estimate:
    point = number(estimate)
    if point is None:
        return Estimate(None, None, None, n_clusters, "not defined on this set")
    if reason is not None:
        return Estimate(point, None, None, n_clusters, reason)
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Estimate(point, None, None, n_clusters, "not defined in any resample")
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(point, float(low), float(high), n_clusters)
