"""SMOTE (Chawla et al. 2002, JAIR 16): minority classes filled up with mixtures of near neighbours.

A synthetic sample lies at a random place on the line from a sample of the class to one of its
five nearest neighbours within the class. Every class gets the majority's count; a class with one
sample has no neighbour, so that one is repeated; an absent class stays absent.

Mixtures of photographs are stored as pairs and made when they are needed: 19,232 photographs of
224 px, 2,404 of each of eight classes, would fill 2.9 GB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray

from magnostic.progress import track

#: Nearest neighbours that a sample may be mixed with, as published.
NEIGHBOURS: Final = 5
#: Photographs whose pixels are in memory at once, twice: 2 x 38 MB at 224 px.
_BLOCK: Final = 256
#: Products of pixels in [-128, 127] summed in float32: 1024 * 2^14 = 2^24, so every sum is exact.
_SUMMED: Final = 1024


@dataclass(frozen=True)
class Mixtures:
    """Samples as (1 - share) * first + share * second, of one class each.

    Attributes:
        first, second: intp [K], positions among the photographs given.
        share: float32 [K] in [0, 1]; the photographs themselves come first, as (i, i, 0).
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    share: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)


def smote_features(
    features: NDArray[np.float32], y: NDArray[np.intp], seed: int
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Features [N, D] and class indices [N], then synthetic ones, class by class.

    Drawn by imbalanced-learn; neighbours are nearest by Euclidean distance of raw features.
    """
    vectors, labels = [features], [y]
    for label, members, lacking in _minorities(y):
        if len(members) == 1:
            vectors.append(np.repeat(features[members], lacking, axis=0))
        else:
            smote = SMOTE(
                sampling_strategy={label: len(members) + lacking},
                k_neighbors=min(NEIGHBOURS, len(members) - 1),
                random_state=seed,
            )
            vectors.append(smote.fit_resample(features, y)[0][len(y) :])
        labels.append(np.full(lacking, label, dtype=y.dtype))
    return np.concatenate(vectors), np.concatenate(labels)


def smote_pixels(
    pixels: NDArray[np.uint8], rows: NDArray[np.intp], y: NDArray[np.intp], seed: int
) -> Mixtures:
    """SMOTE on whole photographs, as the paper's words would have it.

    The draw is imbalanced-learn's: the same seed gives the same synthetic photographs as its SMOTE
    on the flattened pixels, which would need all of them in memory as floating-point numbers.

    Args:
        pixels: uint8 [M, S, S, 3], memory-mapped or not.
        rows: row in ``pixels`` of each photograph to balance, [N].
        y: class index of each of them.
        seed: of the draw.
    """
    own = np.arange(len(rows))
    firsts, seconds, shares = [own], [own], [np.zeros(len(rows), dtype=np.float32)]
    for _, members, lacking in _minorities(y):
        # As imblearn's BaseSMOTE does: each class begins the stream anew.
        rng = np.random.RandomState(seed)
        if len(members) == 1:
            chosen, neighbour = np.zeros((2, lacking), dtype=np.intp)
            share = np.zeros(lacking)
        else:
            near = nearest(pixels, rows[members], min(NEIGHBOURS, len(members) - 1))
            drawn = rng.randint(0, near.size, lacking)
            share = rng.uniform(size=lacking)
            chosen = drawn // near.shape[1]
            neighbour = near[chosen, drawn % near.shape[1]]
        firsts.append(members[chosen])
        seconds.append(members[neighbour])
        shares.append(share.astype(np.float32))
    return Mixtures(np.concatenate(firsts), np.concatenate(seconds), np.concatenate(shares))


def nearest(pixels: NDArray[np.uint8], rows: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """The k nearest other photographs of each, positions in ``rows``, intp [N, k], nearest first.

    By Euclidean distance of all pixel values; of equally near ones the first.
    """
    squared = squared_distances(pixels, rows)
    np.fill_diagonal(squared, np.inf)
    found: NDArray[np.intp] = squared.argsort(axis=1, kind="stable")[:, :k]
    return found


def squared_distances(pixels: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Exact squared Euclidean distances between photographs, float64 [N, N].

    Sums of products in float32 are exact for 1024 pixels at a time, and those sums of up to 2^24
    stay exact in float64; so the result does not depend on how it is computed.
    """
    n = len(rows)
    product = np.empty((n, n))
    starts = range(0, n, _BLOCK)
    pairs = [(a, b) for a in starts for b in starts if a <= b]
    held, left = -1, np.empty((0, 0), dtype=np.uint8)
    for a, b in track(pairs, "neighbours for SMOTE", len(pairs)):
        if a != held:
            held, left = a, _flat(pixels, rows[a : a + _BLOCK])
        right = left if a == b else _flat(pixels, rows[b : b + _BLOCK])
        block = _products(left, right)
        product[a : a + _BLOCK, b : b + _BLOCK] = block
        product[b : b + _BLOCK, a : a + _BLOCK] = block.T
    norm = product.diagonal()
    distances: NDArray[np.float64] = norm[:, None] + norm - 2 * product
    return distances


def _products(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scalar products of all rows of [A, D] and [B, D] after taking 128 from each value."""
    total = np.zeros((len(left), len(right)))
    middle = np.float32(128)
    for start in range(0, left.shape[1], _SUMMED):
        some = slice(start, start + _SUMMED)
        total += (left[:, some] - middle) @ (right[:, some] - middle).T
    return total


def _flat(pixels: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    return pixels[rows].reshape(len(rows), -1)


def _minorities(y: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp], int]]:
    """Each present class with fewer samples than the majority: index, positions, how many lack."""
    counts = np.bincount(y)
    for label in np.flatnonzero((counts > 0) & (counts < counts.max())).tolist():
        yield label, np.flatnonzero(y == label), int(counts.max() - counts[label])
