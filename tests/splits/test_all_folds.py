"""Folds that would test nothing are refused before anything is trained."""

from __future__ import annotations

import pytest

from magnostic.errors import SplitError
from magnostic.splits import apply_policies, check_trainable, make, parts


def test_a_hold_out_that_would_test_nothing(make_images, make_recipe) -> None:
    """One patient a class: a training group of each is kept, and none is left to test."""
    images = make_images(label=list("AABB"), patient_id=list("ppqq"))
    recipe = make_recipe(protocols="patient", folds=1, val_fraction=0)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(SplitError, match=r"would test no image.*larger split\.test_fraction"):
        make(selection, recipe, selection.table["label"])


def test_strict_stops_for_fewer_groups_than_folds(make_images, make_recipe) -> None:
    images = make_images(label=list("AABBBB"), patient_id=list("pqrstu"))
    recipe = make_recipe(protocols="patient", folds=3, val_fraction=0)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    for fold in range(3):
        made = parts(folds, selection, y, "patient", 0, fold)
        assert check_trainable(made, selection, y) == []
        with pytest.raises(
            SplitError, match=r"not every fold can test A \(groups by patient_id: 2"
        ):
            check_trainable(made, selection, y, strict=True)
