"""Exact statistics: against NumPy in float64, on noise and on the genuine sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from magnostic.data import read_images
from magnostic.data.pixels import open_pixels
from magnostic.errors import DataError
from magnostic.models.encoders import Network
from magnostic.preprocess import zscore


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.just(3), st.just(4), st.just(3))))
def test_streaming_agrees_with_numpy(pixels: np.ndarray) -> None:
    scaled = pixels.astype(np.float64).reshape(-1, 3) / 255
    if (np.ptp(scaled, axis=0) == 0).any():
        with pytest.raises(DataError, match="constant"):
            zscore.statistics(zscore.histogram([pixels]))
        return
    mean, std = zscore.of_rows(pixels.__getitem__, np.arange(len(pixels)), chunk=2)
    np.testing.assert_allclose(mean, scaled.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=0), rtol=0, atol=1e-12)


def test_no_training_pixel_is_an_error() -> None:
    with pytest.raises(DataError, match="empty"):
        zscore.of_rows(np.zeros((1, 2, 2, 3), np.uint8).__getitem__, np.array([], dtype=np.intp))


class _Backbone(nn.Module):
    num_features = 3


def test_real_training_pixels_get_mean_0_and_deviation_1(breakhis_sample: Path) -> None:
    """To 1e-9 against float64 over all training pixels, and to 1e-6 after normalization."""
    table = read_images(breakhis_sample).table
    pixels = open_pixels(table, 224, "squeeze")
    train = pixels.rows(table["pixel_hash"])[::2]
    mean, std = zscore.of_rows(pixels.array.__getitem__, train)

    scaled = pixels.array[np.sort(train)].astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 1, 2)), rtol=0, atol=1e-9)

    network = Network(_Backbone(), mean, std)
    batches = (torch.from_numpy(pixels.array[train[i : i + 32]]) for i in range(0, len(train), 32))
    normalized = np.concatenate([network.normalize(b).double().numpy() for b in batches])
    np.testing.assert_allclose(normalized.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(normalized.std(axis=(0, 2, 3)), 1, atol=1e-6)
