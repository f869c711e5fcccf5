"""The phantom's colours."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from magnostic.data.phantom.slides import Slide
from magnostic.data.phantom.stain import (
    EOSIN,
    HAEMATOXYLIN,
    beer_lambert,
    field_appearance,
    photograph,
    slide_appearance,
)

SLIDE = Slide("A", 31415, "AB", 1)
VECTORS = np.array([HAEMATOXYLIN, EOSIN], dtype=np.float32)


def test_beer_lambert_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    h, e = rng.uniform(0, 2, (2, 5, 6)).astype(np.float32)
    white = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    light = beer_lambert(h, e, VECTORS, white)
    for channel in range(3):
        density = h * HAEMATOXYLIN[channel] + e * EOSIN[channel]
        np.testing.assert_allclose(light[..., channel], white[channel] * np.exp(-density), 1e-5)


def test_no_stain_shows_the_lamp() -> None:
    zero = np.zeros((2, 3), dtype=np.float32)
    light = beer_lambert(zero, zero, VECTORS, np.array([0.9, 0.8, 0.7], dtype=np.float32))
    np.testing.assert_allclose(light, np.broadcast_to([0.9, 0.8, 0.7], (2, 3, 3)), 1e-6)


def test_more_stain_is_darker() -> None:
    look = replace(slide_appearance(SLIDE, 0), noise=0.0, vignette=0.0)
    level = np.tile(np.linspace(0, 2, 60, dtype=np.float32), (20, 1))
    rgb = photograph(level, level, look, np.random.default_rng(0)).astype(int)
    assert (np.diff(rgb.sum(axis=2), axis=1) <= 0).all()


def _distance(first: Slide, second: Slide) -> float:
    a, b = (slide_appearance(s, 0, 1.0) for s in (first, second))
    return sum(
        float(np.abs(np.log(p) - np.log(q)).sum())
        for p, q in zip(astuple(a), astuple(b), strict=True)
    )


def test_siblings_look_nearly_alike_and_patients_do_not() -> None:
    sibling = _distance(SLIDE, replace(SLIDE, block="CD"))
    others = [_distance(SLIDE, replace(SLIDE, number=n)) for n in range(32000, 32020)]
    assert 0 < sibling < 0.6 * float(np.median(others))


def test_a_slide_looks_the_same_under_both_labels() -> None:
    assert _distance(SLIDE, replace(SLIDE, code="LC", twin="DC")) == 0


def test_without_effect_all_slides_look_alike() -> None:
    a, b = (slide_appearance(replace(SLIDE, number=n, lab=n % 4), 0, 0.0) for n in (31001, 31002))
    np.testing.assert_array_equal(a.vectors, b.vectors)
    assert (a.haematoxylin, a.fibre, a.blur) == (b.haematoxylin, b.fibre, b.blur)


def test_tied_slides_differ_in_haematoxylin_by_malignancy_and_in_nothing_else() -> None:
    benign, other, malignant = (
        field_appearance(Slide(code, number, "", lab), 0, 40, 0, 0.8, "tied")
        for code, number, lab in (("A", 31001, 0), ("F", 31777, 1), ("DC", 31555, 2))
    )
    assert malignant.haematoxylin / benign.haematoxylin == pytest.approx(1.4**2)
    for look in (other, replace(malignant, haematoxylin=benign.haematoxylin)):
        for p, q in zip(astuple(look), astuple(benign), strict=True):
            np.testing.assert_array_equal(p, q)


def test_free_photographs_differ_in_haematoxylin_alone_whatever_they_show() -> None:
    slides = [Slide(code, 31001 + k, "", 0) for k, code in enumerate(("A", "DC") * 40)]
    looks = [
        field_appearance(slide, field, 40, 0, 0.8, "free") for slide in slides for field in (0, 1)
    ]
    amounts = np.log([look.haematoxylin for look in looks])
    assert amounts.std() == pytest.approx(0.7, abs=0.1)
    benign, malignant = amounts.reshape(-1, 2, 2).transpose(1, 0, 2).reshape(2, -1)
    assert abs(benign.mean() - malignant.mean()) < 0.25
    for look in looks[1:]:
        same = replace(look, haematoxylin=looks[0].haematoxylin)
        for p, q in zip(astuple(same), astuple(looks[0]), strict=True):
            np.testing.assert_array_equal(p, q)
