from pathlib import Path

import pytest

from magnostic.data import read_images
from magnostic.data.breakhis import parse_name
from magnostic.errors import DataError

A = "SOB_B_A-14-22549AB-40-001.png"
DC = "SOB_M_DC-14-13412-100-002.png"
LC = "SOB_M_LC-14-13412-100-002.png"


def place(root: Path, file: str) -> Path:
    """Where the original tree keeps a file."""
    name = parse_name(file)
    folder = root / "BreaKHis_v1" / "histology_slides" / "breast" / name.tumour_type.malignancy
    folder = folder / "SOB" / name.tumour_type.folder / name.slide_folder
    return folder / f"{name.magnification}X" / file


@pytest.fixture
def tree(tmp_path, photo) -> Path:
    for seed, file in enumerate([A, DC, LC]):
        photo(place(tmp_path, file), seed)
    return tmp_path


def test_columns(tree) -> None:
    table = read_images(tree).table.set_index("image_id")
    row = table.loc[A.removesuffix(".png")]
    assert row[["label", "tumour_type", "malignancy"]].to_list() == ["A", "A", "benign"]
    assert row[["slide_id", "patient_id"]].to_list() == ["14-22549AB"] * 2
    assert row["accession"] == "14-22549"
    assert row[["magnification", "width", "height", "source"]].to_list() == [40, 14, 10, "breakhis"]
    assert Path(row["path"]) == place(tree, A)


@pytest.mark.parametrize("level", range(9))
def test_any_level_of_the_tree_is_a_root(tree, level) -> None:
    file = place(tree, A)
    root = [*reversed(file.relative_to(tree).parents)][level]
    images = read_images(tree / root)
    assert A.removesuffix(".png") in set(images.table["image_id"])
    assert len(images) == (3 if level < 4 else 1)


def test_the_same_photographs_give_the_same_hash_from_any_root(tree) -> None:
    assert read_images(tree).data_hash == read_images(tree / "BreaKHis_v1").data_hash


@pytest.mark.parametrize(
    "wrong, expected",
    [
        (
            "malignant/SOB/adenosis/SOB_B_A_14-22549AB/40X",
            "says benign, but it lies in folder malig",
        ),
        (
            "benign/SOB/fibroadenoma/SOB_B_A_14-22549AB/40X",
            "says adenosis, but it lies in folder fib",
        ),
        ("benign/SOB/adenosis/SOB_B_A_14-22549CD/40X", "says SOB_B_A_14-22549AB, but it lies in"),
        ("benign/SOB/adenosis/SOB_B_A_14-22549AB/100X", "says 40X, but it lies in folder 100X"),
    ],
)
def test_a_folder_that_disagrees_with_the_name(tmp_path, photo, wrong, expected) -> None:
    photo(tmp_path / "breast" / wrong / A)
    with pytest.raises(DataError, match=expected):
        read_images(tmp_path)


def test_folders_above_the_tree_do_not_count(tmp_path, photo) -> None:
    photo(place(tmp_path / "malignant" / "400X", A))
    assert len(read_images(tmp_path)) == 1


def test_one_name_in_two_places(tree, photo) -> None:
    photo(tree / "copies" / A, 9)
    with pytest.raises(
        DataError, match=r"1 bad file .3 usable.*\n.*name twice.*keep one of the two"
    ):
        read_images(tree)


def test_bad_files_are_listed_or_skipped(tree, photo) -> None:
    photo(tree / "BreaKHis_v1" / "holiday.png")
    place(tree, A).write_text("no image")
    with pytest.raises(DataError) as caught:
        read_images(tree)
    message = str(caught.value)
    assert "2 bad files (2 usable)" in message.splitlines()[0]
    assert "--on-bad skip" in message.splitlines()[0]
    assert "BreaKHis_v1/holiday.png: misnamed" in message
    assert f"{A}: not an image" in message
    images = read_images(tree, on_bad="skip")
    assert len(images) == 2
    assert [bad.fault for bad in images.skipped] == ["not an image", "misnamed"]
    assert not any(str(tree) in bad.path for bad in images.skipped)  # no path of this machine


def test_a_long_list_is_cut(tree) -> None:
    for i in range(30):
        (tree / f"bad{i:02d}.png").touch()
    with pytest.raises(DataError) as caught:
        read_images(tree)
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("… and 10 more")


def test_nothing_usable(tmp_path) -> None:
    place(tmp_path, A).parent.mkdir(parents=True)
    place(tmp_path, A).touch()
    with pytest.raises(DataError, match="1 bad file and no usable image"):
        read_images(tmp_path, on_bad="skip")


@pytest.mark.parametrize("level", ["", "BreaKHis_v1"])
def test_a_phantom_is_synthetic_from_any_root(tree, level) -> None:
    (tree / level / "PHANTOM.json").write_text('{"synthetic": true}')
    for root in (tree, tree / "BreaKHis_v1", place(tree, A).parent):
        images = read_images(root)
        assert images.synthetic
        assert set(images.table["source"]) == {"phantom"}


def test_a_phantom_with_another_stain_is_another_source(tree) -> None:
    (tree / "PHANTOM.json").write_text('{"synthetic": true, "stain": "tied"}')
    images = read_images(tree)
    assert images.synthetic
    assert set(images.table["source"]) == {"phantom-tied"}


def test_the_genuine_sample(sample, tmp_path) -> None:
    images, table = sample, sample.table
    assert len(images) == 187
    assert not images.synthetic
    assert table["tumour_type"].nunique() == 8
    assert table["accession"].nunique() == 22
    assert table["magnification"].value_counts().to_dict() == {100: 161, 40: 12, 400: 12, 200: 2}
    sizes = table.groupby(["width", "height"]).size().to_dict()
    assert sizes == {(700, 460): 173, (500, 328): 9, (700, 456): 5}
    shared = table[table["pixel_hash"].duplicated(keep=False)]
    assert set(shared["slide_id"]) == {"14-13412"}
    assert shared.groupby("pixel_hash")["label"].agg(set).tolist() == [{"DC", "LC"}] * 2
    images.write(tmp_path / "images.parquet")
    again = read_images(tmp_path / "images.parquet")
    assert again.table.equals(table)
    assert again.data_hash == images.data_hash
