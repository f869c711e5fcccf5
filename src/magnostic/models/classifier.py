"""The network that is trained, stored and loaded: normalization, backbone, linear head.

A probe's classical head and a fine-tuned head are both one linear layer over pooled features, so
one artefact (``model.safetensors`` and ``model.json``) serves every later use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from magnostic.data.images import Task
from magnostic.data.pixels import Fit
from magnostic.errors import WeightsError
from magnostic.files import read_json, write_json
from magnostic.models import tensors
from magnostic.models import weights as weights_module


@dataclass(frozen=True)
class Spec:
    """``model.json``: all that is needed to build the network and feed it.

    Attributes:
        backbone: timm name.
        weights: where the backbone's initial weights came from, for the report.
        weights_sha256: digest of that file, if it was one.
        classes: class names in the order of the outputs.
        task: ``binary``, ``subtype`` or ``label``.
        size: side of the square input, pixels.
        fit: ``squeeze`` or ``crop``.
        normalize: what the statistics were computed on.
        mean, std: per RGB channel, of pixels scaled to [0, 1].
        precision: ``fp32``, ``bf16`` or ``fp16`` of the backbone's arithmetic.
        batch_size: images per step in prediction.
        head: ``finetune``, ``logistic`` or ``svm``.
        calibration: None, or the calibration fitted later.
    """

    backbone: str
    weights: str
    weights_sha256: str | None
    classes: Sequence[str]
    task: Task
    size: int
    fit: Fit
    normalize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str
    batch_size: int
    head: str
    dropout: float = 0.0
    calibration: None = None
    version: int = 1


class Classifier(nn.Module):
    """uint8 photographs in, float32 logits out.

    Input: uint8 [N, S, S, 3], RGB, as the pixel cache holds them. Scaling to [0, 1] and the
    z-score happen inside, on the device, so that no caller can forget them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(std) <= 0:
            raise WeightsError(f"normalization: deviation must be positive in each channel: {std}")
        self.backbone = backbone.to(memory_format=torch.channels_last)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_count(backbone), classes)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 [N, S, S, 3] -> float32 [N, 3, S, S], channels last in memory."""
        scaled = images.to(torch.float32) / 255
        return ((scaled - self.mean) / self.std).permute(0, 3, 1, 2)

    def features(self, images: Tensor) -> Tensor:
        """Pooled features before the head: float32 [N, D]."""
        maps = self.backbone.forward_features(self.normalize(images))  # type: ignore[operator]
        pooled: Tensor = self.backbone.forward_head(maps, pre_logits=True)  # type: ignore[operator]
        return pooled.float()

    def forward(self, images: Tensor) -> Tensor:
        features = self.dropout(self.features(images))
        # The head stays in float32: probabilities are compared between runs.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(features)
        return logits


def feature_count(backbone: nn.Module) -> int:
    """Width of the pooled features that a timm backbone gives before its classifier."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def save(folder: Path, model: Classifier, spec: Spec) -> None:
    """Write ``model.safetensors`` and ``model.json``."""
    tensors.write(folder / "model.safetensors", model.state_dict())
    write_json(folder / "model.json", asdict(spec))


def load(folder: Path) -> tuple[Classifier, Spec]:
    """Build the network of a run folder, on the CPU, in evaluation mode.

    Raises WeightsError naming the file that is missing or does not fit.
    """
    try:
        raw = read_json(folder / "model.json")
        spec = Spec(**{**raw, "mean": tuple(raw["mean"]), "std": tuple(raw["std"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{folder / 'model.json'}: not a model description ({error}); give a run folder"
        ) from None
    backbone = weights_module.build(spec.backbone, None)
    model = Classifier(backbone, len(spec.classes), spec.mean, spec.std, spec.dropout)
    try:
        state = safetensors.torch.load_file(folder / "model.safetensors")
        model.load_state_dict(state, strict=True)
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{folder / 'model.safetensors'}: cannot be loaded into {spec.backbone} ({reason})"
        ) from None
    return model.eval(), spec


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax in float64, returned as float32 [N, C]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    exponent = np.exp(shifted)
    probabilities: NDArray[np.float32] = (exponent / exponent.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return probabilities
