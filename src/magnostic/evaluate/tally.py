"""Predictions reduced to what each cluster contributes, so that figures follow from weights.

A weight of 1 for every cluster gives the figures of the set itself; multinomial weights give those
of bootstrap resamples. Both go through the same code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate import auc
from magnostic.evaluate.metrics import (
    OVERALL,
    Floats,
    from_confusion,
    image_loss,
    macro_auc,
    mean_defined,
    number,
    ratio,
)
from magnostic.evaluate.predictions import Predictions


@dataclass(frozen=True)
class Tally:
    """R repeats, G clusters, C classes.

    confusion: float64 [R, G, C, C]. loss: float64 [R, G], summed over images.
    kernels: R x C functions from weights to AUC, or none: the figures then lack it.
    """

    confusion: Floats
    loss: Floats
    kernels: tuple[tuple[auc.Kernel, ...], ...]

    @staticmethod
    def of(
        predictions: Predictions,
        codes: NDArray[np.intp],
        n_clusters: int,
        repeats: NDArray[np.intp] | None = None,
        ranked: bool = True,
    ) -> Tally:
        """Tally the rows by cluster code [N] in 0..n_clusters-1 and by repeat.

        Args:
            repeats: [N], numbers the sets whose figures are averaged; by default the table's.
            ranked: prepare the AUC, the costliest figure by far.
        """
        if repeats is None:
            repeats = np.unique(predictions.table["repeat"], return_inverse=True)[1]
        true, predicted = predictions.true_index, predictions.predicted_index
        probabilities = predictions.probabilities
        n_classes = len(predictions.classes)
        n_repeats = int(repeats.max(initial=0)) + 1
        shape = (n_repeats, n_clusters, n_classes, n_classes)
        cell = np.ravel_multi_index((repeats, codes, true, predicted), shape)
        group = repeats * n_clusters + codes
        loss = image_loss(probabilities, true)
        summed_loss: Floats = np.bincount(group, loss, n_repeats * n_clusters).astype(np.float64)
        kernels: list[tuple[auc.Kernel, ...]] = []
        for repeat in range(n_repeats):
            if not ranked:
                kernels.append(())
                continue
            rows = repeats == repeat
            kernels.append(
                tuple(
                    auc.kernel(probabilities[rows, c], true[rows] == c, codes[rows])
                    for c in range(n_classes)
                )
            )
        return Tally(
            np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape).astype(np.float64),
            summed_loss.reshape(n_repeats, n_clusters),
            tuple(kernels),
        )

    @property
    def class_clusters(self) -> NDArray[np.intp]:
        """intp [C]: in how many clusters each true class occurs."""
        return np.asarray((self.confusion.sum(axis=(0, 3)) > 0).sum(axis=0), dtype=np.intp)

    @property
    def width(self) -> int:
        """Floats that one weighting takes at most while it is worked on."""
        widths = [k.width for row in self.kernels for k in row]
        return max(*widths, int(self.confusion.shape[1]), int(self.confusion[0, 0].size))

    def values(self, weights: Floats) -> dict[str, Floats]:
        """Figures under B weightings of the clusters, each the mean over the repeats.

        Args:
            weights: float64 [B, G], not negative.

        Returns:
            :data:`metrics.OVERALL` of shape [B] and :data:`metrics.PER_CLASS` of shape [B, C]; NaN
            where undefined. A figure undefined in some repeats is the mean over the others.
        """
        by_repeat: list[dict[str, Floats]] = []
        for confusion, loss, kernels in zip(self.confusion, self.loss, self.kernels, strict=True):
            n_clusters, n_classes = confusion.shape[:2]
            counts = weights @ confusion.reshape(n_clusters, -1)
            values = from_confusion(counts.reshape(-1, n_classes, n_classes))
            if kernels:
                values["auc"] = np.stack([k(weights) for k in kernels], axis=-1)
                values["macro_auc"] = macro_auc(values["auc"])
            values["log_loss"] = ratio(weights @ loss, counts.sum(axis=-1))
            by_repeat.append(values)
        if len(by_repeat) == 1:
            return by_repeat[0]
        return {
            name: mean_defined(np.stack([v[name] for v in by_repeat]), axis=0)
            for name in by_repeat[0]
        }


def score(predictions: Predictions) -> dict[str, float | None]:
    """The :data:`metrics.OVERALL` figures of all rows taken as one set; None where undefined."""
    one = np.zeros(len(predictions.table), np.intp)
    values = Tally.of(predictions, one, 1, repeats=one).values(np.ones((1, 1)))
    return {name: number(values[name][0]) for name in OVERALL}
