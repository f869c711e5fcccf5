"""Features and logits of many photographs, in batches of fixed size."""

from __future__ import annotations

import copy
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from magnostic.models.classifier import Classifier
from magnostic.progress import track
from magnostic.train import device, ranks
from magnostic.train.device import Precision
from magnostic.train.inputs import Photographs
from magnostic.train.ranks import Group

AUTOCAST: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: Rows whose logits are computed at once: bounds the memory of kernels and neighbours.
_ROWS: Final = 1024


@torch.inference_mode()
def features(
    model: Classifier,
    photographs: Photographs,
    positions: NDArray[np.intp],
    *,
    batch_size: int,
    precision: Precision,
    what: str = "frozen features",
) -> NDArray[np.float32]:
    """What the head sees, float32 [N, D], of the photographs at these positions.

    Several processes share the batches; each photograph is computed by one of them.
    """
    model.eval()
    group = ranks.current() if len(positions) > batch_size else ranks.ALONE
    with group.together():
        group.call(_join, model, photographs, positions, batch_size, precision)
        return _features(model, photographs, positions, batch_size, precision, group, what)


def _join(
    model: Classifier,
    photographs: Photographs,
    positions: NDArray[np.intp],
    batch_size: int,
    precision: Precision,
) -> None:
    group = ranks.current()
    _features(model.eval(), photographs, positions, batch_size, precision, group, None)


@torch.inference_mode()
def _features(
    model: Classifier,
    photographs: Photographs,
    positions: NDArray[np.intp],
    batch_size: int,
    precision: Precision,
    group: Group,
    what: str | None,
) -> NDArray[np.float32]:
    """This process's share; all of it at process 0."""
    where = next((p.device for p in model.parameters()), torch.device("cpu"))
    if where.type == "cpu":
        device.keep_memory()
    result = np.empty((len(positions), model.encoder.width), dtype=np.float32)
    starts = range(0, len(positions), batch_size)
    own = group.of(group.rank, starts)
    for start in own if what is None else track(own, what, len(own)):
        here = positions[start : start + batch_size]
        # Always whole batches: some kernels round differently for another batch size, and an
        # image's features must not depend on how many are asked for.
        images = photographs.images(np.resize(here, batch_size), where)
        result[start : start + len(here)] = encode(model, images, precision)[: len(here)]
    group.gathered(result, starts, len(positions))
    return result


@torch.inference_mode()
def encode(model: Classifier, images: Tensor, precision: Precision) -> NDArray[np.float32]:
    """What the head sees, float32 [N, D], of uint8 [N, H, W, 3] on the model's device."""
    dtype = AUTOCAST.get(precision)
    with torch.autocast(images.device.type, dtype, enabled=dtype is not None):
        found: NDArray[np.float32] = model.features(images).float().cpu().numpy()
    return found


def logits(head: nn.Module, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """The head over features [N, D], in float64 on the CPU, as float32 [N, C]."""
    return head_logits(copy.deepcopy(head).cpu().double().eval(), features)


@torch.inference_mode()
def head_logits(exact: nn.Module, features: NDArray[np.floating]) -> NDArray[np.float32]:
    """A head that is in float64 on the CPU already, over features [N, D]: float32 [N, C]."""
    parts = [
        exact(torch.from_numpy(features[i : i + _ROWS]).double()).float().numpy()
        for i in range(0, len(features), _ROWS)
    ]
    result: NDArray[np.float32] = np.concatenate(parts)
    return result
