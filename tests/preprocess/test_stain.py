"""Macenko and Vahadane: the published formulas in float64, and a second library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.decomposition import dict_learning

from magnostic.preprocess import stain

Array = NDArray[np.float64]


def density_of(image: NDArray[np.uint8]) -> Array:
    """[3, P]"""
    return -np.log(np.maximum(image.reshape(-1, 3).astype(np.float64), 1) / 255).T


def degrees(a: Array, b: Array) -> float:
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def published_macenko(image: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Stains as columns [3, 2] and maxima [2], by singular value decomposition of all tuples."""
    density = density_of(image)
    tissue = density[:, density.mean(axis=0) >= 0.15]
    directions, _, _ = np.linalg.svd(tissue, full_matrices=False)
    plane = directions[:, :2]
    if plane[:, 0].sum() < 0:
        plane = plane * [-1, 1]
    on_plane = plane.T @ tissue
    on_plane /= np.linalg.norm(on_plane, axis=0)
    angle = np.arctan2(on_plane[1], on_plane[0])
    extremes = [np.percentile(angle, p) for p in (1, 99)]
    stains = np.stack([plane @ [np.cos(a), np.sin(a)] for a in extremes], axis=1)
    stains = stains[:, np.argsort(-stains[0])]
    amounts = np.linalg.lstsq(stains, density, rcond=None)[0]
    return stains, np.percentile(amounts, 99, axis=1)


def test_macenko_is_the_published_formula(genuine: NDArray[np.uint8]) -> None:
    target_stains, target_maxima = published_macenko(genuine[3])
    target = stain.macenko(genuine[3])
    assert target is not None
    for image in genuine[::3]:
        stains, maxima = published_macenko(image)
        ours = stain.macenko(image)
        assert ours is not None
        np.testing.assert_allclose(ours[:6].reshape(2, 3).T, stains, atol=1e-9)
        np.testing.assert_allclose(ours[6:], maxima, atol=1e-9)

        amounts = np.linalg.lstsq(stains, density_of(image), rcond=None)[0]
        scaled = amounts * (target_maxima / maxima)[:, None]
        expected = np.clip(255 * np.exp(-target_stains @ scaled), 0, 255)
        assert_same_levels(recolour(image, ours, target, False), expected)


