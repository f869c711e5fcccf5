"""Seconds that the negative controls of a run take at BreakHis's size.

7,909 images of 82 slides in eight classes, synthetic features of 1,280 numbers in which slides and
classes overlap, and three protocols of five folds:

    python bench/controls_speed.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _table import Row, finish

from magnostic.evaluate import controls
from magnostic.evaluate.bootstrap import Sampling
from magnostic.models import colour_histogram
from magnostic.taxonomy import CODES
from magnostic.train.device import one_thread

IMAGES, WIDTH, FOLDS = 7909, 1280, 5
SLIDES = (4, 10, 3, 7, 38, 5, 9, 6)
#: Numbers that vary freely behind the features, and how far slides and classes lie apart in them.
FACTORS, OF_SLIDE, OF_CLASS = 300, 0.12, 0.08


def material(rng: np.random.Generator) -> controls.Material:
    kind = np.repeat(np.arange(len(SLIDES)), SLIDES)
    slide = rng.integers(0, len(kind), IMAGES)
    y = kind[slide]
    factors = rng.normal(size=(IMAGES, FACTORS))
    factors += OF_SLIDE * rng.normal(size=(len(kind), FACTORS))[slide]
    factors += OF_CLASS * rng.normal(size=(len(SLIDES), FACTORS))[y]
    features = factors @ rng.normal(size=(FACTORS, WIDTH)) / FACTORS**0.5
    features = np.maximum(features + rng.normal(0, 0.5, features.shape), 0).astype(np.float32)
    shares = rng.dirichlet(np.full(64, 0.3), len(kind))[slide] + 0.02
    colours = np.zeros((IMAGES, colour_histogram.WIDTH), dtype=np.float32)
    colours[:, :64] = np.sqrt(rng.dirichlet(np.ones(64), IMAGES) * 0.5 + shares * 0.5)
    name = np.char.add("s", slide.astype(str)).astype(object)
    table = pd.DataFrame(
        {
            "image_id": [f"i{n:04d}" for n in range(IMAGES)],
            "slide_id": name,
            "patient_id": name,
            "accession": np.char.add("a", (slide // 2).astype(str)).astype(object),
            "magnification": pd.array(rng.choice([40, 100, 200, 400], IMAGES), dtype="Int16"),
        }
    )
    groups = {"random": np.arange(IMAGES), "patient": slide, "accession": slide // 2}
    folds = []
    for protocol, group in groups.items():
        held = rng.permutation(group.max() + 1)[group] % FOLDS
        for number in range(FOLDS):
            test = held == number
            folds.append(
                controls.Fold(protocol, number, np.flatnonzero(~test), np.flatnonzero(test))
            )
    return controls.Material(
        table, CODES, y, colours, features, folds, Sampling(1000, 0.95, 0), balanced=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    made = material(rng)
    started = time.perf_counter()
    with one_thread():  # as a run does
        found = controls.measure(made)
    took = time.perf_counter() - started
    random, patient = (found["colour"]["protocols"][p]["accuracy"] for p in ("random", "patient"))
    images = rng.integers(0, 256, (100, 224, 224, 3), dtype=np.uint8)
    started = time.perf_counter()
    colour_histogram.describe(images)
    of_histograms = (time.perf_counter() - started) * IMAGES / len(images)
    size = f"{IMAGES:,} x {WIDTH:,}"
    rows = [
        Row(f"negative controls, {size}", took, "s", "<= 60 s", took <= 60),
        Row(f"colour histograms of {IMAGES:,} photographs of 224 px", of_histograms, "s"),
        Row("accuracy of colours alone, random", random["estimate"], ""),
        Row("accuracy of colours alone, patient", patient["estimate"], ""),
        Row("accuracy of slides by features", found["slides"]["features"]["estimate"], ""),
    ]
    finish("controls_speed", rows, chosen.json)


if __name__ == "__main__":
    main()
