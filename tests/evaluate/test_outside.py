"""Predictions of other systems: matched to images, checked row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data import read_sets
from magnostic.data.images import Images
from magnostic.errors import TableError
from magnostic.evaluate import named, outside
from magnostic.taxonomy import CODES


@pytest.fixture(scope="module")
def images(tiny_breakhis: Path) -> Images:
    return read_sets([tiny_breakhis])


@pytest.fixture
def frame(images: Images) -> pd.DataFrame:
    """A softmax over the eight types for each image, as another system would write it."""
    logits = np.random.default_rng(3).normal(size=(len(images), len(CODES)))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = {f"p_{code}": p[:, k] for k, code in enumerate(CODES)}
    return pd.DataFrame({"image_id": images.table["image_id"], **columns})


def _read(
    frame: pd.DataFrame, images: Images, folder: Path, suffix: str = ".csv"
) -> outside.Outside:
    path = folder / f"theirs{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return outside.read(path, images)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_in_any_order_reach_their_images(
    frame: pd.DataFrame, images: Images, tmp_path: Path, suffix: str
) -> None:
    found = _read(frame.sample(frac=1, random_state=1), images, tmp_path, suffix)
    assert (found.task, found.decisions_only) == ("subtype", False)
    table = found.predictions.table.set_index("image_id").loc[images.table["image_id"]]
    assert (table["y_true"].to_numpy() == images.table["tumour_type"].to_numpy()).all()
    assert (table["patient_id"].to_numpy() == images.table["patient_id"].to_numpy()).all()
    np.testing.assert_allclose(table["p_DC"], frame["p_DC"], atol=1e-6)
    best = frame[[f"p_{c}" for c in CODES]].to_numpy().argmax(axis=1)
    assert (table["y_pred"].to_numpy() == np.asarray(CODES)[best]).all()


@pytest.mark.parametrize(
    "name",
    [
        lambda path: path,
        lambda path: Path(path).name,
        lambda path: Path(path).stem,
        lambda path: "C:\\elsewhere\\" + Path(path).name,
        lambda path: "/elsewhere/" + Path(path).with_suffix(".tif").name,
    ],
)
def test_images_by_path_name_or_stem(
    frame: pd.DataFrame, images: Images, tmp_path: Path, name: Callable[[str], str]
) -> None:
    theirs = frame.drop(columns="image_id").assign(filename=images.table["path"].map(name))
    found = _read(theirs, images, tmp_path)
    assert found.predictions.table["image_id"].tolist() == images.table["image_id"].tolist()


def test_binary_and_classes_alone(images: Images, tmp_path: Path) -> None:
    decided = np.where(np.arange(len(images)) % 2, "benign", "malignant")
    theirs = pd.DataFrame({"image_id": images.table["image_id"], "y_pred": decided})
    found = _read(theirs, images, tmp_path)
    assert (found.task, found.decisions_only) == ("binary", True)
    assert found.predictions.table["y_pred"].tolist() == decided.tolist()
    assert set(found.predictions.table["p_benign"]) == {0.0, 1.0}


def test_rounded_probabilities_are_brought_to_one(
    frame: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    found = _read(frame.round(3), images, tmp_path)
    sums = found.predictions.table[[f"p_{c}" for c in CODES]].sum(axis=1)
    np.testing.assert_allclose(sums, 1, atol=1e-4)


def test_images_without_prediction_are_counted(
    frame: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    few = images.table["tumour_type"] != "PC"
    found = _read(frame[few], images, tmp_path)
    assert found.predictions.classes == list(CODES)
    assert found.n_images == len(images)
    assert len(found.predictions.table) == int(few.sum())


def _at(column: str, row: int, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = (
            frame.astype({column: object}) if column in frame else frame.assign(**{column: ""})
        )
        changed.loc[row, column] = value
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="p_DC"), "no column p_DC"),
        (lambda f: f.rename(columns={"p_DC": "p_dc"}), "no column p_DC (did you mean"),
        (lambda f: f.rename(columns={"image_id": "img"}), "no column that names images"),
        (lambda f: f[["image_id"]], "no column p_<class> and no y_pred"),
        (lambda f: f.iloc[:0], "no row"),
        (_at("image_id", 4, None), "row 6: column 'image_id' is empty"),
        (_at("image_id", 4, "nowhere"), "row 6: image_id 'nowhere' is not in the images table"),
        (_at("p_DC", 2, "high"), "row 4: column 'p_DC' is 'high'"),
        (_at("p_DC", 2, -0.5), "row 4: column 'p_DC' is -0.5"),
        (_at("p_DC", 2, None), "row 4: column 'p_DC'"),
        (_at("p_DC", 2, 1.0), "row 4: probabilities sum to 1."),
        (lambda f: pd.concat([f, f.iloc[3:4]]), "row 50: image"),
        (lambda f: f.assign(y_true="A"), "the image is of class"),
        (lambda f: f.assign(part="train"), "row 2: column 'part' is 'train'"),
        (lambda f: f.assign(fold=0.5), "row 2: column 'fold' is 0.5"),
        (lambda f: f.assign(protocol="../x"), "row 2: column 'protocol'"),
        (lambda f: f.assign(y_pred="Q"), "row 2: column 'y_pred' is 'Q'"),
    ],
)
def test_bad_tables_name_row_and_column(
    frame: pd.DataFrame,
    images: Images,
    tmp_path: Path,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    says: str,
) -> None:
    with pytest.raises(TableError) as caught:
        _read(change(frame), images, tmp_path)
    assert says in str(caught.value)
    assert "theirs.csv" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'"'])
@pytest.mark.parametrize("name", ["theirs.csv", "theirs.parquet"])
def test_files_that_are_no_tables(
    images: Images, tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match="theirs"):
        outside.read(tmp_path / name, images)
    with pytest.raises(TableError, match="no such file"):
        outside.read(tmp_path / f"no-{name}", images)


@given(content=st.text(max_size=200))
def test_any_text_is_read_or_refused(content: str, tiny_table: Images) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "theirs.csv")
        path.write_text(content, encoding="utf-8")
        with pytest.raises(TableError):
            outside.read(path, tiny_table)


@pytest.fixture(scope="module")
def tiny_table(images: Images) -> Images:
    return images


def test_classes_of_one_fold_alone_were_not_learnable(
    frame: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    """Fold 1 holds all of PT: its model, trained on the other fold, never saw one."""
    fold = (images.table["tumour_type"] == "PT").astype(int)
    fold += (images.table["slide_id"].str[-1] == "0") & (images.table["tumour_type"] != "PT")
    found = _read(frame.assign(fold=fold), images, tmp_path)
    assert outside.not_estimable(found.predictions) == {("outside", 0, 1): ["PT"]}


@pytest.mark.parametrize("times", [2, 100_000])
def test_repeated_columns_are_refused_at_once(times: int, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(",".join(["image_id", *["y_pred"] * times]) + "\na" + ",B" * times + "\n")
    with pytest.raises(TableError, match=f"column 'y_pred' stands {times} times"):
        named.load(path)


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image_id,y_pred,,\na,B,,\n")
    assert [*named.load(tmp_path / "table.csv")["y_pred"]] == ["B"]


def test_lists_of_training_images(images: Images, tmp_path: Path) -> None:
    names = images.table["path"].map(lambda p: Path(p).name).tolist()[:3]
    (tmp_path / "train.txt").write_text("# ours\n" + "\n".join(names) + "\n\n")
    assert named.read_ids(tmp_path / "train.txt", images) == images.table["image_id"].tolist()[:3]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(TableError, match="names no image"):
        named.read_ids(tmp_path / "empty.txt", images)
