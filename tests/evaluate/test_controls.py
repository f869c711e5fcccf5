"""Negative controls on made-up features whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from magnostic.evaluate import controls
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.controls import Fold, Material
from magnostic.evaluate.plain_probe import fit_predict

CLASSES = ["A", "DC", "F"]
Features = np.ndarray


def folds_of(protocol: str, group: np.ndarray, n: int) -> list[Fold]:
    held = group % n
    return [
        Fold(protocol, k, np.flatnonzero(held != k), np.flatnonzero(held == k)) for k in range(n)
    ]


@pytest.fixture(scope="module")
def made() -> Callable[..., Material]:
    """Twelve slides of sixteen images; features of a slide's own and of the class's own."""

    def make(of_slide: float, of_class: float, colour_of_slide: float = 0.0) -> Material:
        rng = np.random.default_rng(5)
        slide = np.repeat(np.arange(12), 16)
        y = slide % 3
        random = rng.permutation(len(slide))

        def vectors(own: float, shared: float) -> Features:
            x = rng.normal(size=(len(slide), 10))
            x += own * rng.normal(size=(12, 10))[slide] + shared * rng.normal(size=(3, 10))[y]
            return x.astype(np.float32)

        names = [f"s{s:02d}" for s in slide]
        table = pd.DataFrame(
            {
                "image_id": [f"i{k:03d}" for k in range(len(slide))],
                "slide_id": names,
                "patient_id": names,
                "accession": names,
                "magnification": pd.array([40] * len(slide), dtype="Int16"),
            }
        )
        folds = [*folds_of("random", random, 4), *folds_of("patient", slide // 3, 4)]
        return Material(
            table, CLASSES, y, vectors(colour_of_slide, 0), vectors(of_slide, of_class), folds,
            Sampling(100, 0.95, 0), balanced=False,
        )  # fmt: skip

    return make


def estimate(metric: dict[str, float]) -> float:
    return metric["estimate"]


def test_slides_alone_make_a_gap_that_equal_training_parts_keep(made) -> None:
    found = controls.measure(made(of_slide=3, of_class=0, colour_of_slide=3))
    gap = found["equal"]["gap"]["patient"]["accuracy"]
    assert gap["low"] > 0
    assert gap["random"] > 0.8
    assert found["colour"]["gap"]["patient"]["accuracy"]["low"] > 0
    assert estimate(found["slides"]["features"]) > 0.95
    assert estimate(found["slides"]["colour"]) > 0.95
    assert found["slides"]["chance"] < 0.15
    assert estimate(found["neighbours"]["features"]["random"]["slide"]) > 0.95
    assert estimate(found["neighbours"]["features"]["patient"]["slide"]) == 0


def test_without_anything_of_a_slide_there_is_no_gap(made) -> None:
    found = controls.measure(made(of_slide=0, of_class=2))
    gap = found["equal"]["gap"]["patient"]["accuracy"]
    assert gap["low"] <= 0 <= gap["high"] or abs(gap["estimate"]) < 3
    assert gap["grouped"] > 0.9
    assert abs(estimate(found["colour"]["protocols"]["random"]["accuracy"]) - 1 / 3) < 0.12
    slides = found["slides"]
    assert slides["colour"]["low"] < 1 / 12 + 0.05
    near = found["neighbours"]["features"]["random"]["slide"]
    assert near["low"] <= near["chance_in_class"] <= near["high"]


def test_a_class_that_a_fold_cannot_train_is_left_out_on_both_sides(made) -> None:
    material = made(of_slide=1, of_class=1)
    rare = np.where(np.arange(192) < 16, 0, material.y)
    rare[(rare == 0) & (np.arange(192) >= 16)] = 1  # class A stands in the first slide alone
    found = controls.measure(replace(material, y=rare))
    equal = found["equal"]
    assert equal["left_out"] == ["A"]
    assert equal["n_images"] == 192 - 16
    counts = np.stack([np.bincount(rare[f.train], minlength=3) for f in material.folds])
    assert equal["per_class"] == {"DC": counts[:, 1].min(), "F": counts[:, 2].min()}
    assert equal["n_train"] == counts[:, 1:].min(axis=0).sum()
    by_patient = found["colour"]["protocols"]["patient"]
    assert by_patient["estimable"]["n"] == 192 - 16
    assert found["colour"]["protocols"]["random"]["estimable"] is None
    two = replace(material, y=np.where(np.arange(192) < 16, 0, 1), classes=["A", "DC"])
    assert "fewer than two classes" in controls.measure(two)["equal"]["reason"]


def test_every_training_part_has_its_classes_numbers(made) -> None:
    material = made(of_slide=1, of_class=1)
    for fold in material.folds:
        drawn = [controls._draw(material, fold, k, {0: 5, 2: 7}) for k in (0, 0, 1)]
        assert np.bincount(material.y[drawn[0]], minlength=3).tolist() == [5, 0, 7]
        assert len(set(drawn[0])) == 12
        assert set(drawn[0]) <= set(fold.train)
        assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


def test_colours_alone_are_scored_as_scikit_learn_does(made) -> None:
    material = made(of_slide=1, of_class=1, colour_of_slide=0.5)
    found = controls.measure(material)["colour"]["protocols"]["patient"]
    true, predicted = [], []
    for fold in material.folds:
        if fold.protocol == "patient":
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
            model.fit(material.colours[fold.train], material.y[fold.train])
            true += material.y[fold.test].tolist()
            predicted += model.predict(material.colours[fold.test]).tolist()
    assert estimate(found["accuracy"]) == pytest.approx(accuracy_score(true, predicted))
    assert estimate(found["macro_f1"]) == pytest.approx(f1_score(true, predicted, average="macro"))


def test_slides_that_no_training_part_holds_are_counted_apart(made) -> None:
    material = made(of_slide=1, of_class=1)
    table = material.table.copy()
    table.loc[:1, "slide_id"] = ["only one", None]
    found = controls.measure(replace(material, table=table))["slides"]
    assert (found["n"], found["n_unknown"]) == (190, 1)
    none = controls.measure(replace(material, table=table.assign(slide_id=None)))
    assert none["slides"] is None
    assert none["neighbours"]["colour"]["random"]["slide"] is None


def test_a_fine_tuned_network_has_the_colour_controls_alone(made) -> None:
    found = controls.measure(replace(made(of_slide=1, of_class=1), features=None))
    assert found["equal"] is None
    assert found["slides"]["features"] is None
    assert list(found["neighbours"]) == ["colour"]


def test_equal_material_gives_equal_content(made) -> None:
    assert controls.measure(made(1, 1)) == controls.measure(made(1, 1))


def test_the_probe_gives_absent_classes_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4)).astype(np.float32)
    p = fit_predict(x, np.arange(30) % 2 * 2, x, 4, True)
    assert (p[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    alone = fit_predict(x, np.full(30, 1), x[:3], 4, False)
    assert alone.tolist() == [[0, 1, 0, 0]] * 3
