"""Dealing images and groups into bins of wanted size with class shares alike.

A *bin* is a fold, or one side of a hold-out; ``share`` float [B] sums to 1. Two ways: single
images are dealt exactly; groups, which can't be parted, go greedily and are then improved.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Groups up to which the greedy result is improved by moves and swaps.
_IMPROVE_UP_TO: Final = 600


def deal_images(unit: Ints, label: Ints, sizes: Ints, rng: np.random.Generator) -> Ints:
    """The bin of each image, so that bin ``b`` gets ``sizes[b]`` images.

    Args:
        unit: int [N]; images of one unit share a bin (sizes are then met as nearly as they can).
        label: int [N] class codes whose shares are kept alike; all zero to leave it to chance.
        sizes: int [B], summing to N.

    A large unit may overfill its bin; none of the others is then left empty while a unit can be
    spared.
    """
    n, bins = len(unit), len(sizes)
    order = rng.permutation(n)
    _, first, inverse, count = np.unique(
        unit[order], return_index=True, return_inverse=True, return_counts=True
    )
    result = np.full(n, -1, dtype=np.int64)
    left = sizes.copy()
    single = count[inverse] == 1
    lumps = np.argsort(first, kind="stable")
    lumps = lumps[count[lumps] > 1]  # units of several images, in the order of the permutation
    if len(lumps):
        lump_bin = np.full(len(count), -1, dtype=np.int64)
        chance = rng.random(len(lumps))
        cumulative = np.cumsum(sizes) / n
        for lump, where in zip(lumps, chance, strict=True):
            chosen = min(int(np.searchsorted(cumulative, where, side="right")), bins - 1)
            if left[chosen] < count[lump]:  # full: take the emptiest
                chosen = int(np.argmax(left))
            lump_bin[lump] = chosen
            left[chosen] -= count[lump]
        result[order] = lump_bin[inverse]
    alone = order[single]
    label_codes = np.unique(label, return_inverse=True)[1]
    classes = int(label_codes.max()) + 1
    have = np.zeros((bins, classes))
    placed = result >= 0
    np.add.at(have, (result[placed], label_codes[placed]), 1)
    total = np.bincount(label_codes, minlength=classes)
    need = np.clip(np.outer(sizes / n, total) - have, 0, None)
    quota = _quotas(need, np.bincount(label_codes[alone], minlength=classes), left)
    for c in range(classes):
        members = alone[label_codes[alone] == c]
        result[members] = np.repeat(np.arange(bins), quota[:, c])
    if (np.bincount(result, minlength=bins)[sizes > 0] == 0).any():
        _, first, inverse, count = np.unique(
            unit, return_index=True, return_inverse=True, return_counts=True
        )
        bin_of_unit = result[first]
        fill_empty(count[:, None], bin_of_unit, bins)
        result = bin_of_unit[inverse]
    return result


def _quotas(need: Floats, available: Ints, left: Ints) -> Ints:
    """Whole numbers near ``need`` [B, C] with column sums ``available`` and row sums ``left``.

    Row sums are met exactly unless a bin is overfull already (``left`` below zero).
    """
    # Where units of several images overfilled a bin, the need is more than what is available.
    wanted = need * (available / np.maximum(need.sum(axis=0), 1e-12))
    quota: Ints = np.floor(wanted + 1e-9).astype(np.int64)
    for c in range(len(available)):
        rest = int(available[c] - quota[:, c].sum())
        fraction = wanted[:, c] - quota[:, c]
        for _ in range(rest):
            deficit = left - quota.sum(axis=1)
            b = int(np.lexsort((fraction, np.where(fraction > 1e-9, deficit, deficit - 1)))[-1])
            quota[b, c] += 1
            fraction[b] = 0
    _even_rows(quota, left)
    return quota


def _even_rows(quota: Ints, left: Ints) -> None:
    """Move single images from too full to too empty rows, from the class with most of them."""
    if (left < 0).any():  # an overfull bin: sizes can't be met
        return
    surplus = quota.sum(axis=1) - left
    while surplus.any():
        high, low = int(surplus.argmax()), int(surplus.argmin())
        surplus[high] -= 1
        surplus[low] += 1
        c = int(quota[high].argmax())
        quota[high, c] -= 1
        quota[low, c] += 1


def deal_groups(
    counts: Ints, share: Floats, rng: np.random.Generator, keep: Ints | None = None
) -> Ints:
    """The bin of each group, so that size, class counts and groups a class are near ``share``.

    Groups come in random order, those of the rarest class first, and each goes into the bin that
    lacks it most; moves and swaps then improve the sum of squared deviations. Counting groups a
    class besides images spreads the few groups of a rare class over different bins.

    Args:
        counts: int [G, C] images of each group and class.
        share: float [B].
        keep: counts by class [G, K]; bin 0 (train) then keeps a group of each of these classes.
    """
    features = _features(counts)
    groups_of_class = (counts > 0).sum(axis=0)
    rarest = np.where(counts > 0, groups_of_class, counts.shape[0] + 1).min(axis=1)
    order = rng.permutation(len(counts))
    order = order[np.argsort(rarest[order], kind="stable")]
    target = np.outer(share, features.sum(axis=0))
    now = np.zeros_like(target)
    result = np.full(len(counts), -1, dtype=np.int64)
    tie = rng.permutation(len(share)) * 1e-12
    for g in order:
        x = features[g]
        gain = ((target - now) * (2 * x)).sum(axis=1) + tie
        result[g] = int(gain.argmax())
        now[result[g]] += x
    if len(counts) <= _IMPROVE_UP_TO:
        _improve(features, target, now, result)
    if keep is not None:
        _keep_a_group(keep, result)
    return result


def _features(counts: Ints) -> Floats:
    """float [G, 2C+1]: share of each class's images, of its groups, and of all images."""
    present = (counts > 0).astype(np.float64)
    parts = [
        counts / np.maximum(counts.sum(axis=0), 1),
        present / np.maximum(present.sum(axis=0), 1),
        counts.sum(axis=1, keepdims=True) / max(int(counts.sum()), 1) * counts.shape[1],
    ]
    return np.concatenate(parts, axis=1)


