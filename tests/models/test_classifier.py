"""The stored network: what is saved is what is loaded, and what does not fit is named."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pydantic
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from magnostic import recipe
from magnostic.errors import WeightsError
from magnostic.files import read_json, write_json
from magnostic.models import classifier, heads, weights
from magnostic.models.classifier import Classifier, Spec, softmax
from magnostic.models.encoders import Network
from magnostic.preprocess.colour import Colour


def network(classes: int = 3) -> tuple[Classifier, Spec]:
    torch.manual_seed(0)
    mean, std = (0.7, 0.6, 0.8), (0.1, 0.2, 0.1)
    encoder = Network(weights.build("resnet18", None), mean, std)
    head = nn.Linear(encoder.width, classes)
    spec = Spec(
        backbone="resnet18",
        args={},
        features="pooled",
        weights="random",
        weights_sha256=None,
        classes=[f"class {i}" for i in range(classes)],
        task="label",
        size=64,
        fit="squeeze",
        colour=Colour("none", None, ()).as_dict(),
        normalize="train",
        mean=mean,
        std=std,
        precision="fp32",
        batch_size=4,
        method="finetune",
        head=heads.describe(head),
    )
    return Classifier(encoder, head).eval(), spec


def test_saved_and_loaded_networks_answer_alike(tmp_path: Path) -> None:
    model, spec = network()
    classifier.save(tmp_path, model, spec)
    again, read = classifier.load(tmp_path)
    assert read == spec
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(images), again(images))


def test_models_may_share_one_file_of_their_encoder(tmp_path: Path) -> None:
    model, spec = network()
    classifier.save_encoder(tmp_path / "encoder.safetensors", model.encoder)
    shared = dataclasses.replace(spec, backbone_file="../encoder.safetensors")
    classifier.save(tmp_path / "one", model, shared)
    assert (tmp_path / "one" / "model.safetensors").stat().st_size < 10_000
    again, _ = classifier.load(tmp_path / "one")
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(images), again(images))
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"encoder\.safetensors"):
        classifier.load(tmp_path / "one")


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.json"):
        classifier.load(tmp_path)
    model, spec = network()
    classifier.save(tmp_path, model, spec)
    other, other_spec = network(classes=2)
    classifier.save(tmp_path / "two", other, other_spec)
    (tmp_path / "model.safetensors").write_bytes(
        (tmp_path / "two" / "model.safetensors").read_bytes()
    )
    with pytest.raises(WeightsError, match=r"model\.safetensors.*resnet18"):
        classifier.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        classifier.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"dropout": 5}, {"dropout": -0.1}, {"dropout": 1}, {"batch_size": recipe.LARGEST_BATCH + 1}],
)
def test_numbers_of_no_training_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    model, spec = network()
    classifier.save(tmp_path, model, spec)
    described = read_json(tmp_path / "model.json")
    write_json(tmp_path / "model.json", described | change)
    with pytest.raises(WeightsError, match=rf"model\.json: .*{next(iter(change))}"):
        classifier.load(tmp_path)


def test_every_batch_that_can_be_trained_can_be_loaded(tmp_path: Path) -> None:
    largest = recipe.Finetune(batch_size=recipe.LARGEST_BATCH).batch_size
    model, spec = network()
    classifier.save(tmp_path, model, dataclasses.replace(spec, batch_size=largest))
    assert classifier.load(tmp_path)[1].batch_size == largest
    for method in (recipe.Finetune, recipe.Dense, recipe.Probe):
        with pytest.raises(pydantic.ValidationError, match="batch_size"):
            method.model_validate({"method": method.__name__.lower(), "batch_size": largest + 1})


@given(hnp.arrays(np.float32, (4, 3), elements=st.floats(-300, 300, width=32)))
def test_softmax_is_scipys(logits: np.ndarray) -> None:
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-7)
