"""Grad-CAM: which places of a convolutional network's last maps raise a class's logit.

Selvaraju et al., "Grad-CAM", ICCV 2017: each map of the last layer is weighted by the mean of the
logit's gradient over its places, the weighted maps are summed, and what is negative is left out.
Where the head sees the mean-pooled maps of several stages (``multi-level``), the same is done for
each stage; one place of a small map stands for more pixels, so each stage counts by its number of
places, and with a linear head the sum of the map before negative parts are left out is the logit
less its bias.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Network


class _Maps(nn.Module):
    """The last maps as the output of a module, which captum needs: [N, C, h, w] of each stage."""

    def __init__(self, encoder: Network) -> None:
        super().__init__()
        self.encoder = encoder
        self.last = channels_last(encoder)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        # What follows is all that the gradient goes through: an earlier stage must not also be
        # given what it does for a later one, and nothing before has to be remembered.
        with torch.no_grad():
            found = self.encoder.encode(self.encoder.normalize(images))
        if isinstance(found, list):
            return tuple(maps.requires_grad_() for maps in found)
        return (found.permute(0, 3, 1, 2) if self.last else found).requires_grad_()


class _Cut(nn.Module):
    """A classifier that goes through its last maps."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.maps = _Maps(cast(Network, model.encoder))
        self.head = model.head

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(images)
        if isinstance(maps, tuple):
            maps = list(maps)
        elif self.maps.last:
            maps = maps.permute(0, 2, 3, 1)
        logits: Tensor = self.head(self.maps.encoder.pool(maps))
        return logits


def channels_last(encoder: Network) -> bool:
    """Whether the backbone's last maps are [N, h, w, C], as Swin's are."""
    said = str(getattr(encoder.backbone, "output_fmt", "NCHW"))
    return encoder.features != "multi-level" and said.endswith("NHWC")


def relevance(model: Classifier, images: Tensor, target: int) -> NDArray[np.float64]:
    """Relevance of each pixel, float64 [H, W], not negative, in the unit of the logit's parts.

    Args:
        model: with a :class:`Network` whose last maps are two-dimensional, in float32.
        images: uint8 [1, H, W, 3] on its device, as the network is given it.
        target: index of the class.
    """
    from captum.attr import LayerGradCam

    cut = _Cut(model)
    found = LayerGradCam(cut, cut.maps).attribute(images, target=target)
    stages = found if isinstance(found, tuple) else (found,)
    size = list(images.shape[1:3])
    total = torch.zeros(size, device=images.device)
    for stage in stages:
        places = stage.shape[2] * stage.shape[3] if len(stages) > 1 else 1
        total += places * functional.interpolate(stage.detach(), size, mode="bilinear")[0, 0]
    return total.clamp(min=0).double().cpu().numpy()
