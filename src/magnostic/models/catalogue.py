"""Which backbones and weights there are, and which of them need no network."""

from __future__ import annotations

import fnmatch
import importlib.util
from dataclasses import dataclass
from typing import Final

import timm

from magnostic.errors import BadInput, did_you_mean
from magnostic.models import foundation
from magnostic.models.weights import PACKAGES, at_hand
from magnostic.recipe import HANDCRAFTED

#: Backbones of the paper, of the work that it compares against, and of its future work.
PAPER: Final = (
    "resnet50",
    "vgg19",
    "vgg16",
    "resnet34",
    "resnet101",
    "resnet152",
    "densenet121",
    "densenet169",
    "densenet201",
    "regnety_032",
    "resnetv2_101x1_bit",
    "resnetrs50",
    "tf_efficientnetv2_s",
    "vit_base_patch16_224",
)


@dataclass(frozen=True)
class Entry:
    """One set of weights: ``model.backbone`` and ``model.weights`` as a recipe names them.

    Attributes:
        recipe: the shipped recipe with the options that these weights need; empty: none needed.
        input_size: side that they were trained at, pixels; None: any.
        gated: the hub gives them only to who has accepted their terms.
    """

    backbone: str
    weights: str
    input_size: int | None
    licence: str
    at_hand: bool
    recipe: str = ""
    gated: bool = False


def catalogue(pattern: str = "") -> list[Entry]:
    """Packaged weights and handcrafted features, then pathology foundation models, then timm's.

    Args:
        pattern: timm name, handcrafted or name of a foundation model, with wildcards; empty: the
            backbones of the paper and its peers, and every foundation model.

    Raises BadInput where nothing fits the pattern.
    """
    names = timm.list_models(pattern) if pattern else [n for n in PAPER if timm.is_model(n)]
    models = [m for m in foundation.MODELS if not pattern or _fits(m, pattern)]
    handcrafted = not pattern or fnmatch.fnmatch(HANDCRAFTED, pattern)
    if not names and not models and not handcrafted:
        known = [HANDCRAFTED, *timm.list_models(), *(m.name for m in foundation.MODELS)]
        raise BadInput(
            f"no backbone is named {pattern!r}{did_you_mean(pattern, known)}; "
            "try a wildcard: resnet*"
        )
    entries = [
        Entry(architecture, f"package:{package}", 224, "apache-2.0", at_hand(f"package:{package}"))
        for package, (_, _, architecture) in PACKAGES.items()
        if not pattern or architecture in names
    ]
    if handcrafted:
        needs = ("mahotas", "skimage")
        there = all(importlib.util.find_spec(name) is not None for name in needs)
        entries.append(Entry(HANDCRAFTED, "none", None, "", there))
    entries += [
        Entry(
            model.backbone,
            f"hf_hub:{model.repository}",
            model.size,
            model.licence,
            at_hand(f"hf_hub:{model.repository}"),
            f"foundation-{model.name}",
            model.gated,
        )
        for model in models
    ]
    for name in names:
        for tagged in timm.list_pretrained(f"{name}.*"):
            config = timm.get_pretrained_cfg(tagged)
            if config is None:
                continue
            tag = tagged.partition(".")[2]
            size, licence = config.input_size[-1], config.license or "not stated"
            entries.append(Entry(name, tag, size, licence, at_hand(tag, name)))
    return entries


def _fits(model: foundation.Foundation, pattern: str) -> bool:
    names = (model.name, f"foundation-{model.name}", model.backbone)
    return any(fnmatch.fnmatch(name, pattern) for name in names)
