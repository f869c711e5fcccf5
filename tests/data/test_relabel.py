"""Label maps: read as they are written, applied to their source alone, checked against the data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data import Images
from magnostic.data.assemble import tidy
from magnostic.data.images import Relabelled
from magnostic.data.relabel import read_label_map, relabel
from magnostic.data.summary import render, summarize
from magnostic.errors import DataError


def labelled(**labels: list[str]) -> Images:
    """``labelled(clinic=["IDC", "0"])``: one image a label."""
    rows = [(source, label) for source, own in labels.items() for label in own]
    frame = pd.DataFrame(rows, columns=["source", "label"])
    frame["image_id"] = [f"{n:03d}" for n in range(len(frame))]
    frame = frame.assign(path="p", width=1, height=1, pixel_hash=frame["image_id"])
    return Images(tidy(frame))


def mapping(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_kind_of_meaning(tmp_path: Path) -> None:
    path = mapping(
        tmp_path,
        "clinic: {IDC: DC, tumour: malignant, word: Ductal Carcinoma, 3: severe, bad: null}\n",
    )
    images = labelled(clinic=["IDC", "tumour", "word", "3", "bad", "kept"], other=["IDC"])
    table = relabel(images, read_label_map(path)).table
    assert table["label"].tolist() == ["DC", "malignant", "DC", "severe", "kept", "IDC"]
    assert table["tumour_type"].fillna("").tolist() == ["DC", "", "DC", "", "", ""]
    malignancy = ["malignant", "malignant", "malignant", "", "", ""]
    assert table["malignancy"].fillna("").tolist() == malignancy
    assert table.index.tolist() == list(range(6))


def test_a_type_that_was_known_gives_way() -> None:
    images = labelled(clinic=["F"])
    images = Images(images.table.assign(tumour_type="F", malignancy="benign"))
    table = relabel(images, {"clinic": {"F": "other"}}).table
    assert table[["tumour_type", "malignancy"]].isna().all(axis=None)


def test_what_was_changed_is_told(tmp_path: Path) -> None:
    images = relabel(labelled(clinic=["IDC", "IDC", "bad"]), {"clinic": {"IDC": "DC", "bad": None}})
    entries = (Relabelled("clinic", "IDC", "DC", 2), Relabelled("clinic", "bad", None, 1))
    assert images.relabelled == entries
    assert summarize(images)["relabelled"] == [vars(entry) for entry in entries]
    images.write(tmp_path / "images.parquet")
    assert Images.read(tmp_path / "images.parquet").relabelled == entries
    told = [str(line) for line in getattr(render(images), "renderables", [])]
    assert "label map: clinic IDC as DC (2), clinic bad left out (1)" in told


@pytest.mark.parametrize(
    ("label_map", "says"),
    [
        ({"klinic": {"IDC": "DC"}}, r"no data set is named 'klinic' \(did you mean 'clinic'\?\)"),
        ({"clinic": {"IDX": "DC"}}, r"clinic has no label 'IDX' \(did you mean 'IDC'\?\); its"),
        ({"clinic": {"IDC": None, "LC": None}}, "leaves out every image"),
    ],
)
def test_a_map_that_does_not_fit(label_map: dict[str, dict[str, str | None]], says: str) -> None:
    with pytest.raises(DataError, match=rf"map\.yaml: .*{says}"):
        relabel(labelled(clinic=["IDC", "LC"]), label_map, "map.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a mapping of sources"),
        ("[1]", "line 1: expected a mapping"),
        ("clinic: DC", "line 1: expected a mapping"),
        ("clinic: {}", "names no label"),
        ("clinic:\n  IDC: [DC]", "line 2: clinic, label 'IDC': expected one word"),
        ("clinic:\n  IDC: DC\n  IDC: LC", "line 3: 'IDC' stands twice"),
        ("clinic:\n  [a]: DC", "line 2: expected a mapping"),
        ("clinic: {", "line 1: not valid YAML"),
    ],
)
def test_a_file_that_is_no_map(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=rf"map\.yaml.*{says}"):
        read_label_map(mapping(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.yaml: cannot be read as text \(No such"):
        read_label_map(tmp_path / "gone.yaml")
    with pytest.raises(DataError, match="Is a directory"):
        read_label_map(tmp_path)
    (tmp_path / "map.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_label_map(tmp_path / "map.yaml")


@given(labels=st.lists(st.from_regex(r"[A-Za-z0-9]{1,4}", fullmatch=True), min_size=1, unique=True))
def test_labels_are_read_as_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str]
) -> None:
    """``no``, ``01``, ``1e3`` and ``null`` are labels like others."""
    path = mapping(
        tmp_path_factory.mktemp("map"), "s:\n" + "".join(f"  {label}: DC\n" for label in labels)
    )
    assert read_label_map(path) == {"s": dict.fromkeys(labels, "DC")}
