"""The finding of a run in one or two sentences, and the warnings that must stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from magnostic.report import controls as negative
from magnostic.report.words import interval, level, ordered, plural, points, protocol, share

#: Grouped protocols beside the main one, strictest first, and how a sentence on them starts.
_OTHERS: Final = {
    "accession": "With lab numbers kept apart (accession-disjoint),",
    "source": "With data sets kept apart (source-disjoint),",
    "official": "On the official folds,",
}
_BLIND: Final = "the bootstrap cannot show uncertainty here"
#: The rule of three bounds a share by 3/n, which says nothing of n up to three.
_RULE_OF_THREE: Final = 3


@dataclass(frozen=True)
class Verdict:
    """headline: one sentence or two. remarks: what qualifies it. warning: what is wrong with it."""

    headline: str
    remarks: list[str] = field(default_factory=list)
    warning: str | None = None


def judge(
    metrics: Mapping[str, Any],
    task: str,
    n_classes: int,
    controls: Mapping[str, Any] | None = None,
) -> Verdict:
    """The verdict on metrics.json's content, with controls.json's where it is there."""
    main = ordered(metrics["protocols"])[0]
    result = metrics["protocols"][main]
    kind = "benign-or-malignant" if task == "binary" else f"{n_classes}-class"
    sentences = (_figure(metrics, main, kind), _gap(metrics, main), *_others(metrics, main))
    headline = " ".join(filter(None, sentences))
    warning = None
    if set(metrics["protocols"]) == {"random"}:
        warning = (
            "Single images were drawn at random: photographs of one patient, often of the same "
            "place, stand in training and in test. This figure says how well images of known "
            "patients are recognized, not how well the system will do on a new patient. For the "
            "honest figure run the same recipe with --split.protocols random,patient."
        )
    # Intervals over single images mislead most of all: say so next to them.
    unsafe = result["warnings"][:1] if result["cluster"] == "image" else []
    remarks = [*_no_width(result), *_majority(result), *_estimable(metrics, main), *unsafe]
    remarks += negative.remarks(controls, metrics, main)
    return Verdict(headline, remarks, warning)


def _figure(metrics: Mapping[str, Any], main: str, kind: str) -> str:
    result = metrics["protocols"][main]
    accuracy, f1 = result["overall"]["accuracy"], result["overall"]["macro_f1"]
    tested = plural(result["n_clusters"], result["cluster"])
    within = interval(accuracy, 2, " to ").strip("()")
    bounds = f"{level(metrics['confidence'])} CI {within}; {tested}" if within else tested
    return (
        f"Under the {protocol(main).adjective} protocol, {kind} accuracy is "
        f"{share(accuracy['estimate'], 2)} ({bounds}), macro F1 {share(f1['estimate'], 2)}."
    )


def _others(metrics: Mapping[str, Any], main: str) -> list[str]:
    """Accuracy under the grouped protocols that the headline does not speak of."""
    says = []
    for name, start in _OTHERS.items():
        if name == main or name not in metrics["protocols"]:
            continue
        accuracy = metrics["protocols"][name]["overall"]["accuracy"]
        within = interval(accuracy, 2, " to ")
        figure = f"{share(accuracy['estimate'], 2)} {within}".strip()
        says.append(f"{start} accuracy is {figure}.")
    return says


def _no_width(result: Mapping[str, Any]) -> list[str]:
    """What to make of an interval from one end alone: all resamples were equally right."""
    accuracy, n, unit = result["overall"]["accuracy"], result["n_clusters"], result["cluster"]
    if accuracy["low"] is None or not accuracy["low"] == accuracy["high"] == accuracy["estimate"]:
        return []
    among = plural(n, unit)
    if accuracy["estimate"] < 1:
        start = "Nothing right" if accuracy["estimate"] == 0 else "The same share right"
        return [f"{start} among {among}: {_BLIND}."]
    bound = ""
    if unit != "image" and n > _RULE_OF_THREE:
        bound = (
            f"; by the rule of three (3/{n}), up to {share(3 / n, 2)} of {unit}s may still have "
            "errors, at 95% confidence"
        )
    return [f"No errors among {among}: {_BLIND}{bound}."]


def _gap(metrics: Mapping[str, Any], main: str) -> str:
    found = metrics["gap"].get(main)
    if found is None:
        return ""
    gap = found["accuracy"]
    says = f"The random-image protocol of the paper says {share(gap['random'], 2)}"
    digits = 0 if abs(gap["estimate"]) >= 10 else 1
    within = (
        ""
        if gap["low"] is None
        else f" ({points(gap['low'], digits)} to {points(gap['high'], digits)})"
    )
    if gap["estimate"] <= 0:
        return f"{says}: {points(-gap['estimate'], digits)} points less{within}; no leakage shows."
    size = f"{points(gap['estimate'], digits)} points{within}"
    if gap["low"] is None:
        return f"{says}, {size} more."
    if gap["low"] <= 0:
        tested = plural(found["n_clusters"], found["cluster"])
        return f"{says}, {size} more: with {tested}, that cannot be told from no difference."
    missing = "; part of it is types without training images" if found["estimable"] else ""
    return f"{says}, {size} more: it tests patients that it knows from training{missing}."


def _majority(result: Mapping[str, Any]) -> list[str]:
    accuracy, majority = result["overall"]["accuracy"], result["majority"]
    low = accuracy["estimate"] if accuracy["low"] is None else accuracy["low"]
    if low > majority:
        return []
    return [
        f"Always answering the most frequent class would be right in {share(majority, 2)} of the "
        "test images; the accuracy is not shown to be better than that."
    ]


def _estimable(metrics: Mapping[str, Any], main: str) -> list[str]:
    only = metrics["protocols"][main]["estimable"]
    if only is None:
        return []
    accuracy = only["accuracy"]
    if accuracy["estimate"] is None:
        return ["No test image was of a type that its fold could learn."]
    left_out = ", ".join(f"{label}: {n}" for label, n in only["excluded"].items())
    text = (
        f"Some types had no training image in some folds (test images of {left_out}). On the "
        f"learnable images alone accuracy is {share(accuracy['estimate'], 2)}"
    )
    within = interval(accuracy, 2, " to ")
    text += f" {within}" if within else ""
    gap = (metrics["gap"].get(main) or {}).get("estimable")
    if gap is None:
        return [f"{text}."]
    remaining = gap["accuracy"]
    return [f"{text}, and {points(remaining['estimate'], 0)} points of the difference remain."]
