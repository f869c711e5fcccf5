"""Pathology foundation models whose weights timm can load from their hub.

Each stands here with what its weights need to be loaded and used as their authors do. The hub was
not reachable when this table was made. Options, statistics and licences come from how public code
loads these models (mahmoodlab/TRIDENT, kaiko-ai/eva, CraigMyles/raw2features) and, for H-optimus-0
and kaiko's ViT-L, from copies of their hub pages. Not verified against the files themselves: that
each ``config.json`` names the backbone given here (a mismatch is refused with the name to set), and
every tensor's place (loading compares each by value, and refuses otherwise).

Where sources disagree:
- lunit-dino: the hub mirror's config is reported to hold timm's default statistics (0.5); those of
  Lunit's own repository, quoted by kaiko-ai/eva, are taken;
- kaiko-vitl14, mstar: their configs are reported to hold defaults too; those of the authors' own
  usage code are taken;
- gigapath: its authors resize to 256 px and crop 224; recipes squeeze to 224 px, as for the others.

Phikon-v2, Hibou and Midnight are published in another format (transformers) and are not listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Statistics = tuple[float, float, float]

_IMAGENET: Final[tuple[Statistics, Statistics]] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF: Final[tuple[Statistics, Statistics]] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_BIOPTIMUS: Final[tuple[Statistics, Statistics]] = (
    (0.707223, 0.578729, 0.703617),
    (0.211883, 0.230117, 0.177517),
)
_LUNIT: Final[tuple[Statistics, Statistics]] = (
    (0.70322989, 0.53606487, 0.66096631),
    (0.21716536, 0.26081574, 0.20723464),
)
#: Of many of them.
NON_COMMERCIAL: Final = "CC BY-NC-ND 4.0"
_SWIGLU: Final = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu"}


@dataclass(frozen=True)
class Foundation:
    """One published model.

    Attributes:
        name: of the recipe ``foundation-<name>``.
        repository: on the hub: ``model.weights hf_hub:<repository>``.
        backbone: timm name, built with ``args``.
        statistics: mean and deviation per RGB channel of pixels in [0, 1].
        width: number of features that the head sees.
        gated: the hub gives the weights only to who has accepted their terms.
        size: side of the square input, pixels.
        features: as in ``model.features``.
    """

    name: str
    repository: str
    backbone: str
    args: Mapping[str, Any]
    statistics: tuple[Statistics, Statistics]
    width: int
    licence: str
    gated: bool
    citation: str
    size: int = 224
    features: Literal["pooled", "token+mean"] = field(default="pooled")

    @property
    def mean(self) -> Statistics:
        return self.statistics[0]

    @property
    def std(self) -> Statistics:
        return self.statistics[1]


MODELS: Final = (
    Foundation(
        "uni", "MahmoodLab/UNI", "vit_large_patch16_224",
        {"init_values": 1e-5, "dynamic_img_size": True}, _IMAGENET, 1024,
        NON_COMMERCIAL, True,
        "Chen et al., Nature Medicine 30, 2024, doi:10.1038/s41591-024-02857-3",
    ),
    Foundation(
        "uni2-h", "MahmoodLab/UNI2-h", "vit_giant_patch14_224",
        {
            "img_size": 224, "patch_size": 14, "depth": 24, "num_heads": 24, "embed_dim": 1536,
            "mlp_ratio": 5.33334, "init_values": 1e-5, "no_embed_class": True, "reg_tokens": 8,
            **_SWIGLU, "dynamic_img_size": True,
        },
        _IMAGENET, 1536, NON_COMMERCIAL, True,
        "Chen et al., Nature Medicine 30, 2024, doi:10.1038/s41591-024-02857-3",
    ),
    Foundation(
        "virchow", "paige-ai/Virchow", "vit_huge_patch14_224",
        {
            "img_size": 224, "init_values": 1e-5, "mlp_ratio": 5.3375, "global_pool": "",
            **_SWIGLU, "dynamic_img_size": True,
        },
        _IMAGENET, 2560, "Apache 2.0", True,
        "Vorontsov et al., Nature Medicine 30, 2024, doi:10.1038/s41591-024-03141-0",
        features="token+mean",
    ),
    Foundation(
        "virchow2", "paige-ai/Virchow2", "vit_huge_patch14_224",
        {
            "img_size": 224, "init_values": 1e-5, "mlp_ratio": 5.3375, "global_pool": "",
            "reg_tokens": 4, **_SWIGLU, "dynamic_img_size": True,
        },
        _IMAGENET, 2560, NON_COMMERCIAL, True,
        "Zimmermann et al., 2024, arXiv:2408.00738", features="token+mean",
    ),
    Foundation(
        "h-optimus-0", "bioptimus/H-optimus-0", "vit_giant_patch14_reg4_dinov2",
        {"img_size": 224, "init_values": 1e-5}, _BIOPTIMUS, 1536, "Apache 2.0", True,
        "Bioptimus, H-optimus-0, 2024, github.com/bioptimus/releases",
    ),
    Foundation(
        "h-optimus-1", "bioptimus/H-optimus-1", "vit_giant_patch14_reg4_dinov2",
        {"img_size": 224, "init_values": 1e-5}, _BIOPTIMUS, 1536, NON_COMMERCIAL, True,
        "Bioptimus, H-optimus-1, 2025, huggingface.co/bioptimus/H-optimus-1",
    ),
    Foundation(
        "gigapath", "prov-gigapath/prov-gigapath", "vit_giant_patch14_dinov2",
        {
            "img_size": 224, "patch_size": 16, "depth": 40, "num_heads": 24, "embed_dim": 1536,
            "mlp_ratio": 5.33334, "init_values": 1e-5,
        },
        _IMAGENET, 1536, "Apache 2.0; its card: research only", True,
        "Xu et al., Nature 630, 2024, doi:10.1038/s41586-024-07441-w",
    ),
    Foundation(
        "phikon", "1aurent/vit_base_patch16_224.owkin_pancancer", "vit_base_patch16_224",
        {}, _IMAGENET, 768, "Owkin non-commercial", False,
        "Filiot et al., 2023, doi:10.1101/2023.07.21.23292757",
    ),
    Foundation(
        "ctranspath", "1aurent/swin_tiny_patch4_window7_224.CTransPath",
        "swin_tiny_patch4_window7_224", {"embed_layer": "ConvStem"}, _IMAGENET, 768,
        "GPL-3.0; its authors: non-commercial", False,
        "Wang et al., Medical Image Analysis 81, 2022, doi:10.1016/j.media.2022.102559",
    ),
    Foundation(
        "kaiko-vitl14",
        "1aurent/vit_large_patch14_reg4_224.kaiko_ai_towards_large_pathology_fms",
        "vit_large_patch14_reg4_dinov2", {"img_size": 518, "dynamic_img_size": True}, _HALF, 1024,
        "Kaiko non-commercial", False, "kaiko.ai et al., 2024, arXiv:2404.15217",
    ),
    Foundation(
        "lunit-dino", "1aurent/vit_small_patch16_224.lunit_dino", "vit_small_patch16_224",
        {}, _LUNIT, 384, "Lunit non-commercial", False, "Kang et al., CVPR 2023, arXiv:2212.04690",
    ),
    Foundation(
        "mstar", "Wangyh/mSTAR", "vit_large_patch16_224",
        {"init_values": 1e-5, "dynamic_img_size": True}, _IMAGENET, 1024,
        NON_COMMERCIAL, True, "Xu et al., 2024, arXiv:2407.15362",
    ),
)  # fmt: skip


def of_repository(repository: str) -> Foundation | None:
    """The model of a hub repository, if it is listed here (case does not matter on the hub)."""
    for model in MODELS:
        if model.repository.lower() == repository.lower():
            return model
    return None
