"""Encoders: normalization, which features they give, and which layers may be trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.layers import DropPath
from torch import nn
from torch.nn import functional

from magnostic.errors import RecipeError, WeightsError
from magnostic.models import weights
from magnostic.models.encoders import Network

MEAN, STD = (0.7, 0.6, 0.8), (0.1, 0.2, 0.1)


def network(backbone: str, **options: object) -> Network:
    torch.manual_seed(0)
    return Network(weights.build(backbone, None), MEAN, STD, **options).eval()  # type: ignore[arg-type]


def photographs(size: int, n: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, size, size, 3), dtype=torch.uint8, generator=generator)


def test_normalization_is_the_papers_equation() -> None:
    images = photographs(5)
    expected = (images.double().numpy() / 255 - MEAN) / STD
    found = network("test_resnet").normalize(images)
    assert found.shape == (2, 3, 5, 5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_each_photograph_by_its_own_statistics() -> None:
    images = photographs(8)
    images[1] = 200
    found = network("test_resnet", per_image=True).normalize(images).double().numpy()
    plain = images[0].double().numpy() / 255
    expected = (plain - plain.mean(axis=(0, 1))) / plain.std(axis=(0, 1))
    np.testing.assert_allclose(found[0], expected.transpose(2, 0, 1), atol=1e-5)
    assert abs(found[1]).max() < 1e-5, "a blank field becomes zero, not infinite"


def test_a_constant_channel_cannot_be_normalized() -> None:
    with pytest.raises(WeightsError, match="deviation must be positive"):
        Network(weights.build("test_resnet", None), (0, 0, 0), (1, 0, 1))


@pytest.mark.parametrize(
    ("backbone", "width"),
    [("vgg19", 64 + 128 + 256 + 512 * 3), ("resnet18", 64 * 2 + 128 + 256 + 512)],
)
def test_multi_level_features_are_the_pooled_maps_of_all_stages(backbone: str, width: int) -> None:
    encoder = network(backbone, features="multi-level")
    assert encoder.width == width
    images = photographs(64)
    with torch.inference_mode():
        found = encoder(images)
        last = encoder.backbone.forward_features(encoder.normalize(images))  # type: ignore[operator]
    assert found.shape == (2, width)
    pooled = functional.adaptive_avg_pool2d(last, 1).flatten(1)
    torch.testing.assert_close(found[:, -pooled.shape[1] :], pooled, rtol=1e-4, atol=1e-5)


def test_token_and_mean_of_patches() -> None:
    encoder = network("test_vit", features="token+mean")
    images = photographs(160)
    with torch.inference_mode():
        tokens = encoder.backbone.forward_features(encoder.normalize(images))  # type: ignore[operator]
        found = encoder(images)
    expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
    assert encoder.width == expected.shape[1] == 2 * 64
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("features", ["token+mean", "multi-level"])
def test_features_that_a_backbone_lacks_are_refused(features: str) -> None:
    class Bare(nn.Module):
        num_features = 4

    with pytest.raises(RecipeError, match=f"model.features {features.replace('+', '.')}"):
        Network(Bare(), MEAN, STD, features=features)  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [0, 1, 3, 17])
def test_only_the_last_layer_groups_are_trained(last: int) -> None:
    encoder = network("vgg16" if last < 17 else "resnet50")
    encoder.freeze_all_but(last)
    trained = [n for n, p in encoder.backbone.named_parameters() if p.requires_grad]
    if last == 0:
        assert trained == []
    elif last == 17:
        assert len(trained) == len([*encoder.backbone.named_parameters()])
    else:
        convolutions = {n.rsplit(".", 1)[0] for n in trained if n.startswith("features")}
        assert len(convolutions) == last - 1, "the fully connected layers are the last group"
        assert any(n.startswith("pre_logits") for n in trained)


@pytest.mark.parametrize(
    ("name", "args", "kind"),
    [("vgg11", {"drop_rate": 0.5}, nn.Dropout), ("test_vit", {"drop_path_rate": 0.2}, DropPath)],
)
def test_trained_layers_drop_as_they_do_when_all_are_trained(
    name: str, args: dict[str, float], kind: type[nn.Module]
) -> None:
    encoder = Network(weights.build(name, None, args), MEAN, STD)

    def dropping() -> int:
        encoder.train()
        return sum(isinstance(m, kind) and m.training for m in encoder.modules())

    encoder.freeze_all_but(1)
    assert dropping() == 2
    encoder.freeze_all_but(0)
    assert dropping() == 0


def test_frozen_batch_normalization_keeps_its_statistics() -> None:
    encoder = network("test_resnet")
    encoder.freeze_all_but(1)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.train()
    encoder(photographs(64, 4)).sum().backward()
    changed = {k for k, v in encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert changed, "the group that is trained gathers statistics"
    assert all(k.startswith("backbone.layer4") for k in changed)


@pytest.mark.parametrize("layers", ["all", 1])
def test_statistics_of_batch_normalization_can_stay_while_weights_learn(layers: str | int) -> None:
    encoder = network("test_resnet")
    if isinstance(layers, int):
        encoder.freeze_all_but(layers)
    encoder.freeze_batch_norm()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.train()
    pair, alone = photographs(64, 2), photographs(64, 2)[:1]
    torch.testing.assert_close(encoder(pair)[:1], encoder(alone))
    encoder(pair).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms[-1].weight.grad is not None


def test_more_layer_groups_than_there_are() -> None:
    with pytest.raises(RecipeError, match="has 5 layer groups"):
        network("test_resnet").freeze_all_but(6)
