"""Features and logits of many photographs, in batches of fixed size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from magnostic.models.classifier import Classifier
from magnostic.progress import track
from magnostic.train.device import Precision

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@torch.inference_mode()
def features(
    model: Classifier,
    pixels: NDArray[np.uint8],
    rows: NDArray[np.intp],
    *,
    batch_size: int,
    precision: Precision,
    what: str = "frozen features",
) -> NDArray[np.float32]:
    """Pooled features, float32 [N, D], for the given rows of uint8 [M, S, S, 3]."""
    model.eval()
    device = next(model.parameters()).device
    result = np.empty((len(rows), model.head.in_features), dtype=np.float32)
    starts = range(0, len(rows), batch_size)
    for start in track(starts, what, len(starts)):
        batch_rows = rows[start : start + batch_size]
        # Always whole batches: some kernels round differently for another batch size, and an
        # image's features must not depend on how many are asked for.
        filled = np.resize(batch_rows, batch_size)
        images = torch.from_numpy(pixels[filled]).to(device)
        with torch.autocast(device.type, AUTOCAST.get(precision), enabled=precision in AUTOCAST):
            batch = model.features(images)
        result[start : start + len(batch_rows)] = batch[: len(batch_rows)].float().cpu().numpy()
    return result


def logits(model: Classifier, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
    """The head over pooled features [N, D], in float64, as float32 [N, C]."""
    weight = model.head.weight.detach().cpu().double().numpy()
    bias = model.head.bias.detach().cpu().double().numpy()
    result: NDArray[np.float32] = (pooled.astype(np.float64) @ weight.T + bias).astype(np.float32)
    return result
