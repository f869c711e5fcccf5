"""Scales: what names stand for, and which level is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data.phantom import MICRONS_PER_PIXEL
from magnostic.errors import BadInput
from magnostic.slides import Settings
from magnostic.slides.scale import of_magnification, of_objective, tiling
from magnostic.slides.tiles import grid

SCALES = st.floats(0.1, 3)
PIXELS = st.tuples(st.integers(50, 1000), st.integers(50, 1000))


def test_magnifications_stand_for_what_the_phantom_was_measured_by() -> None:
    for magnification, mpp in MICRONS_PER_PIXEL.items():
        assert of_magnification(magnification) == pytest.approx(mpp)
    assert of_objective(40) == 0.25
    assert of_objective(20) == 0.5


@given(
    mpp=st.tuples(SCALES, SCALES),
    wanted=SCALES,
    pixels=PIXELS,
    downs=st.lists(st.sampled_from([2.0, 4.0, 8.0, 16.0]), unique=True).map(sorted),
)
def test_a_tile_covers_its_micrometres_and_is_never_enlarged_in_silence(
    mpp: tuple[float, float], wanted: float, pixels: tuple[int, int], downs: list[float]
) -> None:
    levels = [(d, d) for d in [1.0, *downs]]
    cut = tiling(mpp, wanted, pixels, levels)
    for step, scale, side in zip(cut.step, mpp, pixels, strict=True):
        assert step * scale == pytest.approx(side * wanted)
    here = [scale * levels[cut.level][0] for scale in mpp]
    if max(here) <= wanted:  # at least as fine as asked for: the coarsest such level
        assert cut.enlarged == 1
    coarser = [d for d, _ in levels if d > levels[cut.level][0]]
    assert all(max(mpp) * d > wanted for d in coarser)
    if max(mpp) > wanted * 1.01:
        assert cut.level == 0
        assert cut.enlarged == pytest.approx(max(mpp) / wanted)


@given(
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    step=st.tuples(st.floats(10, 1500), st.floats(10, 1500)),
)
def test_tiles_lie_edge_to_edge_within_the_slide(
    size: tuple[int, int], step: tuple[float, float]
) -> None:
    boxes = grid(size, step)
    assert len(boxes) == int(size[0] / step[0] + 1e-6) * int(size[1] / step[1] + 1e-6)
    if not len(boxes):
        return
    covered = np.zeros((size[1], size[0]), np.uint8)
    for left, top, width, height in boxes:
        assert abs(width - step[0]) <= 1
        assert abs(height - step[1]) <= 1
        covered[top : top + height, left : left + width] += 1
    right, bottom = boxes[-1, 0] + boxes[-1, 2], boxes[-1, 1] + boxes[-1, 3]
    assert (covered[:bottom, :right] == 1).all()
    assert right <= size[0]
    assert bottom <= size[1]
    assert size[0] - right < step[0] + 1
    assert size[1] - bottom < step[1] + 1


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"magnification": 100, "mpp": 0.5},
        {"magnification": 0},
        {"mpp": float("nan")},
        {"mpp": -1},
        {"mpp": 0.5, "pixels": (0, 10)},
        {"mpp": 0.5, "least_tissue": 1.5},
        {"mpp": 0.5, "workers": -1},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Settings(**wrong)  # type: ignore[arg-type]
