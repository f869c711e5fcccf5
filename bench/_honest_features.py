"""Features of the candidates of ``best_honest.py``: networks, sizes, colours, turns, copies."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from magnostic import recipe_file
from magnostic.data.images import Images
from magnostic.models.classifier import Classifier
from magnostic.preprocess.augment import jitter
from magnostic.preprocess.balance import SYMMETRIES, apply_symmetries
from magnostic.preprocess.zscore import Statistics
from magnostic.recipe import Augment
from magnostic.train import device, predict
from magnostic.train.experiment import Experiment, load_source, resolve
from magnostic.train.inputs import Photographs

Floats = NDArray[np.float32]

_STAGES = "--model.features=multi-level"
#: Name: overrides of probe-lite0 that give its features. The reference of Reinhard and Macenko is
#: the photograph nearest to the median of all, found without labels but not without test images.
FEATURES = {
    "lite0 (baseline)": ["--model.features=pooled"],
    "lite0, native": ["--model.features=pooled", "--preprocess.size=448,672"],
    "lite0, stages": [_STAGES],
    "lite0, stages, native": [_STAGES, "--preprocess.size=448,672"],
    "lite0, stages, own z-score": [_STAGES, "--preprocess.normalize=image"],
    "lite0, stages, Reinhard": [_STAGES, "--preprocess.colour=reinhard"],
    "lite0, stages, Macenko": [_STAGES, "--preprocess.colour=macenko"],
    **{
        f"lite{n}, stages": [
            _STAGES,
            f"--model.backbone=tf_efficientnet_lite{n}",
            f"--model.weights=package:efficientnet-lite{n}",
        ]
        for n in (1, 2)
    },
}
#: Features of several candidates side by side.
TOGETHER = {
    "lite0 + lite1 + lite2, stages": ("lite0, stages", "lite1, stages", "lite2, stages"),
}
#: Of this candidate also the mean over the symmetries of the square (test-time augmentation), and
#: training with copies of each image in other amounts of stain.
VARIED = "lite0, stages"
COPIES = 4
STAIN = 1.0


@dataclass(frozen=True)
class Turned(Photographs):
    """Each photograph after one symmetry of the square."""

    symmetry: int = 0

    def images(self, positions: NDArray[np.intp], device: torch.device) -> torch.Tensor:
        seen = super().images(positions, device)
        return apply_symmetries(seen, torch.full((len(seen),), self.symmetry, device=device))


@dataclass(frozen=True)
class Restained(Photographs):
    """Each photograph with amounts of stain drawn anew."""

    seed: int = 0

    def images(self, positions: NDArray[np.intp], device: torch.device) -> torch.Tensor:
        drawn = torch.Generator().manual_seed(self.seed * 1_000_003 + int(positions[0]))
        return jitter(super().images(positions, device), Augment(stain=STAIN), drawn)


def features(images: Images) -> dict[str, Floats]:
    """Of each candidate float32 [N, D], or [K N, D] where copies follow that are trained on."""
    found: dict[str, Floats] = {}
    for name, overrides in FEATURES.items():
        started = time.perf_counter()
        recipe = resolve(recipe_file.load(Path("probe-lite0"), overrides))
        experiment = Experiment(recipe, images, load_source(recipe))
        chosen, _ = experiment.colour_for(np.arange(len(experiment.table)))
        photographs = experiment.photographs(chosen)
        stats, _ = experiment.statistics(photographs, np.arange(0))
        encoder = experiment.encoder(stats)
        found[name] = experiment.frozen_features(encoder, stats, photographs)
        print(f"{name}: {found[name].shape[1]} features, {_since(started)}", flush=True)
        if name == VARIED:
            found |= _varied(name, experiment, photographs, stats, found[name])
    for name, parts in TOGETHER.items():
        found[name] = np.concatenate([found[part] for part in parts], axis=1)
    return found


def _varied(
    name: str, experiment: Experiment, photographs: Photographs, stats: Statistics, own: Floats
) -> dict[str, Floats]:
    model = Classifier(experiment.encoder(stats), nn.Identity())
    train = experiment.recipe.train
    what = (photographs.array, photographs.rows, photographs.colour, photographs.described)

    def of(varied: Photographs) -> Floats:
        positions = np.arange(len(varied.rows))
        precision = device.precision(train.precision)
        return predict.features(
            model, varied, positions, batch_size=train.batch_size, precision=precision
        )

    started = time.perf_counter()
    turned = [own, *(of(Turned(*what, symmetry=k)) for k in range(1, SYMMETRIES))]
    mean: Floats = np.mean(turned, axis=0, dtype=np.float32)
    print(f"{name}, 8 symmetries: {_since(started)}", flush=True)
    started = time.perf_counter()
    copies = [own, *(of(Restained(*what, seed=k)) for k in range(COPIES))]
    print(f"{name}, stain copies: {_since(started)}", flush=True)
    return {f"{name}, 8 symmetries": mean, f"{name}, stain copies": np.concatenate(copies)}


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.0f} s"
