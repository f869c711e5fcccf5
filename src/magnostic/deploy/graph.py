"""The whole model as one module: inputs as decoded in, calibrated probabilities out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from magnostic.deploy.artefact import Member
from magnostic.deploy.engines import encoder_sources
from magnostic.errors import BadInput
from magnostic.models.encoders import Handcrafted
from magnostic.preprocess import colour

#: Colours that a graph can change by itself; the others need a description of each photograph.
_COLOURS = ("none", "grayscale")
#: Probabilities below float32's epsilon are raised to it before their logarithm is taken.
_EPSILON = float(np.finfo(np.float32).eps)


class Graph(nn.Module):
    """uint8 [N, H, W, 3], RGB -> ``(probabilities, uncalibrated, features_0, …)``, all float32.

    Scaling, z-score, networks, softmax, their average and the temperature are all inside.

    Args:
        members: networks that are averaged; those that share an encoder compute it once.
        temperature: of the calibrated probabilities.

    Raises BadInput where a network cannot be exported.
    """

    def __init__(self, members: Sequence[Member], temperature: float) -> None:
        super().__init__()
        require_exportable(members)
        #: Which of the features each network's head sees.
        self.sources = encoder_sources(members)
        self.encoders = nn.ModuleList(members[i].model.encoder for i in sorted(set(self.sources)))
        self.heads = nn.ModuleList(m.model.head for m in members)
        self.temperature = temperature
        self.grayscale = members[0].spec.colour["method"] == "grayscale"
        self.eval()

    @property
    def outputs(self) -> list[str]:
        """Names of what :meth:`forward` returns."""
        return ["probabilities", "uncalibrated", *(f"features_{i}" for i in self.order)]

    @property
    def order(self) -> list[int]:
        """The network whose encoder gives each of the features."""
        return sorted(set(self.sources))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.grayscale:
            images = colour.grayscale(images)
        features = [encoder(images) for encoder in self.encoders]
        place = {source: i for i, source in enumerate(self.order)}
        each = [
            torch.softmax(head(features[place[source]]), dim=1)
            for head, source in zip(self.heads, self.sources, strict=True)
        ]
        raw = each[0] if len(each) == 1 else torch.stack(each).mean(dim=0)
        stated = torch.softmax(raw.clamp(min=_EPSILON).log() / self.temperature, dim=1)
        return stated, raw, *features


def require_exportable(members: Sequence[Member]) -> None:
    """Raise BadInput for what no graph can hold."""
    spec = members[0].spec
    if isinstance(members[0].model.encoder, Handcrafted):
        raise BadInput(
            "handcrafted features are computed outside any graph; predict with the run itself"
        )
    if spec.colour["method"] not in _COLOURS:
        raise BadInput(
            f"preprocess.colour {spec.colour['method']} describes each photograph outside any "
            "graph; predict with the run itself, or train with preprocess.colour none"
        )
