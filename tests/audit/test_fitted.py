import pytest

from magnostic.audit.fitted import (
    beats_majority,
    fitted_apart,
    fitted_hash,
    selection_apart,
    statistics_of_train,
)
from magnostic.evaluate.predictions import Predictions

SCOPE = "patient/r0f0"
TRAIN = [f"i{i:02d}" for i in range(8)]
VAL = ["i08", "i09", "i10", "i11"]


def test_nothing_wrong(images, make_parts) -> None:
    parts = make_parts()
    told = {
        "weights": {"ids": TRAIN, "sha256": fitted_hash(images.table, TRAIN)},
        "statistics": {"ids": TRAIN},
        "selection": {"ids": VAL},
        "calibration": None,
        "thresholds": None,
    }
    assert fitted_apart(told, parts, images.table, SCOPE).status == "passed"
    assert selection_apart(told, parts, SCOPE).status == "passed"
    assert statistics_of_train(told, parts, SCOPE).status == "passed"


def test_mg002_weights_fitted_on_the_test_part(images, make_parts) -> None:
    told = {"weights": {"ids": [*TRAIN, "i14"]}}
    found = fitted_apart(told, make_parts(), images.table, SCOPE)
    assert (found.code, found.status, found.ids) == ("MG002", "issue", ("i14",))


def test_mg002_copies_of_a_photograph_in_validation(images, make_parts) -> None:
    told = {"weights": {"ids": TRAIN}, "selection": {"ids": ["i00", "i08"]}}
    found = fitted_apart(told, make_parts(), images.table, SCOPE)
    assert (found.status, found.ids) == ("issue", ("i00",))
    assert "balance.when to after-val" in found.message


def test_mg002_fitted_on_other_pixels(images, make_parts) -> None:
    told = {"weights": {"ids": TRAIN, "sha256": fitted_hash(images.table, TRAIN)}}
    table = images.table.copy()
    table.loc[0, "pixel_hash"] = "repainted"
    found = fitted_apart(told, make_parts(), table, SCOPE)
    assert found.status == "issue"
    assert "other pixels" in found.message
    unknown = fitted_apart(told, make_parts(), table.assign(pixel_hash=None), SCOPE)
    assert unknown.status == "passed"


def test_mg002_of_an_earlier_version_is_not_told(images, make_parts) -> None:
    told = {"weights": {"ids": TRAIN, "sha256": "of another hash"}}
    found = fitted_apart(told, make_parts(), images.table, SCOPE, hashed="None")
    assert found.status == "tip"
    assert "earlier version" in found.message
    unknown = images.table.assign(pixel_hash=None)
    assert fitted_apart(told, make_parts(), unknown, SCOPE, hashed="None").status == "passed"


@pytest.mark.parametrize("name", ["selection", "calibration", "thresholds"])
def test_mg006_chosen_on_the_test_part(make_parts, name) -> None:
    found = selection_apart({name: {"ids": ["i08", "i13", "i12"]}}, make_parts(), SCOPE)
    assert (found.code, found.status, found.ids) == ("MG006", "issue", ("i12", "i13"))
    assert name in found.message or "choice of weights" in found.message


@pytest.mark.parametrize("beyond, status", [("i08", "tip"), ("i12", "issue")])
def test_mg008_statistics_of_more_than_training(make_parts, beyond, status) -> None:
    found = statistics_of_train({"statistics": {"ids": [*TRAIN, beyond]}}, make_parts(), SCOPE)
    assert (found.code, found.status, found.ids) == ("MG008", status, (beyond,))


@pytest.mark.parametrize("wrong, status", [(0, "passed"), (1, "passed"), (2, "issue")])
def test_mg007_no_better_than_the_majority(make_parts, write_run, wrong, status) -> None:
    folder = write_run(make_parts(), wrong=wrong)
    found = beats_majority(Predictions.read(folder / "predictions.parquet"), SCOPE)
    assert (found.code, found.status) == ("MG007", status)
    if status == "issue":
        assert "accuracy is 0.500, and answering benign always gives 0.500" in found.message


def test_mg007_without_test_predictions(make_parts, write_run) -> None:
    folder = write_run(make_parts())
    val = Predictions.read(folder / "predictions.parquet").where(part="val")
    assert beats_majority(val, SCOPE).status == "tip"
