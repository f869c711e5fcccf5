"""Coverage of conformal sets and of abstention for new patients, on simulated patients.

Patients differ in difficulty, and the hard ones have few images. For each number of calibration
patients and level: how often a random image of a new patient is covered, how often all of its
images are, and what the same quantile gives where images are taken for examples of their own.
Ten seconds on one core. Run: python bench/conformal_coverage.py [TRIALS]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from magnostic.evaluate import conformal, selective

Patients = tuple[NDArray[np.float64], NDArray[np.intp]]


def draw(rng: np.random.Generator, n: int) -> Patients:
    """Scores of the true class and patients of their images."""
    hard = rng.gamma(1.0, 1.0, n)
    groups = np.repeat(np.arange(n), 1 + rng.poisson(12 / (1 + 4 * hard)))
    return 1 / (1 + np.exp(-(hard[groups] + rng.normal(size=len(groups))))), groups


def sets(n: int, level: float, trials: int) -> tuple[float, float, float]:
    """Coverage of a random image, of all images, and of an image where images are examples."""
    rng = np.random.default_rng(n)
    covered = np.zeros((trials, 3))
    for trial in range(trials):
        scores, groups = draw(rng, n + 1)
        old, new = groups < n, scores[groups == n]
        once = np.zeros(int(old.sum()), int)
        for k, unit in enumerate(conformal.UNITS):
            limit = conformal.quantile(unit, level, scores[old], groups[old], once)
            covered[trial, k] = (new <= limit).all() if unit == "patient" else (new <= limit).mean()
        alone = np.arange(old.sum())
        limit = conformal.quantile("image", level, scores[old], alone, once)
        covered[trial, 2] = (new <= limit).mean()
    image, patient, naive = covered.mean(axis=0)
    return float(image), float(patient), float(naive)


def abstention(n: int, trials: int) -> float:
    """Mean share of a new patient's images that is answered wrongly."""
    rng = np.random.default_rng(n)
    shares = []
    for _ in range(trials):
        groups = np.repeat(np.arange(n + 1), 1 + rng.poisson(5, n + 1))
        margin = rng.normal(0.5, 1.2, n + 1)[groups] + rng.normal(size=len(groups))
        confidence, wrong = 1 / (1 + np.exp(-np.abs(margin))), margin < 0
        old = groups < n
        limit = selective.abstention(confidence[old], wrong[old], groups[old])
        assert limit is not None
        shares.append((wrong[~old] & (confidence[~old] > limit)).mean())
    return float(np.mean(shares))


if __name__ == "__main__":
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    print("| patients | level | random image | all images | images as examples |")
    print("|---|---|---|---|---|")
    for n in (12, 22, 70):
        for level in conformal.LEVELS:
            if conformal.certifiable(level, n):
                image, patient, naive = sets(n, level, trials)
                print(f"| {n} | {level:.2f} | {image:.3f} | {patient:.3f} | {naive:.3f} |")
            else:
                print(f"| {n} | {level:.2f} | not certifiable | not certifiable | |")
    for n in (12, 22, 70):
        print(f"abstention, {n} patients: {abstention(n, trials):.3f} answered wrongly, target 0.1")
