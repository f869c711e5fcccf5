"""Grad-CAM against closed forms and against plain autograd."""

from __future__ import annotations

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from magnostic.explain import gradcam
from magnostic.models import heads
from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Network


class Backbone(nn.Module):
    """1 x 1 convolution and ReLU, mean-pooled."""

    def __init__(self, maps: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, maps, 1)
        self.num_features = maps

    def forward_features(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        assert pre_logits
        return x.mean(dim=(2, 3))


class Stages(nn.Module):
    """Two stages: the convolution's maps, and their means over squares of two."""

    feature_info = ({"num_chs": 2}, {"num_chs": 2})

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.num_features = 4

    def forward_intermediates(self, x: Tensor, intermediates_only: bool) -> list[Tensor]:
        assert intermediates_only
        maps = self.conv(x).relu()
        return [maps, functional.avg_pool2d(maps * maps, 2)]


def test_closed_form_of_a_tiny_network() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    backbone = Backbone()
    head = heads.Dense(3, [4], 2)
    head.shift.copy_(torch.tensor([0.1, -0.2, 0.3]))
    head.scale.copy_(torch.tensor([0.5, 2.0, 1.0]))
    model = Classifier(Network(backbone, [0.4, 0.5, 0.6], [0.2, 0.3, 0.1]), head).eval()
    image = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)

    x = (image / 255 - [0.4, 0.5, 0.6]) / [0.2, 0.3, 0.1]
    w, b = backbone.conv.weight.detach().numpy()[:, :, 0, 0], backbone.conv.bias.detach().numpy()
    maps = np.maximum(x @ w.T + b, 0)  # [6, 5, 3]
    first, last = head.layers[0], head.layers[3]
    w1, b1 = first.weight.detach().numpy(), first.bias.detach().numpy()
    w2 = last.weight.detach().numpy()
    scale = np.array([0.5, 2.0, 1.0])
    hidden = w1 @ ((maps.mean(axis=(0, 1)) - [0.1, -0.2, 0.3]) / scale) + b1
    for target in range(2):
        of_features = (w2[target] * (hidden > 0)) @ w1 / scale
        wanted = np.maximum(maps @ (of_features / 30), 0)
        found = gradcam.relevance(model, torch.from_numpy(image[None]), target)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_stages_sum_to_the_logit() -> None:
    torch.manual_seed(1)
    head = nn.Linear(4, 2)
    with torch.no_grad():
        head.weight.abs_()  # nothing is negative, so that nothing is left out
    model = Classifier(
        Network(Stages(), [0.5] * 3, [0.25] * 3, features="multi-level"), head
    ).eval()
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    images = torch.from_numpy(image[None])
    found = gradcam.relevance(model, images, 1)
    logit = float(model(images)[0, 1].detach() - head.bias[1].detach())
    np.testing.assert_allclose(found.mean(), logit, rtol=1e-4)


def test_a_real_network_beside_plain_autograd() -> None:
    torch.manual_seed(0)
    backbone = timm.create_model("test_resnet", num_classes=0).eval()
    encoder = Network(backbone, [0.5] * 3, [0.25] * 3)
    model = Classifier(encoder, nn.Linear(encoder.width, 3)).eval()
    images = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    maps = encoder.encode(encoder.normalize(images))
    assert isinstance(maps, Tensor)
    (gradient,) = torch.autograd.grad(model.head(encoder.pool(maps))[0, 2], maps)
    summed = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True)
    wide = functional.interpolate(summed, (64, 96), mode="bilinear")[0, 0].clamp(min=0)
    found = gradcam.relevance(model, images, 2)
    assert found.shape == (64, 96)
    np.testing.assert_allclose(found, wide.detach().numpy(), rtol=1e-4, atol=1e-7)


def test_maps_with_channels_last() -> None:
    class Last(Backbone):
        output_fmt = "NHWC"

        def forward_features(self, x: Tensor) -> Tensor:
            return self.conv(x).relu().permute(0, 2, 3, 1)

        def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
            assert pre_logits
            return x.mean(dim=(1, 2))

    torch.manual_seed(2)
    first, last = Backbone(), Last()
    last.load_state_dict(first.state_dict())
    head = nn.Linear(3, 2)
    images = torch.randint(0, 256, (1, 6, 4, 3), dtype=torch.uint8)
    maps = [
        gradcam.relevance(Classifier(Network(b, [0.5] * 3, [0.25] * 3), head).eval(), images, 0)
        for b in (first, last)
    ]
    np.testing.assert_allclose(maps[0], maps[1], rtol=1e-5)
