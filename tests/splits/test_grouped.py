import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data.images import targets
from magnostic.errors import SplitError
from magnostic.splits import apply_policies, make, parts
from magnostic.splits.balance import deal_groups

COLUMN = {"patient": "patient_id", "accession": "accession"}


@pytest.mark.parametrize("protocol", ["patient", "accession"])
def test_breakhis_in_five_folds(whole, make_recipe, protocol) -> None:
    recipe = make_recipe(protocols=protocol, folds=5, repeats=2)
    selection = apply_policies(whole, recipe.data)
    y = targets(selection.table, "subtype")
    folds = make(selection, recipe, y)
    group = selection.table[COLUMN[protocol]]
    possible = group.groupby(y).nunique().clip(upper=5)
    draws = []
    for repeat in (0, 1):
        fold = folds.table.loc[folds.table["repeat"] == repeat, "fold"].reset_index(drop=True)
        draws.append(fold.tolist())
        assert (fold.groupby(group).nunique() == 1).all()
        assert fold.value_counts().between(1540, 1625).all()
        assert fold.groupby(y).nunique().to_dict() == possible.to_dict()
        for number in range(5):
            made = parts(folds, selection, y, protocol, repeat, number)
            side = made.table["part"]
            assert (side.groupby(group).nunique() == 1).all()
            assert set(y[side == "train"]) == set(y)  # every class can be learnt in every fold
            share = (side == "val").sum() / (side != "test").sum()
            assert abs(share - 0.25) < 0.02
    assert draws[0] != draws[1]


@pytest.mark.parametrize("stratify", [True, False])
def test_a_held_out_part(whole, make_recipe, stratify) -> None:
    recipe = make_recipe(protocols="patient", folds=1, stratify=stratify)
    selection = apply_policies(whole, recipe.data)
    y = targets(selection.table, "subtype")
    made = parts(make(selection, recipe, y), selection, y, "patient", 0, 0)
    side = made.table["part"]
    assert abs((side == "test").mean() - 0.3) < 0.01
    assert set(y[side == "train"]) == set(y)
    if stratify:
        assert set(y[side == "test"]) == set(y[side == "val"]) == set(y)


def test_a_class_with_one_training_group_stays_in_training(make_images, make_recipe) -> None:
    images = make_images(
        label=list("AAAABBBBBBCC"), patient_id=list("pqrsabcdefxy"), magnification=40
    )
    recipe = make_recipe(protocols="patient", folds=2, val_fraction=0.4)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    for fold in (0, 1):
        side = parts(folds, selection, y, "patient", 0, fold).table["part"]
        assert (side[y == "C"] != "val").all()
        assert (side == "val").any()


def test_duplicates_merge_the_groups(make_images, make_recipe) -> None:
    images = make_images(
        label=list("ABABAB"), patient_id=list("pqrstu"), pixel_hash=["x", "2", "3", "x", "5", "6"]
    )
    for policy, merged in (("together", True), ("keep", False)):
        different = 0
        for seed in range(8):
            recipe = make_recipe(seed=seed, policy=policy, protocols="patient", folds=2)
            selection = apply_policies(images, recipe.data)
            fold = make(selection, recipe, selection.table["label"]).table["fold"]
            different += fold[0] != fold[3]
        assert (different == 0) == merged


def test_no_patients(make_images, make_recipe) -> None:
    recipe = make_recipe(protocols="patient")
    selection = apply_policies(make_images(label=list("AB")), recipe.data)
    with pytest.raises(
        SplitError,
        match=r"2 of 2 images have no patient_id .*column 'patient'.*--split.protocols random$",
    ):
        make(selection, recipe, selection.table["label"])


def test_fewer_groups_than_folds(make_images, make_recipe) -> None:
    images = make_images(label=list("ABAB"), patient_id=list("ppqr"))
    recipe = make_recipe(protocols="patient", folds=5)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(SplitError, match=r"3 groups by patient_id are too few for split\.folds 5"):
        make(selection, recipe, selection.table["label"])


def test_no_accessions(make_images, make_recipe) -> None:
    recipe = make_recipe(protocols="accession")
    images = make_images(label=list("AB"), patient_id=list("pq"), accession=[None, None])
    selection = apply_policies(images, recipe.data)
    with pytest.raises(
        SplitError, match=r"2 of 2 images have no accession .*column 'accession'.*random,patient$"
    ):
        make(selection, recipe, selection.table["label"])
    selection = apply_policies(make_images(label=list("AB")), recipe.data)
    with pytest.raises(SplitError, match=r"no accession .*--split\.protocols random$"):
        make(selection, recipe, selection.table["label"])


@pytest.mark.parametrize("folds", [1, 5])
def test_a_single_group(make_images, make_recipe, folds) -> None:
    images = make_images(label=list("ABAB"), patient_id=list("pppp"))
    recipe = make_recipe(protocols="patient", folds=folds)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(
        SplitError, match=r"one group .*can't be split; add patients, or use .*protocols random"
    ):
        make(selection, recipe, selection.table["label"])


GROUPS = st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=4, max_size=25)


@given(GROUPS, st.integers(2, 5), st.integers(0, 9))
def test_each_group_has_one_fold_and_rare_classes_spread(groups, folds: int, seed: int) -> None:
    counts = np.array(groups, dtype=np.int64)
    counts[:, 0] += 1  # no empty group
    dealt = deal_groups(counts, np.full(folds, 1 / folds), np.random.default_rng(seed))
    assert dealt.shape == (len(counts),)
    assert set(dealt.tolist()) <= set(range(folds))
    again = deal_groups(counts, np.full(folds, 1 / folds), np.random.default_rng(seed))
    assert (dealt == again).all()
    if len(counts) >= 2 * folds:
        assert len(set(dealt.tolist())) == folds


@given(st.integers(2, 5), st.integers(0, 50))
def test_two_groups_of_a_class_are_never_tested_together(folds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    common = rng.integers(20, 120, (20, 1))
    rare = rng.integers(1, 120, 2)
    counts = np.vstack([np.hstack([common, np.zeros_like(common)]), [[0, rare[0]], [0, rare[1]]]])
    dealt = deal_groups(counts, np.full(folds, 1 / folds), np.random.default_rng(seed))
    assert dealt[-1] != dealt[-2]


def test_many_groups_are_dealt_fast_and_evenly() -> None:
    rng = np.random.default_rng(0)
    counts = rng.multinomial(50, [0.5, 0.3, 0.15, 0.05], 20_000)
    dealt = deal_groups(counts, np.full(5, 0.2), rng)
    total = pd.DataFrame(counts).groupby(dealt).sum()
    assert (total / counts.sum(axis=0)).sub(0.2).abs().max(axis=None) < 1e-3
