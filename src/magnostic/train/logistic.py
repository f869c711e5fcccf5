"""Logistic regression for several regularization strengths, to scikit-learn's optimum.

For standardized rows x_i of class y_i with weight s_i, minimizes

    sum_i s_i * (-log p(y_i | x_i)) + |W|^2 / (2 C),    p = softmax(W x + b)

(two classes: one row W, p = sigmoid), intercepts free: the objective of scikit-learn's
``LogisticRegression``. It is strictly convex in W, so that every way leads to the same optimum;
this one is short:

- L-BFGS (Liu and Nocedal, Math. Programming 45, 1989) in coordinates in which the problem is nearly
  round. A class's block of the Hessian is about its mean curvature h times the Gram matrix of the
  rows (Böhning, Ann. Inst. Stat. Math. 44, 1992), whose leading eigenvectors are found once for all
  C; each C scales them by ``1 / sqrt(h * eigenvalue + 1 / C)``, h of where it starts.
- Values of C go upwards, each from the solution before it.
- Large products are made in float32, by halves of the rows on two threads of one core each, and
  everything else in float64. Problems small enough to make that unnecessary are computed in
  float64 throughout and a thousand times more exactly, as is the rest of the way where float32's
  rounding ends the descent too early.

It stops where the gradient g in those coordinates has ``|g| <= tolerance * sqrt(h)``, h the mean
curvature there: by the model of the Hessian, a training row's logits are then off by ``tolerance``
at most, and where there are thousands of rows by a hundredth of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, TypeVar

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from magnostic.errors import RunFailed

Floats = NDArray[np.float64]
T = TypeVar("T")

#: Of a head that is kept: probabilities, also of new images, within 1e-3 of the optimum's.
EXACT: Final = 0.03
#: Enough to tell which C is worth it: probabilities within a few hundredths.
ROUGH: Final = 1.0
#: Entries of the features up to which float64 costs little, and how much smaller the gradient is
#: asked to be there.
_SMALL: Final = 2_000_000
_EXACTER: Final = 1e-3
#: Directions that are scaled one by one; the others are scaled alike.
_AXES: Final = 150
#: More directions than are kept, and products with the Gram matrix, of the search for them.
_SPARE: Final = 20
_PASSES: Final = 2
#: Rows whose logits are in the processor's cache while they are needed.
_BLOCK: Final = 512
_MEMORY: Final = 20
_STEPS: Final = 2000
#: The least mean curvature counted with: separable data have next to none.
_FLAT: Final = 1e-8
#: Relative rounding of the objective that a step is forgiven.
_NOISE: Final = {np.dtype(np.float32): 1e-7, np.dtype(np.float64): 1e-14}


@dataclass(frozen=True)
class Solution:
    """One head: coef float64 [K, D] and intercept [K]; K = 1 for two classes."""

    c: float
    coef: Floats
    intercept: Floats


@dataclass(frozen=True)
class _Value:
    """Objective, gradients of both kinds of parameters, and each class's mean curvature [K]."""

    loss: float
    coef: Floats
    intercept: Floats
    curvature: Floats


