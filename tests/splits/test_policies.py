from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.errors import SplitError
from magnostic.recipe import Data
from magnostic.splits import apply_policies
from magnostic.splits.policies import join


@pytest.fixture
def images(make_images):
    return make_images(
        label=list("AABBBAB"),
        patient_id=["p", "p", "q", "q", "r", "r", "s"],  # r: two labels
        pixel_hash=["x", "x", "y", "z", "u", "v", "y"],  # i0 = i1; i2 = i6
        magnification=[40, 100, 40, 100, 40, 40, 40],
    )


def ids(selection) -> list[int]:
    return [int(i[1:]) for i in selection.table["image_id"]]


def units(selection) -> list[list[int]]:
    return sorted(sorted(g.index.tolist()) for _, g in selection.unit.groupby(selection.unit))


def test_keep(images) -> None:
    selection = apply_policies(images, Data(duplicates="keep", double_labels="keep"))
    assert ids(selection) == list(range(7))
    assert selection.unit.is_unique
    assert selection.dropped == {"duplicates": 0, "double_labels": 0}


def test_together(images) -> None:
    selection = apply_policies(images, Data())
    assert units(selection) == [[0, 1], [2, 6], [3], [4, 5]]
    only_slides = apply_policies(images, Data(duplicates="keep"))
    assert units(only_slides) == [[0], [1], [2], [3], [4, 5], [6]]


def test_drop(images) -> None:
    selection = apply_policies(images, Data(duplicates="drop", double_labels="drop"))
    assert ids(selection) == [0, 2, 3]
    assert selection.table.index.tolist() == [0, 1, 2]
    assert selection.dropped == {"duplicates": 2, "double_labels": 2}


def test_duplicates_that_contradict_are_all_dropped(make_images) -> None:
    images = make_images(label=list("ABAA"), pixel_hash=list("xxyy"))
    selection = apply_policies(images, Data(duplicates="drop"))
    assert ids(selection) == [2]
    assert selection.dropped["duplicates"] == 3


def test_magnifications(images) -> None:
    selection = apply_policies(images, Data(magnifications=(100,)))
    assert ids(selection) == [1, 3]
    with pytest.raises(SplitError, match=r"\[200\]: no image has one of these \(found: \[40, 100"):
        apply_policies(images, Data(magnifications=(200,)))


def test_sources(images) -> None:
    table = images.table.assign(source=["one"] * 3 + ["other"] * 4)
    merged = replace(images, table=table)
    assert ids(apply_policies(merged, Data(sources=("one",)))) == [0, 1, 2]
    with pytest.raises(SplitError, match=r"'third': no image comes from it \(found: one, other"):
        apply_policies(merged, Data(sources=("one", "third")))


def test_nothing_left(make_images) -> None:
    images = make_images(label=list("AB"), pixel_hash=list("xx"))
    with pytest.raises(SplitError, match="drop every image"):
        apply_policies(images, Data(duplicates="drop"))


def test_chains_are_one_unit() -> None:
    one = np.array([0, 0, 1, 2, -1])
    other = np.array([5, 6, 6, -1, -1])
    assert join(one, other).tolist() == [0, 0, 0, 1, 2]


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 5)), min_size=1, max_size=30))
def test_join_is_the_finest_partition_that_parts_no_key(rows) -> None:
    keys = [np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)]
    label = join(*keys)
    for key in keys:
        shared = pd.DataFrame({"key": key, "label": label})[key >= 0]
        assert (shared.groupby("key")["label"].nunique() == 1).all()
    parent = list(range(len(rows)))  # the textbook's union-find

    def root(i: int) -> int:
        return i if parent[i] == i else root(parent[i])

    for i in range(len(rows)):
        for j in range(i):
            if any(key[i] == key[j] >= 0 for key in keys):
                parent[root(i)] = root(j)
    assert len(set(map(root, range(len(rows))))) == len(set(label.tolist()))
