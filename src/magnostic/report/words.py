"""How the report says things: names of protocols and metrics, figures as text, the glossary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from magnostic.taxonomy import BY_CODE

MISSING: Final = "–"


@dataclass(frozen=True)
class ProtocolWords:
    """title: of a column. adjective: before "protocol". apart: what train and test share not."""

    title: str
    adjective: str
    apart: str


PROTOCOLS: Final = {
    "patient": ProtocolWords(
        "Patient-disjoint",
        "patient-disjoint",
        "All images of a slide (BreakHis counts one slide as one patient) stand on one side.",
    ),
    "accession": ProtocolWords(
        "Accession-disjoint",
        "accession-disjoint",
        "All slides of a lab number, likely one person, stand on one side: the strictest.",
    ),
    "source": ProtocolWords(
        "Source-disjoint",
        "source-disjoint",
        "All images of a data set stand on one side: what is tested comes from elsewhere. "
        "Intervals show variation between patients, not between data sets.",
    ),
    "official": ProtocolWords(
        "Official folds",
        "official-fold",
        "The data set's five published draws of slides. Slide 14-13412 and several lab numbers "
        "stand on both sides in them, some slides are never tested, others several times.",
    ),
    "outside": ProtocolWords(
        "Outside",
        "outside",
        "The predictions were made elsewhere; how training and test were kept apart is not known "
        "to magnostic. The audit says what could be checked.",
    ),
    "random": ProtocolWords(
        "Random images",
        "random-image",
        "Nothing but the single image: other images of the same patient are in training. "
        "The paper's protocol.",
    ),
}
#: From the figure to believe first to the one to believe last.
ORDER: Final = ("patient", "accession", "source", "official", "outside", "random")

METRICS: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "macro_auc": "Macro AUC",
    "log_loss": "Log loss (nats)",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auc": "AUC",
    "recognition_rate": "Patient recognition rate",
    "mean_probability_accuracy": "Patients right by mean probability",
    "majority_vote_accuracy": "Patients right by majority vote",
}

GLOSSARY: Final = (
    ("Accuracy", "Share of test images whose predicted class is the true one."),
    (
        "Recall",
        "Share of a class's images that are predicted as that class. Undefined for a class "
        "without test images.",
    ),
    (
        "Precision",
        "Share of the images predicted as a class that are of that class; 0 for a class that has "
        "test images and is never predicted.",
    ),
    ("F1", "Harmonic mean of precision and recall."),
    (
        "Macro precision, recall, F1",
        "Unweighted means over the classes that have test images in the set at hand.",
    ),
    (
        "Balanced accuracy",
        "Mean recall over the classes that have test images; by these definitions the same number "
        "as macro recall.",
    ),
    (
        "AUC",
        "One against the rest: the probability that an image of the class gets a higher "
        "probability of the class than an image of another class, ties counting one half. Macro "
        "AUC is the mean over the classes for which it is defined; with two classes it is that of "
        "the second (malignant).",
    ),
    (
        "Log loss",
        "Mean of the negative natural logarithm of the true class's probability; lower is better.",
    ),
    ("Patient score", "Share of a patient's images that are predicted rightly (Spanhol 2016)."),
    ("Patient recognition rate", "Mean of the patient scores (Spanhol 2016)."),
    (
        "Patients right by mean probability, by majority vote",
        "Share of patients whose class is right when it is decided from the mean of the images' "
        "probabilities, or from the class predicted for most images (of equal votes, the higher "
        "mean probability wins). Other metrics than the recognition rate.",
    ),
    (
        "Interval",
        "Expanded percentile bootstrap: whole patients (lab numbers under the accession-disjoint "
        "protocol) are drawn with replacement, every figure computed anew. It shows variation "
        "between patients, not between trainings or folds. With few patients of a type, intervals "
        "of macro figures may lie lopsidedly below the figure: a resample thins out some types. "
        "The quantiles lie further out than those of the plain percentile interval, which covers "
        "too seldom where patients are few.",
    ),
    (
        "Gap",
        "Random-image figure minus the grouped figure on the images that both have tested, in "
        "points (hundredths); its interval draws the same patients for both.",
    ),
    (
        "Learnable",
        "A test image is learnable when its class had a training image in its fold. With few "
        "patients of a type, a grouped split may leave none to learn from.",
    ),
)

_ABSOLUTE = re.compile(r"(?<![\w:/.~…])/(?:[^\s/'\"<>]+/)+")


def protocol(name: str) -> ProtocolWords:
    """Words for a protocol; an unknown one goes by its name."""
    known = PROTOCOLS.get(name)
    return known or ProtocolWords(name.replace("_", " ").capitalize(), name, "")


def ordered(names: Mapping[str, Any]) -> list[str]:
    """Protocols in :data:`ORDER`, others before ``random``."""
    rank = {name: i for i, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: (rank.get(name, 2.5), name))


def class_name(code: str) -> str:
    """``DC`` to ``ductal carcinoma (DC)``; other names stay as they are."""
    return f"{BY_CODE[code].name} ({code})" if code in BY_CODE else code


def plural(n: int, word: str) -> str:
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def share(value: float | None, digits: int = 3) -> str:
    """A share without its leading zero, as medicine prints it: ``.412``, ``1.000``."""
    if value is None:
        return MISSING
    text = f"{abs(value):.{digits}f}"
    text = text[1:] if text.startswith("0.") else text
    return ("−" if value < 0 and float(text) != 0 else "") + text


def points(value: float | None, digits: int = 1) -> str:
    """A difference in points: ``36.7``, ``−1.2``."""
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(metric: Mapping[str, Any], digits: int = 3, between: str = "–") -> str:
    """``(.330–.498)``, or nothing where there is no interval."""
    if metric.get("low") is None:
        return ""
    return f"({share(metric['low'], digits)}{between}{share(metric['high'], digits)})"


def number(value: float | None) -> str:
    """``0.412``: a share as terminals and comparisons print it."""
    return MISSING if value is None else f"{value:.3f}"


def with_interval(metric: Mapping[str, Any]) -> str:
    """``0.412 (0.330 to 0.498)``."""
    if metric.get("low") is None:
        return number(metric["estimate"])
    return f"{number(metric['estimate'])} ({number(metric['low'])} to {number(metric['high'])})"


def level(confidence: float) -> str:
    """``95%`` from 0.95."""
    return f"{100 * confidence:.6g}%"


def resampling(metrics: Mapping[str, Any], cluster: str) -> str:
    """How intervals were made, for captions."""
    if not metrics["resamples"]:
        return "No intervals were computed."
    return (
        f"Intervals: {level(metrics['confidence'])}, expanded percentile bootstrap over "
        f"{cluster}s, {metrics['resamples']:,} resamples."
    )


def without_machine(text: str) -> str:
    """The text with folders of absolute paths left out: ``/data/x/y.png`` to ``…/y.png``."""
    return _ABSOLUTE.sub("…/", text)