class Problem:
    """What all values of C share.

    Args:
        features: float64 [N, D], standardized.
        y: [N], codes 0 to K-1, each of which occurs; K >= 2.
        weights: float64 [N], positive, of the rows' losses.
    """

    def __init__(self, features: Floats, y: NDArray[np.intp], weights: Floats) -> None:
        self._exact = _Rows(features, y, weights, np.dtype(np.float64))
        self._small = features.size <= _SMALL
        fast = np.dtype(np.float64 if self._small else np.float32)
        self._rows = self._exact if self._small else _Rows(features, y, weights, fast)
        #: Eigenvalues [A] of the leading directions [D, A], and the mean of the others'.
        self.values, self.axes, self.other = _leading(self._rows.gram())
        share = np.bincount(y, weights) / weights.sum()
        start = np.log(share[1:] / share[:1]) if len(share) == 2 else np.log(share)
        self._start = Solution(0.0, np.zeros((len(start), features.shape[1])), start)

    def path(self, cs: Sequence[float], tolerance: float = EXACT) -> Iterator[Solution]:
        """Heads for each C (positive), from the smallest upwards.

        Raises RunFailed where the optimum is not reached.
        """
        last = self._start
        for c in sorted(cs):
            last = self.solve(c, last, tolerance)
            yield last

    def solve(self, c: float, start: Solution | None = None, tolerance: float = EXACT) -> Solution:
        """The head for one C, from ``start`` (any solution of this problem)."""
        tolerance *= _EXACTER if self._small else 1
        found, end = self._descend(self._rows, c, start or self._start, tolerance)
        if end == "rounding" and not self._small:
            found, end = self._descend(self._exact, c, found, tolerance)
        if end != "reached":
            raise RunFailed(
                f"logistic regression with c = {c:g} does not converge; give a smaller train.c"
            )
        return found

    def _descend(
        self, rows: _Rows, c: float, start: Solution, tolerance: float
    ) -> tuple[Solution, Literal["reached", "rounding", "steps"]]:
        """Best solution found, and what ended the descent."""
        coef, intercept = start.coef, start.intercept
        value = rows.evaluate(coef, intercept, 1 / c)
        round_ = _Round(self, value.curvature, float(rows.weights.sum()), 1 / c)
        gradient = round_.gradient(value)
        pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
        for _ in range(_STEPS):
            unit = np.sqrt(max(float(value.curvature.mean()), _FLAT))
            distance = float(np.linalg.norm(gradient)) / unit
            if distance <= tolerance:
                return Solution(c, coef, intercept), "reached"
            direction = _two_loops(gradient, pairs)
            slope = float(direction @ gradient)
            step = 1.0
            while True:
                by_coef, by_intercept = round_.parameters(step * direction)
                tried = rows.evaluate(coef + by_coef, intercept + by_intercept, 1 / c)
                slack = _NOISE[rows.kind] * abs(value.loss)
                if tried.loss <= value.loss + 1e-4 * step * slope + slack:
                    break
                step /= 4
                if step < 1e-3:  # no way down that the rounding lets us see
                    exact = rows.kind == np.float64 and distance <= EXACT
                    return Solution(c, coef, intercept), "reached" if exact else "rounding"
            after = round_.gradient(tried)
            change = after - gradient
            along = float(step * (direction @ change))
            if along > 1e-10 * float(change @ change):
                pairs.append((step * direction, change, 1 / along))
            coef, intercept = coef + by_coef, intercept + by_intercept
            value, gradient = tried, after
        return Solution(c, coef, intercept), "steps"


class _Rows:
    """The training rows in one precision: the objective and what is derived from it."""

    def __init__(
        self, features: Floats, y: NDArray[np.intp], weights: Floats, kind: np.dtype[Any]
    ) -> None:
        self.kind, self.weights = kind, weights
        self._x = np.ascontiguousarray(features, dtype=kind)
        self._is = np.zeros((int(y.max()) + 1, len(y)))
        self._is[y, np.arange(len(y))] = 1
        # Where rows are cut does not depend on the machine: sums have the same bytes everywhere.
        half = len(y) if features.size <= _SMALL else len(y) // 2 // _BLOCK * _BLOCK
        self._pieces = [slice(0, half), slice(half, len(y))][: 1 + (half < len(y))]

    def gram(self) -> NDArray[Any]:
        """[D, D], sum over rows of weight times outer product."""
        root = np.sqrt(self.weights).astype(self.kind)[:, None]

        def of(piece: slice) -> NDArray[Any]:
            weighted = self._x[piece] * root[piece]
            product: NDArray[Any] = weighted.T @ weighted
            return product

        first, *others = self._each(of)
        return sum(others, start=first)

    def evaluate(self, coef: Floats, intercept: Floats, penalty: float) -> _Value:
        columns = np.ascontiguousarray(coef.T, dtype=self.kind)
        of_block = _two if len(coef) == 1 else _many

        def of(piece: slice) -> _Value:
            loss, curvature = 0.0, np.zeros_like(intercept)
            slopes, shifts = np.zeros_like(coef), np.zeros_like(intercept)
            for first in range(piece.start, piece.stop, _BLOCK):
                here = slice(first, min(first + _BLOCK, piece.stop))
                x, weights = self._x[here], self.weights[here]
                logits = np.ascontiguousarray((x @ columns).T, dtype=np.float64)
                logits += intercept[:, None]
                losses, residual, curvatures = of_block(logits, self._is[:, here])
                residual *= weights
                loss += float(weights @ losses)
                curvature += curvatures @ weights
                slopes += residual.astype(self.kind) @ x
                shifts += residual.sum(axis=1)
            return _Value(loss, slopes, shifts, curvature)

        found = self._each(of)
        loss = penalty / 2 * float((coef * coef).sum()) + sum(v.loss for v in found)
        return _Value(
            loss,
            sum((v.coef for v in found), start=penalty * coef),
            sum((v.intercept for v in found), start=np.zeros_like(intercept)),
            sum((v.curvature for v in found), start=np.zeros_like(intercept)) / self.weights.sum(),
        )

    def _each(self, of: Callable[[slice], T]) -> list[T]:
        """Of every piece, each on a thread of its own where there are two."""
        if len(self._pieces) == 1:
            return [of(self._pieces[0])]
        return list(_threads().map(of, self._pieces))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="logistic")


