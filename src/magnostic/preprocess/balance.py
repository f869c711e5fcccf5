"""Oversampling by augmentation: minority images copied with a flip or right-angle rotation.

The paper names SMOTE and describes this. Copies are drawn once per run, before training, as the
paper did; rotations are by right angles, so that no pixel is interpolated or invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: The eight symmetries of the square. Operation k: rotate by k % 4 quarter turns, then, for
#: k >= 4, flip left to right. 0 is the image itself; 4 and 6 are the two plain flips.
SYMMETRIES: Final = 8


@dataclass(frozen=True)
class Samples:
    """What one epoch trains on: a photograph's row and what is done to it, for each sample.

    Attributes:
        rows: intp [N].
        symmetry: int8 [N], 0..7.
        second, share: intp [N] and float32 [N], or None: mixed with this photograph of the same
            class, ``(1 - share) * first + share * second``.
    """

    rows: NDArray[np.intp]
    symmetry: NDArray[np.int8]
    second: NDArray[np.intp] | None = None
    share: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.intp]) -> Samples:
        return Samples(
            self.rows[index],
            self.symmetry[index],
            None if self.second is None else self.second[index],
            None if self.share is None else self.share[index],
        )

    @property
    def used(self) -> NDArray[np.intp]:
        """Every row that any sample is made from, sorted, each once."""
        return np.unique(self.rows if self.second is None else np.append(self.rows, self.second))


def as_they_are(rows: NDArray[np.intp]) -> Samples:
    """Every image once, unchanged."""
    return Samples(rows, np.zeros(len(rows), dtype=np.int8))


def oversample(rows: NDArray[np.intp], y: NDArray[np.intp], rng: np.random.Generator) -> Samples:
    """All images once, then changed copies until every class has the majority's count.

    Args:
        rows: rows of the images to balance.
        y: class index of each of them.
        rng: draws the copied images and one of the seven non-trivial symmetries for each. An
            image is copied a second time only when all of its class have been copied once.
    """
    counts = np.bincount(y)
    all_rows, all_symmetries = [rows], [np.zeros(len(rows), dtype=np.int8)]
    for label in np.flatnonzero(counts):
        members = rows[y == label]
        lacking = int(counts.max() - counts[label])
        rounds = -(-lacking // len(members))
        drawn = np.concatenate([rng.permutation(members) for _ in range(rounds)] or [members[:0]])
        all_rows.append(drawn[:lacking])
        all_symmetries.append(rng.integers(1, SYMMETRIES, size=lacking).astype(np.int8))
    return Samples(np.concatenate(all_rows), np.concatenate(all_symmetries))


def apply_symmetries(images: Tensor, symmetry: Tensor) -> Tensor:
    """Turn and flip each image of a batch [N, S, S, C] by its symmetry, int [N] in 0..7.

    The symmetries are best left on the CPU: read from a GPU they make it wait.
    """
    drawn = symmetry.cpu()
    groups = [(k, (drawn == k).nonzero().squeeze(1)) for k in range(1, SYMMETRIES)]
    groups = [(operation, members) for operation, members in groups if len(members)]
    if not groups:
        return images
    result = images.clone()
    for operation, members in groups:
        chosen = members.to(images.device, non_blocking=True)
        turned = torch.rot90(images[chosen], operation % 4, dims=(1, 2))
        result[chosen] = turned.flip(2) if operation >= 4 else turned
    return result


def equal_shares(y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Probability of each sample, float64 [N], by which every class is drawn equally often."""
    counts = np.bincount(y)
    return 1 / (np.count_nonzero(counts) * counts[y])


def class_weights(y: NDArray[np.intp], classes: int) -> NDArray[np.float32]:
    """Weights inverse to class frequency, ``n / (present classes * n_c)``; 0 for an absent class.

    The formula is scikit-learn's ``class_weight="balanced"``.
    """
    counts = np.bincount(y, minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, dtype=np.float32)
    weights[present] = len(y) / (present.sum() * counts[present])
    return weights
