"""AUC under cluster weights: both ways against scikit-learn on repeated images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from magnostic.evaluate import auc


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), n_clusters=st.integers(1, 7))
def test_both_kernels_equal_the_auc_of_repeated_images(seed: int, n: int, n_clusters: int) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, 6, n) / 5).astype(np.float32)
    positive = rng.random(n) < 0.4
    codes = rng.integers(0, n_clusters, n)
    weights = rng.integers(0, 3, (4, n_clusters)).astype(float)
    pair = auc.pair_kernel(scores, positive, codes)(weights)
    rank = auc.rank_kernel(scores, positive, codes)(weights)
    for w, by_pair, by_rank in zip(weights, pair, rank, strict=True):
        times = w[codes].astype(int)
        truth, repeated = np.repeat(positive, times), np.repeat(scores, times)
        if len(set(truth)) < 2:
            assert np.isnan(by_pair)
            assert np.isnan(by_rank)
        else:
            expected = roc_auc_score(truth, repeated)
            assert by_pair == pytest.approx(expected)
            assert by_rank == pytest.approx(expected)


def test_many_clusters_take_the_ranked_way() -> None:
    n = 6000
    codes = np.arange(n)
    positive = codes % 2 == 0
    scores = np.linspace(0, 1, n, dtype=np.float32)
    assert isinstance(auc.kernel(scores, positive, codes), auc.RankKernel)
    assert isinstance(auc.kernel(scores, positive, codes % 80), auc.PairKernel)
