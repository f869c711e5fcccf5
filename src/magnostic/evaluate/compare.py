"""Which of two or more systems is better on the same images, and how sure that is.

The verdict on a figure rests on the cluster bootstrap of the paired difference: both systems are
scored on the same resamples, so that what is hard in a patient counts on both sides. A difference
is *supported* when

1. its p value, from inverting that interval (``intervals.p_value``), is below 1 - confidence after
   Holm's correction for the number of pairs (with two systems: the interval leaves zero out), and
2. at least ``1 + log2(pairs / (1 - confidence))`` clusters, 6 at 95% with one pair, differ in what
   the figure counts: right or wrong for accuracy, the predictions of the class's own images for
   sensitivity and specificity, predicted classes for F1, scores for AUC. If neither system were
   better, exchanging the two within a cluster would change nothing; with m differing clusters no
   figure can then be rarer than 2 of 2^m exchanges, whatever a bootstrap of so few clusters says.

Figures are not corrected for one another: each answers its own question, and of six that are alike
one is "supported" more often than 5% of the time (17% in a simulation of 22 patients).

Shape of :func:`compare`'s result (differences, their limits and errors are in points, hundredths;
other figures are shares; null where undefined)::

    {"version": 1, "protocol", "classes": [...], "n_images", "n_clusters", "cluster", "repeats",
     "resamples", "confidence", "seed", "interval": "expanded", "warnings": ["…"],
     "systems": [{"name", "accuracy": {"estimate", "low", "high"}, …}],
     "pairs": [{"first", "second", "words", "differing": {"predictions", "scores"},
        "figures": {"accuracy": {"estimate", "low", "high", "first", "second", "standard_error",
                                 "minimum_detectable", "p", "p_holm", "supported", "words",
                                 "n_clusters", "differing", "reason" where there is no interval},
                    …},
        "accuracy_test": {"difference", "statistic", "p", "p_holm", "first_better",
                          "second_better"},
        "auc_tests": [{"class", "difference", "standard_error", "z", "p", "p_holm", "reason"}]}]}

``difference`` and ``estimate`` are the first system's minus the second's. ``differing`` counts the
clusters in which the predicted classes, or the probabilities, differ; of a figure, those of rule 2,
among the ``n_clusters`` that hold its images. ``accuracy_test`` is
``paired_tests.durkalski``, ``auc_tests`` are ``paired_tests.obuchowski`` for each class against the
rest (with benign and malignant: malignant alone), Holm's correction over pairs and classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from magnostic.errors import BadInput
from magnostic.evaluate import intervals
from magnostic.evaluate.bootstrap import (
    Clusters,
    Draws,
    Sampling,
    clusters,
    draw,
    estimate,
    unit_of,
)
from magnostic.evaluate.collapse import collapse
from magnostic.evaluate.matched import match
from magnostic.evaluate.metrics import Floats, number
from magnostic.evaluate.paired_tests import durkalski, holm, obuchowski
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.tally import Tally
from magnostic.evaluate.verdict import Difference, summary, words
from magnostic.taxonomy import MALIGNANCIES

#: Figures that are compared, and the column of a figure by class that stands for each of these.
FIGURES: Final = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc")
BINARY: Final = {
    "sensitivity": MALIGNANCIES.index("malignant"),
    "specificity": MALIGNANCIES.index("benign"),
}


@dataclass(frozen=True)
class _System:
    """One system on the common rows: its tally, and figures on whole set and resamples."""

    name: str
    predictions: Predictions
    tally: Tally
    drawn: Draws


def compare(
    tables: Mapping[str, Predictions],
    protocol: str,
    *,
    binary: bool = False,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Every pair of systems, in the order given; the shape stands at the head of this file.

    Args:
        tables: two or more names of systems with their predictions; test rows are compared.
        protocol: whose test predictions; its clusters (accession or patient) are resampled.
        binary: sum eight types to benign and malignant first.

    Raises:
        BadInput: fewer than two systems, or predictions that do not match
            (``matched.match``).
        TableError: classes that cannot be summed to benign and malignant.
    """
    if len(tables) < 2:
        raise BadInput("a comparison needs two or more runs; name another")
    if binary:
        tables = {name: collapse(table) for name, table in tables.items()}
    sides = match(tables, protocol)
    sampling = Sampling(resamples, confidence, seed, "expanded")
    found = clusters(sides[0].table, unit_of(protocol))
    stream = f"compare/{protocol}/{'binary' if binary else 'as stored'}"
    systems = [
        _system(name, side, found, sampling, stream)
        for name, side in zip(tables, sides, strict=True)
    ]
    chosen = list(itertools.combinations(systems, 2))
    pairs = [_pair(*pair, found, sampling, len(chosen)) for pair in chosen]
    _correct(pairs)
    for pair in pairs:
        _judge(pair, found, confidence, len(pairs))
    table = sides[0].table
    return {
        "version": 1,
        "protocol": protocol,
        "classes": sides[0].classes,
        "n_images": int(table["image_id"].nunique()),
        "n_clusters": found.n,
        "cluster": found.unit,
        "repeats": int(table["repeat"].nunique()),
        "resamples": resamples,
        "confidence": confidence,
        "seed": seed,
        "interval": sampling.interval,
        "warnings": _warnings(systems[0], found),
        "systems": [
            {"name": s.name}
            | {f: s.drawn.interval(f, 0, sampling).as_dict() for f in s.drawn.whole}
            for s in systems
        ],
        "pairs": pairs,
    }


