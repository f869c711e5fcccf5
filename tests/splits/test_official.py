import shutil

import pytest

from magnostic.data.images import Images, targets
from magnostic.errors import SplitError
from magnostic.splits import apply_policies, make, parts
from magnostic.splits.official import read_fold_file

TEST_SIZES = [2904, 2403, 2577, 2698, 3083]


@pytest.fixture(scope="module")
def made(whole, fold_files, make_recipe):
    recipe = make_recipe(protocols="official", official_dir=fold_files)
    selection = apply_policies(whole, recipe.data)
    return selection, make(selection, recipe, targets(selection.table, "subtype"))


def test_the_official_draws(made) -> None:
    selection, folds = made
    slides = selection.table["slide_id"]
    accessions = selection.table["accession"]
    both, tested = [], set()
    for repeat, size in enumerate(TEST_SIZES):
        fold = folds.table.loc[folds.table["repeat"] == repeat, "fold"].reset_index(drop=True)
        assert set(fold) == {-1, 0}
        assert (fold == 0).sum() == size
        test, train = set(slides[fold == 0]), set(slides[fold == -1])
        tested |= test
        both.append(test & train)
        shared = set(accessions[fold == 0]) & set(accessions[fold == -1])
        assert 6 <= len(shared) <= 8
    assert both == [{"14-13412"}, set(), {"14-13412"}, set(), {"14-13412"}]
    assert slides.nunique() - len(tested) == 13


def test_validation_is_drawn_by_patient(made) -> None:
    selection, folds = made
    y = targets(selection.table, "subtype")
    part = parts(folds, selection, y, "official", 4, 0).table["part"]
    assert (part == "test").sum() == 3083
    val, train = (set(selection.table.loc[part == p, "slide_id"]) for p in ("val", "train"))
    assert val
    assert not val & train


def test_only_images_there_are_used(breakhis_sample, whole, fold_files, make_recipe) -> None:
    there = {path.stem for path in breakhis_sample.rglob("*.png")}
    sample = Images(whole.table[whole.table["image_id"].isin(there)].reset_index(drop=True))
    recipe = make_recipe(protocols="official", official_dir=fold_files)
    selection = apply_policies(sample, recipe.data)
    folds = make(selection, recipe, selection.table["label"])
    assert folds.table.groupby("repeat")["image_id"].nunique().tolist() == [187] * 5


def test_windows_line_ends_and_blank_lines(tmp_path) -> None:
    (tmp_path / "dsfold2.txt").write_bytes(b"a.png|40|2|train\r\nb.png|100|2|test\r\n\r\n")
    frame = read_fold_file(tmp_path, 2)
    assert frame["image_id"].tolist() == ["a", "b"]
    assert frame["side"].tolist() == ["train", "test"]
    assert frame["magnification"].tolist() == [40, 100]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a.png|40|1|train\nb.png|40|1\n", r"dsfold1.txt, line 2: 'b.png\|40\|1' is not file"),
        ("a.png|40|1|validation\n", "line 1"),
        ("a.png|40|1|train\na.png|40|1|test\n", "a.png stands twice"),
    ],
)
def test_a_broken_fold_file(tmp_path, text, message) -> None:
    (tmp_path / "dsfold1.txt").write_text(text)
    with pytest.raises(SplitError, match=message):
        read_fold_file(tmp_path, 1)


def test_no_fold_file(tmp_path) -> None:
    with pytest.raises(SplitError, match=r"dsfold1.txt: no such file; split.official_dir must"):
        read_fold_file(tmp_path, 1)


def test_images_that_are_not_listed(tmp_path, fold_files, make_images, make_recipe) -> None:
    recipe = make_recipe(protocols="official", official_dir=fold_files)
    selection = apply_policies(make_images(label=list("AB")), recipe.data)
    with pytest.raises(SplitError, match=r"2 of 2 images are not listed in dsfold1\.txt"):
        make(selection, recipe, selection.table["label"])
    shutil.copy(fold_files / "dsfold1.txt", tmp_path)
    (tmp_path / "dsfold1.txt").write_text("i00000.png|40|1|train\ni00001.png|40|1|train\n")
    recipe = make_recipe(protocols="official", official_dir=tmp_path)
    with pytest.raises(SplitError, match="none of these 2 images is in the test part"):
        make(selection, recipe, selection.table["label"])
