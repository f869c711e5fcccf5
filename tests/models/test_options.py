"""Options of backbones: layers by name, sizes that fit, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.layers.mlp import SwiGLUPacked
from torch import nn

from magnostic.errors import RecipeError, WeightsError
from magnostic.models import options, weights


def test_layers_are_found_by_name() -> None:
    found = options.resolve(
        {"mlp_layer": "timm.layers.SwiGLUPacked", "act_layer": "SiLU", "init_values": "1e-5"}
    )
    assert found == {
        "mlp_layer": SwiGLUPacked,
        "act_layer": nn.SiLU,
        "init_values": 1e-5,
    }
    assert options.resolve({"norm_layer": "layernorm"})["norm_layer"] is not None
    assert options.resolve({"global_pool": "", "depth": 2}) == {"global_pool": "", "depth": 2}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"mlp_layer": "SwiGLUPackt"}, r"model\.args\.mlp_layer.*did you mean 'SwiGLUPacked'"),
        ({"embed_layer": "Stem"}, r"model\.args\.embed_layer.*ConvStem"),
        ({"act_layer": "sillu"}, r"model\.args\.act_layer"),
        ({"norm_layer": "norm"}, r"model\.args\.norm_layer"),
        ({"num_classes": 8}, r"model\.args\.num_classes: is set by magnostic"),
        ({"nonsense": 1}, r"model\.args nonsense: do not fit backbone 'vit_tiny_patch16_224'"),
        ({"embed_dim": 100, "num_heads": 3}, r"model\.args embed_dim, num_heads: do not fit"),
    ],
)
def test_wrong_options_are_named(args: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        weights.build("vit_tiny_patch16_224", None, args)
    assert "\n" not in str(caught.value)


def test_an_unknown_backbone_is_named_before_its_options() -> None:
    with pytest.raises(WeightsError, match="did you mean 'vit_tiny_patch16_224'"):
        weights.build("vit_tiny_patch16_22", None, {"depth": 1})


@pytest.mark.parametrize(
    ("backbone", "size", "args"),
    [
        ("resnet18", 77, {}),
        ("vit_tiny_patch16_224", 224, {}),
        ("vit_tiny_patch16_224", 64, {"img_size": 64}),
        ("vit_tiny_patch16_224", 64, {"img_size": [64, 64]}),
        ("vit_tiny_patch16_224", 96, {"dynamic_img_size": True}),
        ("vit_tiny_patch16_224", 56, {"dynamic_img_size": True, "patch_size": 14}),
        ("vit_tiny_patch16_224", 70, {"dynamic_img_size": True, "dynamic_img_pad": True}),
        ("swin_tiny_patch4_window7_224", 64, {"strict_img_size": False}),
    ],
)
def test_sizes_that_fit(backbone: str, size: int, args: dict[str, Any]) -> None:
    weights.require_size(backbone, size, args)
    network = weights.build(backbone, None, args).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, size, size)).ndim == 2


@pytest.mark.parametrize(
    ("size", "args", "says"),
    [
        (64, {}, "takes 224 px only; set preprocess.size 224"),
        (224, {"img_size": 64}, "takes 64 px only"),
        (100, {"dynamic_img_size": True}, "multiples of 16 px; set preprocess.size 96"),
    ],
)
def test_sizes_that_do_not_fit(size: int, args: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        weights.require_size("vit_tiny_patch16_224", size, args)


def test_ctranspaths_stem_quarters_the_side_under_its_own_tensor_names() -> None:
    network = weights.build("swin_tiny_patch4_window7_224", None, {"embed_layer": "ConvStem"})
    shapes = {
        name.removeprefix("patch_embed."): tuple(tensor.shape)
        for name, tensor in network.state_dict().items()
        if name.startswith("patch_embed.") and name.endswith(("weight", "proj.6.bias"))
    }
    assert shapes == {
        "proj.0.weight": (12, 3, 3, 3),
        "proj.1.weight": (12,),
        "proj.3.weight": (24, 12, 3, 3),
        "proj.4.weight": (24,),
        "proj.6.weight": (96, 24, 1, 1),
        "proj.6.bias": (96,),
        "norm.weight": (96,),
    }
    embedded = network.patch_embed(torch.zeros(1, 3, 224, 224))  # type: ignore[operator]
    assert embedded.shape == (1, 56, 56, 96)
    with pytest.raises(RecipeError, match="ConvStem needs patch_size 4"):
        weights.build(
            "swin_tiny_patch4_window7_224", None, {"embed_layer": "ConvStem", "patch_size": 2}
        )


def test_a_headless_swin_file_of_the_older_layout_arrives_whole() -> None:
    """As CTransPath's is published: merging at the end of a stage, tables of positions stored."""
    args = {"embed_layer": "ConvStem", "depths": [1, 1, 1, 1]}
    network = weights.build("swin_tiny_patch4_window7_224", None, args)
    older = {}
    for name, tensor in network.state_dict().items():
        stage = name.split(".")
        if "downsample" in name:
            stage[1] = str(int(stage[1]) - 1)
        older[".".join(stage)] = tensor
    computed = dict(network.named_buffers())
    older |= {k: b for k, b in computed.items() if k.endswith("relative_position_index")}
    weights.build("swin_tiny_patch4_window7_224", weights.Source(older, "older file", None), args)
    older["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.int64)
    older["layers.1.blocks.0.attn.relative_position_index"] = torch.ones(49, 49, dtype=torch.int64)
    with pytest.raises(WeightsError, match="relative_position_index"):
        weights.build(
            "swin_tiny_patch4_window7_224", weights.Source(older, "changed file", None), args
        )