def _system(
    name: str, predictions: Predictions, found: Clusters, sampling: Sampling, stream: str
) -> _System:
    tally = Tally.of(predictions, found.codes, found.n)
    binary = predictions.classes == list(MALIGNANCIES)

    def statistic(weights: Floats) -> dict[str, Floats]:
        values = tally.values(weights)
        figures = {figure: values[figure] for figure in FIGURES}
        if binary:
            figures |= {figure: values["recall"][:, at] for figure, at in BINARY.items()}
        return figures

    # The same stream for all systems: each resample holds the same clusters for each of them.
    return _System(
        name, predictions, tally, draw(statistic, found.n, sampling, stream, tally.width)
    )


def _pair(
    first: _System, second: _System, found: Clusters, sampling: Sampling, n_pairs: int
) -> dict[str, Any]:
    return {
        "first": first.name,
        "second": second.name,
        "differing": {
            "predictions": _differing(
                found, first.predictions.predicted_index != second.predictions.predicted_index
            ),
            "scores": _differing(
                found,
                (first.predictions.probabilities != second.predictions.probabilities).any(axis=1),
            ),
        },
        "figures": {
            f: _difference(f, first, second, sampling, n_pairs) | _counted(f, first, second, found)
            for f in first.drawn.whole
        },
        "accuracy_test": _accuracy_test(first, second),
        "auc_tests": _auc_tests(first, second, found),
    }


def _differing(found: Clusters, rows: NDArray[np.bool_]) -> int:
    return len(np.unique(found.codes[rows]))


def _counted(figure: str, first: _System, second: _System, found: Clusters) -> dict[str, int]:
    """Clusters with images of a figure, and those in which the two differ in what it counts."""
    ours, theirs = (s.predictions.predicted_index for s in (first, second))
    truth = first.predictions.true_index
    of_figure = np.ones(len(truth), dtype=np.bool_)
    if figure in ("accuracy", "balanced_accuracy"):
        unlike = (ours == truth) != (theirs == truth)
    elif figure in BINARY:
        of_figure = truth == BINARY[figure]
        unlike = of_figure & (ours != theirs)
    elif figure == "macro_auc":
        unlike = (first.predictions.probabilities != second.predictions.probabilities).any(axis=1)
    else:
        unlike = ours != theirs
    return {
        "n_clusters": _differing(found, of_figure),
        "differing": _differing(found, unlike),
    }


