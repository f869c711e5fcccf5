"""The phantom's photographs and structure maps."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from magnostic.data.phantom import MICRONS_PER_PIXEL, STRUCTURES, phantom_slides, render_field
from magnostic.data.phantom.arrange import HEIGHT, WIDTH
from magnostic.data.phantom.cells import make
from magnostic.data.phantom.draw import draw_bodies
from magnostic.data.phantom.plane import FAR, GRID, Plane, signed_distance
from magnostic.data.phantom.render import MUCIN, NUCLEUS, place
from magnostic.data.phantom.view import View
from magnostic.data.phantom.write import shown_slide
from magnostic.errors import BadInput
from magnostic.taxonomy import CODES

SLIDES = {slide.code: slide for slide in reversed(phantom_slides(0, 2))}


def _empty() -> Plane:
    nothing = np.full(GRID, -FAR, dtype=np.float32)
    return Plane(nothing, nothing, nothing, nothing, (WIDTH / 2, HEIGHT / 2))


@pytest.mark.parametrize("magnification", sorted(MICRONS_PER_PIXEL))
def test_a_nucleus_has_its_size_in_pixels(magnification: int) -> None:
    view = View(_empty(), magnification)
    rng = np.random.default_rng(0)
    cell = make(np.array([[WIDTH / 2, HEIGHT / 2]]), 10.0, 0.0, 1.0, 1.0, rng, wobble=0.0)
    wide = 10.0 * float(np.sqrt(cell.length[0] * cell.width[0])) / 10.0
    area = float(draw_bodies(cell, view, 1.0).sum())
    diameter = np.sqrt(4 * area / np.pi)
    assert diameter == pytest.approx(wide / MICRONS_PER_PIXEL[magnification], rel=0.06)


def test_pixel_size_is_inverse_to_magnification() -> None:
    assert {round(m * p, 6) for m, p in MICRONS_PER_PIXEL.items()} == {96.0}


def test_a_zoom_shows_the_same_place() -> None:
    plane = place(SLIDES["DC"], 0, 0).plane
    wide, close = View(plane, 100), View(plane, 400)
    coarse = wide.see(plane.wall)
    fine = close.see(plane.wall)
    row = round((close.y[230] - wide.y[0]) / wide.pixel)
    column = round((close.x[350] - wide.x[0]) / wide.pixel)
    assert coarse[row, column] == pytest.approx(fine[230, 350], abs=1.5)


def test_signed_distance_is_in_micrometres() -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[:, 50:] = True
    distance = signed_distance(mask)
    assert distance[50, 80] == pytest.approx(3 * 30.5, abs=2)
    assert distance[50, 20] == pytest.approx(-3 * 29.5, abs=2)


@pytest.mark.parametrize("code", CODES)
def test_a_field_and_its_structure(code: str) -> None:
    seen = render_field(SLIDES[code], 400, 0)
    assert seen.rgb.shape == (460, 700, 3)
    assert seen.structure.shape == (460, 700)
    assert seen.rgb.dtype == seen.structure.dtype == np.uint8
    assert seen.structure.max() < len(STRUCTURES)
    assert 0.01 < float((seen.structure == NUCLEUS).mean()) < 0.8
    # A nucleus holds more haematoxylin, which takes red away, than what lies round it.
    red = seen.rgb[..., 0]
    assert red[seen.structure == NUCLEUS].mean() < red[seen.structure != NUCLEUS].mean() - 15
    assert seen.rgb.std() > 8


def test_only_mucinous_carcinoma_swims_in_mucin() -> None:
    share = {
        code: float((render_field(SLIDES[code], 100, 0).structure == MUCIN).mean())
        for code in ("A", "MC")
    }
    assert share["A"] == 0
    assert share["MC"] > 0.1


def test_the_same_arguments_give_the_same_pixels() -> None:
    first = render_field(SLIDES["F"], 200, 1, 5)
    place.cache_clear()
    again = render_field(SLIDES["F"], 200, 1, 5)
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.structure, again.structure)
    assert not np.array_equal(first.rgb, render_field(SLIDES["F"], 200, 1, 6).rgb)
    assert not np.array_equal(first.rgb, render_field(SLIDES["F"], 200, 2, 5).rgb)


def test_the_patient_effect_changes_colour_and_leaves_the_tissue() -> None:
    plain, strong = (render_field(SLIDES["TA"], 200, 0, effect=e).structure for e in (0.0, 1.0))
    assert float((plain == strong).mean()) > 0.8


@pytest.mark.parametrize(("magnification", "field"), [(50, 0), (100, -1)])
def test_bad_arguments_are_named(magnification: int, field: int) -> None:
    with pytest.raises(BadInput, match=r"magnification|field"):
        render_field(SLIDES["A"], magnification, field)


def test_threads_change_no_pixel() -> None:
    # A photograph of which two values differed by one grey level on one thread and two.
    slides = phantom_slides(0, 8)
    slide = next(s for s in slides if (s.code, s.slide_id) == ("MC", "14-31007CD"))
    shown = shown_slide(slide, 0, 3)
    drawn = []
    for threads in (1, 2):
        place.cache_clear()
        with threadpool_limits(threads, "blas"):
            drawn.append(render_field(shown, 40, 0, 0).rgb)
    assert np.array_equal(*drawn)
