"""Matching rows of several systems: order does not matter, differences are named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from magnostic.errors import BadInput
from magnostic.evaluate.matched import match
from magnostic.evaluate.predictions import Predictions

Draw = Callable[..., Predictions]
Pooled = Callable[..., Predictions]


def _refused(first: Predictions, second: Predictions, *says: str) -> None:
    with pytest.raises(BadInput) as caught:
        match({"one": first, "two": second}, "patient")
    for text in says:
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_and_classes_take_one_order(drawn: Draw) -> None:
    first = drawn(1)
    table = first.table.sample(frac=1, random_state=0).reset_index(drop=True)
    table = table[table.columns[::-1]]
    one, two = match({"one": first, "two": Predictions(table)}, "patient")
    assert two.classes == one.classes == first.classes
    assert (two.table[one.table.columns] == one.table).all(axis=None)


def test_benign_stands_before_malignant(drawn: Draw) -> None:
    table = drawn(1, classes=("malignant", "benign"))
    assert match({"one": table, "two": table}, "patient")[0].classes == ["benign", "malignant"]


def test_only_test_rows_of_the_protocol_count(drawn: Draw, pooled: Pooled) -> None:
    tested = drawn(1)
    val = Predictions(drawn(2).table.assign(part="val"))
    more = pooled(tested, val, drawn(3, protocol="random"))
    assert [len(side.table) for side in match({"one": tested, "two": more}, "patient")] == [60, 60]


def test_ids_come_from_the_table_that_has_them(drawn: Draw) -> None:
    table = drawn(1).table
    bare = Predictions(table.assign(patient_id=None, accession=None))
    for side in match({"bare": bare, "one": Predictions(table)}, "patient"):
        assert side.table["patient_id"].tolist() == table["patient_id"].tolist()
    assert match({"one": bare, "two": bare}, "patient")[0].table["accession"].isna().all()


def test_no_such_protocol(drawn: Draw) -> None:
    _refused(drawn(1), drawn(1, protocol="random"), "two: no test", "it has random", "--protocol")
    none = Predictions(drawn(1).table.assign(part="val"))
    _refused(none, drawn(1), "one: no test", "it has none")


def test_other_images(drawn: Draw) -> None:
    table = drawn(1).table
    fewer = Predictions(table.iloc[5:].reset_index(drop=True))
    _refused(drawn(1), fewer, "two lacks 5 of the 60", "i0000 (repeat 0)", "of one")
    _refused(fewer, drawn(1), "one lacks 5 of the 60", "of two")
    _refused(drawn(1), drawn(1, repeat=1), "two lacks 60 of the 60")


def test_other_labels_classes_and_patients(drawn: Draw) -> None:
    table = drawn(1).table
    other = table.assign(y_true=np.where(table.index == 7, "F", table["y_true"]))
    assert other["y_true"][7] != table["y_true"][7]
    _refused(drawn(1), Predictions(other), "two: 1 images", "i0007", "F instead of")
    _refused(drawn(1), drawn(1, classes=("benign", "malignant")), "--task binary", "A, F, DC, LC")
    moved = table.assign(patient_id=np.where(table.index == 3, "s99", table["patient_id"]))
    _refused(drawn(1), Predictions(moved), "two: patient_id of i0003 is 's99'")


def test_an_image_tested_twice_in_a_repeat(drawn: Draw, pooled: Pooled) -> None:
    again = Predictions(drawn(1).table.iloc[:1].assign(fold=np.int16(9)))
    _refused(drawn(1), pooled(drawn(1), again), "two: image 'i0000' is tested twice in repeat 0")
