"""Two stains of a photograph: their colours, how much of each, and the same in other colours.

Optical density is ``-ln(max(level, 1) / 255)`` per channel; by Beer and Lambert it is the sum of
the stains' unit vectors weighted by their concentrations (Ruifrok and Johnston, Anal Quant Cytol
Histol 23, 2001). A photograph is described by eight numbers: the R, G, B of its haematoxylin
vector, those of eosin, and the robust maximum (99th percentile over all pixels) of the
concentration of each. Haematoxylin is the vector that absorbs more red.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnostic.preprocess import planes

Array = NDArray[np.float64]

#: Pixels whose optical density, mean of the channels, is less are taken for background: Macenko's
#: beta. Not each channel for itself: red is saturated over whole fields of strong eosin.
BETA: Final = 0.15
#: Least share of tissue. The robust maximum leaves out 1% of all pixels, so stained ones must be
#: several times that for it to describe them.
LEAST_TISSUE: Final = 0.05
#: Least angle between the two stains, degrees, and least robust maximum of each: below, they are
#: one stain, and the second would be noise brought to full strength.
LEAST_ANGLE: Final = 2.0
LEAST_CONCENTRATION: Final = 0.05
#: Per cent of pixels left out at each end of the angles (Macenko's alpha), and above the maximum.
ALPHA: Final = 1.0
#: Weight of the concentrations' L1 norm in Vahadane's dictionary learning.
SPARSITY: Final = 0.1
#: The dictionary is learnt on at most so many tissue pixels, evenly spaced.
_LEARNT_ON: Final = 10_000
_ROUNDS: Final = 500
_TOLERANCE: Final = 1e-6

#: Where dictionary learning starts: haematoxylin and eosin of Ruifrok and Johnston.
RUIFROK: Final = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])

_LEVELS: Final = np.maximum(np.arange(256), 1) / 255
DENSITY: Final = -np.log(_LEVELS)


def tissue(image: NDArray[np.uint8]) -> tuple[Array, Array] | None:
    """Optical densities of all pixels of uint8 [H, W, 3], and of tissue alone: float64 [P, 3].

    None where too little of the photograph is tissue.
    """
    density = DENSITY[image.reshape(-1, 3)]
    of_tissue = density[density.mean(axis=1) >= BETA]
    # Less than three pixels do not span two stains, whatever their share.
    if len(of_tissue) < max(LEAST_TISSUE * len(density), 3):
        return None
    return density, of_tissue


def macenko(image: NDArray[np.uint8]) -> Array | None:
    """Stain description of uint8 [H, W, 3], float64 [8], or None where it cannot be estimated.

    Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009:
    project the optical densities of tissue on the plane of their two largest singular vectors; the
    stains lie at the 1st and 99th percentile of the angle in it; concentrations are least squares.
    """
    found = tissue(image)
    if found is None:
        return None
    density, of_tissue = found
    _, vectors = np.linalg.eigh(of_tissue.T @ of_tissue)
    plane = vectors[:, [2, 1]]
    plane[:, 0] *= np.sign(plane[:, 0].sum())  # densities are positive: angles stay off +-pi
    along, across = (of_tissue @ plane).T
    angles = np.percentile(np.arctan2(across, along), [ALPHA, 100 - ALPHA])
    stains: Array = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T
    if _angle(stains) < LEAST_ANGLE:
        return None
    stains = _haematoxylin_first(stains)
    return _described(stains, np.linalg.pinv(stains.T) @ density.T)


def vahadane(image: NDArray[np.uint8]) -> Array | None:
    """Stain description of uint8 [H, W, 3], float64 [8], or None where it cannot be estimated.

    Vahadane et al., Structure-preserving color normalization and sparse stain separation, IEEE TMI
    35(8), 2016: stains W (unit, >= 0) and concentrations H >= 0 of tissue that minimize
    ``||V - W H||^2 / 2 + 0.1 sum(H)``, by turns: H exactly, then each column of W in turn. The
    concentrations described and normalized are those without the penalty.
    """
    found = tissue(image)
    if found is None:
        return None
    density, of_tissue = found
    stains = learn(of_tissue[:: -(-len(of_tissue) // _LEARNT_ON)].T)
    if _angle(stains) < LEAST_ANGLE:
        return None
    stains = _haematoxylin_first(stains)
    return _described(stains, concentrations(stains, density.T))


def learn(density: Array) -> Array:
    """Sparse non-negative dictionary of two stains, float64 [2, 3], for densities [3, P]."""
    stains: Array = RUIFROK / np.linalg.norm(RUIFROK, axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        before = stains.copy()
        amounts = concentrations(stains, density, SPARSITY)
        gram, against = amounts @ amounts.T, amounts @ density.T
        for k in range(2):
            if gram[k, k] > 0:
                # Block coordinate descent: Mairal et al., JMLR 11, 2010, algorithm 2.
                column = stains[k] + (against[k] - gram[k] @ stains) / gram[k, k]
                column = np.maximum(column, 0)
                stains[k] = column / max(np.linalg.norm(column), 1e-12)
        if np.abs(stains - before).max() < _TOLERANCE:
            break
    return stains


def concentrations(stains: Array, density: Array, penalty: float = 0.0) -> Array:
    """Non-negative amounts H [2, P] of two unit stains [2, 3] in densities [3, P], in closed form.

    Minimizes ``||V - W H||^2 / 2 + penalty * sum(H)`` for each pixel: where the amount of one stain
    without the bound is negative it is zero, and the other is found alone.
    """
    overlap = float(stains[0] @ stains[1])
    determinant = max(1 - overlap**2, 1e-12)
    first, second = stains @ density - penalty
    both = (first - overlap * second) / determinant, (second - overlap * first) / determinant
    alone = np.maximum(first, 0), np.maximum(second, 0)
    return np.stack(
        [
            np.where(both[1] > 0, np.maximum(both[0], 0), alone[0]),
            np.where(both[0] > 0, np.maximum(both[1], 0), alone[1]),
        ]
    )


def recolour(images: Tensor, described: Tensor, target: Tensor, non_negative: bool) -> Tensor:
    """Each photograph's concentrations, scaled to the target's maxima, in the target's stains.

    Args:
        images: uint8 [N, H, W, 3].
        described: float [N, 8], finite, from :func:`macenko` or :func:`vahadane`.
        target: float [8], the reference's.
        non_negative: concentrations are non-negative least squares (Vahadane) instead of plain
            least squares (Macenko).

    Returns:
        uint8 [N, H, W, 3]: ``255 exp(-sum of target stain * concentration * scale)``.
    """
    stains = described[:, :6].reshape(-1, 2, 3)
    stains = stains / stains.norm(dim=2, keepdim=True)  # unit again after rounding to float32
    scale = target[6:] / described[:, 6:]
    to_target = target[:6].reshape(2, 3).T * scale[:, None, :]
    density = planes.look_up(images, torch.from_numpy(DENSITY).float())
    overlap = (stains[:, 0] * stains[:, 1]).sum(dim=1)
    if non_negative:
        first, second = planes.mix(density, stains)
        overlap = overlap[:, None, None]
        both = first - overlap * second, second - overlap * first
        determinant = 1 - overlap**2
        amounts = torch.stack(
            [
                torch.where(both[1] > 0, both[0] / determinant, first).clamp_min(0),
                torch.where(both[0] > 0, both[1] / determinant, second).clamp_min(0),
            ]
        )
        density = planes.mix(amounts, to_target)
    else:
        overlap = overlap[:, None, None]
        inverse = (stains - overlap * stains.flip(1)) / (1 - overlap**2)
        density = planes.mix(density, (to_target[..., None] * inverse[:, None]).sum(dim=2))
    return planes.to_images(255 * torch.exp(-density))


def _haematoxylin_first(stains: Array) -> Array:
    return stains if stains[0, 0] >= stains[1, 0] else stains[::-1]


def _angle(stains: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(stains[0] @ stains[1], -1, 1))))


def _described(stains: Array, amounts: Array) -> Array | None:
    maxima = np.percentile(amounts, 100 - ALPHA, axis=1)
    if (maxima < LEAST_CONCENTRATION).any():
        return None
    return np.concatenate([stains.ravel(), maxima])
