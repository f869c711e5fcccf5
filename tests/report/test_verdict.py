"""The one-line finding, in each case that it can have."""

from __future__ import annotations

from typing import Any

import pytest

from magnostic.report.verdict import judge


def _result(accuracy: float, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    figure = {"estimate": accuracy, "low": low, "high": high}
    f1 = {"estimate": 0.37, "low": None, "high": None}
    return {
        "overall": {"accuracy": figure, "macro_f1": f1}, "n_clusters": 81, "cluster": "patient",
        "majority": 0.3, "estimable": None, "warnings": [], **more,
    }  # fmt: skip


def _metrics(
    gap: tuple[float, float | None, float | None] | None = None, estimable: bool = False
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "confidence": 0.95,
        "protocols": {"patient": _result(0.412, 0.33, 0.499)},
        "gap": {},
    }
    if gap:
        metrics["protocols"]["random"] = _result(0.78, 0.7, 0.8)
        difference = dict(zip(("estimate", "low", "high"), gap, strict=True))
        entry = {"accuracy": {**difference, "random": 0.78}, "n_clusters": 81, "cluster": "patient"}
        metrics["gap"]["patient"] = {**entry, "estimable": entry if estimable else None}
    if estimable:
        learnable = {"accuracy": {"estimate": 0.5, "low": 0.4, "high": 0.6}, "excluded": {"A": 12}}
        metrics["protocols"]["patient"]["estimable"] = learnable
    return metrics


def test_the_finding_in_words() -> None:
    verdict = judge(_metrics((36.8, 30.1, 44.9), estimable=True), "subtype", 8)
    assert verdict.headline == (
        "Under the patient-disjoint protocol, 8-class accuracy is .41 (95% CI .33 to .50; 81 "
        "patients), macro F1 .37. The random-image protocol of the paper says .78, 37 points (30 "
        "to 45) more: it tests patients that it knows from training; part of it is types without "
        "training images."
    )
    assert "(test images of A: 12)" in verdict.remarks[0]
    assert verdict.warning is None


@pytest.mark.parametrize(
    ("gap", "says"),
    [
        ((36.8, 30.1, 44.9), "it tests patients that it knows from training."),
        ((4.2, -1.0, 9.0), "4.2 points (−1.0 to 9.0) more: with 81 patients, that cannot be told"),
        ((-3.0, -5.0, -1.0), "3.0 points less (−5.0 to −1.0); no leakage shows"),
        ((12.0, None, None), "12 points more."),
        (None, "macro F1 .37."),
    ],
)
def test_gap_in_words(gap: tuple[float, float, float] | None, says: str) -> None:
    assert says in judge(_metrics(gap), "subtype", 8).headline


def test_random_alone_is_warned_about() -> None:
    metrics = {"confidence": 0.95, "protocols": {"random": _result(0.9, 0.8, 0.95)}, "gap": {}}
    verdict = judge(metrics, "binary", 2)
    assert verdict.headline.startswith("Under the random-image protocol, benign-or-malignant")
    assert "--split.protocols random,patient" in str(verdict.warning)


def test_stricter_protocols_are_named() -> None:
    metrics = _metrics((36.8, 30.1, 44.9))
    metrics["protocols"]["official"] = _result(0.45, None, None)
    metrics["protocols"]["accession"] = _result(0.21, 0.12, 0.32)
    assert judge(metrics, "subtype", 8).headline.endswith(
        "from training. With lab numbers kept apart (accession-disjoint), accuracy is .21 (.12 to "
        ".32). On the official folds, accuracy is .45."
    )
    del metrics["protocols"]["patient"]
    headline = judge(metrics, "subtype", 8).headline
    assert headline.startswith("Under the accession-disjoint protocol")
    assert "lab numbers" not in headline


@pytest.mark.parametrize(
    ("accuracy", "n", "unit", "says"),
    [
        (1.0, 8, "patient", "No errors among 8 patients: the bootstrap cannot show "
         "uncertainty here; by the rule of three (3/8), up to .38 of patients may still have "
         "errors, at 95% confidence."),
        (1.0, 3, "patient", "No errors among 3 patients: the bootstrap cannot show "
         "uncertainty here."),
        (1.0, 50, "image", "No errors among 50 images: the bootstrap cannot show "
         "uncertainty here."),
        (0.5, 4, "patient", "The same share right among 4 patients: the bootstrap "
         "cannot show uncertainty here."),
    ],
)  # fmt: skip
def test_an_interval_without_width_is_remarked(
    accuracy: float, n: int, unit: str, says: str
) -> None:
    result = _result(accuracy, accuracy, accuracy, n_clusters=n, cluster=unit)
    metrics = {"confidence": 0.95, "protocols": {"patient": result}, "gap": {}}
    assert judge(metrics, "subtype", 8).remarks[0] == says


def test_majority_and_single_images_are_remarked() -> None:
    metrics = _metrics()
    metrics["protocols"]["patient"] |= {
        "majority": 0.4, "cluster": "image", "warnings": ["No image has a patient id."],
    }  # fmt: skip
    remarks = judge(metrics, "subtype", 8).remarks
    assert "most frequent class would be right in .40" in remarks[0]
    assert remarks[-1] == "No image has a patient id."