def test_vahadanes_stains_are_scikit_learns_dictionary(genuine: NDArray[np.uint8]) -> None:
    """Within a twentieth of a degree, and an objective that is no worse."""
    start = stain.RUIFROK / np.linalg.norm(stain.RUIFROK, axis=1, keepdims=True)
    for image in genuine[::8]:
        found = stain.tissue(image)
        assert found is not None
        density = np.ascontiguousarray(found[1][:: -(-len(found[1]) // 500)].T)
        ours = stain.learn(density)
        codes, theirs, _ = dict_learning(
            density.T,
            2,
            alpha=0.1,
            method="cd",
            positive_dict=True,
            positive_code=True,
            dict_init=start,
            code_init=np.ones((density.shape[1], 2)),
            max_iter=300,
            tol=1e-8,
            random_state=0,
        )
        assert max(degrees(ours[k], theirs[k]) for k in range(2)) < 0.05
        amounts = stain.concentrations(ours, density, 0.1)
        assert objective(density, ours, amounts) <= objective(density, theirs, codes.T) + 1e-6


def objective(density: Array, stains: Array, amounts: Array) -> float:
    error = density - stains.T @ amounts
    return float(((error**2).sum() / 2 + 0.1 * amounts.sum()) / density.shape[1])


def test_few_pixels_give_the_stains_of_all(genuine: NDArray[np.uint8]) -> None:
    """Learning on 10,000 evenly spaced pixels moves no stain by more than half a degree."""
    for image in genuine[::6]:
        found = stain.tissue(image)
        described = stain.vahadane(image)
        assert found is not None
        assert described is not None
        of_all = stain.learn(np.ascontiguousarray(found[1].T))
        of_all = of_all[np.argsort(-of_all[:, 0])]
        ours = described[:6].reshape(2, 3)
        assert max(degrees(ours[k], of_all[k]) for k in range(2)) < 0.5


def test_concentrations_are_non_negative_least_squares(genuine: NDArray[np.uint8]) -> None:
    described = stain.vahadane(genuine[0])
    assert described is not None
    stains = described[:6].reshape(2, 3)
    rng = np.random.default_rng(0)
    density = np.concatenate([density_of(genuine[0])[:, ::300], rng.normal(0, 1, (3, 200))], axis=1)
    expected = np.stack([nnls(stains.T, column)[0] for column in density.T], axis=1)
    np.testing.assert_allclose(stain.concentrations(stains, density), expected, atol=1e-9)


def test_vahadanes_recomposition_is_the_published_formula(genuine: NDArray[np.uint8]) -> None:
    target = stain.vahadane(genuine[3])
    assert target is not None
    for image in genuine[::5]:
        ours = stain.vahadane(image)
        assert ours is not None
        stains = ours[:6].reshape(2, 3)
        # stain.concentrations was compared with SciPy's solver above.
        amounts = stain.concentrations(stains, density_of(image))
        np.testing.assert_allclose(ours[6:], np.percentile(amounts, 99, axis=1), atol=1e-12)
        scaled = amounts * (target[6:] / ours[6:])[:, None]
        expected = 255 * np.exp(-target[:6].reshape(2, 3).T @ scaled)
        assert_same_levels(recolour(image, ours, target, True), expected)


def recolour(
    image: NDArray[np.uint8], described: Array, target: Array, non_negative: bool
) -> NDArray[np.uint8]:
    return stain.recolour(
        torch.from_numpy(image[None]),
        torch.from_numpy(described[None]).float(),
        torch.from_numpy(target).float(),
        non_negative,
    )[0].numpy()


def assert_same_levels(ours: NDArray[np.uint8], expected: Array) -> None:
    """Float32 arithmetic rounds at most one pixel in a thousand to the neighbouring grey level."""
    difference = np.abs(ours.reshape(-1, 3).T - np.rint(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def two_stains(seed: int, size: int = 64) -> tuple[NDArray[np.uint8], Array]:
    """A field of nuclei and stroma by Beer and Lambert, and its stains [2, 3]."""
    rng = np.random.default_rng(seed)
    stains = np.array([[0.60, 0.70, 0.39], [0.25, 0.85, 0.46]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    amounts = rng.gamma(2.0, 0.25, (size * size, 2))
    amounts[rng.random(len(amounts)) < 0.2, 0] = 0
    amounts[rng.random(len(amounts)) < 0.2, 1] = 0
    levels = np.rint(255 * np.exp(-amounts @ stains)).astype(np.uint8)
    return levels.reshape(size, size, 3), stains


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_known_stains_are_found(seed: int) -> None:
    """Macenko within 2 degrees; Vahadane within 6: its penalty draws the two together."""
    image, stains = two_stains(seed)
    for method, limit in ((stain.macenko, 2), (stain.vahadane, 6)):
        described = method(image)
        assert described is not None
        found = described[:6].reshape(2, 3)
        assert max(degrees(found[k], stains[k]) for k in range(2)) < limit


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_own_stains_change_nothing(seed: int) -> None:
    image, _ = two_stains(seed)
    described = stain.macenko(image)
    assert described is not None
    changed = recolour(image, described, described, False)
    assert np.abs(changed.astype(int) - image).max() <= 2

    described = stain.vahadane(image)
    assert described is not None
    changed = recolour(image, described, described, True)
    amounts = stain.concentrations(described[:6].reshape(2, 3), density_of(image))
    in_range = (amounts > 0).all(axis=0).reshape(image.shape[:2])
    assert in_range.mean() > 0.3
    assert np.abs(changed.astype(int) - image)[in_range].max() <= 2


@pytest.mark.parametrize("dye", [(0.58, 0.58, 0.58), (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)])
def test_one_stain_is_not_two(dye: tuple[float, ...]) -> None:
    """Grey, or shades of one dye: a second stain would be rounding errors at full strength."""
    amounts = np.random.default_rng(0).gamma(2.0, 0.3, (64, 64, 1))
    image = np.rint(255 * np.exp(-amounts * np.array(dye))).astype(np.uint8)
    assert stain.macenko(image) is None
    assert stain.vahadane(image) is None