def _improve(features: Floats, target: Floats, now: Floats, result: Ints) -> None:
    """Best single move or swap, over and over, while it lowers the squared deviation."""
    groups = np.arange(len(result))
    norm = (features**2).sum(axis=1)
    inner = features @ features.T
    for _ in range(4 * len(result)):
        excess = now - target  # [B, F]
        along = features @ excess.T  # [G, B]
        own = along[groups, result]
        move = 2 * (along - own[:, None] + norm[:, None])
        move[groups, result] = 0
        # swapping i (bin a) with j (bin b): both bins change by d = x_j - x_i
        cross = along[:, result]  # [G, G]: x_i . excess of j's bin
        distance = norm[:, None] + norm[None, :] - 2 * inner
        swap = 2 * ((cross.T - own[:, None]) - (own[None, :] - cross) + distance)
        swap[result[:, None] == result[None, :]] = 0
        if min(move.min(), swap.min()) > -1e-9:
            return
        if move.min() <= swap.min():
            changes = [divmod(int(move.argmin()), move.shape[1])]
        else:
            i, j = divmod(int(swap.argmin()), len(result))
            changes = [(i, int(result[j])), (j, int(result[i]))]
        for g, b in changes:
            now[result[g]] -= features[g]
            now[b] += features[g]
            result[g] = b


def _keep_a_group(counts: Ints, result: Ints) -> None:
    """Bring a class's smallest group into bin 0 where that bin has no group of the class."""
    for c in range(counts.shape[1]):
        holders = np.flatnonzero(counts[:, c] > 0)
        if len(holders) and not (result[holders] == 0).any():
            result[holders[counts[holders].sum(axis=1).argmin()]] = 0


def fill_empty(counts: Ints, result: Ints, bins: int, keep: Ints | None = None) -> None:
    """Bring the smallest group that can be spared into each bin that got none.

    A bin spares what is not its last group; bin 0 also no group that has one of the classes of
    ``keep`` ([G, K], as for :func:`deal_groups`) to itself there. Where nothing can be spared a bin
    stays empty.
    """
    size = counts.sum(axis=1)
    for b in range(bins):
        held = np.bincount(result, minlength=bins)
        if held[b]:
            continue
        spare = held[result] > 1
        if keep is not None:
            taught = result == 0
            alone = (keep[taught] > 0).sum(axis=0) == 1
            spare &= ~(taught & ((keep > 0) & alone).any(axis=1))
        if spare.any():
            result[np.flatnonzero(spare)[size[spare].argmin()]] = b
