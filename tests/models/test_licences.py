"""The table of licences against what timm and the other tables state."""

from __future__ import annotations

import timm

from magnostic.models import catalogue, foundation, licences
from magnostic.models.weights import PACKAGES


def test_every_licence_of_timms_weights_is_as_timm_states_it() -> None:
    listed = {
        f"{backbone}.{tag}": licence
        for licence, backbones in licences.TIMM.items()
        for backbone, tags in backbones.items()
        for tag in tags.split()
    }
    stated = {
        tagged: timm.get_pretrained_cfg(tagged).license
        for name in (*catalogue.PAPER, "tf_efficientnet_lite0")
        for tagged in timm.list_pretrained(f"{name}.*")
    }
    assert listed.items() <= stated.items()
    defaults = {f"{n}.{timm.get_pretrained_cfg(n).tag}" for n in catalogue.PAPER}
    assert defaults <= listed.keys(), "what model.weights imagenet stands for"


def test_every_package_and_foundation_model_is_known() -> None:
    for package in PACKAGES:
        found = licences.of_weights({"weights": f"package:{package} (ImageNet)"})
        assert found.hub == "apache-2.0"
    for model in foundation.MODELS:
        found = licences.of_weights({"weights": f"hf_hub:{model.repository}"})
        assert found.says.startswith(model.licence)
        assert found.base == model.repository
        assert (found.hub == "other") == (model.licence not in ("Apache 2.0", "CC BY-NC-ND 4.0"))
