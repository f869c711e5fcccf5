"""Relevance of a transformer's patches: attention weighted by the class's gradient.

Chefer, Gur and Wolf, "Generic Attention-model Explainability", ICCV 2021, equations 5 and 6, for
self-attention: with A the attention of a block's heads and G the gradient of the class's logit,

    R <- R + mean_heads(max(G * A, 0)) R,    R = 1 before the first block.

R[i, j] says how much token j went into token i. What the head reads (the class token, the mean of
the patches, or both) gives the row; the patches give the columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Encoder, Network


def fits(encoder: Encoder) -> bool:
    """Whether this is a transformer whose blocks attend over all tokens in a way that is known.

    These are timm's ViTs and their kin: a list of ``blocks`` whose ``attn`` can do without fused
    kernels, patches on a grid, and the class token or the mean of the patches as output.
    """
    if not isinstance(encoder, Network):
        return False
    backbone = encoder.backbone
    blocks = getattr(backbone, "blocks", None)
    if not isinstance(blocks, nn.ModuleList | nn.Sequential) or not len(blocks):
        return False
    attend = [getattr(block, "attn", None) for block in blocks]
    known = all(hasattr(a, "fused_attn") and hasattr(a, "attn_drop") for a in attend)
    grid = hasattr(backbone, "patch_embed") and hasattr(backbone, "num_prefix_tokens")
    reads = encoder.features == "token+mean" or (
        encoder.features == "pooled"
        and getattr(backbone, "global_pool", None) in ("token", "avg")
        and getattr(backbone, "attn_pool", None) is None
    )
    return known and grid and reads


def relevance(model: Classifier, images: Tensor, target: int) -> NDArray[np.float64]:
    """Relevance of each pixel, float64 [H, W], not negative: R of its patch, bilinear between.

    Args:
        model: whose encoder :func:`fits`, in float32 and evaluation mode.
        images: uint8 [1, H, W, 3] on its device, as the network is given it.
        target: index of the class.
    """
    encoder = cast(Network, model.encoder)
    backbone = cast(Any, encoder.backbone)
    with torch.enable_grad(), _attention(backbone) as seen:
        logit = model(images)[0, target]
        gradients = torch.autograd.grad(logit, seen)
    tokens = seen[0].shape[-1]
    rolled = torch.eye(tokens, device=images.device)
    for attention, gradient in zip(seen, gradients, strict=True):
        weighted = (gradient * attention.detach())[0].clamp(min=0).mean(dim=0)
        rolled = rolled + weighted @ rolled
    prefix = int(backbone.num_prefix_tokens)
    row = _read(encoder, rolled, prefix)[prefix:]
    size = list(images.shape[1:3])
    height, width = (s // p for s, p in zip(size, backbone.patch_embed.patch_size, strict=True))
    grid = row.reshape(1, 1, height, width)
    found = functional.interpolate(grid, size, mode="bilinear")[0, 0]
    return found.double().cpu().numpy()


def _read(encoder: Network, rolled: Tensor, prefix: int) -> Tensor:
    """The rows of R that the head reads, as one."""
    token, patches = rolled[0], rolled[prefix:].mean(dim=0)
    if encoder.features == "token+mean":
        return (token + patches) / 2
    if encoder.backbone.global_pool == "token":
        return token
    with_prefix = bool(getattr(encoder.backbone, "pool_include_prefix", False))
    return rolled.mean(dim=0) if with_prefix else patches


@contextlib.contextmanager
def _attention(backbone: Any) -> Iterator[list[Tensor]]:
    """Collect each block's attention [1, heads, N, N] of the forward pass inside.

    Fused kernels, which never form it, are switched off meanwhile.
    """
    seen: list[Tensor] = []
    attend = [block.attn for block in backbone.blocks]
    fused = [a.fused_attn for a in attend]

    def collect(_: nn.Module, __: Any, output: Tensor) -> None:
        seen.append(output)

    hooks = [a.attn_drop.register_forward_hook(collect) for a in attend]
    try:
        for a in attend:
            a.fused_attn = False
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
        for a, before in zip(attend, fused, strict=True):
            a.fused_attn = before
