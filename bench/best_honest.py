"""Which frozen system is best with lab numbers kept apart, by nested grouped cross-validation.

Outer folds judge, inner folds (of each outer training part alone) choose features, head and C by
pooled macro F1, so that no choice sees the images that judge it. Printed for the data given: every
candidate under the outer folds, the baseline (``probe-lite0``), and the nested choice, with the
paired difference from the baseline (bootstrap over lab numbers).

    python bench/best_honest.py DATA [--repeats 3] [--task binary subtype]
"""

from __future__ import annotations

import argparse
import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _honest_features import Floats, features
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from magnostic import recipe_file, splits
from magnostic.data import read_images
from magnostic.data.images import Images
from magnostic.splits.grouped import groups
from magnostic.train import device
from magnostic.train.experiment import Experiment, resolve

CS = (1e-3, 1e-2, 1e-1)
HEADS = ("flat", "types summed, or malignancy first")
BASELINE = ("lite0 (baseline)", "flat", 0.1)

Candidate = tuple[str, str, float]


@dataclass(frozen=True)
class Task:
    """Classes of each image, and the type codes and their malignancy for the two-step heads."""

    name: str
    y: NDArray[np.intp]
    types: NDArray[np.intp]
    malignant: NDArray[np.intp]
    of_type: NDArray[np.intp]
    classes: int


def turned(x: Floats, n: int, train: NDArray[np.intp]) -> tuple[Floats, NDArray[np.intp]]:
    """Standardized features in the span of the training rows, and these rows, copies included.

    The span is exact for an L2-regularized head, and much smaller than the features. Rows k n + i
    of ``x`` are copies of image i, which are trained on and never tested.
    """
    rows = np.concatenate([train + start for start in range(0, len(x), n)])
    scaler = StandardScaler().fit(x[rows])
    axes = np.linalg.svd(scaler.transform(x[rows]), full_matrices=False)[2]
    found: Floats = scaler.transform(x) @ axes.T
    return found, rows


def probabilities(
    x: Floats,
    task: Task,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    head: str,
    cs: Sequence[float],
) -> dict[float, NDArray[np.float64]]:
    """float64 [n, classes] for each C; rows of ``train`` may be copies, as :func:`turned` gives."""
    n_images = len(task.y)

    def fit(y: NDArray[np.intp], rows: NDArray[np.intp], n: int) -> list[NDArray[np.float64]]:
        result = []
        for c in cs:
            model = LogisticRegression(C=c, class_weight="balanced", max_iter=1000)
            model.fit(x[rows], y[rows % n_images])
            found = np.zeros((len(test), n))
            found[:, model.classes_] = model.predict_proba(x[test])
            result.append(found)
        return result

    if head == "flat":
        return dict(zip(cs, fit(task.y, train, task.classes), strict=True))
    n_types = len(task.of_type)
    if task.name == "binary":  # types first, summed
        sums = [p @ np.eye(2)[task.of_type] for p in fit(task.types, train, n_types)]
        return dict(zip(cs, sums, strict=True))
    joint = [np.zeros((len(test), n_types)) for _ in cs]
    for side, weight in enumerate(zip(*(p.T for p in fit(task.malignant, train, 2)), strict=True)):
        rows = train[task.malignant[train % n_images] == side]
        there = task.types[rows % n_images]
        if len(np.unique(there)) == 1:
            within = [np.eye(n_types)[there[:1]].repeat(len(test), 0)] * len(cs)
        else:
            within = fit(task.types, rows, n_types)
        for total, share, inner in zip(joint, weight, within, strict=True):
            total += share[:, None] * inner
    return dict(zip(cs, joint, strict=True))


