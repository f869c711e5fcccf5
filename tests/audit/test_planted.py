"""Cheats planted in a finished run: each is found from its tables and fitted_on.json alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magnostic import recipe_file, splits
from magnostic.audit import audit_run
from magnostic.data import Images, read_images
from magnostic.errors import LeakError
from magnostic.evaluate.calibration import fit_temperature
from magnostic.evaluate.collapse import collapse
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.probabilities import fit_for_use
from magnostic.evaluate.thresholds import lock
from magnostic.files import read_json, write_json
from magnostic.splits.table import Parts
from magnostic.train.run import run

CHILD = "patient/r0f0"
PROBE = Path(__file__).parents[1] / "conf" / "probe-lite0.yaml"


@pytest.fixture(scope="module")
def images(tiny_breakhis: Path, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Eight types of three slides; a photograph of one A slide stands under another as well."""
    root = tmp_path_factory.mktemp("twins") / "BreaKHis_v1"
    shutil.copytree(tiny_breakhis, root)
    first = next(root.rglob("*_A-14-1000-40-001.png"))
    twin = next(root.rglob("*_A-14-1001-40-001.png"))
    shutil.copyfile(first, twin)
    return read_images(root)


@pytest.fixture(scope="module")
def honest(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two folds, whose probe chooses among two strengths on validation patients."""
    changes = ("--split.protocols", "patient", "--split.val-fraction", "0.3",
               "--train.c", "0.01,1.0", "--data.duplicates", "together",
               "--evaluate.resamples", "0")  # fmt: skip
    recipe = recipe_file.load(PROBE, changes)
    with pytest.MonkeyPatch.context() as patch:  # the report, most of a tiny run, is not looked at
        patch.setattr("magnostic.train.run.write_report", lambda _: None)
        return run(recipe, images, tmp_path_factory.mktemp("run") / "honest")


@pytest.fixture
def cheat(honest: Path, tmp_path: Path) -> Path:
    """A copy to plant a cheat in."""
    return Path(shutil.copytree(honest, tmp_path / "cheat"))


def found(folder: Path, images: Images) -> dict[str, tuple[str, ...]]:
    """Ids of the issues by code, but for classes that so few patients cannot bear (MG005)."""
    issues = [f for f in audit_run(folder, images) if f.status == "issue"]
    # MG007: the tiny run is no better than chance and need not be.
    return {f.code: f.ids for f in issues if f.code not in ("MG005", "MG007")}


def move(child: Path, chosen: pd.Series, part: str) -> None:
    """Put images of a child's split into another part; its predictions stay as they are."""
    parts = Parts.read(child)
    table = parts.table.copy()
    table.loc[chosen.to_numpy(), "part"] = part
    Parts(table, parts.provenance).write(child)


def ids(child: Path, part: str) -> list[str]:
    return list(Parts.read(child).ids(part))


def fit_on(child: Path, what: str, image_ids: list[str]) -> None:
    """Say in fitted_on.json what a cheat would truly have been fitted on."""
    told = read_json(child / "fitted_on.json")
    write_json(child / "fitted_on.json", {**told, what: {"ids": sorted(image_ids)}})


def test_an_honest_run_has_no_issue(honest: Path, images: Images) -> None:
    assert found(honest, images) == {}


def test_a_split_file_edited_to_share_a_patient(cheat: Path, images: Images) -> None:
    child = cheat / CHILD
    table = Parts.read(child).table
    patient = table["image_id"].map(images.table.set_index("image_id")["patient_id"])
    shared = patient[table["part"] == "test"].iloc[0]
    one = (patient == shared) & (table["part"] == "test")
    one &= one.cumsum() == 1
    move(child, one, "train")
    issues = found(cheat, images)
    assert issues["MG001"] == (shared,)
    with pytest.raises(LeakError, match=shared):
        splits.read_parts(child, images)


def test_duplicates_moved_across(cheat: Path, images: Images) -> None:
    """A whole patient changes sides, so that no patient is shared, but pixels are."""
    known = images.table.set_index("image_id")
    twins = images.table[images.table["pixel_hash"].duplicated(keep=False)]
    assert len(twins) == 2
    child = cheat / next(
        f"patient/r0f{fold}"
        for fold in (0, 1)
        if set(ids(cheat / f"patient/r0f{fold}", "test")) >= set(twins["image_id"])
    )
    table = Parts.read(child).table
    moved = table["image_id"].map(known["patient_id"]) == twins["patient_id"].iloc[0]
    move(child, moved, "train")
    issues = found(cheat, images)
    assert issues["MG002"] == tuple(sorted(twins["image_id"]))
    assert "MG001" not in issues


def test_statistics_fitted_on_test(cheat: Path, images: Images) -> None:
    child = cheat / CHILD
    fit_on(child, "statistics", [*ids(child, "train"), *ids(child, "test")])
    assert found(cheat, images) == {"MG008": tuple(sorted(ids(child, "test")))}


@pytest.mark.parametrize("what", ["thresholds", "calibration", "selection"])
def test_threshold_temperature_or_model_chosen_on_test(
    cheat: Path, images: Images, what: str
) -> None:
    child = cheat / CHILD
    assert set(read_json(child / "fitted_on.json")["selection"]["ids"]) == set(ids(child, "val"))
    fit_on(child, what, ids(child, "test"))
    assert found(cheat, images) == {"MG006": tuple(sorted(ids(child, "test")))}


def test_a_temperature_fitted_on_test_without_a_word(cheat: Path, images: Images) -> None:
    """Each fold's temperature from the images that it is applied to; what is declared stays."""
    metrics = read_json(cheat / "metrics.json")
    stated = metrics["protocols"]["patient"]["probabilities"]
    tested = Predictions.read(cheat / "predictions.parquet").where(part="test")
    own = [tested.where(fold=fold) for fold in (0, 1)]
    stated["temperatures"][1] = fit_temperature(own[1].probabilities, own[1].true_index)
    write_json(cheat / "metrics.json", metrics)
    assert found(cheat, images) == {"MG006": tuple(sorted(own[1].table["image_id"]))}


def test_a_threshold_fitted_on_test_without_a_word(cheat: Path, images: Images) -> None:
    metrics = read_json(cheat / "metrics.json")
    points = metrics["protocols"]["patient"]["probabilities"]["binary"]["points"]
    tested = Predictions.read(cheat / "predictions.parquet").where(part="test", fold=0)
    sums = collapse(tested)
    own = lock("youden", sums.probabilities[:, 1], sums.true_index == 1)
    youden = next(point for point in points if point["point"] == "youden")
    assert youden["thresholds"][0] != own
    youden["thresholds"][0] = own
    write_json(cheat / "metrics.json", metrics)
    assert found(cheat, images) == {"MG006": tuple(sorted(tested.table["image_id"]))}


@pytest.mark.parametrize("rule", ["temperature", "thresholds", "abstention", "conformal"])
def test_a_rule_for_use_fitted_on_test_without_a_word(
    cheat: Path, images: Images, rule: str
) -> None:
    """A single run has validation images to fit on; one rule is that of the test images."""
    child = cheat / CHILD
    predictions = Predictions.read(child / "predictions.parquet")
    honest, swapped = (
        fit_for_use(Predictions(predictions.table.assign(part=predictions.table["part"].map(of))),
                    "patient")
        for of in ({"val": "val", "test": "test"}, {"val": "test", "test": "val"})
    )  # fmt: skip
    assert honest is not None
    assert swapped is not None
    write_json(child / "calibration.json", honest)
    assert "MG006" not in found(child, images)
    assert honest[rule] != swapped[rule]
    write_json(child / "calibration.json", {**honest, rule: swapped[rule]})
    assert found(child, images)["MG006"] == tuple(ids(child, "test"))


def test_a_rule_from_nowhere_and_images_left_out(cheat: Path, images: Images) -> None:
    stored = read_json(cheat / "calibration.json")
    write_json(cheat / "calibration.json", {**stored, "temperature": stored["temperature"] * 0.9})
    assert found(cheat, images) == {"MG006": ()}
    write_json(cheat / "calibration.json", {**stored, "fitted_on": stored["fitted_on"][1:]})
    (told,) = [f.message for f in audit_run(cheat, images) if f.code == "MG006"]
    assert "names other images than the out-of-fold ones" in told


def test_weights_fitted_on_test(cheat: Path, images: Images) -> None:
    child = cheat / CHILD
    fit_on(child, "weights", [*ids(child, "train"), ids(child, "test")[0]])
    assert found(cheat, images) == {"MG002": (ids(child, "test")[0],)}


def rewrite(folder: Path, table: pd.DataFrame) -> None:
    Predictions(table.reset_index(drop=True)).write(folder / "predictions.parquet")


def test_predictions_without_a_patient(cheat: Path, images: Images) -> None:
    table = Predictions.read(cheat / "predictions.parquet").table
    tested = table[table["part"] == "test"]
    hardest = tested.groupby("patient_id")["y_true"].count().index[0]
    rewrite(cheat, table[~((table["patient_id"] == hardest) & (table["part"] == "test"))])
    missing = tested.loc[tested["patient_id"] == hardest, "image_id"]
    assert found(cheat, images) == {"MG009": tuple(sorted(missing))}


def test_a_patient_taken_out_of_split_and_predictions_alike(cheat: Path, images: Images) -> None:
    """The fold's own files then agree; the run's table of folds still tells."""
    child = cheat / CHILD
    parts = Parts.read(child)
    gone = parts.table["image_id"].map(images.table.set_index("image_id")["patient_id"])
    gone = gone == gone[parts.table["part"] == "test"].iloc[0]
    missing = parts.table.loc[gone & (parts.table["part"] == "test"), "image_id"]
    Parts(parts.table[~gone].reset_index(drop=True), parts.provenance).write(child)
    for folder in (cheat, child):
        table = Predictions.read(folder / "predictions.parquet").table
        here = (table["fold"] == 0) & table["image_id"].isin(missing)
        rewrite(folder, table[~here])
    assert found(cheat, images) == {"MG009": tuple(sorted(missing))}


def test_training_images_scored_as_test(cheat: Path, images: Images) -> None:
    table = Predictions.read(cheat / "predictions.parquet").table
    tested = set(table.loc[(table["part"] == "test") & (table["fold"] == 0), "image_id"])
    easy = table[(table["fold"] == 0) & (table["part"] == "val")]
    assert not tested & set(easy["image_id"])
    rewrite(cheat, pd.concat([table, easy.assign(part="test")]))
    assert found(cheat, images) == {"MG009": tuple(sorted(easy["image_id"]))}


def test_truth_bent_to_the_prediction(cheat: Path, images: Images) -> None:
    table = Predictions.read(cheat / "predictions.parquet").table
    wrong = np.flatnonzero((table["y_true"] != table["y_pred"]) & (table["part"] == "test"))[:1]
    bent = table["y_true"].astype(object)
    bent.iloc[wrong] = table["y_pred"].iloc[wrong]
    rewrite(cheat, table.assign(y_true=bent.astype("str")))
    assert found(cheat, images) == {"MG009": tuple(table["image_id"].iloc[wrong])}


def test_a_predicted_class_bent_to_the_truth(cheat: Path, images: Images) -> None:
    table = Predictions.read(cheat / "predictions.parquet").table
    wrong = ((table["y_true"] != table["y_pred"]) & (table["part"] == "test")).to_numpy()
    rewrite(cheat, table.assign(y_pred=table["y_pred"].mask(wrong, table["y_true"])))
    issues = [f for f in audit_run(cheat, images) if f.code == "MG009" and f.status == "issue"]
    assert set(table.loc[wrong, "image_id"]) == {i for f in issues for i in f.ids}


@pytest.mark.parametrize("column", ["slide_id", "patient_id", "accession"])
def test_images_counted_as_other_patients(cheat: Path, images: Images, column: str) -> None:
    table = Predictions.read(cheat / "predictions.parquet").table
    one = ((table["part"] == "test").to_numpy()).nonzero()[0][:1]
    bent = table[column].astype(object)
    bent.iloc[one] = "another"
    rewrite(cheat, table.assign(**{column: bent.astype("str")}))
    assert found(cheat, images)["MG009"] == tuple(table["image_id"].iloc[one])


@pytest.mark.parametrize("figure", ["accuracy", "macro_f1"])
def test_a_figure_that_was_typed_in(cheat: Path, images: Images, figure: str) -> None:
    metrics = read_json(cheat / "metrics.json")
    metrics["protocols"]["patient"]["overall"][figure]["estimate"] += 0.01
    write_json(cheat / "metrics.json", metrics)
    assert found(cheat, images) == {"MG009": ()}
    (told,) = [
        f.message for f in audit_run(cheat, images) if f.status == "issue" and f.code == "MG009"
    ]
    assert f"states other figures than its predictions have: {figure} " in told