def _leading(gram: NDArray[Any]) -> tuple[Floats, NDArray[Any], float]:
    """Leading eigenvalues and eigenvectors, and the mean of the other eigenvalues.

    Of many, nearly: by subspace iteration from random directions (Halko, Martinsson and Tropp, SIAM
    Review 53, 2011), which leaves the optimum where it is.
    """
    count = min(_AXES, len(gram))
    within = gram
    basis = None
    if len(gram) > _AXES + _SPARE:
        start = np.random.default_rng(0).standard_normal((len(gram), _AXES + _SPARE))
        basis = start.astype(gram.dtype)
        for _ in range(_PASSES):
            basis = scipy.linalg.qr(gram @ basis, mode="economic", check_finite=False)[0]
        within = basis.T @ gram @ basis
    values, vectors = scipy.linalg.eigh(within, driver="evd", check_finite=False)
    kept = np.maximum(values[-count:].astype(np.float64), 0)
    axes = vectors[:, -count:] if basis is None else basis @ vectors[:, -count:]
    others = len(gram) - count
    rest = max(float(np.trace(gram)) - float(kept.sum()), 0.0)
    return kept, np.ascontiguousarray(axes), rest / others if others else 0.0


class _Round:
    """Coordinates in which the problem is nearly round; flat vectors [K * D + K]."""

    def __init__(self, problem: Problem, curvature: Floats, total: float, penalty: float) -> None:
        each = np.maximum(curvature, _FLAT)
        self._axes, self._shape = problem.axes, (len(each), len(problem.axes))
        self._base = 1 / np.sqrt(each * problem.other + penalty)[:, None]
        self._more = 1 / np.sqrt(np.outer(each, problem.values) + penalty) - self._base
        self._of_intercept = 1 / np.sqrt(each * total)

    def parameters(self, vector: Floats) -> tuple[Floats, Floats]:
        """What a vector means: changes of coef [K, D] and intercept [K]."""
        coef, intercept = np.split(vector, [vector.size - self._shape[0]])
        return self._scale(coef.reshape(self._shape)), self._of_intercept * intercept

    def gradient(self, value: _Value) -> Floats:
        return np.concatenate(
            [self._scale(value.coef).ravel(), self._of_intercept * value.intercept]
        )

    def _scale(self, coef: Floats) -> Floats:
        """Symmetric, so that it serves both ways."""
        along = coef.astype(self._axes.dtype) @ self._axes
        scaled: Floats = self._base * coef
        scaled += (along * self._more.astype(self._axes.dtype)) @ self._axes.T
        return scaled


def _two_loops(gradient: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """L-BFGS's direction of descent."""
    direction = -gradient
    factors = []
    for step, change, inverse in reversed(pairs):
        factor = inverse * float(step @ direction)
        direction -= factor * change
        factors.append(factor)
    if pairs:
        _, change, inverse = pairs[-1]
        direction /= inverse * float(change @ change)
    for (step, change, inverse), factor in zip(pairs, reversed(factors), strict=True):
        direction += (factor - inverse * float(change @ direction)) * step
    return direction


def _two(logits: Floats, is_class: Floats) -> tuple[Floats, Floats, Floats]:
    """Loss [n], residual [1, n] and curvature [1, n] of rows with logits [1, n]."""
    z, y = logits[0], is_class[1]
    e = np.exp(-np.abs(z))
    p = np.where(z >= 0, 1, e) / (1 + e)
    return np.maximum(z, 0) + np.log1p(e) - y * z, (p - y)[None, :], (p * (1 - p))[None, :]


def _many(logits: Floats, is_class: Floats) -> tuple[Floats, Floats, Floats]:
    """The same for logits [K, n], which are overwritten."""
    logits -= logits.max(axis=0)
    own = np.einsum("kn,kn->n", logits, is_class)
    p = np.exp(logits, out=logits)
    total = p.sum(axis=0)
    p /= total
    curvature = p * (1 - p)
    p -= is_class
    return np.log(total) - own, p, curvature
