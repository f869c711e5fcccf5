"""Every shipped recipe: its network can be built, its weights are known, its twin is smaller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import timm
import torch

from magnostic import recipe_file
from magnostic.models import foundation, options, weights
from magnostic.models.encoders import Network
from magnostic.recipe import HANDCRAFTED

SHIPPED: Final = recipe_file.shipped()
TWINS: Final = Path(__file__).parents[1] / "conf"
#: What a twin may cut: sizes alone, never what is done.
CUT: Final = {
    "preprocess.size",
    "split.folds",
    "split.protocols",
    "train.epochs",
    "train.trees",
    "evaluate.resamples",
    "model.weights",
}
#: Sizes of a network: patches to the side, blocks, and width of VGG's fully connected layers.
CUT_ARGS: Final = {"img_size", "depth", "mlp_ratio"}


def differences(one: Any, other: Any, where: str = "") -> set[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            found
            for key in {*one, *other}
            for found in differences(one.get(key), other.get(key), f"{where}.{key}".strip("."))
        }
    return set() if one == other else {where}


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_recipe_has_a_twin_that_differs_in_size_alone(name: str) -> None:
    twin = TWINS / f"{name}.yaml"
    assert twin.is_file(), f"give {name} a twin in tests/conf"
    whole, small = (recipe_file.load(p).model_dump(mode="json") for p in (SHIPPED[name], twin))
    for recipe in (whole, small):
        del recipe["description"]
    assert whole["name"] == small["name"] == name
    args = [recipe["model"].pop("args") for recipe in (whole, small)]
    assert differences(whole, small) <= CUT
    cut = {key for key in {*args[0], *args[1]} if args[0].get(key, "absent") != args[1].get(key)}
    assert cut <= CUT_ARGS
    if "mlp_ratio" in cut:
        assert whole["model"]["backbone"].startswith("vgg")


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_network_can_be_built_and_takes_its_size(name: str) -> None:
    recipe = recipe_file.load(SHIPPED[name])
    model = recipe.model
    assert recipe.description.strip(), "says what it is"
    if model.backbone == HANDCRAFTED:
        return
    weights.require_size(model.backbone, recipe.preprocess.size, model.args)
    with torch.device("meta"):
        network = options.create(model.backbone, options.resolve(model.args), pretrained=False)
        assert Network(network, (0, 0, 0), (1, 1, 1), features=model.features).width > 0
    if not model.weights.startswith(("package:", "hf_hub:")):
        assert model.weights in {
            tagged.partition(".")[2] for tagged in timm.list_pretrained(f"{model.backbone}.*")
        }


@pytest.mark.parametrize("listed", foundation.MODELS, ids=lambda m: m.name)
def test_foundation_recipes_are_the_table(listed: foundation.Foundation) -> None:
    recipe = recipe_file.load(SHIPPED[f"foundation-{listed.name}"])
    model = recipe.model
    assert model.weights == f"hf_hub:{listed.repository}"
    assert (model.backbone, model.args) == (listed.backbone, dict(listed.args))
    assert model.features == listed.features
    assert recipe.preprocess.size == listed.size
    assert recipe.preprocess.normalize == "backbone"
    assert " ".join(recipe.description.split()).count(listed.licence) == 1
    assert foundation.of_repository(listed.repository.upper()) is listed


#: Millions of parameters, as the authors or the hub state them.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("uni", 303),
        ("uni2-h", 681),
        ("virchow", 631),
        ("virchow2", 631),
        ("h-optimus-0", 1135),
        ("gigapath", 1135),
        ("phikon", 86),
        ("ctranspath", 28),
        ("kaiko-vitl14", 304),
        ("lunit-dino", 22),
    ],
)
def test_foundation_models_have_their_published_size(name: str, millions: int) -> None:
    listed = next(m for m in foundation.MODELS if m.name == name)
    with torch.device("meta"):
        network = options.create(listed.backbone, options.resolve(listed.args), pretrained=False)
        encoder = Network(network, listed.mean, listed.std, features=listed.features)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6) == millions
    assert encoder.width == listed.width
