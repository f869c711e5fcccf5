"""How long things take on this device, measured by a few steps of each; nothing is downloaded.

Backbones are built without values and filled with constants, since time does not depend on them.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from magnostic.data.fit import fit_image
from magnostic.data.scan import Unusable, decode
from magnostic.errors import DataError, RunFailed
from magnostic.models import handcrafted, heads, weights
from magnostic.models.encoders import Network, freeze
from magnostic.preprocess import colour
from magnostic.preprocess.colour import Colour
from magnostic.preprocess.zscore import IMAGENET
from magnostic.recipe import HANDCRAFTED, Dense, Finetune, Preprocess, Probe, Recipe
from magnostic.train import device, finetune, predict, probe

T = TypeVar("T")

#: Photographs that measurements are made on.
SAMPLE: Final = 4
#: Seconds that one measured step should not take much longer than.
_STEP: Final = 0.5
#: Rows on which the fit of a classical head is timed; more are reckoned in proportion.
_ROWS: Final = 300
#: Copies of all weights in memory: themselves, gradients, and an optimizer's moments.
_COPIES: Final = {"adam": 4, "adamw": 4, "sgd": 3}
_GIB: Final = 2**30


@dataclass(frozen=True)
class Speed:
    """Seconds of one backbone on this device.

    Attributes:
        width: features that it gives.
        forward: an image, in prediction.
        train: an image, forward and backward; 0 for a frozen backbone.
        update: an optimizer's step; 0 for a frozen backbone.
    """

    width: int
    forward: float
    train: float = 0.0
    update: float = 0.0


def photographs(table: pd.DataFrame, preprocess: Preprocess) -> tuple[NDArray[np.uint8], float]:
    """A few photographs at the network's size, uint8 [n, S, S, 3], and seconds to decode one."""
    rows = np.linspace(0, len(table) - 1, min(SAMPLE, len(table))).astype(int)
    started, found = time.perf_counter(), []
    for path in table["path"].iloc[rows]:
        try:
            image = Image.fromarray(decode(Path(path)))
        except Unusable as fault:
            raise DataError(f"{path}: {fault}; index the data again (--rescan)") from None
        found.append(fit_image(image, preprocess.size, preprocess.fit))
    return np.stack(found), (time.perf_counter() - started) / len(found)


def colours(method: colour.Method, images: NDArray[np.uint8]) -> tuple[float, float]:
    """Seconds an image: to describe its colours, and to bring it to a reference's."""
    if method == "none":
        return 0.0, 0.0
    described, describing = _timed(lambda: colour.describe(method, images))
    chosen = colour.choose_reference(images) if described.shape[1] else 0
    target = np.nan_to_num(described[chosen], nan=1.0)
    to = Colour(method, None, tuple(float(v) for v in target))
    where = device.torch_device()
    pixels, parameters = torch.from_numpy(images).to(where), torch.from_numpy(described).to(where)
    _, applying = _timed(lambda: colour.apply(to, pixels, parameters))
    return describing / len(images), applying / len(images)


def backbone(recipe: Recipe, images: NDArray[np.uint8]) -> Speed:
    """Time of a resolved recipe's backbone, handcrafted features included.

    Raises RunFailed where it would not fit into memory, and what the recipe's own run would raise
    for an unknown backbone or a wrong input size.
    """
    if recipe.model.backbone == HANDCRAFTED:
        handcrafted.describe(images[:1])
        _, seconds = _timed(lambda: handcrafted.describe(images))
        return Speed(handcrafted.WIDTH, seconds / len(images))
    model = recipe.model
    weights.require_size(model.backbone, recipe.preprocess.size, model.args)
    encoder = _network(recipe)
    width = encoder.width
    precision = device.precision(recipe.train.precision)
    where = device.torch_device()
    dtype = predict.AUTOCAST.get(precision)

    def forward(count: int) -> Tensor:
        batch = torch.from_numpy(np.resize(images, (count, *images.shape[1:]))).to(where)
        with torch.autocast(where.type, dtype, enabled=dtype is not None):
            features: Tensor = encoder(batch)
        return features

    encoder.eval()
    with torch.inference_mode():
        count, forwards = _steps(forward, 1, recipe.train.batch_size)
    ahead = forwards / count
    if not isinstance(recipe.train, Finetune):
        return Speed(width, ahead)
    head = nn.Linear(width, 2).to(where)
    optimizer = finetune._optimizer(nn.ModuleList([encoder, head]), recipe.train)
    encoder.train()

    def both(count: int) -> None:
        target = torch.zeros(count, dtype=torch.long, device=where)
        torch.autograd.backward(functional.cross_entropy(head(forward(count)), target))

    # Two images at least: batch normalization cannot be trained on one value a channel.
    count, trained = _steps(both, 2, recipe.train.batch_size)
    optimizer.step()
    _, update = _timed(optimizer.step)
    return Speed(width, ahead, trained / count, update)


