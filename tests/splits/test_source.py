"""Protocol source: whole data sets on one side, patients still apart within training."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magnostic.audit import audit_parts
from magnostic.errors import LeakError, SplitError
from magnostic.splits import apply_policies, assert_disjoint, check_trainable, make, parts
from magnostic.splits.table import Parts

ROW = st.tuples(st.sampled_from("xyz"), st.sampled_from("AB"), st.integers(0, 5) | st.none())


def merged(make_images, rows):
    source, label, patient = zip(*rows, strict=True)
    named = [None if p is None else f"{s}/{p}" for s, p in zip(source, patient, strict=True)]
    return make_images(source=list(source), label=list(label), patient_id=named)


@pytest.fixture
def three(make_images):
    """Three data sets of six patients with two images each; all have both classes."""
    rows = [(s, "AB"[p % 2], p) for s in "xyz" for p in range(6) for _ in range(2)]
    return merged(make_images, rows)


@pytest.mark.parametrize(("folds", "found"), [(2, 2), (3, 3), (5, 3)])
def test_folds_are_at_most_the_data_sets(three, make_recipe, folds, found) -> None:
    recipe = make_recipe(protocols="source,patient", folds=folds)
    selection = apply_policies(three, recipe.data)
    y = selection.table["label"]
    made = make(selection, recipe, y)
    told = made.provenance["protocols"]["source"]
    assert told["folds"] == [list(range(found))]
    assert told["grouping"] == "source"
    assert told["n_groups"] == 3
    table = made.table[made.table["protocol"] == "source"].reset_index(drop=True)
    assert (table["fold"].groupby(selection.table["source"]).nunique() == 1).all()
    for fold in range(found):
        one = parts(made, selection, y, "source", 0, fold)
        side = one.table["part"]
        assert one.provenance["folds"] == found
        assert set(side) == {"train", "val", "test"}
        held = set(selection.table["source"][side == "test"])
        assert not held & set(selection.table["source"][side != "test"])
        assert (side.groupby(selection.table["patient_id"]).nunique() == 1).all()
        assert check_trainable(one, selection, y, strict=True) == []
        findings = audit_parts(three.table, one, y, "source/r0f0")
        assert {f.status for f in findings} == {"passed"}


def test_other_protocols_draw_as_without_it(three, make_recipe) -> None:
    alone, beside = (
        make(apply_policies(three, recipe.data), recipe, three.table["label"])
        for recipe in (
            make_recipe(protocols="patient", folds=3),
            make_recipe(protocols="source,patient", folds=3),
        )
    )
    rest = beside.table[beside.table["protocol"] == "patient"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, alone.table)


def test_a_held_out_data_set(three, make_recipe) -> None:
    recipe = make_recipe(protocols="source", folds=1)
    selection = apply_policies(three, recipe.data)
    y = selection.table["label"]
    side = parts(make(selection, recipe, y), selection, y, "source", 0, 0).table["part"]
    assert selection.table["source"][side == "test"].nunique() == 1


def test_a_data_set_on_both_sides_is_a_leak(three, make_recipe) -> None:
    recipe = make_recipe(protocols="source", folds=3)
    selection = apply_policies(three, recipe.data)
    y = selection.table["label"]
    made = parts(make(selection, recipe, y), selection, y, "source", 0, 0)
    test = made.table["part"] == "test"
    patient = selection.table.loc[test, "patient_id"].iloc[0]
    table = made.table.copy()
    table.loc[selection.table["patient_id"] == patient, "part"] = "train"
    with pytest.raises(LeakError, match=r"1 source on both sides.*in test and train"):
        assert_disjoint(Parts(table, made.provenance), selection)
    table = made.table.copy()
    table.loc[table.index[~test][0], "part"] = "val"
    table.loc[table.index[~test][1], "part"] = "train"
    with pytest.raises(LeakError, match=r"patient_id on both sides.*in train and val"):
        assert_disjoint(Parts(table, made.provenance), selection)


@pytest.mark.parametrize(
    ("rows", "columns", "folds", "says"),
    [
        (
            [("x", "A", 1), ("x", "B", 2)],
            {},
            2,
            r"of one data set \(x\); give another one with --d",
        ),
        ([("x", "A", 1), ("y", "B", 2)], {}, 2, r"no class stands in two .* --label-map"),
        (
            [("x", "A", 1), ("x", "B", 1), ("y", "B", 2), ("y", "B", 2)],
            {"pixel_hash": ["h", "i", "i", "j"]},
            2,
            "same pixels tie all data sets.*data.duplicates to drop",
        ),
        (
            [("x", "A", 1), ("x", "B", 2), ("y", "B", 2), ("y", "C", 3)],
            {},
            1,
            "would test no image.*split.folds 2 or more",
        ),
    ],
)
def test_what_it_cannot_be_carried_out_on(
    make_images, make_recipe, rows, columns, folds, says
) -> None:
    images = merged(make_images, rows)
    images = type(images)(images.table.assign(**columns))
    recipe = make_recipe(protocols="source", folds=folds)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(SplitError, match=f"protocol source.*{says}"):
        make(selection, recipe, selection.table["label"])


def test_it_is_offered_where_patients_are_unknown_in_one_set(make_images, make_recipe) -> None:
    images = merged(make_images, [("x", "A", 1), ("x", "B", 2), ("y", "A", None), ("y", "B", None)])
    recipe = make_recipe(protocols="patient", folds=2)
    selection = apply_policies(images, recipe.data)
    with pytest.raises(
        SplitError, match=r"2 of 4 images have no .* --split.protocols random,source"
    ):
        make(selection, recipe, selection.table["label"])
    made = make(selection, make_recipe(protocols="source", folds=2), selection.table["label"])
    assert made.provenance["protocols"]["source"]["folds"] == [[0, 1]]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=4, max_size=40), folds=st.integers(2, 4), seed=st.integers(0, 9))
def test_what_holds_for_every_split(make_images, make_recipe, rows, folds, seed) -> None:
    images = merged(make_images, rows)
    recipe = make_recipe(seed=seed, protocols="source", folds=folds)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    sources = selection.table["source"]
    if sources.nunique() < 2 or (sources.groupby(y).nunique() < 2).all():
        with pytest.raises(SplitError, match="protocol source"):
            make(selection, recipe, y)
        return
    made = make(selection, recipe, y)
    expected = min(folds, sources.nunique())
    assert set(made.table["fold"]) == set(range(expected))
    for fold in range(expected):
        side = parts(made, selection, y, "source", 0, fold).table["part"]
        assert (side == "train").any()
        assert not set(sources[side == "test"]) & set(sources[side != "test"])
