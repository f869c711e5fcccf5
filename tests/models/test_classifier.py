"""The stored network: what is saved is what is loaded, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from magnostic.errors import WeightsError
from magnostic.models import classifier, weights
from magnostic.models.classifier import Classifier, Spec, softmax


def network(classes: int = 3) -> tuple[Classifier, Spec]:
    torch.manual_seed(0)
    mean, std = (0.7, 0.6, 0.8), (0.1, 0.2, 0.1)
    spec = Spec(
        backbone="resnet18",
        weights="random",
        weights_sha256=None,
        classes=[f"class {i}" for i in range(classes)],
        task="label",
        size=64,
        fit="squeeze",
        normalize="train",
        mean=mean,
        std=std,
        precision="fp32",
        batch_size=4,
        head="finetune",
    )
    return Classifier(weights.build("resnet18", None), classes, mean, std).eval(), spec


def test_saved_and_loaded_networks_answer_alike(tmp_path: Path) -> None:
    model, spec = network()
    classifier.save(tmp_path, model, spec)
    again, read = classifier.load(tmp_path)
    assert read == spec
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model(images), again(images))


def test_normalization_is_the_papers_equation() -> None:
    model, spec = network()
    images = torch.randint(0, 256, (2, 5, 5, 3), dtype=torch.uint8)
    expected = (images.double().numpy() / 255 - spec.mean) / spec.std
    found = model.normalize(images)
    assert found.shape == (2, 3, 5, 5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-5)


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


def test_a_constant_channel_cannot_be_normalized() -> None:
    with pytest.raises(WeightsError, match="deviation must be positive"):
        Classifier(weights.build("resnet18", None), 2, (0, 0, 0), (1, 0, 1))


@given(hnp.arrays(np.float32, (4, 3), elements=st.floats(-300, 300, width=32)))
def test_softmax_is_scipys(logits: np.ndarray) -> None:
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-7)
