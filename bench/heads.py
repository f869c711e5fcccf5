"""Seconds that all heads of studies/protocols.yaml take at BreakHis's size, and how exact they are.

7,909 images of 82 slides, synthetic features of 1,280 numbers in which slides and classes overlap;
benign or malignant and eight types, three protocols of five folds, c searched among five values on
a validation part of a quarter. Some of the heads are compared with scikit-learn's, run to
convergence at the chosen c:

    python bench/heads.py
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from _table import Row, finish
from controls_speed import material
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from magnostic.models.classifier import softmax
from magnostic.recipe import Probe
from magnostic.train import device, predict, probe

CS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
#: Adenosis, fibroadenoma, phyllodes tumour and tubular adenoma come first.
BENIGN = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--compare", type=int, default=6, help="heads to compare (default 6)")
    chosen = parser.parse_args()
    made = material(np.random.default_rng(0))
    assert made.features is not None
    recipe = Probe(method="probe", c=CS)
    tasks = {"binary": (made.y >= BENIGN).astype(np.intp), "eight types": made.y}
    jobs = []
    for fold in made.folds:
        group = {"random": None, "patient": "slide_id", "accession": "accession"}[fold.protocol]
        train, val = _validation(fold.train, None if group is None else made.table[group])
        jobs += [(task, y, train, val, fold.test) for task, y in tasks.items()]
    seconds = dict.fromkeys(tasks, 0.0)
    heads = []
    with device.one_thread():
        for task, y, train, val, _ in jobs:
            started = time.perf_counter()
            known, held = (made.features[train], y[train]), (made.features[val], y[val])
            classes = int(y.max()) + 1
            head, c, _ = probe.fit(*known, classes, recipe, True, val=held, seed=0)
            seconds[task] += time.perf_counter() - started
            heads.append((head, c))
    step = max(1, len(jobs) // max(1, chosen.compare))
    worst, ours, theirs = 0.0, 0.0, 0.0
    compared = range(0, len(jobs), step | 1)  # odd, so that both tasks are among them
    for number in list(compared)[: chosen.compare]:
        (_, y, train, _, test), (head, c) = jobs[number], heads[number]
        assert c is not None
        expected, took = _converged(made.features, y, train, test, c)
        found = softmax(predict.logits(head, made.features[test]))
        worst = max(worst, float(np.abs(found - expected).max()))
        theirs += took
        with device.one_thread():
            started = time.perf_counter()
            known = made.features[train], y[train]
            alone = Probe(method="probe", c=(c,))
            nothing = (made.features[:0], y[:0])
            probe.fit(*known, int(y.max()) + 1, alone, True, val=nothing, seed=0)
            ours += time.perf_counter() - started
    total = sum(seconds.values())
    count = len(jobs)
    rows = [
        Row(
            f"{count} heads, {len(CS)} values of c each",
            total,
            "s",
            "<= 20 s",
            total <= 20,
        ),
        *(Row(f"of them {task}", took, "s") for task, took in seconds.items()),
        Row(
            f"probabilities of new images against scikit-learn's, worst of {chosen.compare} heads",
            worst,
            "",
            "<= 0.001",
            worst <= 1e-3,
        ),
        Row("one head at one c: scikit-learn to convergence / magnostic", theirs / ours, "x"),
    ]
    finish("heads", rows, chosen.json)


def _validation(
    train: NDArray[np.intp], group: object
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """A quarter for validation, whole groups of them where there are groups."""
    rng = np.random.default_rng(1)
    if group is None:
        held = rng.permutation(len(train)) < len(train) // 4
    else:
        names = np.asarray(group)[train]
        there = np.unique(names)
        held = np.isin(names, rng.permutation(there)[: len(there) // 4])
    return train[~held], train[held]


def _converged(
    features: NDArray[np.float32],
    y: NDArray[np.intp],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    c: float,
) -> tuple[NDArray[np.float64], float]:
    """scikit-learn's probabilities of the test part, its columns at their classes; seconds."""
    started = time.perf_counter()
    scaler = StandardScaler().fit(features[train].astype(np.float64))
    x = scaler.transform(features[train].astype(np.float64))
    model = LogisticRegression(C=c, class_weight="balanced", tol=1e-8, max_iter=100_000)
    model.fit(x, y[train])
    took = time.perf_counter() - started
    full = np.zeros((len(test), int(y.max()) + 1))
    full[:, model.classes_] = model.predict_proba(
        scaler.transform(features[test].astype(np.float64))
    )
    return full, took


if __name__ == "__main__":
    main()
