import pytest

from magnostic.errors import SplitError
from magnostic.splits import apply_policies, check_trainable, make, not_estimable, parts


def _split(make_images, make_recipe, label, patient, folds):
    images = make_images(label=list(label), patient_id=list(patient))
    recipe = make_recipe(protocols="patient", folds=folds, val_fraction=0)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    return selection, y, make(selection, recipe, y)


def test_a_class_with_one_patient_is_not_estimable_where_it_is_tested(
    make_images, make_recipe
) -> None:
    selection, y, folds = _split(make_images, make_recipe, "AABBBBCCCC", "ppqrstuvwx", 3)
    missing = []
    for fold in range(3):
        made = parts(folds, selection, y, "patient", 0, fold)
        missing.append(not_estimable(made, y))
        assert check_trainable(made, selection, y) == missing[-1]
        if missing[-1]:
            with pytest.raises(
                SplitError,
                match=r"fold \d: no training image of A \(groups by patient_id: 1\), with 3 folds",
            ):
                check_trainable(made, selection, y, strict=True)
    assert sorted(missing) == [[], [], ["A"]]


def test_one_trainable_class(make_images, make_recipe) -> None:
    selection, y, folds = _split(make_images, make_recipe, "AAAABB", "pqrstt", 2)
    fold = int(folds.table["fold"].iloc[-1])  # where B's only patient is tested
    made = parts(folds, selection, y, "patient", 0, fold)
    with pytest.raises(SplitError, match=r"1 of 2 classes has training images \(A; without: B\)"):
        check_trainable(made, selection, y)
