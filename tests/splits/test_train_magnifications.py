"""Training at some magnifications and testing at all: what is left out, and what still holds."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magnostic.audit import audit_parts
from magnostic.errors import RecipeError, SplitError
from magnostic.recipe import Data, Recipe
from magnostic.recipe_file import parse
from magnostic.splits import (
    apply_policies,
    check_trainable,
    make,
    not_estimable,
    parts,
    read_parts,
)

ZOOMS = (40, 100, 200, 400)


def _images(make_images, patients=8):
    rows = [(p, m) for p in range(patients) for m in ZOOMS]
    return make_images(
        label=["AB"[p % 2] for p, _ in rows],
        patient_id=[f"p{p}" for p, _ in rows],
        accession=[f"a{p // 2}" for p, _ in rows],
        magnification=[m for _, m in rows],
    )


def _recipe(make_recipe, only, **split) -> Recipe:
    recipe = make_recipe(**split)
    return recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"train_magnifications": tuple(only)})}
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    only=st.sets(st.sampled_from(ZOOMS), min_size=1),
    protocol=st.sampled_from(["random", "patient", "accession"]),
    seed=st.integers(0, 99),
)
def test_tests_stay_whole_and_nothing_else_is_learnt_from(
    make_images, make_recipe, tmp_path_factory, only, protocol, seed
) -> None:
    images = _images(make_images)
    recipe = _recipe(make_recipe, sorted(only), seed=seed, protocols=protocol, folds=4)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    zoom = selection.table.set_index("image_id")["magnification"]
    everything = make(*(apply_policies(images, Data()), make_recipe(seed=seed, protocols=protocol,
                                                                    folds=4), y))  # fmt: skip
    assert folds.table.equals(everything.table), "who is tested does not depend on it"
    tested: list[str] = []
    for fold in range(4):
        made = parts(folds, selection, y, protocol, 0, fold)
        tested += made.ids("test").tolist()
        learnt = [*made.ids("train"), *made.ids("val")]
        assert learnt
        assert set(zoom[learnt]) <= only
        held = folds.table.set_index("image_id")["fold"]
        assert set(learnt) == {i for i in zoom.index if zoom[i] in only and held[i] != fold}
        assert made.provenance["left_out"] == len(y) - len(made.table)
        folder = tmp_path_factory.mktemp("parts")
        made.write(folder)
        assert read_parts(folder, images).table["image_id"].tolist() == sorted(
            made.table["image_id"]
        )
    assert sorted(tested) == sorted(selection.table["image_id"])


def test_a_class_seen_at_other_magnifications_alone_is_not_estimable(
    make_images, make_recipe
) -> None:
    """Class C has photographs at 400X only, so that a model of 40X cannot have learnt it."""
    images = make_images(
        label=[*"AB" * 6, *"CCC"],
        patient_id=[f"p{i}" for i in range(15)],
        magnification=[40] * 12 + [400] * 3,
    )
    recipe = _recipe(make_recipe, [40], protocols="patient", folds=3, val_fraction=0)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    for fold in range(3):
        made = parts(folds, selection, y, "patient", 0, fold)
        assert not_estimable(made, y) == ["C"]
        assert check_trainable(made, selection, y) == ["C"]
        with pytest.raises(SplitError, match="no training image of C"):
            check_trainable(made, selection, y, strict=True)
        found = {f.code: f for f in audit_parts(images.table, made, y, f"patient/r0f{fold}")}
        assert found["MG005"].status == "issue"
        assert "no image of C in train" in found["MG005"].message.lower().replace(" c ", " C ")
        assert {f.code for f in found.values() if f.status == "issue"} == {"MG005"}


def test_a_class_of_which_nothing_is_left_in_a_fold_is_missed_by_the_audit_no_more(
    make_images, make_recipe
) -> None:
    """It stands in no part of that fold: only the run's list of classes can tell."""
    images = make_images(
        label=[*"AB" * 6, *"CC"],
        patient_id=[f"p{i}" for i in range(14)],
        magnification=[40] * 12 + [400] * 2,
    )
    recipe = _recipe(make_recipe, [40], protocols="patient", folds=3, val_fraction=0)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    held = folds.table.set_index(selection.table.index)["fold"]
    fold = next(f for f in range(3) if f not in set(held[y == "C"]))
    made = parts(folds, selection, y, "patient", 0, fold)
    assert "C" not in set(y[made.table.index])
    finding = next(f for f in audit_parts(images.table, made, y, "x") if f.code == "MG005")
    assert finding.ids == ("C",)


