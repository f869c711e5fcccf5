"""A compared difference in words: whether it is supported, on how many patients that rests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NAMES: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
#: What a cluster is called in a sentence: the source does not say that a lab number is a patient.
UNITS: Final = {"patient": "patient", "accession": "lab number", "image": "image"}


@dataclass(frozen=True)
class Difference:
    """A figure's difference between two systems, in points; see ``compare`` for the fields."""

    figure: str
    first: str
    second: str
    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    detectable: float | None
    supported: bool
    n_clusters: int
    unit: str
    differing: int
    needed: int
    confidence: float
    n_pairs: int


def words(d: Difference) -> str:
    """One to three sentences."""
    name, unit = NAMES[d.figure], UNITS[d.unit]
    if d.estimate is None:
        return f"The difference in {name} is not defined on these images."
    said = f"{d.first} against {d.second}, {name}: {points(d.estimate)} points"
    if d.low is not None and d.high is not None:
        said += f" ({100 * d.confidence:.6g}% CI {points(d.low)} to {points(d.high)})"
    differ = f"{'differs' if d.differing == 1 else 'differ'} in it"
    rests = f"It rests on {count(d.n_clusters, unit)}, of which {d.differing} {differ}."
    if d.p is None:
        return f"{said}; without an interval nothing more can be said. {rests}"
    corrected = f" after Holm's correction over {d.n_pairs} pairs" if d.n_pairs > 1 else ""
    if d.supported:
        return f"{said}: supported{corrected}. {rests}"
    if d.p < 1 - d.confidence:
        return f"{said}: not supported, whatever the interval. {rests} It takes {d.needed}."
    power = ""
    if d.detectable:
        power = (
            f" With {count(d.n_clusters, unit)} like these, a true difference of "
            f"{points(d.detectable)} points would be found four times in five."
        )
    return f"{said}: not supported{corrected}. {rests}{power}"


def summary(differences: Sequence[Difference], n_clusters: int, differing: int) -> str:
    """All figures of one pair in two or three sentences.

    Args:
        differences: one a figure.
        n_clusters, differing: all clusters, and those with images of unlike predicted class.
    """
    some = differences[0]
    unit = UNITS[some.unit]
    yes = [
        f"{NAMES[d.figure]} ({points(d.estimate)} points)"
        for d in differences
        if d.supported and d.estimate is not None
    ]
    no = [NAMES[d.figure] for d in differences if not d.supported]
    verdicts = []
    if yes:
        verdicts.append(f"a difference in {_listed(yes)} is supported")
    if no:
        verdicts.append(
            f"none in {_listed(no)} is supported" if yes else "no difference is supported"
        )
    corrected = f", after Holm's correction over {some.n_pairs} pairs" if some.n_pairs > 1 else ""
    differ = f"{'differs' if differing == 1 else 'differ'} in the predicted class"
    said = (
        f"{some.first} against {some.second}: {'; '.join(verdicts)}{corrected}. This rests on "
        f"{count(n_clusters, unit)}, of which {differing} {differ}."
    )
    if yes:
        said += f" {len(differences)} figures were looked at, not corrected for one another."
    if 0 < differing < some.needed:
        said += f" It takes {some.needed} for any support of figures from the predicted class."
    return said


def points(value: float) -> str:
    """``3.1``, ``−0.4``; what would round to nothing keeps a second digit."""
    text = f"{value:.1f}"
    if float(text) == 0 and value != 0:
        text = f"{value:.2f}"
    return text.replace("-", "−")


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def count(n: int, unit: str) -> str:
    """``1 patient``, ``22 patients``."""
    return f"{n:,} {unit}" if n == 1 else f"{n:,} {unit}s"
