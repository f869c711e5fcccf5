"""Whether a map shows what the prediction rests on: deletion and insertion, beside random maps.

Petsiuk, Das and Saenko, "RISE", BMVC 2018. *Deletion* covers the most relevant pixels first, with
the photograph's mean colour, and follows the class's probability: the lower the area under that
curve, the better the map. *Insertion* begins with a blurred photograph and uncovers the most
relevant pixels first: the higher, the better.

Areas depend on the photograph and the network, so they say little alone. Each map stands beside
random maps of the same smoothness: its Fourier amplitudes with random phases, of the map mirrored
at its borders. Pixels of equal relevance are ordered by such a map too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Parts that the pixels are covered or uncovered in.
STEPS: Final = 12
#: Of the blur, in sides of the input.
_BLUR: Final = 0.05

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
#: From uint8 [N, H, W, 3] as each group of networks is given them to float64 [N].
Probability = Callable[[Sequence[Pixels]], Floats]


@dataclass(frozen=True)
class Faithfulness:
    """Curves of one map and of R random ones.

    Attributes:
        deletion, insertion: float64 [1 + R, STEPS + 1], the class's probability after each part
            of the pixels; row 0 is the map's, the others are the random maps'.
    """

    deletion: Floats
    insertion: Floats

    @property
    def deletion_auc(self) -> Floats:
        """Area under each curve, float64 [1 + R], in [0, 1]; lower is better."""
        return area(self.deletion)

    @property
    def insertion_auc(self) -> Floats:
        """The same; higher is better."""
        return area(self.insertion)

    @property
    def deletion_better(self) -> float:
        """Share of the random maps that the map is better than; NaN without any."""
        return _share(self.deletion_auc[1:] > self.deletion_auc[0])

    @property
    def insertion_better(self) -> float:
        return _share(self.insertion_auc[1:] < self.insertion_auc[0])


def measure(
    probability: Probability, seen: Sequence[Pixels], relevance: NDArray[np.floating], maps: int
) -> Faithfulness:
    """Curves of a map and of ``maps`` random ones.

    Args:
        probability: of the explained class.
        seen: the photograph as each group of networks is given it, uint8 [H, W, 3].
        relevance: [H, W], not the same everywhere.

    Raises ValueError for a map that is the same everywhere: it orders nothing.
    """
    if relevance.max() == relevance.min():
        raise ValueError("the map is the same everywhere")
    ties, *others = random_maps(relevance, maps + 1, zlib.crc32(seen[0].tobytes()))
    orders = [order(relevance, ties)] + [order(other, ties) for other in others]
    blank = [mean_colour(image) for image in seen]
    soft = [blurred(image) for image in seen]
    return Faithfulness(
        np.stack([curve(probability, seen, blank, o) for o in orders]),
        np.stack([curve(probability, soft, seen, o) for o in orders]),
    )


def order(relevance: NDArray[np.floating], ties: Floats) -> NDArray[np.intp]:
    """Flat positions of the pixels, most relevant first; equals by ``ties``, highest first."""
    return np.lexsort((-ties.reshape(-1), -relevance.reshape(-1)))


def curve(
    probability: Probability,
    start: Sequence[Pixels],
    end: Sequence[Pixels],
    order: NDArray[np.intp],
    steps: int = STEPS,
) -> Floats:
    """Probability while ``end`` takes the place of ``start`` pixel by pixel: float64 [steps + 1].

    Args:
        start, end: uint8 [H, W, 3] for each group of networks.
        order: flat positions in the order in which they change.
    """
    until = np.rint(np.linspace(0, len(order), steps + 1)).astype(int)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    changed = (rank[None] < until[:, None]).reshape(-1, *start[0].shape[:2], 1)
    return probability([np.where(changed, b, a) for a, b in zip(start, end, strict=True)])


def area(curves: Floats) -> Floats:
    """Area under curves [..., S + 1] over the share of changed pixels, by trapezoids."""
    inner = curves[..., 1:-1].sum(axis=-1) + (curves[..., 0] + curves[..., -1]) / 2
    found: Floats = inner / (curves.shape[-1] - 1)
    return found


def random_maps(relevance: NDArray[np.floating], maps: int, seed: int) -> list[Floats]:
    """Maps [H, W] with the Fourier amplitudes of this one and random phases."""
    height, width = relevance.shape
    whole = np.pad(relevance.astype(np.float64), ((0, height), (0, width)), mode="symmetric")
    amplitude = np.abs(np.fft.rfft2(whole - whole.mean()))
    found = []
    for number in range(maps):
        noise = np.random.default_rng([seed, number]).normal(size=whole.shape)
        phase = np.angle(np.fft.rfft2(noise))
        drawn = np.fft.irfft2(amplitude * np.exp(1j * phase), s=whole.shape)
        found.append(drawn[:height, :width])
    return found


def mean_colour(image: Pixels) -> Pixels:
    """The photograph's mean colour at every pixel."""
    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    return np.broadcast_to(mean, image.shape)


def blurred(image: Pixels) -> Pixels:
    """By a Gaussian of a twentieth of the mean side: no nucleus is left."""
    sigma = _BLUR * (image.shape[0] + image.shape[1]) / 2
    soft = ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="nearest")
    found: Pixels = np.rint(soft).astype(np.uint8)
    return found


def _share(better: NDArray[np.bool_]) -> float:
    return float(better.mean()) if len(better) else float("nan")
