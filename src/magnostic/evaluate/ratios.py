"""Many shares and means of one set of images, with intervals from the same drawn clusters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate.bootstrap import Estimate, Sampling, resample
from magnostic.evaluate.metrics import Floats, mean_defined, ratio

Derived = Callable[[Mapping[str, Floats]], Floats]


class Ratios:
    """Figures ``sum of values / number of rows`` under weights of clusters.

    With several repeats each figure is computed in each repeat and averaged, inside each resample
    too. A figure is undefined (NaN) in a resample that has none of its rows.
    """

    def __init__(self, codes: NDArray[np.intp], n_clusters: int, repeats: NDArray[Any]) -> None:
        """Rows [N] by cluster code in 0..n_clusters-1 and by repeat."""
        number = np.unique(repeats, return_inverse=True)[1]
        self._shape = (int(number.max(initial=0)) + 1, n_clusters)
        self._cell = number * n_clusters + codes
        self._sums: dict[str, tuple[Floats, Floats]] = {}
        self._derived: dict[str, Derived] = {}

    def add(
        self,
        name: str,
        values: NDArray[Any],
        among: NDArray[np.bool_] | None = None,
        *,
        even: bool = False,
    ) -> None:
        """The mean of ``values`` [N] over the rows ``among`` (all by default).

        even: every cluster weighs the same, however many rows it has: a mean of cluster means.
        """
        rows = np.ones(len(values)) if among is None else among.astype(np.float64)
        sums, sizes = self._total(rows * values), self._total(rows)
        if even:
            sums, sizes = np.nan_to_num(ratio(sums, sizes)), (sizes > 0).astype(np.float64)
        self._sums[name] = sums, sizes

    def derive(self, name: str, function: Derived) -> None:
        """A figure computed from others: [R, B] arrays by name to one such array."""
        self._derived[name] = function

    def estimates(self, sampling: Sampling, stream: str) -> dict[str, Estimate]:
        """Every figure with its interval; none where fewer than two clusters hold its rows."""
        names = list(self._sums)
        sums = np.stack([self._sums[n][0] for n in names], axis=-1)
        sizes = np.stack([self._sums[n][1] for n in names], axis=-1)

        def statistic(weights: Floats) -> dict[str, Floats]:
            by_repeat = np.stack(
                [ratio(weights @ s, weights @ n) for s, n in zip(sums, sizes, strict=True)]
            )
            values = {name: by_repeat[..., k] for k, name in enumerate(names)}
            for name, function in self._derived.items():
                values[name] = function(values)
            together = np.stack(list(values.values()), axis=-1)
            return {"all": together[0] if len(together) == 1 else mean_defined(together, axis=0)}

        n_clusters = self._shape[1]
        width = self._shape[0] * (len(names) + len(self._derived))
        found = resample(statistic, n_clusters, sampling, stream, width)["all"]
        result = dict(zip([*names, *self._derived], found, strict=True))
        holding = (sizes.sum(axis=0) > 0).sum(axis=0)
        for name, n in zip(names, holding, strict=True):
            if n < 2 and result[name].low is not None:
                result[name] = result[name].without_interval("its images are of one cluster only")
        return {name: estimate.unless_constant() for name, estimate in result.items()}

    def _total(self, values: NDArray[Any]) -> Floats:
        summed = np.bincount(self._cell, values, minlength=self._shape[0] * self._shape[1])
        return summed.reshape(self._shape).astype(np.float64)
