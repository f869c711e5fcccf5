"""How long intervals take: 10,000 resamples of patients, every figure of a report, one core.

    python bench/bootstrap_speed.py [--resamples 10000]

The table is made up, of BreakHis's size: 7,909 images, 8 classes, 82 slides or 70 lab numbers.
Timed is all that metrics.json says of a whole protocol: figures of the set, of each class, and of
patients. The target of 3 s is for 10,000 resamples.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _table import Row, finish
from threadpoolctl import threadpool_limits

from magnostic.evaluate.bootstrap import Sampling, clusters, resample
from magnostic.evaluate.intervals import Interval
from magnostic.evaluate.patients import summarize_patients
from magnostic.evaluate.predictions import Predictions, make
from magnostic.evaluate.tally import Tally
from magnostic.taxonomy import CODES

IMAGES, LIMIT = 7909, 3.0


def table(n_patients: int) -> Predictions:
    """Each patient of one type, sizes unequal."""
    rng = np.random.default_rng(0)
    patient = rng.choice(n_patients, IMAGES, p=rng.dirichlet(np.full(n_patients, 3.0)))
    truth = rng.permutation(np.arange(n_patients) % len(CODES))[patient]
    logits = rng.normal(size=(IMAGES, len(CODES)))
    logits[np.arange(IMAGES), truth] += 1.5
    p = np.exp(logits)
    ids = [f"s{k}" for k in patient]
    images = pd.DataFrame({"image_id": [f"i{k}" for k in range(IMAGES)], "slide_id": ids,
                           "patient_id": ids, "accession": ids,
                           "magnification": pd.array([100] * IMAGES, dtype="Int16")})  # fmt: skip
    frame = make(
        images,
        [CODES[k] for k in truth],
        (p / p.sum(axis=1, keepdims=True)).astype(np.float32),
        CODES,
        protocol="patient",
        repeat=0,
        fold=0,
        part="test",
    )
    return Predictions(frame)


def seconds(predictions: Predictions, sampling: Sampling) -> tuple[float, int]:
    """From the table to all figures with intervals; and how many figures there are."""
    start = time.perf_counter()
    found = clusters(predictions.table, "patient")
    tally = Tally.of(predictions, found.codes, found.n)
    estimates = resample(tally.values, found.n, sampling, "speed", tally.width)
    summarize_patients(predictions, "patient", sampling, "speed")
    return time.perf_counter() - start, sum(map(len, estimates.values())) + 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    resamples: int = chosen.resamples
    kinds: tuple[Interval, ...] = ("percentile", "expanded", "bca")
    rows = []
    for n_patients in (82, 70):
        predictions = table(n_patients)
        for kind in kinds:
            took, figures = seconds(predictions, Sampling(resamples, 0.95, 0, kind))
            name = f"{figures} figures, {resamples:,} resamples of {n_patients} patients, {kind}"
            met = took <= LIMIT if resamples == 10_000 else None
            rows.append(Row(name, took, "s", f"<= {LIMIT:.0f} s", met))
    # Without patient ids every image is a cluster of its own: said to be wrong, and slower.
    alone = table(82)
    alone = Predictions(alone.table.assign(patient_id=None))
    took, figures = seconds(alone, Sampling(100))
    rows.append(Row(f"{figures - 3} figures, 100 resamples of single images", took, "s"))
    finish("bootstrap_speed", rows, chosen.json)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
