"""From a batch of photographs to one vector each: a timm backbone, or handcrafted features.

An encoder takes uint8 [N, S, S, 3] and gives float32 [N, D]; scaling to [0, 1] and the z-score
happen inside, on the device, so that no caller can forget them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from timm.models import group_parameters
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from magnostic.errors import RecipeError, WeightsError
from magnostic.models import handcrafted
from magnostic.models.depthwise import with_fast_gradients
from magnostic.recipe import Finetune

Features = Literal["pooled", "multi-level", "token+mean"]
#: Part of the key of kept features: to be raised when the same weights and photograph would give
#: others, were it in the last bit.
VERSION = 2
#: ``normalize`` of a recipe that takes each photograph's own mean and deviation.
PER_IMAGE = "image"


class Encoder(nn.Module):
    """Base of all encoders: ``width`` features of each photograph."""

    width: int

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, S, S, 3], RGB -> float32 [N, width]."""
        raise NotImplementedError


class Network(Encoder):
    """A timm backbone without classifier.

    Args:
        backbone: with ``num_classes=0``.
        mean, std: of the z-score, per RGB channel of pixels in [0, 1]; ignored if ``per_image``.
        per_image: each photograph by its own mean and deviation instead.
        features: ``pooled``: the backbone's own; ``multi-level``: mean-pooled maps of every stage
            side by side; ``token+mean``: class token and mean of the patch tokens side by side.

    Raises RecipeError where the backbone has no such features.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        per_image: bool = False,
        features: Features = "pooled",
    ) -> None:
        super().__init__()
        if min(std) <= 0:
            raise WeightsError(f"normalization: deviation must be positive in each channel: {std}")
        self.backbone = with_fast_gradients(backbone.to(memory_format=torch.channels_last))
        self.per_image = per_image
        self.features = features
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32), persistent=False)
        self._frozen: list[nn.Module] = []
        self.width = _width(backbone, features)

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 [N, S, S, 3] -> float32 [N, 3, S, S], channels last in memory."""
        # In place and over rows of pixels: fresh memory, or a loop over three channels, costs more
        # than the arithmetic.
        height, width = images.shape[1:3]
        rows = images.flatten(2).to(torch.float32, copy=True)
        if self.per_image:
            rows = _minus(rows, _per_channel(rows, width).repeat(1, width)[:, None])
            # A blank field has no deviation: bounded as TensorFlow's per_image_standardization.
            least = 255 * (height * width) ** -0.5
            deviation = _per_channel(rows.square(), width).sqrt_().clamp_(min=least)
            rows = _times(rows, 1 / deviation.repeat(1, width)[:, None])
        else:
            rows = _minus(rows, (255 * self.mean).repeat(width))
            rows = _times(rows, (1 / (255 * self.std)).repeat(width))
        return rows.reshape(-1, height, width, 3).permute(0, 3, 1, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.encode(self.normalize(images)))

    def encode(self, inputs: Tensor) -> Tensor | list[Tensor]:
        """What the backbone gives before pooling, of float32 [N, 3, S, S] as normalized.

        Maps or tokens, as the backbone has them; for ``multi-level`` the maps [N, C, h, w] of
        every stage.
        """
        backbone = self.backbone
        if self.features == "multi-level":
            maps: list[Tensor] = backbone.forward_intermediates(inputs, intermediates_only=True)  # type: ignore[operator]
            return maps
        encoded: Tensor = backbone.forward_features(inputs)  # type: ignore[operator]
        return encoded

    def pool(self, encoded: Tensor | list[Tensor]) -> Tensor:
        """From what :meth:`encode` gives to float32 [N, width]."""
        if isinstance(encoded, list):
            return torch.cat([m.float().mean(dim=(2, 3)) for m in encoded], dim=1)
        backbone = self.backbone
        if self.features == "token+mean":
            patches = encoded[:, backbone.num_prefix_tokens :]
            return torch.cat([encoded[:, 0], patches.mean(dim=1)], dim=1).float()
        pooled: Tensor = backbone.forward_head(encoded, pre_logits=True)  # type: ignore[operator]
        return pooled.float()

    def freeze_all_but(self, last: int) -> None:
        """Train only the ``last`` layer groups of the backbone (timm's grouping), 0: none.

        Frozen layers also keep the running statistics of their batch normalization.
        Raises RecipeError where there are fewer groups.
        """
        matcher = getattr(self.backbone, "group_matcher", None)
        if matcher is None:
            raise RecipeError(
                "train.trainable: this backbone has no layer groups; set train.trainable all"
            )
        groups = group_parameters(self.backbone, matcher(coarse=False))
        if last > len(groups):
            raise RecipeError(
                f"train.trainable {last}: the backbone has {len(groups)} layer groups; give fewer, "
                "or all"
            )
        ordered = [groups[key] for key in sorted(groups)]
        trained = {name for group in ordered[len(ordered) - last :] for name in group}
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name in trained)
        # What has no weights of its own drops as the layers around it ask, so it is not frozen.
        self._frozen = [
            module
            for module in self.backbone.modules()
            if (weights := [*module.parameters()]) and not any(p.requires_grad for p in weights)
        ]

    def freeze_batch_norm(self) -> None:
        """Normalize by the running statistics of the backbone in training too, and keep them."""
        self._frozen += [m for m in self.backbone.modules() if isinstance(m, _BatchNorm)]

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


def freeze(encoder: Encoder, train: Finetune) -> None:
    """Keep what fine-tuning by this recipe keeps of a network; RecipeError where it has no such."""
    if isinstance(encoder, Network):
        if train.trainable != "all":
            encoder.freeze_all_but(train.trainable)
        if train.freeze_batch_norm:
            encoder.freeze_batch_norm()


class Handcrafted(Encoder):
    """Hu moments, Haralick textures and colour histogram, computed on the CPU."""

    width = handcrafted.WIDTH

    def forward(self, images: Tensor) -> Tensor:
        described = handcrafted.describe(images.cpu().numpy())
        return torch.from_numpy(described).to(images.device)


def _minus(rows: Tensor, other: Tensor) -> Tensor:
    """In place, but not while a graph is traced: converters do not know views written to."""
    return rows - other if _traced() else rows.sub_(other)


def _times(rows: Tensor, other: Tensor) -> Tensor:
    """The same for a product."""
    return rows * other if _traced() else rows.mul_(other)


def _traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _per_channel(rows: Tensor, width: int) -> Tensor:
    """Mean of each image's channels: [N, H, 3 W] -> [N, 3]."""
    return rows.mean(dim=1).reshape(-1, width, 3).mean(dim=1)


def _width(backbone: nn.Module, features: Features) -> int:
    """Number of features that a timm backbone gives before its classifier."""
    if features == "multi-level":
        info = getattr(backbone, "feature_info", None)
        if info is None or not hasattr(backbone, "forward_intermediates"):
            raise RecipeError(
                "model.features multi-level: this backbone does not give the maps of its stages; "
                "set model.features pooled"
            )
        entries = info.info if hasattr(info, "info") else info
        return sum(int(entry["num_chs"]) for entry in entries)
    if features == "token+mean":
        if not int(getattr(backbone, "num_prefix_tokens", 0)):
            raise RecipeError(
                "model.features token+mean: this backbone has no class token; "
                "set model.features pooled"
            )
        return 2 * int(backbone.num_features)  # type: ignore[arg-type]
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]
