"""Attention relevance beside an implementation that writes every block out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from magnostic.explain import attention
from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Features, Network


def _vit(**more: Any) -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(
        img_size=(32, 48), patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=0, **more
    )
    with torch.no_grad():  # as drawn, attention is nearly uniform
        for block in model.blocks:
            block.attn.qkv.weight.mul_(20)
    return model.eval()


def _written_out(
    vit: VisionTransformer, head: nn.Linear, x: Tensor, target: int, rows: str
) -> np.ndarray:
    """R of the patches, [4, 6]: gradients are taken at zeros added to each attention."""
    tokens = vit.patch_embed(x)
    if vit.cls_token is not None:
        tokens = torch.cat([vit.cls_token, tokens], dim=1)
    tokens = tokens + vit.pos_embed
    attentions, added = [], []
    n = tokens.shape[1]
    for block in vit.blocks:
        q, k, v = (
            block.attn.qkv(block.norm1(tokens)).reshape(n, 3, 2, 12).permute(1, 2, 0, 3).unbind(0)
        )
        a = torch.softmax(q @ k.transpose(1, 2) / 12**0.5, dim=-1)
        zero = torch.zeros_like(a, requires_grad=True)
        attentions.append(a)
        added.append(zero)
        mixed = ((a + zero) @ v).permute(1, 0, 2).reshape(1, n, 24)
        tokens = tokens + block.attn.proj(mixed)
        tokens = tokens + block.mlp(block.norm2(tokens))
    tokens = vit.norm(tokens)
    prefix = n - 24
    if rows == "token":
        features = tokens[:, 0]
    elif rows == "avg":
        features = vit.fc_norm(tokens[:, prefix:].mean(dim=1))
    else:
        features = torch.cat([tokens[:, 0], tokens[:, prefix:].mean(dim=1)], dim=1)
    gradients = torch.autograd.grad(head(features)[0, target], added)
    r = np.eye(n)
    for a, g in zip(attentions, gradients, strict=True):
        r = r + np.maximum(a.detach().numpy() * g.numpy(), 0).mean(axis=0) @ r
    token, mean = r[0, prefix:], r[prefix:, prefix:].mean(axis=0)
    read = {"token": token, "avg": mean}.get(rows, (token + mean) / 2)
    return read.reshape(4, 6)


@pytest.mark.parametrize(
    ("rows", "features", "more"),
    [
        ("token", "pooled", {}),
        ("avg", "pooled", {"global_pool": "avg", "class_token": False}),
        ("both", "token+mean", {}),
    ],
)
def test_beside_blocks_written_out(rows: str, features: Features, more: dict[str, Any]) -> None:
    vit = _vit(**more)
    encoder = Network(vit, [0.5] * 3, [0.25] * 3, features=features)
    assert attention.fits(encoder)
    head = nn.Linear(encoder.width, 3)
    model = Classifier(encoder, head).eval()
    images = torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8)
    for target in (0, 2):
        with torch.no_grad():
            inputs = encoder.normalize(images)
        grid = _written_out(vit, head, inputs, target, rows)
        wanted = torch.nn.functional.interpolate(
            torch.from_numpy(grid)[None, None], (32, 48), mode="bilinear"
        )[0, 0].numpy()
        found = attention.relevance(model, images, target)
        assert found.min() >= 0
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-5 * wanted.max())


def test_fused_kernels_are_on_again_after_an_error() -> None:
    vit = _vit()
    for block in vit.blocks:
        block.attn.fused_attn = True
    model = Classifier(Network(vit, [0.5] * 3, [0.25] * 3), nn.Linear(24, 2)).eval()
    images = torch.zeros((1, 32, 48, 3), dtype=torch.uint8)
    with pytest.raises(IndexError):
        attention.relevance(model, images, 5)
    assert all(block.attn.fused_attn for block in vit.blocks)
    assert not any(block.attn.attn_drop._forward_hooks for block in vit.blocks)


def test_what_it_fits() -> None:
    def encoder(name: str) -> Network:
        return Network(timm.create_model(name, num_classes=0), [0.5] * 3, [0.25] * 3)

    assert attention.fits(encoder("test_vit"))
    assert not attention.fits(encoder("test_resnet"))
    assert not attention.fits(
        Network(_vit(global_pool="map", class_token=False), [0.5] * 3, [0.25] * 3)
    )