def head(recipe: Recipe, n: int, width: int, classes: int) -> float:
    """Seconds to fit the head on ``n`` rows of features, by a part of them; 0 for fine-tuning."""
    train = recipe.train
    if isinstance(train, Finetune):
        return 0.0
    rng = np.random.default_rng(0)
    rows = min(n, _ROWS)
    y = np.arange(rows) % classes
    features = rng.normal(y[:, None] / classes, 1, (rows, width)).astype(np.float32)
    if isinstance(train, Probe):
        none = features[:0], y[:0]
        _, seconds = _timed(lambda: probe.fit(features, y, classes, train, False, none, 0))
        return seconds * n / rows
    return _dense(train, features, y, classes) * train.epochs * -(-n // train.batch_size)


def _dense(train: Dense, features: NDArray[np.float32], y: NDArray[np.intp], classes: int) -> float:
    """Seconds of one step of dense layers."""
    where = device.torch_device()
    model = heads.dense(features.shape[1], train.hidden, classes, 0.0, features).to(where).train()
    optimizer = finetune._optimizer(model, train)
    batch = torch.from_numpy(features[: train.batch_size]).to(where)
    target = torch.from_numpy(y[: train.batch_size]).to(where)

    def step() -> None:
        torch.autograd.backward(functional.cross_entropy(model(batch), target))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return min(_timed(step)[1] for _ in range(5))


def _network(recipe: Recipe) -> Network:
    """The recipe's network on the device, with constants for weights."""
    model = recipe.model

    def build() -> Network:
        return Network(
            weights.build(model.backbone, None, model.args),
            *IMAGENET,
            features=model.features,
        )

    try:
        with torch.device("meta"):
            encoder = build()
    except (RuntimeError, NotImplementedError):  # looks at values while it is being built
        encoder = build()
    size = sum(t.numel() * t.element_size() for t in encoder.state_dict().values())
    copies = _COPIES[recipe.train.optimizer] if isinstance(recipe.train, Finetune) else 1
    _require_memory(size * copies, model.backbone)
    where = device.torch_device()
    encoder = encoder.to_empty(device=where)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            # Averages, so that signals neither vanish nor overflow.
            mean = 1 / parameter[0].numel() if parameter.dim() > 1 else 0.0
            parameter.fill_(1.0 if parameter.dim() == 1 and name.endswith("weight") else mean)
        for name, buffer in encoder.named_buffers():
            buffer.fill_(1 if name.endswith(("running_var", "std")) else 0)
    if isinstance(recipe.train, Finetune):
        freeze(encoder, recipe.train)
    return encoder


def _require_memory(needed: int, name: str) -> None:
    where = device.torch_device()
    if where.type == "cuda":
        there = torch.cuda.get_device_properties(where).total_memory
    else:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise RunFailed(
            f"{name} needs about {needed / _GIB:.0f} GiB of memory for its weights, and this "
            f"device has {there / _GIB:.0f}; run it on a larger one"
        )


def _steps(step: Callable[[int], object], least: int, batch_size: int) -> tuple[int, float]:
    """Images in a measured step and its seconds: whole batches, or fewer images if it is slow.

    After a warm-up, steps grow to a batch, since small ones take longer an image; the last one
    is measured twice, and the faster counts, unless it is slow.
    """
    step(least)
    count, (_, seconds) = least, _timed(lambda: step(least))
    while seconds < _STEP and count < batch_size:
        count = min(batch_size, max(2 * count, int(count * _STEP / seconds)))
        _, seconds = _timed(functools.partial(step, count))
    if seconds < 2 * _STEP:
        seconds = min(seconds, _timed(lambda: step(count))[1])
    return count, seconds


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    _wait()
    started = time.perf_counter()
    result = work()
    _wait()
    return result, max(time.perf_counter() - started, 1e-9)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
