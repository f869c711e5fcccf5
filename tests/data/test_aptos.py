"""The APTOS 2019 reader, and every way in which its table and its folder can disagree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data import read_images
from magnostic.data.aptos import GRADES, looks_like
from magnostic.data.images import targets
from magnostic.errors import DataError

Draw = Callable[..., Path]
IDS = [f"{n:012x}" for n in range(7, 57, 10)]


@pytest.fixture
def root(tmp_path: Path, photo: Draw) -> Path:
    """Five graded photographs, and the ungraded ones that Kaggle's archive has beside them."""
    folder = tmp_path / "aptos2019-blindness-detection"
    for seed, name in enumerate(IDS):
        photo(folder / "train_images" / f"{name}.png", seed)
    photo(folder / "test_images" / "0005cfc8afb6.png", 99)
    (folder / "test.csv").write_text("id_code\n0005cfc8afb6\n")
    write(folder, *(f"{name},{grade}" for grade, name in enumerate(IDS)))
    return folder


def write(root: Path, *rows: str) -> None:
    (root / "train.csv").write_text("\n".join(["id_code,diagnosis", *rows, ""]))


@pytest.mark.parametrize("given_path", [".", "train.csv"])
def test_it_is_recognized(root: Path, given_path: str) -> None:
    images = read_images(root / given_path)
    assert images.table["image_id"].tolist() == IDS
    assert images.table["label"].tolist() == list(GRADES)
    assert targets(images.table, "label").tolist() == list(GRADES)
    assert set(images.table["source"]) == {"aptos"}
    assert images.table[["patient_id", "tumour_type", "magnification"]].isna().all(axis=None)
    assert not images.synthetic


def test_other_folders_are_not_taken_for_it(tmp_path: Path, photo: Draw, root: Path) -> None:
    photo(tmp_path / "x" / "train_images" / "a.png")
    assert not looks_like(tmp_path / "x")
    (tmp_path / "x" / "train.csv").write_text("path,label\n")
    assert not looks_like(tmp_path / "x")
    assert looks_like(root)
    with pytest.raises(DataError, match=r"column 'id_code', named for 'path'"):
        read_images(tmp_path / "x", format="aptos")
    (tmp_path / "y").mkdir()
    with pytest.raises(DataError, match=r"y: no train\.csv; give the folder that holds"):
        read_images(tmp_path / "y", format="aptos")


@pytest.mark.parametrize(
    ("rows", "fault", "left"),
    [
        (["ffffffffffff,1"], r"ffffffffffff\.png: missing: train\.csv, row 7: no such file", 5),
        ([",1"], "no id: train.csv, row 7: column 'id_code' is empty", 5),
        ([f"{IDS[0]},0"], "id twice: train.csv, row 7: also in row 2; keep one", 5),
        ([f"{IDS[0]},3"], r"id twice: .* grades 0 \(row 2\) and 3 \(row 7\)", 4),
        ([f"{IDS[0]},3", f"{IDS[0]},2"], r"id twice: .* grades 0 \(row 2\) and 3 \(row 7\)", 4),
    ],
)
def test_bad_rows_are_listed_or_left_out(
    root: Path, rows: list[str], fault: str, left: int
) -> None:
    write(root, *(f"{name},{grade}" for grade, name in enumerate(IDS)), *rows)
    with pytest.raises(DataError, match=fault):
        read_images(root)
    images = read_images(root, on_bad="skip")
    assert len(images) == left
    assert all(str(root) not in bad.path + bad.detail for bad in images.skipped)


@given(grade=st.text(st.characters(exclude_characters='\r\n,"', exclude_categories=["Cs"])))
def test_a_grade_is_one_of_five(tmp_path_factory: pytest.TempPathFactory, grade: str) -> None:
    root = tmp_path_factory.mktemp("grade")
    (root / "train_images").mkdir()
    (root / "train.csv").write_text(f"id_code,diagnosis\na,{grade}\n", encoding="utf-8")
    expected = "missing" if grade.strip() in GRADES else "grade unknown"
    with pytest.raises(DataError, match=f"a.png: {expected}: train.csv, row 2"):
        read_images(root)


def test_photographs_without_a_row_and_broken_ones(root: Path, photo: Draw) -> None:
    photo(root / "train_images" / "stray.png", 50)
    (root / "train_images" / f"{IDS[1]}.png").write_bytes(b"")
    with pytest.raises(DataError, match="2 bad files") as caught:
        read_images(root)
    assert "train_images/stray.png: label unknown: no row of train.csv names it" in str(
        caught.value
    )
    assert f"train_images/{IDS[1]}.png: empty file" in str(caught.value)
    assert len(read_images(root, on_bad="skip")) == 4


def test_a_table_without_rows_or_columns(root: Path) -> None:
    write(root)
    with pytest.raises(DataError, match=r"train\.csv: a header but no row"):
        read_images(root)
    (root / "train.csv").write_text("id_code,grade\n")
    with pytest.raises(DataError, match="column 'diagnosis', named for 'label', is missing"):
        read_images(root, format="aptos")
