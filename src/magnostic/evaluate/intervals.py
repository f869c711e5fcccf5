"""Limits, standard errors and p values from bootstrap draws of one figure.

Let ``d`` be B draws of a figure from resamples of G clusters. Three intervals of confidence c take
their limits from quantiles of ``d``; they differ in which ones:

- percentile: (1 - c) / 2 and its complement (Efron 1979).
- expanded: ``Phi(-sqrt(G / (G - 1)) t)`` and its complement, t being Student's quantile at
  1 - (1 - c) / 2 with df degrees of freedom. A resample varies by (G - 1) / G too little and the
  normal has lighter tails than t; this undoes both, so that for a mean the limits are those of the
  t interval (Hesterberg, *The American Statistician* 69(4), 2015, with df = G - 1; arXiv
  1411.5279). Where a few clusters carry a figure (large ones, or those of a rare class) its
  variance is known less well than from G equal ones: df is :func:`degrees_of_freedom`.
- BCa: bias-corrected and accelerated (Efron, *JASA* 82, 1987; Davison and Hinkley 1997, 5.3.2):
  tails ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))`` for the normal quantiles z of the percentile
  tails, z0 the normal quantile of the share of draws below the figure (ties count half), and a the
  skewness of the leave-one-cluster-out values, ``sum u^3 / (6 (sum u^2)^1.5)``.

Draws that are NaN (a resample on which the figure is not defined) are left out throughout.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from magnostic.evaluate.metrics import Floats

Interval = Literal["percentile", "expanded", "bca"]

#: Share of studies that would find a difference of the minimum detectable size.
POWER: Final = 0.8


def percentile_tails(confidence: float) -> tuple[float, float]:
    """Quantiles of the percentile interval, in (0, 1)."""
    tail = (1 - confidence) / 2
    return tail, 1 - tail


def expanded_tails(confidence: float, n_clusters: int, df: float) -> tuple[float, float]:
    """Quantiles of the expanded percentile interval for G >= 2 clusters, in (0, 1)."""
    t = float(stdtrit(df, 1 - (1 - confidence) / 2))
    tail = float(ndtr(-math.sqrt(n_clusters / (n_clusters - 1)) * t))
    return tail, 1 - tail


def degrees_of_freedom(left_out: Floats) -> float:
    """How well the figure's variance is known: ``2 G / (k + 2)``, at least 1, at most G - 1.

    That is Satterthwaite's ``2 V^2 / Var(V)`` (*Biometrics Bulletin* 2, 1946) for the variance V
    of G values with excess kurtosis k, here that of the leave-one-cluster-out values [G]; NaN are
    left out.
    """
    u = _deviations(left_out)
    squares, fourth = float(np.sum(u**2)), float(np.sum(u**4))
    most = max(1.0, len(left_out) - 1.0)
    if fourth == 0:
        return most
    k = len(u) * fourth / squares**2 - 3
    return most if k <= 0 else min(most, max(1.0, 2 * len(u) / (k + 2)))


def bca_tails(
    draws: Floats, estimate: float, left_out: Floats, confidence: float
) -> tuple[float, float]:
    """Quantiles of the BCa interval, in [0, 1].

    Args:
        draws: float64 [B] without NaN.
        estimate: the figure itself.
        left_out: float64 [G], the figure without one cluster each; NaN where not defined.
        confidence: in (0, 1).
    """
    tails = percentile_tails(confidence)
    below = (np.sum(draws < estimate) + 0.5 * np.sum(draws == estimate)) / len(draws)
    if not 0 < below < 1:
        # No draw on one side: the correction is infinite and says nothing.
        return tails
    u = _deviations(left_out)
    scale = float(np.sum(u**2)) ** 1.5
    acceleration = float(np.sum(u**3)) / (6 * scale) if scale > 0 else 0.0
    z0 = float(ndtri(below))
    z = z0 + ndtri(np.asarray(tails))
    low, high = ndtr(z0 + z / (1 - acceleration * z))
    return float(low), float(high)


def _deviations(left_out: Floats) -> Floats:
    """Mean minus each of the values that are defined."""
    defined = left_out[~np.isnan(left_out)]
    return defined.mean() - defined if len(defined) else defined


def limits(draws: Floats, tails: tuple[float, float]) -> tuple[float, float]:
    """The quantiles of draws [B] (without NaN, B >= 1) at both tails."""
    low, high = np.quantile(draws, list(tails))
    return float(low), float(high)


def standard_error(draws: Floats, n_clusters: int) -> float | None:
    """Standard deviation of the draws times sqrt(G / (G - 1)); None with fewer than two.

    The factor makes it unbiased for a mean over clusters, whose resamples vary too little.
    """
    defined = draws[~np.isnan(draws)]
    if len(defined) < 2 or n_clusters < 2:
        return None
    return float(defined.std(ddof=1)) * math.sqrt(n_clusters / (n_clusters - 1))


def p_value(draws: Floats, n_clusters: int, df: float) -> float | None:
    """Two-sided p value of "the difference is zero": the expanded interval, inverted.

    It is the smallest 1 - c at which that interval leaves zero out, and no less than what the
    nearest of the draws' B + 1 places gives. None with fewer than two clusters or draws.
    """
    ordered = np.sort(draws[~np.isnan(draws)])
    if len(ordered) < 2 or n_clusters < 2:
        return None
    share = min(_share_up_to_zero(ordered), _share_up_to_zero(-ordered[::-1]))
    share = max(share, 1 / (len(ordered) + 1))
    tail = stdtr(df, math.sqrt((n_clusters - 1) / n_clusters) * ndtri(share))
    return float(min(1.0, 2 * tail))


def _share_up_to_zero(ordered: Floats) -> float:
    """The largest q at which the linear quantile of ascending values is not above zero."""
    k = int(np.searchsorted(ordered, 0.0, side="right"))
    if k in (0, len(ordered)):
        return float(k > 0)
    below, above = ordered[k - 1], ordered[k]
    return float((k - 1 + (0.0 - below) / (above - below)) / (len(ordered) - 1))


def minimum_detectable(error: float, df: float, confidence: float) -> float:
    """Smallest true difference that :data:`POWER` of studies like this one would find.

    ``(t[1 - (1 - c) / 2] + t[power]) * error`` with Student's quantiles of df degrees of freedom
    (Bloom, *Evaluation Review* 19(5), 1995); error is the difference's standard error.
    """
    return float((stdtrit(df, 1 - (1 - confidence) / 2) + stdtrit(df, POWER)) * error)
