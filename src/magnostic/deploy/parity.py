"""Whether an exported model says what the run's networks say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from magnostic.data.fit import Size, sides
from magnostic.data.summary import counted
from magnostic.deploy.artefact import Member
from magnostic.deploy.decisions import Rules
from magnostic.errors import RunFailed
from magnostic.models.classifier import softmax
from magnostic.preprocess import colour

#: Batch sizes that are tried: one, an odd one, a usual one.
BATCHES: Final = (1, 7, 32)
#: Largest difference of a float32 probability.
EXACT: Final = 1e-4
#: Mean difference and share of equal classes that a reduced precision must keep.
REDUCED: Final = 1e-2
AGREEMENT: Final = 0.98
#: Largest difference of a feature over the largest feature, in float32 and in a reduced precision.
FEATURES: Final = 1e-3
REDUCED_FEATURES: Final = 0.25
#: Inputs at least, and made-up ones: the largest batch and a batch that is not full.
_PICTURES: Final = 40

Pixels = NDArray[np.uint8]
#: From inputs to calibrated probabilities, probabilities as predicted and features.
Outputs = Callable[[Pixels], Sequence[NDArray[np.float32]]]


@dataclass(frozen=True)
class Parity:
    """What was compared and how it came out.

    Attributes:
        images: number of inputs, and where they came from.
        largest, mean: absolute difference of calibrated or uncalibrated probabilities, over all
            inputs and batch sizes.
        same_class: share of inputs with the same likeliest class.
        features: largest difference of a feature over the largest feature.
    """

    images: int
    source: str
    batches: tuple[int, ...]
    largest: float
    mean: float
    same_class: float
    features: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def require(self, precision: str) -> None:
        """Raise RunFailed where the difference is more than this precision may make."""
        if precision == "fp32":
            wrong = not self.largest <= EXACT
            allowed, features = f"{EXACT:g} at most", FEATURES
        else:
            wrong = not (self.mean <= REDUCED and self.same_class >= AGREEMENT)
            allowed = f"{REDUCED:g} on average and {AGREEMENT:.0%} of the classes"
            features = REDUCED_FEATURES
        if wrong or not self.features <= features:
            raise RunFailed(
                f"the exported model differs from the run's: probabilities by {self.largest:.2g} "
                f"at most and {self.mean:.2g} on average, same class for {self.same_class:.1%} of "
                f"{counted(self.images, 'image')} ({self.source}), features by {self.features:.2g} "
                f"of the largest; {precision} may differ by {allowed}, and {features:g} of the "
                "features. Nothing was written; try another --to or --precision, or predict with "
                "the run"
            )


def compare(members: Sequence[Member], rules: Rules, pixels: Pixels, source: str, outputs: Outputs
            ) -> Parity:  # fmt: skip
    """Compare an exported model with the networks in float32, at every batch size.

    The networks are computed one by one and their probabilities averaged and tempered in NumPy, so
    that a fault of the graph does not stand on both sides.

    Args:
        members, rules: of the run.
        pixels: uint8 [N, H, W, 3], N >= 1; fewer than 40 are repeated.
        source: where they came from, in words.
        outputs: the exported model.
    """
    raw, features = eager(members, pixels)
    images = len(pixels)
    # Few inputs are repeated, so that the largest batch is filled and one that is not is left.
    repeated = np.resize(np.arange(images), max(images, _PICTURES))
    pixels, raw, features = pixels[repeated], raw[repeated], [f[repeated] for f in features]
    wanted: tuple[NDArray[Any], NDArray[Any]] = (rules.calibrated(raw), raw)
    largest, total, same, off = 0.0, 0.0, 1.0, 0.0
    for size in BATCHES:
        found = [outputs(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        joined: list[NDArray[Any]] = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        for ours, theirs in zip(joined[:2], wanted, strict=True):
            if ours.shape != theirs.shape or not np.isfinite(ours).all():
                return Parity(images, source, BATCHES, np.inf, np.inf, 0.0, np.inf)
            difference = np.abs(ours.astype(np.float64) - theirs)
            largest, total = max(largest, float(difference.max())), max(total, difference.mean())
        same = min(same, float((joined[0].argmax(1) == raw.argmax(1)).mean()))
        for ours, known in zip(joined[2:], features, strict=True):
            scale = max(float(np.abs(known).max()), 1e-12)
            off = max(off, float(np.abs(ours - known).max()) / scale)
    return Parity(images, source, BATCHES, largest, float(total), same, off)


@torch.inference_mode()
def eager(
    members: Sequence[Member], pixels: Pixels
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Mean probabilities as predicted, float32 [N, C], and features of each different encoder.

    In float32 on the CPU, whatever precision the run was trained with.
    """
    from magnostic.deploy.engines import encoder_sources

    each, features = [], []
    for place, (member, source) in enumerate(zip(members, encoder_sources(members), strict=True)):
        model, changes = member.model.float().cpu().eval(), member.spec.colour["method"]
        logits, seen = [], []
        for start in range(0, len(pixels), 32):
            images = torch.from_numpy(pixels[start : start + 32])
            if changes == "grayscale":
                images = colour.grayscale(images)
            vectors = model.features(images)
            seen.append(vectors.numpy())
            logits.append(model.head(vectors).numpy())
        each.append(softmax(np.concatenate(logits)))
        if source == place:
            features.append(np.concatenate(seen))
    return np.asarray(np.mean(each, axis=0, dtype=np.float64), np.float32), features


def pictures(size: Size) -> Pixels:
    """Made-up inputs in the colours of H&E, always the same: uint8 [40, H, W, 3].

    Nuclei-like dots on smooth fields of eosin and white, with noise; of black, white and noise one.
    """
    height, width = sides(size)
    rng = np.random.default_rng(0)
    eosin, blue = np.array([228, 160, 200.0]), np.array([96, 60, 140.0])
    y, x = np.mgrid[:height, :width] / max(height, width)
    made = []
    for _ in range(_PICTURES - 3):
        waves = rng.uniform(1, 9, (4, 2)), rng.uniform(0, 2 * np.pi, 4)
        field = (
            sum(np.sin(2 * np.pi * (f[0] * x + f[1] * y) + p) for f, p in zip(*waves, strict=True))
            / 8
            + 0.5
        )
        image = 245 + field[..., None] * (eosin - 245)
        for cy, cx in rng.uniform(0, 1, (int(rng.integers(5, 60)), 2)):
            dot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / rng.uniform(2e-4, 2e-3))
            image += dot[..., None] * (blue - image)
        image += rng.normal(0, rng.uniform(1, 12), image.shape)
        made.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    plain: Iterable[int] = (0, 255)
    made += [np.full((height, width, 3), value, dtype=np.uint8) for value in plain]
    made.append(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return np.stack(made)
