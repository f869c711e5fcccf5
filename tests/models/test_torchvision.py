"""ResNet50 and the VGGs are torchvision's: counts, shapes, and checkpoints that it saves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

from magnostic.errors import WeightsError
from magnostic.models import weights


def shapes(network: nn.Module) -> Counter[tuple[int, ...]]:
    """How often each shape occurs; a 1x1 or 7x7 convolution counts as the dense layer it is."""
    return Counter(
        (tensor.shape[0], tensor[0].numel()) if tensor.ndim > 1 else tuple(tensor.shape)
        for tensor in network.state_dict().values()
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("resnet50", 25_557_032), ("vgg16", 138_357_544), ("vgg19", 143_667_240)],
)
def test_counts_and_shapes_are_torchvisions(name: str, parameters: int) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, weights=None)
        ours = timm.create_model(name)
        backbone = timm.create_model(name, num_classes=0)
    for network in (theirs, ours):
        assert sum(p.numel() for p in network.parameters()) == parameters
    assert shapes(ours) == shapes(theirs)
    if name == "resnet50":
        assert {k: v.shape for k, v in ours.state_dict().items()} == {
            k: v.shape for k, v in theirs.state_dict().items()
        }
    convolutions = [
        [tuple(t.shape) for k, t in network.state_dict().items() if t.ndim == 4 and "feat" in k]
        for network in (theirs, ours)
    ]
    assert convolutions[0] == convolutions[1], "in the same order"
    left = shapes(theirs) - shapes(backbone)
    assert sum(left.values()) == 2, "without the classifier's weight and bias alone"


@pytest.mark.parametrize("name", ["resnet50", "vgg16", "vgg19"])
def test_a_checkpoint_that_torchvision_saved_arrives_whole(name: str, tmp_path: Path) -> None:
    """Through ``model.weights: PATH``; features are then torchvision's own."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    network = network.to_empty(device="cpu").eval()
    with torch.no_grad():  # quick values of a size that keeps activations finite
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(-1, 1).div_(max(tensor[0].numel(), 1) ** 0.5 if tensor.ndim else 1)
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var"):
                tensor.abs_().add_(0.5)
            elif key.endswith("num_batches_tracked"):
                tensor.zero_()
    path = tmp_path / f"{name}.pth"
    torch.save(network.state_dict(), path)
    source = weights.resolve(str(path), name)
    path.unlink()  # half a gigabyte
    backbone = weights.build(name, source).eval()
    images = torch.rand(1, 3, 224, 224)
    if name == "resnet50":
        network.fc = nn.Identity()
    else:  # timm keeps VGG's fully connected layers as convolutions
        kept = backbone.state_dict()["pre_logits.fc1.weight"]
        assert torch.equal(kept.flatten(), network.classifier[0].weight.flatten())
        network.classifier[-1] = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), network(images), rtol=1e-4, atol=1e-5)
    changed = next(k for k in source.state if k.endswith("2.weight"))
    source.state[changed] = source.state[changed].clone().add_(1)
    with pytest.raises(WeightsError, match="partial load is refused"):
        weights.verify(backbone, source, name)
