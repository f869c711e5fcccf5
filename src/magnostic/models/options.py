"""Backbones of timm built with the options that a recipe writes (``model.args``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import timm
import timm.layers
import torch
from timm.layers.create_act import get_act_layer
from timm.layers.create_norm import get_norm_layer
from timm.layers.patch_embed import PatchEmbed
from torch import nn

from magnostic.errors import RecipeError, WeightsError, did_you_mean

#: What building a backbone decides itself; a recipe says it elsewhere or not at all.
_OWN: Final = (
    "num_classes",
    "in_chans",
    "features_only",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "checkpoint_path",
    "cache_dir",
)


class ConvStem(PatchEmbed):
    """CTransPath's embedding: three convolutions down to a quarter of the side.

    Wang et al., Transformer-based unsupervised contrastive learning for histopathological image
    classification, Medical Image Analysis 81, 2022. Tensor names are those of its weights.
    """

    def __init__(
        self,
        img_size: int = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        **more: Any,
    ) -> None:
        if patch_size != 4 or embed_dim % 8:
            raise ValueError("embed_layer ConvStem needs patch_size 4 and an embed_dim of eights")
        super().__init__(img_size, patch_size, in_chans, embed_dim, **more)
        first, second = embed_dim // 8, embed_dim // 4
        stem = (*_halving(in_chans, first), *_halving(first, second))
        self.add_module("proj", nn.Sequential(*stem, nn.Conv2d(second, embed_dim, 1)))


def _halving(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


_MLPS: Final = ("Mlp", "GluMlp", "SwiGLU", "SwiGLUPacked", "GatedMlp", "ConvMlp")
_LAYERS: Final[Mapping[str, Mapping[str, Callable[..., nn.Module]]]] = {
    "mlp_layer": {name: getattr(timm.layers, name) for name in _MLPS},
    "embed_layer": {"ConvStem": ConvStem, "PatchEmbed": PatchEmbed},
}


def resolve(args: Mapping[str, Any]) -> dict[str, Any]:
    """Options as timm takes them: layers by name (``SwiGLUPacked``, ``silu``) as classes.

    Raises RecipeError naming an option that is not the recipe's to set, or a layer that is unknown.
    """
    for name in args:
        if name in _OWN:
            raise RecipeError(f"model.args.{name}: is set by magnostic itself; leave it out")
    return {name: _one(name, value) for name, value in args.items()}


def _one(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    short = value.rsplit(".", 1)[-1]  # "timm.layers.SwiGLUPacked" as well
    if name in _LAYERS:
        known = _LAYERS[name]
        if short not in known:
            hint = did_you_mean(short, known) or f"; known: {', '.join(known)}"
            raise RecipeError(f"model.args.{name} {value!r}: no such layer{hint}")
        return known[short]
    if name in ("act_layer", "norm_layer"):
        get = get_act_layer if name == "act_layer" else get_norm_layer
        try:
            return get(short.lower())
        except (KeyError, AssertionError):
            raise RecipeError(
                f"model.args.{name} {value!r}: timm knows no such layer; try silu, gelu, layernorm"
            ) from None
    try:
        return float(value)  # YAML reads 1e-5 as text
    except ValueError:
        return value


def create(backbone: str, used: Mapping[str, Any], **more: Any) -> nn.Module:
    """A timm network without classifier, with resolved options.

    Raises WeightsError for an unknown name, RecipeError for options that it does not take.
    """
    if not timm.is_model(backbone):
        near = did_you_mean(backbone, timm.list_models())
        raise WeightsError(f"unknown backbone {backbone!r}{near}; `magnostic models` lists them")
    try:
        model = timm.create_model(backbone, num_classes=0, **used, **more)
    except (TypeError, ValueError, AssertionError) as error:
        if not used:
            raise
        reason = str(error).splitlines()[0] if str(error) else "refused by timm"
        raise RecipeError(
            f"model.args {', '.join(used)}: do not fit backbone {backbone!r} ({reason})"
        ) from None
    assert isinstance(model, nn.Module)
    return model


def require_size(
    backbone: str, size: int | tuple[int, int], args: Mapping[str, Any] | None = None
) -> None:
    """Raise RecipeError where the backbone, built with these options, can't take this input size.

    Args:
        size: side of the square input, or height and width, pixels.
        args: timm's options (``model.args`` of a recipe).
    """
    config = timm.get_pretrained_cfg(backbone) if timm.is_model(backbone) else None
    if config is None or not config.fixed_input_size:
        return
    used = resolve(args or {})
    given = {size} if isinstance(size, int) else set(size)
    if used.get("dynamic_img_size") or not used.get("strict_img_size", True):
        patch = used.get("patch_size") or _patch(backbone, used)
        wrong = [one for one in sorted(given) if one % patch]
        if wrong and not used.get("dynamic_img_pad"):
            raise RecipeError(
                f"preprocess.size {wrong[0]}: {backbone} takes multiples of {patch} px; "
                f"set preprocess.size {max(round(wrong[0] / patch), 1) * patch}"
            )
        return
    side = _side(used) or config.input_size[-1]
    if given != {side}:
        shown = size if isinstance(size, int) else " x ".join(map(str, size))
        raise RecipeError(
            f"preprocess.size {shown}: {backbone} takes {side} px only; set preprocess.size {side}"
        )


def _patch(backbone: str, used: Mapping[str, Any]) -> int:
    with torch.device("meta"):
        embed = getattr(create(backbone, used, pretrained=False), "patch_embed", None)
    return int(max(embed.patch_size)) if embed is not None else 1


def _side(args: Mapping[str, Any]) -> int | None:
    size = args.get("img_size")
    if isinstance(size, list | tuple):
        size = size[0]
    return None if size is None else int(size)
