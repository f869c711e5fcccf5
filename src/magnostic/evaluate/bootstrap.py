"""Intervals by the cluster bootstrap: whole patients are drawn, never single images.

Images of one patient are alike, so that an interval that draws images is far too narrow. Here G
clusters are drawn with replacement from the G that there are (Davison and Hinkley, *Bootstrap
Methods and their Application*, 1997, section 3.8) and each figure is computed anew under the
resulting weights. In a resample that lacks a class, macro figures are means over the classes that
it has, and the figures of the lacking class are left out of that class's interval. How often the
intervals cover the truth stands in docs/statistics.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from magnostic.evaluate import intervals
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
    """How intervals are made: number of resamples (0: none), confidence in (0, 1), seed, kind."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    interval: intervals.Interval = "expanded"


@dataclass(frozen=True)
class Estimate:
    """A figure and its interval; ``reason`` says why there is no interval."""

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

    def unless_constant(self) -> Estimate:
        """Without limits of no width, which would claim certainty: none or all of it is right."""
        if self.low is None or self.low != self.high:
            return self
        return self.without_interval("the same in every resample")


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


@dataclass(frozen=True)
class Draws:
    """What a statistic gave on a set and on its resamples.

    whole: name to float64 [K], K being 1 for figures of the whole set and C for those by class.
    resampled: name to float64 [B, K]; B is 0 where ``reason`` says why nothing was drawn.
    left_out: name to float64 [G, K], without one cluster each; None where the interval
        needs none (percentile).
    """

    n_clusters: int
    whole: dict[str, Floats]
    resampled: dict[str, Floats]
    left_out: dict[str, Floats] | None
    reason: str | None

    def interval(self, name: str, k: int, sampling: Sampling) -> Estimate:
        """The k-th of the named figures with its interval."""
        left_out = None if self.left_out is None else self.left_out[name][:, k]
        drawn = self.resampled[name][:, k]
        return estimate(
            self.whole[name][k], drawn, self.n_clusters, sampling, left_out, self.reason
        )


def draw(
    statistic: Statistic,
    n_clusters: int,
    sampling: Sampling,
    stream: str,
    width: int = 1,
) -> Draws:
    """Every figure of ``statistic`` on the whole set and on resamples of its clusters.

    Args:
        statistic: from weights float64 [B, G] to named figures of shape [B] or [B, C].
        n_clusters: G.
        stream: name of the random stream; equal seed and name draw equal clusters.
        width: floats that the statistic needs for one resample, for the size of chunks.
    """
    whole = {k: v[0].reshape(-1) for k, v in statistic(np.ones((1, n_clusters))).items()}
    reason = _why_none(n_clusters, sampling)
    if reason is not None:
        none = {name: np.empty((0, len(values))) for name, values in whole.items()}
        return Draws(n_clusters, whole, none, None, reason)
    resampled = _collect(statistic, _weights(n_clusters, sampling, stream, width))
    left_out = None
    if sampling.interval != "percentile":
        left_out = _collect(statistic, _one_left_out(n_clusters, width))
    return Draws(n_clusters, whole, resampled, left_out, None)


def resample(
    statistic: Statistic,
    n_clusters: int,
    sampling: Sampling,
    stream: str,
    width: int = 1,
) -> dict[str, list[Estimate]]:
    """Every figure of ``statistic`` with its interval; arguments are :func:`draw`'s.

    Returns:
        A list of one Estimate for figures of shape [B], of C for [B, C].
    """
    drawn = draw(statistic, n_clusters, sampling, stream, width)
    return {
        name: [drawn.interval(name, k, sampling) for k in range(len(values))]
        for name, values in drawn.whole.items()
    }


def estimate(
    value: np.float64,
    drawn: Floats,
    n_clusters: int,
    sampling: Sampling,
    left_out: Floats | None = None,
    reason: str | None = None,
) -> Estimate:
    """A figure with the interval that ``sampling`` asks for.

    Args:
        value: the figure; NaN where it is not defined.
        drawn: float64 [B] from resamples, NaN where not defined.
        left_out: float64 [G] without one cluster each; percentile intervals need none.
        reason: why there can be no interval.
    """
    point = number(value)
    if point is None:
        return Estimate(None, None, None, n_clusters, "not defined on this set")
    if reason is not None:
        return Estimate(point, None, None, n_clusters, reason)
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Estimate(point, None, None, n_clusters, "not defined in any resample")
    tails = intervals.percentile_tails(sampling.confidence)
    if sampling.interval != "percentile":
        assert left_out is not None
        if sampling.interval == "bca":
            tails = intervals.bca_tails(defined, point, left_out, sampling.confidence)
        else:
            df = intervals.degrees_of_freedom(left_out)
            tails = intervals.expanded_tails(sampling.confidence, n_clusters, df)
    low, high = intervals.limits(defined, tails)
    return Estimate(point, low, high, n_clusters)


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


def _one_left_out(n_clusters: int, width: int) -> Iterator[Floats]:
    """Chunks [b, G] of weights, each row without one cluster."""
    step = max(1, _CHUNK // max(n_clusters, width, 1))
    for start in range(0, n_clusters, step):
        rows = np.arange(start, min(start + step, n_clusters))
        weights = np.ones((len(rows), n_clusters))
        weights[np.arange(len(rows)), rows] = 0.0
        yield weights


def _collect(statistic: Statistic, weightings: Iterable[Floats]) -> dict[str, Floats]:
    """Figures [B, K] over all chunks of weights."""
    found: dict[str, list[Floats]] = {}
    for weights in weightings:
        for name, values in statistic(weights).items():
            found.setdefault(name, []).append(values.reshape(len(weights), -1))
    return {name: np.concatenate(chunks) for name, chunks in found.items()}