def pooled(
    all_features: dict[str, Floats],
    task: Task,
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> dict[Candidate, NDArray[np.intp]]:
    """Predicted class of every tested image for every candidate; -1 where not tested."""
    found: dict[Candidate, NDArray[np.intp]] = {}
    for (name, x), (train, test) in itertools.product(all_features.items(), folds):
        seen, rows = turned(x, len(task.y), train)
        for head in HEADS:
            for c, p in probabilities(seen, task, rows, test, head, CS).items():
                predicted = found.setdefault((name, head, c), np.full(len(task.y), -1))
                predicted[test] = p.argmax(axis=1)
    return found


def inner_folds(
    task: Task, group: NDArray[np.intp], rows: NDArray[np.intp], seed: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    split = StratifiedGroupKFold(4, shuffle=True, random_state=seed)
    dealt = split.split(rows, task.types[rows], group[rows])
    return [(rows[train], rows[test]) for train, test in dealt]


def macro_f1(y: NDArray[np.intp], predicted: NDArray[np.intp]) -> float:
    # Over the classes that have images, as in magnostic.evaluate.metrics.
    found = f1_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)
    return float(found)


def difference(
    task: Task,
    ours: list[NDArray[np.intp]],
    theirs: list[NDArray[np.intp]],
    group: NDArray[np.intp],
    resamples: int = 1000,
) -> str:
    """Accuracy and macro F1 over repeats, paired bootstrap over groups, in points."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(group == g) for g in np.unique(group)]

    def gain(rows: NDArray[np.intp]) -> tuple[float, float]:
        y = task.y[rows]
        accuracy = np.mean([(a[rows] == y).mean() - (b[rows] == y).mean() for a, b in pairs])
        f1 = np.mean([macro_f1(y, a[rows]) - macro_f1(y, b[rows]) for a, b in pairs])
        return float(accuracy), float(f1)

    pairs = list(zip(ours, theirs, strict=True))
    drawn = [
        gain(np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))]))
        for _ in range(resamples)
    ]
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    point = gain(np.arange(len(task.y)))
    told = [
        f"{100 * p:+.1f} ({100 * lo:+.1f} to {100 * hi:+.1f})"
        for p, lo, hi in zip(point, low, high, strict=True)
    ]
    return f"accuracy {told[0]}, macro F1 {told[1]} points"


def run(images: Images, name: str, repeats: int, all_features: dict[str, Floats]) -> None:
    overrides = ["--split.protocols=accession", f"--split.repeats={repeats}", f"--task={name}"]
    recipe = resolve(recipe_file.load(Path("probe-lite0"), overrides))
    experiment = Experiment(recipe, images, None)
    by_type = experiment.table["tumour_type"].astype("category")
    malignant = (experiment.table["malignancy"] == "malignant").to_numpy().astype(np.intp)
    types = by_type.cat.codes.to_numpy().astype(np.intp)
    of_type = np.array([malignant[types == t][0] for t in range(types.max() + 1)])
    binary = name == "binary"
    # Types in the order of their codes: all that is compared is whether they are right.
    y = malignant if binary else types
    task = Task(name, y, types, malignant, of_type, 2 if binary else len(of_type))
    group = groups(experiment.selection, "accession").astype(np.intp)
    folds = splits.make(experiment.selection, recipe, experiment.y).table
    chosen_counts: Counter[Candidate] = Counter()
    every: dict[Candidate, list[NDArray[np.intp]]] = {}
    nested: list[NDArray[np.intp]] = []
    for repeat in range(repeats):
        held = folds.loc[folds["repeat"] == repeat, "fold"].to_numpy()
        outer = [(np.flatnonzero(held != f), np.flatnonzero(held == f)) for f in np.unique(held)]
        for candidate, predicted in pooled(all_features, task, outer).items():
            every.setdefault(candidate, []).append(predicted)
        picked = np.full(len(y), -1)
        for train, test in outer:
            inner = pooled(all_features, task, inner_folds(task, group, train, repeat))
            best = max(inner, key=lambda c: macro_f1(task.y[train], inner[c][train]))
            chosen_counts[best] += 1
            picked[test] = every[best][repeat][test]
        nested.append(picked)
        print(f"{name}: repeat {repeat + 1} of {repeats} done", flush=True)
    print(f"\n## {name}: accuracy / macro F1 under accession, mean of {repeats} repeats")
    best_c = {}
    for candidate, found in every.items():
        accuracy = np.mean([(p == y).mean() for p in found])
        f1 = np.mean([macro_f1(y, p) for p in found])
        best_c.setdefault(candidate[:2], []).append((candidate[2], accuracy, f1))
    for (what, head), values in best_c.items():
        told = "  ".join(f"C {c:g}: {a:.3f} / {f:.3f}" for c, a, f in values)
        print(f"{what:32} {head:36} {told}")
    accuracy = np.mean([(p == y).mean() for p in nested])
    f1 = np.mean([macro_f1(y, p) for p in nested])
    print(f"nested choice: {accuracy:.3f} / {f1:.3f}; chosen: ", end="")
    print("; ".join(f"{', '.join(map(str, c))} ({n})" for c, n in chosen_counts.most_common(8)))
    print("nested choice minus baseline: " + difference(task, nested, every[BASELINE], group))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--task", nargs="+", default=["binary", "subtype"])
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    device.threads()
    images = read_images(arguments.data)
    found = features(images)
    for name in arguments.task:
        run(images, name, arguments.repeats, found)


if __name__ == "__main__":
    main()
