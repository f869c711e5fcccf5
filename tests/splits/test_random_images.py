import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magnostic.data.images import targets
from magnostic.errors import SplitError
from magnostic.preprocess.balance import oversample
from magnostic.splits import apply_policies, make, parts
from magnostic.splits.balance import deal_images


def test_the_papers_sizes(whole, make_recipe) -> None:
    recipe = make_recipe(policy="keep", protocols="random", folds=1, stratify=False)
    selection = apply_policies(whole, recipe.data)
    y = targets(selection.table, "subtype")
    folds = make(selection, recipe, y)
    made = parts(folds, selection, y, "random", 0, 0)
    assert made.table["part"].value_counts().to_dict() == {"train": 4152, "test": 2373, "val": 1384}
    train = y[made.table["part"] != "test"]
    assert (train == "DC").sum() not in (2415, 2416)  # which only a stratified draw has


@pytest.mark.parametrize(("seed", "majority"), [(0, None), (39, 2404)])
def test_the_papers_copies(whole, make_recipe, seed: int, majority: int | None) -> None:
    """Seed 39 draws as many of the largest type as the paper did: 8 x 2,404 = 19,232."""
    recipe = make_recipe(policy="keep", protocols="random", folds=1, stratify=False)
    recipe = recipe.model_copy(update={"seed": seed})
    selection = apply_policies(whole, recipe.data)
    y = targets(selection.table, "subtype")
    made = parts(make(selection, recipe, y), selection, y, "random", 0, 0)
    kept = np.flatnonzero(made.table["part"] != "test")
    classes = np.unique(y, return_inverse=True)[1]
    samples = oversample(kept, classes[kept], np.random.default_rng(seed))
    largest = int((y.iloc[kept] == "DC").sum())
    assert np.bincount(classes[samples.rows]).tolist() == [largest] * 8
    if majority is not None:
        assert (largest, len(samples)) == (majority, 19_232)


@pytest.mark.parametrize("policy", ["keep", "together"])
def test_the_papers_sizes_stratified(whole, make_recipe, policy) -> None:
    recipe = make_recipe(policy=policy, protocols="random", folds=1)
    selection = apply_policies(whole, recipe.data)
    y = targets(selection.table, "subtype")
    made = parts(make(selection, recipe, y), selection, y, "random", 0, 0)
    assert made.table["part"].value_counts().to_dict() == {"train": 4152, "test": 2373, "val": 1384}
    assert abs((y[made.table["part"] != "test"] == "DC").sum() - 2415.5) <= 2


def test_too_few(make_images, make_recipe) -> None:
    images = make_images(label=list("ABAB"), pixel_hash=list("xxyz"))
    recipe = make_recipe(protocols="random", folds=4)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(SplitError, match=r"4 images \(3 that may be parted\) are too few"):
        make(selection, recipe, selection.table["label"])


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_singles_are_dealt_exactly(labels: list[int], folds: int, seed: int) -> None:
    n = len(labels)
    sizes = np.full(folds, n // folds)
    sizes[: n % folds] += 1
    label = np.array(labels)
    dealt = deal_images(np.arange(n), label, sizes, np.random.default_rng(seed))
    assert np.bincount(dealt, minlength=folds).tolist() == sizes.tolist()
    for c in set(labels):
        per_fold = np.bincount(dealt[label == c], minlength=folds)
        assert np.abs(per_fold - (label == c).sum() / folds).max() <= 2


@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=60),
    st.floats(0.1, 0.6),
    st.integers(0, 99),
)
def test_units_stay_whole(units: list[int], fraction: float, seed: int) -> None:
    n = len(units)
    out = math.ceil(fraction * n)
    unit = np.array(units)
    rng = np.random.default_rng(seed)
    dealt = deal_images(unit, np.zeros(n, dtype=np.int64), np.array([n - out, out]), rng)
    assert set(dealt.tolist()) <= {0, 1}
    for u in set(units):
        assert len(set(dealt[unit == u].tolist())) == 1
    assert abs(int(dealt.sum()) - out) <= np.bincount(unit).max()


@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=8),
    st.integers(2, 6),
    st.integers(0, 99),
)
@example([19, 2, 2], 3, 0)
def test_no_fold_is_empty_while_there_are_units(sizes: list[int], folds: int, seed: int) -> None:
    folds = min(folds, len(sizes))
    unit = np.repeat(np.arange(len(sizes)), sizes)
    n = len(unit)
    wanted = np.full(folds, n // folds)
    wanted[: n % folds] += 1
    dealt = deal_images(unit, np.zeros(n, dtype=np.int64), wanted, np.random.default_rng(seed))
    assert set(dealt.tolist()) == set(range(folds))
