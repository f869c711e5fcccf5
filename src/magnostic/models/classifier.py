"""The artefact that is trained, stored and loaded: encoder and head, one for every system.

``model.safetensors`` and ``model.json`` serve every later use. Where several models share one
frozen backbone, its weights lie once beside them and each holds its head alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from magnostic.data.fit import Fit, Size, sides
from magnostic.data.images import Task
from magnostic.errors import WeightsError
from magnostic.files import read_object, write_json
from magnostic.models import encoders, heads, tensors
from magnostic.models import weights as weights_module
from magnostic.models.encoders import Encoder, Features
from magnostic.recipe import HANDCRAFTED, LARGEST_BATCH
from magnostic.stored import ANEW, brief

_ENCODER: Final = "encoder."


@dataclass(frozen=True)
class Spec:
    """``model.json``: all that is needed to build the network and feed it.

    Attributes:
        backbone: timm name, or ``handcrafted``.
        args: timm's options for building it.
        features: which features of the backbone the head sees.
        weights: where the backbone's initial weights came from, for the report.
        weights_sha256: digest of that file, if it was one.
        classes: class names in the order of the outputs.
        task: ``binary``, ``subtype`` or ``label``.
        size: side of the square input, or height and width, pixels.
        fit: ``squeeze``, ``crop`` or ``pad``.
        colour: what is done to colours before anything else, with the reference's parameters.
        normalize: what the statistics were computed on.
        mean, std: per RGB channel, of pixels scaled to [0, 1].
        precision: ``fp32``, ``bf16`` or ``fp16`` of the backbone's arithmetic.
        batch_size: images per step in prediction.
        method: how it was trained: ``finetune``, ``dense``, or the head of a probe.
        head: description from which ``heads.build`` makes the head.
        backbone_file: where the encoder's tensors lie, relative to the folder; None: in
            ``model.safetensors`` with the head's.
        calibration: None, or the calibration fitted later.
    """

    backbone: str
    args: Mapping[str, Any]
    features: Features
    weights: str
    weights_sha256: str | None
    classes: list[str]
    task: Task
    size: Size
    fit: Fit
    colour: Mapping[str, Any]
    normalize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str
    batch_size: int
    method: str
    head: Mapping[str, Any] = field(default_factory=dict)
    dropout: float = 0.0
    backbone_file: str | None = None
    calibration: None = None
    version: int = 2


_SPEC: Final = TypeAdapter(Spec)
#: Pixels of an input's side, at most.
LARGEST: Final = 8192


class Classifier(nn.Module):
    """uint8 photographs in, float32 logits out.

    Input: uint8 [N, S, S, 3], RGB, after the changes of colour that :class:`Spec` names.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """What the head sees: float32 [N, D]."""
        features: Tensor = self.encoder(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        features = self.dropout(self.features(images))
        # The head stays in float32: probabilities are compared between runs.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(features)
        return logits


def save(folder: Path, model: Classifier, spec: Spec) -> None:
    """Write ``model.safetensors`` and ``model.json``."""
    state = model.state_dict()
    if spec.backbone_file is not None:
        state = {k: t for k, t in state.items() if not k.startswith(_ENCODER)}
    tensors.write(folder / "model.safetensors", state)
    write_json(folder / "model.json", asdict(spec))


def save_encoder(path: Path, encoder: Encoder) -> None:
    """Write the tensors that several models share (``backbone_file``)."""
    tensors.write(path, {_ENCODER + k: t for k, t in encoder.state_dict().items()})


def load(folder: Path) -> tuple[Classifier, Spec]:
    """Build the network of a run folder, on the CPU, in evaluation mode.

    Raises WeightsError naming the file that is missing or does not fit.
    """
    described = folder / "model.json"
    try:
        spec = _spec(read_object(described, WeightsError))
        files = [folder / "model.safetensors"]
        if spec.backbone_file is not None:
            files.append(_beside(folder, spec.backbone_file))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _no_description(described, error) from None
    state: dict[str, Tensor] = {}
    for path in files:
        try:
            state |= tensors.read(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise _unfit(path, spec, error) from None
    try:
        head = _head(spec, sum(t.numel() * t.element_size() for t in state.values()))
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise _no_description(described, error) from None
    model = Classifier(_encoder(spec), head, spec.dropout)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise _unfit(files[0], spec, error) from None
    return model.eval(), spec


def _spec(raw: Any) -> Spec:
    """ValueError or TypeError for what no training has written."""
    spec = _SPEC.validate_python(raw)
    if not (len(spec.mean) == len(spec.std) == 3 and all(map(math.isfinite, spec.mean + spec.std))):
        raise ValueError("mean and std: give one number a channel")
    if len(set(spec.classes)) != len(spec.classes) or len(spec.classes) < 2:
        raise ValueError("classes: two or more different names")
    if not all(1 <= side <= LARGEST for side in sides(spec.size)):
        raise ValueError(f"size {spec.size}: from 1 to {LARGEST} pixels")
    if not 1 <= spec.batch_size <= LARGEST_BATCH:
        raise ValueError(f"batch_size {spec.batch_size}: from 1 to {LARGEST_BATCH}")
    if not 0 <= spec.dropout < 1:
        raise ValueError(f"dropout {spec.dropout}: from 0 to less than 1")
    return spec


def _beside(folder: Path, name: str) -> Path:
    """The file that models of one run share: in the folder, or up to two above it."""
    *up, last = Path(name).parts or ("",)
    if len(up) > 2 or set(up) - {".."} or not last.endswith(".safetensors"):
        raise ValueError(f"backbone_file {name[:200]!r}: no file of the run")
    return folder / name


def _head(spec: Spec, stored: int) -> nn.Module:
    """The head, if its tensors can lie in so many bytes; a wrong number could ask for any."""
    with torch.device("meta"):
        planned = heads.build(spec.head)
    tensors_of = [*planned.parameters(), *planned.buffers()]
    size = sum(t.numel() * t.element_size() for t in tensors_of)
    if size > stored:
        raise ValueError(f"head: needs {size:,} bytes, and the files beside it have {stored:,}")
    return heads.build(spec.head)


def _encoder(spec: Spec) -> Encoder:
    if spec.backbone == HANDCRAFTED:
        return encoders.Handcrafted()
    return encoders.Network(
        weights_module.build(spec.backbone, None, spec.args),
        spec.mean,
        spec.std,
        per_image=spec.normalize == encoders.PER_IMAGE,
        features=spec.features,
    )


def _no_description(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: not a model description ({brief(error)}); {ANEW}")


def _unfit(path: Path, spec: Spec, error: Exception) -> WeightsError:
    reason = brief(error)
    return WeightsError(f"{path}: cannot be loaded into {spec.backbone} ({reason}); {ANEW}")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax in float64, returned as float32 [N, C]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    exponent = np.exp(shifted)
    probabilities: NDArray[np.float32] = (exponent / exponent.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return probabilities
