"""Filters and orders of single predictions, against pandas on the predictions table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magnostic.browse import cases, looking
from magnostic.browse.browser import Browser
from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions


@pytest.fixture(scope="module")
def table(site: Path) -> pd.DataFrame:
    return pd.read_parquet(site / "good/predictions.parquet")


def _key(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame[["image_id", "protocol", "repeat", "fold"]].itertuples(index=False))


def _asked(table: pd.DataFrame, **given: str) -> pd.DataFrame:
    predictions = Predictions(table)
    return cases.select(predictions, cases.query(given, cases.choices(predictions)))


@pytest.mark.parametrize(
    ("given", "pandas"),
    [
        ({}, "protocol == 'patient' and y_true != y_pred"),
        ({"protocol": "random"}, "protocol == 'random' and y_true != y_pred"),
        ({"show": "right"}, "protocol == 'patient' and y_true == y_pred"),
        ({"show": "all"}, "protocol == 'patient'"),
        ({"true": "DC"}, "protocol == 'patient' and y_true == 'DC' != y_pred"),
        ({"true": "DC", "predicted": "DC", "show": "all"},
         "protocol == 'patient' and y_true == 'DC' and y_pred == 'DC'"),
        ({"predicted": "LC"}, "protocol == 'patient' and y_pred == 'LC' != y_true"),
        ({"magnification": "40", "protocol": "accession"},
         "protocol == 'accession' and magnification == 40 and y_true != y_pred"),
        ({"patient": "14-1000", "show": "all"},
         "protocol == 'patient' and patient_id == '14-1000'"),
        ({"fold": "1", "part": "test"},
         "protocol == 'patient' and fold == 1 and part == 'test' and y_true != y_pred"),
    ],
)  # fmt: skip
def test_filters_keep_what_pandas_keeps(
    table: pd.DataFrame, given: dict[str, str], pandas: str
) -> None:
    kept = _asked(table, **given)
    assert len(kept) > 0
    assert sorted(_key(kept)) == sorted(_key(table.query(pandas)))


def test_confident_errors_come_first(table: pd.DataFrame) -> None:
    p = table[[c for c in table if c.startswith("p_")]].max(axis=1)
    wrong = (table["protocol"] == "patient") & (table["y_true"] != table["y_pred"])
    expected = p[wrong].sort_values(ascending=False).to_numpy()
    assert np.array_equal(_asked(table)["p_of_predicted"].to_numpy(), expected)


def test_other_orders(table: pd.DataFrame) -> None:
    close = _asked(table, order="close")
    true = [row[f"p_{row['y_true']}"] for _, row in close.iterrows()]
    assert np.allclose(close["p_of_true"], true)
    assert (np.diff(close["p_of_predicted"] - close["p_of_true"]) >= 0).all()
    assert _asked(table, order="patient")["patient_id"].is_monotonic_increasing
    assert _asked(table, order="image")["image_id"].is_monotonic_increasing


def test_missing_magnifications_and_patients_can_be_looked_at(table: pd.DataFrame) -> None:
    bare = table.assign(patient_id=None, slide_id=None)
    bare["magnification"] = bare["magnification"].astype("Int16")
    bare.loc[bare.index[:40], "magnification"] = pd.NA
    known = cases.choices(Predictions(bare)).values
    assert known["magnification"] == ["40", "400", "unknown"]
    assert known["patient"] == []
    kept = _asked(bare, magnification="unknown", protocol="random", show="all")
    assert len(kept) == 40


def test_a_value_that_the_run_does_not_have_is_refused(table: pd.DataFrame) -> None:
    for field, value in (("true", "XX"), ("protocol", "acession"), ("order", "no"), ("fold", "9")):
        with pytest.raises(BadInput, match=field):
            _asked(table, **{field: value})
    with pytest.raises(BadInput, match="did you mean 'accession'"):
        _asked(table, protocol="acession")
    assert cases.query({"page": "-3"}, cases.choices(Predictions(table))).page == 1


def test_addresses_lead_back_to_the_same_query(table: pd.DataFrame) -> None:
    from urllib.parse import parse_qsl

    known = cases.choices(Predictions(table))
    asked = cases.query({"true": "DC", "patient": "14-1000", "page": "3", "order": "close"}, known)
    assert cases.query(dict(parse_qsl(asked.address())), known) == asked
    assert "page" not in asked.address(true="")


def test_pages_of_sixty_hold_every_error_once(browser: Browser, table: pd.DataFrame) -> None:
    wrong = table.query("protocol == 'patient' and y_true != y_pred")
    assert 60 < len(wrong) <= 120
    pages = [looking.errors(browser, "site~good", {"page": n}) for n in ("1", "2", "99")]
    assert [len(p["cases"]) for p in pages] == [60, len(wrong) - 60, len(wrong) - 60]
    seen = [(c["image_id"], c["repeat"], c["fold"]) for p in pages[:2] for c in p["cases"]]
    assert sorted(seen) == sorted(
        wrong[["image_id", "repeat", "fold"]].itertuples(index=False, name=None)
    )


def test_the_matrix_is_pandas_crosstab(browser: Browser, table: pd.DataFrame) -> None:
    shown = looking.errors(browser, "site~good", {"true": "DC", "magnification": "400"})["matrix"]
    side = table.query("protocol == 'patient' and magnification == 400")
    expected = pd.crosstab(side["y_true"], side["y_pred"])
    for truth, row in shown:
        for (pred, _), n in zip(shown, row, strict=True):
            there = truth in expected.index and pred in expected.columns
            assert n == (expected.loc[truth, pred] if there else 0)


def test_bars_always_hold_the_true_class(table: pd.DataFrame) -> None:
    classes = Predictions(table).classes
    for _, row in table.head(200).iterrows():
        shown = dict(cases.bars(row, classes, 3))
        assert len(shown) == 3
        assert row["y_true"] in shown
        assert row["y_pred"] in shown


def test_parts_of_a_model_are_told_apart(browser: Browser) -> None:
    shown = looking.errors(browser, "site~good~patient~r0f0", {"part": "val", "show": "all"})
    assert {c["part"] for c in shown["cases"]} == {"val"}
    assert len(shown["cases"]) == 24


def test_patients_are_scored_as_the_metrics_score_them(browser: Browser, site: Path) -> None:
    import json

    metrics = json.loads((site / "good/metrics.json").read_text())
    expected = metrics["protocols"]["patient"]["patients"]["scores"]
    shown = looking.patients(browser, "site~good", "patient", "score")["rows"]
    scores = [r["score"] for r in shown]
    assert scores == sorted(scores)
    assert {(r["patient_id"], r["label"]): r["score"] for r in shown} == {
        (r["patient_id"], r["label"]): pytest.approx(r["score"]) for r in expected
    }
