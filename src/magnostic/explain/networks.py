"""A stored model's networks as explanations need them: in float32, inputs seen after colour.

Networks that share an encoder and its input (the heads of a frozen one) form a group, whose
features are computed once. Probabilities are float64, so that a sure prediction still changes when
something is covered.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from magnostic.deploy.artefact import Member
from magnostic.deploy.engines import encoder_sources
from magnostic.preprocess import colour
from magnostic.train import device

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Group:
    """Networks with one encoder.

    Attributes:
        members: of which the first one's encoder is used.
        heads: theirs, in float64 on the CPU.
    """

    members: tuple[Member, ...]
    heads: tuple[nn.Module, ...]


class Networks:
    """Every network of a stored model, on the device that predictions are computed on."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.device = device.torch_device()
        self.count = len(members)
        self.batch_size = members[0].spec.batch_size
        source = encoder_sources(members)
        self.groups = []
        for first in sorted(set(source)):
            here = tuple(m for m, s in zip(members, source, strict=True) if s == first)
            here[0].model.to(self.device)
            for member in here:
                member.model.head.to(self.device)
            heads = tuple(copy.deepcopy(m.model.head).cpu().double().eval() for m in here)
            self.groups.append(Group(here, heads))

    def seen(self, pixels: Pixels) -> list[Pixels]:
        """A photograph uint8 [H, W, 3] as each group is given it, after the changes of colour."""
        return [_recoloured(group.members[0], pixels) for group in self.groups]

    def tensor(self, pixels: Pixels) -> Tensor:
        """uint8 [H, W, 3] as a batch of one on the device."""
        return torch.tensor(pixels[None], device=self.device)

    @torch.inference_mode()
    def probabilities(self, group: Group, images: Pixels) -> NDArray[np.float64]:
        """Mean of the group's networks, float64 [N, C], of uint8 [N, H, W, 3] after colour."""
        model = group.members[0].model
        parts = []
        for start in range(0, len(images), self.batch_size):
            here = torch.tensor(images[start : start + self.batch_size], device=self.device)
            features = model.features(here).double().cpu()
            each = [torch.softmax(head(features), dim=1) for head in group.heads]
            parts.append(torch.stack(each).mean(dim=0).numpy())
        return np.concatenate(parts)

    def average(self, of_groups: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Mean over all networks of what each group's networks have in the mean."""
        total = sum(len(g.heads) * found for g, found in zip(self.groups, of_groups, strict=True))
        return np.asarray(total / self.count)


def _recoloured(member: Member, pixels: Pixels) -> Pixels:
    changes = colour.Colour.from_dict(member.spec.colour)
    if changes.method == "none":
        return pixels
    described = torch.from_numpy(colour.describe(changes.method, pixels[None]))
    found: Pixels = colour.apply(changes, torch.from_numpy(pixels[None].copy()), described)[
        0
    ].numpy()
    return found
