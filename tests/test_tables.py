"""The three tables: what is written is read again, and broken ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnostic import tables
from magnostic.data import Images, read_images
from magnostic.data.images import COLUMNS, BadFile, classes, targets
from magnostic.errors import TableError
from magnostic.evaluate.predictions import Predictions, make
from magnostic.splits.table import Parts


@pytest.fixture(scope="module")
def images(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


def some_predictions(images: Images) -> pd.DataFrame:
    rows = images.table.iloc[:4]
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0, 1]], dtype=np.float32)
    truth = ["benign", "malignant", "benign", "benign"]
    return make(
        rows,
        truth,
        probabilities,
        ["benign", "malignant"],
        protocol="random",
        repeat=0,
        fold=0,
        part="test",
    )


def test_images_round_trip(images: Images, tmp_path: Path) -> None:
    images.write(tmp_path / "images.parquet")
    again = Images.read(tmp_path / "images.parquet")
    pd.testing.assert_frame_equal(again.table, images.table, check_dtype=False)
    assert again.data_hash == images.data_hash
    again.write(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "images.parquet").read_bytes()


def test_a_table_of_older_hashes_is_refused(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    tables.write(images.table, COLUMNS, path, "images", {"version": 1, "synthetic": False})
    with pytest.raises(
        TableError, match=r"images\.parquet: an earlier version.*index the data anew"
    ):
        Images.read(path)
    given = images.table.assign(pixel_hash="given:" + images.table["pixel_hash"])
    tables.write(given, COLUMNS, path, "images", {"version": 1, "synthetic": False})
    assert len(Images.read(path)) == len(images)
    images.table.to_parquet(path)  # of another program
    assert len(Images.read(path)) == len(images)


def test_the_data_hash_does_not_know_where_files_lie(images: Images) -> None:
    moved = Images(images.table.assign(path="/elsewhere"))
    assert moved.data_hash == images.data_hash
    relabelled = images.table.assign(label=images.table["label"].replace("A", "F"))
    assert Images(relabelled).data_hash != images.data_hash


def test_classes_come_in_the_fields_order(images: Images) -> None:
    assert list(classes(images.table, "subtype")) == ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"]
    assert list(classes(images.table, "binary")) == ["benign", "malignant"]
    with pytest.raises(TableError, match="--task label"):
        targets(images.table.assign(tumour_type=None), "subtype")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_id": "same"}, "more than one row"),
        ({"tumour_type": "XX"}, "tumour_type.*'XX'"),
        ({"pixel_hash": None}, "row 0, column 'pixel_hash' is empty"),
    ],
)
def test_a_broken_images_table_is_refused(
    images: Images, change: dict[str, object], says: str
) -> None:
    with pytest.raises(TableError, match=says):
        Images(images.table.assign(**change))


def test_predictions_round_trip(images: Images, tmp_path: Path) -> None:
    predictions = Predictions(some_predictions(images))
    assert predictions.table["y_pred"].tolist() == ["benign", "malignant", "benign", "malignant"]
    assert predictions.true_index.tolist() == [0, 1, 0, 0]
    predictions.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(again.table, predictions.table, check_dtype=False)
    assert again.where(fold=1).table.empty


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y_true": "unheard-of"}, "no column p_unheard-of"),
        ({"p_benign": 0.3}, "sum to 1"),
        ({"p_benign": np.nan}, "sum to 1"),
        ({"image_id": "same"}, "predicted twice"),
    ],
)
def test_broken_predictions_are_refused(
    images: Images, change: dict[str, object], says: str
) -> None:
    with pytest.raises(TableError, match=says):
        Predictions(some_predictions(images).assign(**change))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        Images.read(tmp_path / "nothing.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(TableError, match=r"text\.parquet: not a readable Parquet"):
        Images.read(tmp_path / "text.parquet")


def test_a_part_must_be_known(images: Images, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "image_id": images.table["image_id"],
            "protocol": "random",
            "repeat": 0,
            "fold": 0,
            "part": "exam",
        }
    )
    with pytest.raises(TableError, match="'exam'"):
        Parts(table, {}).write(tmp_path)


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=10)


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(WORDS, WORDS, st.none() | WORDS, st.none() | st.integers(1, 32_767)),
        min_size=1, max_size=6, unique_by=lambda row: row[0],
    )
)  # fmt: skip
def test_any_images_table_round_trips(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str | None, int | None]]
) -> None:
    in_order = sorted(rows, key=lambda row: row[0])
    ids, labels, patients, magnifications = zip(*in_order, strict=True)
    frame = pd.DataFrame({
        "image_id": ids, "path": "/x", "label": labels, "tumour_type": None, "malignancy": None,
        "slide_id": patients, "patient_id": patients, "accession": None,
        "magnification": pd.array(magnifications, "Int64"), "width": 3, "height": 2,
        "pixel_hash": "h", "source": "s",
    })  # fmt: skip
    images = Images(frame, skipped=(BadFile(ids[0], "fault", labels[0]),))
    path = tmp_path_factory.getbasetemp() / "drawn.parquet"
    images.write(path)
    again = Images.read(path)
    assert again.data_hash == images.data_hash
    assert again.skipped == images.skipped
    for name in ("image_id", "label", "patient_id", "magnification"):
        one, other = (t[name].astype("object") for t in (again.table, images.table))
        assert [None if pd.isna(v) else v for v in one] == [
            None if pd.isna(v) else v for v in other
        ]
    written = path.read_bytes()
    again.write(path)
    assert path.read_bytes() == written


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12), n_classes=st.integers(2, 5))
def test_any_predictions_round_trip_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, n_classes: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in range(n_classes)]
    logits = rng.normal(0, rng.choice([0.1, 5, 60]), (n, n_classes))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    rows = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "slide_id": None,
                         "patient_id": "p", "accession": None, "magnification": 40})  # fmt: skip
    table = make(rows, rng.choice(names, n).tolist(), shares, names,
                 protocol="random", repeat=0, fold=1, part="test")  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "predictions.parquet"
    Predictions(table).write(path)
    again = Predictions.read(path)
    assert again.classes == names
    assert again.probabilities.tobytes() == shares.tobytes()
    assert again.table["y_pred"].tolist() == table["y_pred"].tolist()


@settings(max_examples=60)
@given(
    column=st.sampled_from([c.name for c in COLUMNS]),
    value=st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
    | st.lists(st.integers(0, 3), max_size=2) | st.dictionaries(st.just("a"), st.integers(0, 3)),
)  # fmt: skip
def test_a_column_of_anything_is_read_or_refused(
    images: Images, tmp_path_factory: pytest.TempPathFactory, column: str, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.parquet"
    images.write(path)
    table = pq.read_table(path)
    try:
        values = pa.array([value] * len(table))
        pq.write_table(table.set_column(table.column_names.index(column), column, values), path)
    except (pa.ArrowException, OverflowError):  # Parquet cannot hold that
        return
    try:
        found = Images.read(path).table[column]
    except TableError as error:
        said = str(error)
    else:
        assert len(found) == len(images)
        return
    assert "changed.parquet" in said or "images table" in said