def test_no_image_to_train_on(make_images) -> None:
    images = make_images(label=["A", "B"], patient_id=["p", "q"], magnification=[40, 100])
    with pytest.raises(SplitError, match=r"train_magnifications \[400\].*found: \[40, 100\]"):
        apply_policies(images, Data(train_magnifications=(400,)))


def test_what_is_trained_on_must_be_used() -> None:
    fields = {"name": "x", "data": {"magnifications": [40], "train_magnifications": [40, 100]}}
    with pytest.raises(RecipeError, match="train_magnifications 100 is not among magnifications"):
        parse(fields, "mine")


@pytest.mark.parametrize("protocol, groups", [("patient", 8), ("accession", 4)])
def test_each_leaves_out_one_group_at_a_time(make_images, make_recipe, protocol, groups) -> None:
    images = _images(make_images)
    recipe = make_recipe(protocols=protocol, folds="each")
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    folds = make(selection, recipe, y)
    column = {"patient": "patient_id", "accession": "accession"}[protocol]
    fold = folds.table["fold"].set_axis(selection.table.index)
    assert (selection.table.groupby(fold)[column].nunique() == 1).all()
    assert fold.nunique() == groups
    for number in range(groups):
        made = parts(folds, selection, y, protocol, 0, number)
        assert made.provenance["folds"] == groups
        assert check_trainable(made, selection, y, strict=True) == []
        found = audit_parts(images.table, made, y, f"{protocol}/r0f{number}")
        assert next(f for f in found if f.code == "MG005").status in ("passed", "tip")


def test_each_is_strict_about_a_class_of_one_group(make_images, make_recipe) -> None:
    images = make_images(label=list("AABBC"), patient_id=list("pqrst"))
    recipe = make_recipe(protocols="patient", folds="each", val_fraction=0)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    made = parts(make(selection, recipe, y), selection, y, "patient", 0, 0)
    with pytest.raises(SplitError, match=r"not every fold can test C \(groups by patient_id: 1\)"):
        check_trainable(made, selection, y, strict=True)
    found = audit_parts(images.table, made, y, "patient/r0f0")
    finding = next(f for f in found if f.code == "MG005")
    assert (finding.status, finding.ids) == ("issue", ("C",))


def test_each_and_random_images(make_recipe) -> None:
    with pytest.raises(RecipeError, match="protocol random has none; give a number of folds"):
        parse({"name": "x", "split": {"protocols": ["random"], "folds": "each"}}, "mine")
    with pytest.raises(RecipeError, match="set repeats 1"):
        parse({"name": "x", "split": {"folds": "each", "repeats": 3}}, "mine")
    assert make_recipe(protocols="accession", folds="each").split.folds == "each"


def test_each_and_the_official_files(make_recipe, fold_files, whole) -> None:
    """They are what they are; the other protocol leaves out one lab number at a time."""
    recipe = make_recipe(
        policy="keep", protocols=["official", "accession"], folds="each", val_fraction=0,
        official_dir=fold_files,
    )  # fmt: skip
    selection = apply_policies(whole, recipe.data)
    y = selection.table["label"]
    told = make(selection, recipe, y).provenance["protocols"]
    assert len(told["official"]["folds"]) == 5
    assert len(told["accession"]["folds"][0]) == 70
