"""Curves of figures against severity: against plain counting, and what the table must hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

from magnostic.errors import TableError
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.robustness import Shifted, summarize

CLASSES = ["a", "b", "c"]
ABOUT = {"blur": {"title": "Blur", "strongest": "much"}}


def _predictions(seed: int, skill: float, patients: int = 12, each: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = patients * each
    truth = np.repeat(np.arange(patients) % 3, each)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), truth] += skill
    p = np.exp(logits)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    names = np.array(CLASSES, dtype=object)
    patient = [f"p{i:02d}" for i in np.repeat(np.arange(patients), each)]
    frame = pd.DataFrame(
        {
            "image_id": [f"i{i:03d}" for i in range(n)],
            "slide_id": patient, "patient_id": patient, "accession": patient,
            "magnification": pd.array([40] * n, dtype="Int16"), "protocol": "patient",
            "repeat": 0, "fold": np.repeat(np.arange(patients) % 4, each), "part": "test",
            "y_true": names[truth], "y_pred": names[p.argmax(axis=1)],
        }
    )  # fmt: skip
    return frame.assign(**{f"p_{c}": p[:, k] for k, c in enumerate(CLASSES)})


def _shifted(*skills: tuple[float, float], seed: int = 1) -> Shifted:
    frames = [_predictions(seed, s).assign(shift="blur", severity=v) for v, s in skills]
    return Shifted(pd.concat(frames, ignore_index=True).astype({"severity": "float32"}))


def test_figures_and_falls_are_plain_differences() -> None:
    own, table = Predictions(_predictions(0, 3.0)), _shifted((0.1, 2.0), (1.0, 0.2))
    found = summarize(own, table, ABOUT, Sampling(200, 0.95, 0))
    assert found["severities"] == [0.1, 1.0]
    assert found["shifts"] == ABOUT
    result = found["protocols"]["patient"]
    assert (result["n_images"], result["n_clusters"]) == (72, 12)
    y = own.table["y_true"]
    mine = accuracy_score(y, own.table["y_pred"]), f1_score(y, own.table["y_pred"], average="macro")
    for at in result["curves"]["blur"]:
        predicted = table.at("blur", at["severity"]).table["y_pred"]
        theirs = accuracy_score(y, predicted), f1_score(y, predicted, average="macro")
        for k, figure in enumerate(("accuracy", "macro_f1")):
            assert at[figure]["estimate"] == pytest.approx(theirs[k])
            assert at["fall"][figure]["estimate"] == pytest.approx(100 * (mine[k] - theirs[k]))
            assert at["fall"][figure]["low"] <= at["fall"][figure]["estimate"]
            assert at["fall"][figure]["estimate"] <= at["fall"][figure]["high"]


def test_the_same_patients_are_drawn_for_both_sides() -> None:
    """A shift that changes nothing falls by nothing in every resample."""
    own = Predictions(_predictions(0, 1.0))
    table = _shifted((1.0, 1.0), seed=0)
    falls = summarize(own, table, ABOUT, Sampling(100, 0.95, 0))["protocols"]["patient"]
    fall = falls["curves"]["blur"][0]["fall"]["accuracy"]
    assert (fall["estimate"], fall["low"], fall["high"]) == (0, 0, 0)
    assert falls["own"]["accuracy"]["low"] < falls["own"]["accuracy"]["high"]


def test_the_order_of_rows_does_not_matter() -> None:
    own, table = Predictions(_predictions(0, 3.0)), _shifted((0.5, 2.0))
    mixed = Shifted(table.table.sample(frac=1, random_state=3).reset_index(drop=True))
    sampling = Sampling(50, 0.95, 0)
    assert summarize(own, mixed, ABOUT, sampling) == summarize(own, table, ABOUT, sampling)


def test_missing_images_are_told() -> None:
    own, table = Predictions(_predictions(0, 3.0)), _shifted((0.5, 2.0))
    with pytest.raises(TableError, match=r"blur at severity 0\.5 has not the test images"):
        summarize(own, Shifted(table.table.iloc[1:]), ABOUT, Sampling(0))


def test_severities_lie_above_zero(tmp_path: Path) -> None:
    table = _shifted((0.5, 2.0))
    for bad in (0.0, 1.5):
        with pytest.raises(TableError, match="severities are above 0 and at most 1"):
            Shifted(table.table.assign(severity=np.float32(bad)))
    table.write(tmp_path / "robustness.parquet")
    again = Shifted.read(tmp_path / "robustness.parquet")
    assert again.at("blur", 0.5).table.shape == table.at("blur", 0.5).table.shape
    with pytest.raises(TableError, match="'shift' is missing"):
        Shifted(table.table.drop(columns="shift"))