def _difference(
    figure: str, first: _System, second: _System, sampling: Sampling, n_pairs: int
) -> dict[str, Any]:
    n = first.drawn.n_clusters
    ours, theirs = first.drawn.whole[figure][0], second.drawn.whole[figure][0]
    drawn = 100 * (first.drawn.resampled[figure][:, 0] - second.drawn.resampled[figure][:, 0])
    left_out, error, detectable, p = None, intervals.standard_error(drawn, n), None, None
    if first.drawn.left_out is not None and second.drawn.left_out is not None:
        left_out = 100 * (first.drawn.left_out[figure] - second.drawn.left_out[figure])[:, 0]
        df = intervals.degrees_of_freedom(left_out)
        p = intervals.p_value(drawn, n, df)
        if error is not None:
            # Of several pairs Holm's correction asks the most of the first one.
            level = 1 - (1 - sampling.confidence) / n_pairs
            detectable = intervals.minimum_detectable(error, df, level) if error > 0 else None
    reason = first.drawn.reason
    found = estimate(100 * (ours - theirs), drawn, n, sampling, left_out, reason)
    return {
        **found.as_dict(),
        "first": number(ours),
        "second": number(theirs),
        "standard_error": error,
        "minimum_detectable": detectable,
        "p": p,
    }


def _accuracy_test(first: _System, second: _System) -> dict[str, Any]:
    ours, theirs = (np.einsum("rgcc->g", s.tally.confusion) for s in (first, second))
    test = durkalski(ours, theirs, first.tally.confusion.sum(axis=(0, 2, 3)))
    return {**asdict(test), "difference": 100 * test.difference}


def _auc_tests(first: _System, second: _System, found: Clusters) -> list[dict[str, Any]]:
    classes = first.predictions.classes
    repeats = np.unique(first.predictions.table["repeat"], return_inverse=True)[1]
    truth = first.predictions.true_index
    tests = []
    # With two classes both give the same figure.
    for k in range(len(classes)) if len(classes) > 2 else [1]:
        ours, theirs = (s.predictions.probabilities[:, k] for s in (first, second))
        test = obuchowski(ours, theirs, truth == k, found.codes, repeats)
        entry = {"class": classes[k], **asdict(test)}
        for name in ("difference", "standard_error"):
            entry[name] = None if entry[name] is None else 100 * entry[name]
        tests.append(entry)
    return tests


def _correct(pairs: Sequence[dict[str, Any]]) -> None:
    """Add ``p_holm`` to each test, corrected over the pairs."""
    families = [[pair["figures"][f] for pair in pairs] for f in pairs[0]["figures"]]
    families.append([pair["accuracy_test"] for pair in pairs])
    families.append([test for pair in pairs for test in pair["auc_tests"]])
    for family in families:
        for test, p in zip(family, holm([test["p"] for test in family]), strict=True):
            test["p_holm"] = p


def _judge(pair: dict[str, Any], found: Clusters, confidence: float, n_pairs: int) -> None:
    """Add ``supported`` and ``words`` to each figure of a pair, and ``words`` to the pair."""
    needed = math.ceil(1 + math.log2(n_pairs / (1 - confidence)) - 1e-9)
    differences = []
    for name, figure in pair["figures"].items():
        differing, p = figure["differing"], figure["p_holm"]
        figure["supported"] = p is not None and p < 1 - confidence and differing >= needed
        said = Difference(
            figure=name,
            first=pair["first"],
            second=pair["second"],
            estimate=figure["estimate"],
            low=figure["low"],
            high=figure["high"],
            p=p,
            detectable=figure["minimum_detectable"],
            supported=figure["supported"],
            n_clusters=figure["n_clusters"],
            unit=found.unit,
            differing=differing,
            needed=needed,
            confidence=confidence,
            n_pairs=n_pairs,
        )
        figure["words"] = words(said)
        differences.append(said)
    pair["words"] = summary(differences, found.n, pair["differing"]["predictions"])


def _warnings(system: _System, found: Clusters) -> list[str]:
    said = [found.warning] if found.warning else []
    classes = system.predictions.classes
    counts = list(zip(classes, system.tally.class_clusters, strict=True))
    single = [c for c, n in counts if n == 1]
    if single and found.unit != "image":
        said.append(
            f"{', '.join(single)}: test images of one {found.unit} only, so that no interval can "
            f"show how such {found.unit}s differ."
        )
    absent = [c for c, n in counts if n == 0]
    if absent:
        said.append(f"{', '.join(absent)}: no test image; macro figures are over the other types.")
    return said
