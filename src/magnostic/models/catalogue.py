"""Which backbones and weights there are, and which of them need no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import timm

from magnostic.errors import BadInput, did_you_mean
from magnostic.models import hub
from magnostic.models.weights import PACKAGES, at_hand

#: Backbones of the paper and of the work that it compares against.
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
)


@dataclass(frozen=True)
class Entry:
    """One set of weights: ``model.backbone`` and ``model.weights`` as a recipe names them."""

    backbone: str
    weights: str
    input_size: int
    licence: str
    at_hand: bool


def catalogue(pattern: str = "") -> list[Entry]:
    """Packaged weights first, then timm's; BadInput where no backbone fits the pattern."""
    if pattern:
        names = timm.list_models(pattern)
        if not names:
            near = did_you_mean(pattern, timm.list_models())
            raise BadInput(f"no backbone is named {pattern!r}{near}; try a wildcard: resnet*")
    else:
        names = [name for name in PAPER if timm.is_model(name)]
    entries = [
        Entry(architecture, f"package:{package}", 224, "apache-2.0", at_hand(f"package:{package}"))
        for package, (_, _, architecture) in PACKAGES.items()
        if not pattern or architecture in names
    ]
    for name in names:
        for tagged in timm.list_pretrained(f"{name}.*"):
            config = timm.get_pretrained_cfg(tagged)
            if config is None:
                continue
            cached = config.hf_hub_id is not None and hub.cached(config.hf_hub_id) is not None
            tag = tagged.partition(".")[2]
            licence = config.license or "not stated"
            entries.append(Entry(name, tag, config.input_size[-1], licence, cached))
    return entries
