"""``write_outside``: another system's predictions judged by the same code, with an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from magnostic.audit import read_audit
from magnostic.data import read_sets
from magnostic.data.images import Images
from magnostic.errors import BadInput
from magnostic.report import write_outside
from magnostic.taxonomy import CODES


@pytest.fixture(scope="module")
def images(tiny_breakhis: Path) -> Images:
    return read_sets([tiny_breakhis])


@pytest.fixture(scope="module")
def theirs(images: Images) -> pd.DataFrame:
    """A softmax that leans to the truth, for each image."""
    truth = pd.Index(CODES).get_indexer(pd.Index(images.table["tumour_type"]))
    logits = np.random.default_rng(5).normal(size=(len(images), len(CODES)))
    logits[np.arange(len(images)), truth] += 1.5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = {f"p_{code}": p[:, k] for k, code in enumerate(CODES)}
    return pd.DataFrame({"image_id": images.table["image_id"], **columns})


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def _found(folder: Path) -> dict[str, set[str]]:
    """Statuses by code."""
    found: dict[str, set[str]] = {}
    for finding in read_audit(folder):
        found.setdefault(finding.code, set()).add(finding.status)
    return found


def test_figures_are_scikit_learns(theirs: pd.DataFrame, images: Images, tmp_path: Path) -> None:
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    page = write_outside(tmp_path / "theirs.csv", images, tmp_path / "out")
    overall = _json(tmp_path / "out/metrics.json")["protocols"]["outside"]["overall"]
    p = theirs[[f"p_{c}" for c in CODES]].to_numpy()
    y, said = images.table["tumour_type"], np.asarray(CODES)[p.argmax(axis=1)]
    index = pd.Index(CODES).get_indexer(pd.Index(y))
    assert overall["accuracy"]["estimate"] == pytest.approx(accuracy_score(y, said))
    assert overall["macro_f1"]["estimate"] == pytest.approx(f1_score(y, said, average="macro"))
    loss = log_loss(index, p, labels=range(len(CODES)))
    assert overall["log_loss"]["estimate"] == pytest.approx(loss, abs=1e-5)
    text = page.read_text(encoding="utf-8")
    assert "made elsewhere; predictions of theirs.csv" in text
    assert 'id="checklists"' in text
    assert 'id="training"' not in text
    assert str(tmp_path) not in text
    assert _found(tmp_path / "out")["MG001"] == {"tip"}  # nobody said what it was trained on


def test_classes_alone_have_no_figures_of_probabilities(
    theirs: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    said = np.asarray(CODES)[theirs[[f"p_{c}" for c in CODES]].to_numpy().argmax(axis=1)]
    decided = pd.DataFrame({"image_id": theirs["image_id"], "y_pred": said})
    decided.to_parquet(tmp_path / "theirs.parquet")
    write_outside(tmp_path / "theirs.parquet", images, tmp_path / "out")
    result = _json(tmp_path / "out/metrics.json")["protocols"]["outside"]
    assert result["overall"]["accuracy"]["estimate"] == pytest.approx(
        accuracy_score(images.table["tumour_type"], said)
    )
    assert result["overall"]["log_loss"]["estimate"] is None
    assert "no probabilities" in result["overall"]["macro_auc"]["reason"]
    assert "probabilities" not in result


def test_training_images_that_were_named_are_held_against_the_test(
    theirs: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    """One image of each slide was trained on and the other tested; then whole slides apart."""
    table = images.table
    second = table["slide_id"].duplicated()
    theirs[second.to_numpy()].to_csv(tmp_path / "theirs.csv", index=False)
    train = tmp_path / "train.txt"
    train.write_text("\n".join(table.loc[~second, "image_id"]))
    write_outside(tmp_path / "theirs.csv", images, tmp_path / "shared", trained_on=train)
    assert _found(tmp_path / "shared")["MG001"] == {"issue"}
    assert _found(tmp_path / "shared")["MG009"] == {"tip"}

    held = table["slide_id"].str[-1] == "0"
    theirs[held.to_numpy()].to_csv(tmp_path / "theirs.csv", index=False)
    train.write_text("\n".join(table.loc[~held, "image_id"]))
    write_outside(tmp_path / "theirs.csv", images, tmp_path / "apart", trained_on=train)
    assert _found(tmp_path / "apart")["MG001"] == {"passed"}

    train.write_text("\n".join(table["image_id"]))  # the tested images themselves
    write_outside(tmp_path / "theirs.csv", images, tmp_path / "same", trained_on=train)
    assert "issue" in _found(tmp_path / "same")["MG002"]


def test_folds_that_split_a_patient_are_found(
    theirs: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    by_slide = images.table["slide_id"].str[-1].astype(int)
    for name, fold in (("slides", by_slide), ("images", np.arange(len(images)) % 2)):
        theirs.assign(fold=fold).to_csv(tmp_path / f"{name}.csv", index=False)
        write_outside(tmp_path / f"{name}.csv", images, tmp_path / name)
    assert _found(tmp_path / "slides")["MG001"] == {"passed"}
    assert _found(tmp_path / "images")["MG001"] == {"issue"}


def test_some_images_scored_more_often(
    theirs: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    again = pd.concat([theirs.assign(fold=0), theirs.iloc[:5].assign(fold=1)])
    again.to_csv(tmp_path / "theirs.csv", index=False)
    write_outside(tmp_path / "theirs.csv", images, tmp_path / "out")
    (finding,) = [f for f in read_audit(tmp_path / "out") if f.code == "MG009"]
    assert finding.status == "issue"
    assert set(finding.ids) == set(theirs["image_id"].iloc[:5])


def test_only_its_own_folder_is_written_again(
    theirs: pd.DataFrame, images: Images, tmp_path: Path
) -> None:
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    for _ in range(2):
        write_outside(tmp_path / "theirs.csv", images, tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists and is not such a report"):
        write_outside(tmp_path / "theirs.csv", images, other)
    assert [p.name for p in other.iterdir()] == ["thesis.txt"]
