import pytest

from magnostic.data import read_images
from magnostic.data.images import targets
from magnostic.errors import DataError, TableError


def test_class_folders(tmp_path, photo) -> None:
    photo(tmp_path / "benign" / "deep" / "a.png", 1)
    photo(tmp_path / "malignant" / "a.jpg", 2)
    images = read_images(tmp_path)
    assert images.table["image_id"].tolist() == ["benign/deep/a.png", "malignant/a.jpg"]
    assert targets(images.table, "binary").tolist() == ["benign", "malignant"]
    assert images.table[["slide_id", "patient_id", "accession"]].isna().all(axis=None)


def test_a_photograph_beside_the_class_folders(tmp_path, photo) -> None:
    photo(tmp_path / "x" / "a.png")
    photo(tmp_path / "b.png", 1)
    with pytest.raises(DataError, match=r"b.png: label unknown: lies beside the class folders"):
        read_images(tmp_path)
    assert len(read_images(tmp_path, on_bad="skip")) == 1


def test_nothing_there(tmp_path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_images(tmp_path / "gone")
    with pytest.raises(
        DataError, match=r"no image at any depth \(looked for \*\.png .*BreaKHis_v1"
    ):
        read_images(tmp_path)


def test_no_layout_that_is_known(tmp_path, photo) -> None:
    photo(tmp_path / "a.png")
    with pytest.raises(DataError, match="looked for BreakHis names"):
        read_images(tmp_path)
    with pytest.raises(DataError, match="no class folder"):
        read_images(tmp_path, format="folders")


def test_not_a_data_set(tmp_path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(DataError, match="neither a folder nor a manifest"):
        read_images(file)
    with pytest.raises(DataError, match="a folder; give the manifest itself"):
        read_images(tmp_path, format="manifest")
    with pytest.raises(DataError, match="columns are for a manifest"):
        read_images(tmp_path, columns={"path": "file"})
    broken = tmp_path / "images.parquet"
    broken.write_text("no table")
    with pytest.raises(TableError, match="not a readable Parquet file"):
        read_images(broken)


def test_errors_are_bad_input() -> None:
    assert DataError("").exit_code == 2
