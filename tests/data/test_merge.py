"""Merging data sets: no id of one is ever taken for one of another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data import BadFile, Images, read_images, read_sets
from magnostic.data.assemble import tidy
from magnostic.data.images import Relabelled
from magnostic.data.merge import merge
from magnostic.errors import DataError

Draw = Callable[..., Path]


def images(source: str, ids: list[str], patients: list[str | None], **more: object) -> Images:
    frame = pd.DataFrame({"image_id": ids, "patient_id": patients})
    frame = frame.assign(slide_id=frame["patient_id"], accession=frame["patient_id"])
    frame = frame.assign(path=frame["image_id"], label="x", width=1, height=1, source=source)
    frame["pixel_hash"] = [f"{source} {i}" for i in ids]
    return Images(tidy(frame.assign(**more)))


def test_ids_of_different_sources_are_told_apart() -> None:
    one, two = images("a", ["1", "2"], ["p", "q"]), images("b", ["1", "2"], ["p", None])
    merged = merge([two, one])
    assert merged.table["image_id"].tolist() == ["a/1", "a/2", "b/1", "b/2"]
    for column in ("patient_id", "slide_id", "accession"):
        assert merged.table[column].fillna("none").tolist() == ["a/p", "a/q", "b/p", "none"]
    assert merged.data_hash == merge([one, two]).data_hash
    assert one.table["image_id"].tolist() == ["1", "2"], "the parts stay as they were"


def test_what_travels_with_the_table() -> None:
    one = images("a", ["1"], ["p"])
    one = Images(one.table, True, (BadFile("x.png", "empty file", "0 bytes"),))
    two = images("b", ["1"], ["p"])
    two = Images(two.table, False, (), (Relabelled("b", "y", "x", 1),))
    merged = merge([one, two])
    assert merged.synthetic
    assert [bad.path for bad in merged.skipped] == ["a/x.png"]
    assert merged.relabelled == two.relabelled
    assert merge([one]) is one


def test_parts_of_one_set_share_their_patients(tiny_breakhis: Path) -> None:
    whole = read_images(tiny_breakhis)
    sides = [tiny_breakhis / "histology_slides" / "breast" / m for m in ("benign", "malignant")]
    assert read_sets(sides).data_hash == whole.data_hash
    for_40, for_400 = (
        Images(tidy(whole.table[whole.table["magnification"] == m])) for m in (40, 400)
    )
    merged = merge([for_40, for_400])
    assert merged.data_hash == whole.data_hash
    assert merged.table["patient_id"].nunique() == 24


@pytest.mark.parametrize("source", ["phantom", "phantom-tied"])
def test_two_phantoms_share_no_patient(source: str) -> None:
    """Their slides' numbers are drawn anew for each seed: the same one is another patient."""
    one = images(source, ["SOB_B_A-14-3000-40-001"], ["14-3000"])
    two = images(source, ["SOB_M_DC-14-3000-40-001"], ["14-3000"])
    with pytest.raises(DataError, match=rf"two data sets are named '{source}'.*leave one of two"):
        merge([one, two])


def test_the_same_photograph_twice(tiny_breakhis: Path) -> None:
    whole = read_images(tiny_breakhis)
    with pytest.raises(DataError, match=r"stands in two .* \(and 47 more do\), give each .* once"):
        merge([whole, whole])
    other = Images(whole.table.iloc[:1].assign(pixel_hash="other"))
    with pytest.raises(DataError, match="with other pixels, so these are different sets"):
        merge([whole, other])


def test_two_sets_of_one_name(tmp_path: Path, photo: Draw) -> None:
    manifests = []
    for seed, site in enumerate("ab"):
        photo(tmp_path / site / f"{site}.png", seed)
        manifests.append(tmp_path / site / "manifest.csv")
        manifests[-1].write_text(f"path,label,patient\n{site}.png,x,p1\n")
    with pytest.raises(DataError, match=r"two data sets are named 'manifest'.*rename"):
        read_sets(manifests)
    renamed = manifests[1].rename(manifests[1].with_name("other.csv"))
    assert read_sets([manifests[0], renamed]).table["patient_id"].nunique() == 2


def test_a_merged_table_can_be_merged_again(tmp_path: Path) -> None:
    one, two, three = (images(s, ["1"], ["p"]) for s in "abc")
    merge([one, two]).write(tmp_path / "ab.parquet")
    again = merge([Images.read(tmp_path / "ab.parquet"), three])
    assert again.data_hash == merge([one, two, three]).data_hash
    assert again.table["image_id"].tolist() == ["a/1", "b/1", "c/1"]


def test_columns_are_for_the_manifests_among_them(
    tiny_breakhis: Path, tmp_path: Path, photo: Draw
) -> None:
    photo(tmp_path / "a.png", 3)
    manifest = tmp_path / "clinic.csv"
    manifest.write_text("file,label\na.png,DC\n")
    merged = read_sets([tiny_breakhis, manifest], columns={"path": "file"})
    assert merged.table["source"].value_counts().to_dict() == {"breakhis": 48, "clinic": 1}
    assert merged.table["tumour_type"].notna().all()
    with pytest.raises(DataError, match="columns are for a manifest"):
        read_sets([tiny_breakhis], columns={"path": "file"})


_names = st.text("ab/", min_size=1, max_size=4)
_sets = st.lists(st.lists(_names, min_size=1, max_size=4, unique=True), min_size=1, max_size=4)


@given(sets=_sets)
def test_nothing_is_lost_or_joined(sets: list[list[str]]) -> None:
    """Whatever the names are, images stay as many as they were, and so do patients."""
    parts = [images(f"s{n}", ids, list(ids)) for n, ids in enumerate(sets)]
    merged = merge(parts)
    assert len(merged) == sum(map(len, sets))
    assert merged.table["patient_id"].nunique() == len(merged)
    assert set(merged.table["pixel_hash"]) == {h for p in parts for h in p.table["pixel_hash"]}
