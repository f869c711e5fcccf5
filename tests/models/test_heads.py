"""Heads are rebuilt from description and tensors alone, and compute what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from magnostic.models import heads
from magnostic.recipe import Probe
from magnostic.train import classical

X = np.random.default_rng(0).normal(2, 3, (40, 6)).astype(np.float32)
Y = np.arange(40) % 3  # of four classes


def every_head() -> list[nn.Module]:
    torch.manual_seed(0)
    recipe = Probe(method="probe", trees=5, neighbours=3)
    return [
        nn.Linear(6, 4),
        heads.dense(6, (), 4, 0.0, X),
        heads.dense(6, (5, 3), 4, 0.5, X),
        classical.fit_rbf_svm(X, Y, 4, False, 0, 1.0),
        classical.fit_forest(X, Y, 4, recipe, False, 0),
        classical.fit_neighbours(X, Y, 4, recipe),
    ]


@pytest.mark.parametrize("head", every_head(), ids=lambda h: heads.describe(h)["kind"])
def test_description_and_tensors_are_the_whole_head(head: nn.Module, tmp_path: Path) -> None:
    head.eval()
    safetensors.torch.save_file(head.state_dict(), tmp_path / "head.safetensors")
    description = json.loads(json.dumps(heads.describe(head)))
    again = heads.build(description).eval()
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "head.safetensors"))
    x = torch.from_numpy(X)
    assert torch.equal(again(x), head(x))
    assert heads.describe(again) == heads.describe(head)
    assert again.in_features == X.shape[1]


@pytest.mark.parametrize("head", every_head(), ids=lambda h: heads.describe(h)["kind"])
def test_single_and_double_precision_agree(head: nn.Module) -> None:
    head.eval()
    single = head(torch.from_numpy(X))
    double = head.double()(torch.from_numpy(X).double())
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    assert single.shape == (40, 4)
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=1e-4)


def test_dense_layers_in_their_order() -> None:
    head = heads.dense(6, (5, 3), 4, 0.25, X)
    kinds = [type(layer).__name__ for layer in head.layers]
    assert kinds == ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    scaled = head.standardized(torch.from_numpy(X))
    assert torch.allclose(scaled.mean(0), torch.zeros(6), atol=1e-6)
    assert torch.allclose(scaled.std(0, unbiased=False), torch.ones(6), atol=1e-6)


def test_dense_head_is_drawn_from_torchs_seed() -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(heads.dense(6, (5,), 4, 0.0, X)(torch.from_numpy(X)))
    assert torch.equal(*drawn)


def test_gradients_reach_every_layer_but_not_the_standardization() -> None:
    head = heads.dense(6, (5,), 4, 0.0, X)
    assert {name.split(".")[0] for name, _ in head.named_parameters()} == {"layers"}
    head(torch.from_numpy(X)).sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_of_equally_near_images_the_first_counts() -> None:
    known = np.array([[0], [1], [1], [1], [5]], dtype=np.float32)
    for first in (0, 1):
        y = np.array([2, first, 1 - first, 1 - first, 2])
        head = classical.fit_neighbours(known, y, 3, Probe(method="probe", neighbours=1))
        assert head(torch.tensor([[1.2]])).argmax() == first


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.floats(-1e6, 1e6, width=32),
    )
)
def test_standardization_is_finite_and_positive(features: np.ndarray) -> None:
    shift, scale = heads.standardization(features)
    assert np.isfinite((features - shift) / scale).all()
    assert (scale > 0).all()


def test_a_column_without_variation_keeps_deviation_one() -> None:
    features = np.full((1000, 2), np.float32(0.1))
    features[:, 1] = np.arange(1000)
    assert heads.standardization(features)[1][0] == 1


def test_other_modules_and_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="ReLU is not a head"):
        heads.describe(nn.ReLU())
    with pytest.raises(ValueError, match="unknown head 'tree'"):
        heads.build({"kind": "tree"})
    with pytest.raises(KeyError):
        heads.build({})
    with pytest.raises(ValueError, match="3 neighbours of 2 images"):
        heads.build({"kind": "neighbours", "in_features": 1, "known": 2, "classes": 2, "k": 3})
