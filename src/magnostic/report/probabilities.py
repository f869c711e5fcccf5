"""Probabilities and abstention in the report: what the three drawings and the tables say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from magnostic.evaluate.conformal import IMAGE, needed
from magnostic.evaluate.thresholds import HALF, YOUDEN, at_prevalence
from magnostic.report import probability_figures as figures
from magnostic.report.cells import Cell, Table, Value, cells, figure_cell, flat
from magnostic.report.folder import RunFolder
from magnostic.report.words import MISSING, class_name, level, plural, resampling, share

_VERSIONS: Final = {"raw": "As predicted", "calibrated": "After temperature"}
_PARTS: Final = {
    "reliability": "Brier: reliability",
    "resolution": "Brier: resolution",
    "uncertainty": "Brier: uncertainty",
}
_ERRORS: Final = {"ece": "ECE, predicted class", "classwise_ece": "ECE, classwise"}

#: Terms of this section for the page's glossary.
GLOSSARY: Final = (
    (
        "Temperature",
        "One number by which the logarithms of the probabilities are divided, fitted to the lowest "
        "log loss; above 1 where stated probabilities are too extreme. The predicted class stays.",
    ),
    (
        "Brier score",
        "Mean over images of the summed squared differences between the probabilities and 1 for "
        "the true class, 0 for the others: 0 to 2, lower is better. It is reliability (how far "
        "probabilities are from the shares that come true) minus resolution (how far they part the "
        "images) plus uncertainty (the classes' own variance).",
    ),
    (
        "ECE",
        "Expected calibration error: mean distance between the stated probability and the share "
        "that comes true, in bins of equal numbers of images; for the predicted class, or averaged "
        "over all classes. By chance: what independent images of a perfectly calibrated model "
        "would show; images of one patient are alike, so that the true floor is higher.",
    ),
    (
        "Operating point",
        "A threshold on the probability of the positive class, with the sensitivity and "
        "specificity that it gives. It is locked on other patients than those it is judged on.",
    ),
    (
        "Conformal set",
        "The classes that cannot be ruled out at the stated level; for a random image of a new "
        "patient, or for all images of a new patient at once. Not certifiable: too few "
        "calibration patients for the level, so that every set holds all classes.",
    ),
    (
        "Risk, AURC",
        "Risk: share of wrong answers among the images that are answered, the most confident "
        "first. AURC: area under its curve over the share answered; equal to the error rate where "
        "confidence says nothing.",
    ),
)


def section(
    run: RunFolder, name: str, folder: Path | None, prevalence: float | None
) -> dict[str, Any] | None:
    """What the template shows of one protocol; None for a run that holds no such figures.

    Args:
        folder: where drawings are written; None: nothing is drawn.
        prevalence: share of positive images for which predictive values are given besides that of
            the test images.
    """
    found = run.metrics["protocols"][name].get("probabilities")
    if not found:
        return None
    # Patients that the models know are drawn where there are no others.
    shown = found["patients"] == "new" or len(run.metrics["protocols"]) == 1
    kinds = (figures.reliability, figures.risk_coverage, figures.set_sizes)
    drawn = [draw(run.metrics, name, folder) for draw in kinds] if shown and folder else []
    return {
        "how": _how(found),
        "pictures": [picture for picture in drawn if picture],
        "scores": _scores(run, name, found),
        "points": _points(run, name, found, prevalence),
        "sets": _sets(run, name, found),
        "subsets": [t for t in (_subsets(name, found, k) for k in _KINDS) if t],
        "abstention": _abstention(found),
    }


def _how(found: Mapping[str, Any]) -> list[str]:
    unit = found["cluster"]
    if found["source"] is None:
        return [f"Nothing was calibrated: {found['reason']}."]
    source = {
        "out-of-fold": "out-of-fold predictions",
        "validation": "validation predictions",
    }[found["source"]]
    said = [
        f"Temperature, thresholds, sets and abstention are cross-fitted: what is applied to an "
        f"image was fitted on {source} of other {unit}s only."
    ]
    if found["patients"] == "known":
        said.append(
            "Under random images the models know the tested patients from training: sets and "
            "abstention say nothing about new patients here."
        )
    elif found["source"] == "out-of-fold":
        said.append(
            "Out-of-fold scores come from several models, so that the guarantees of sets and "
            "abstention hold approximately; the empirical coverage is what was measured."
        )
    return said


def _scores(run: RunFolder, name: str, found: Mapping[str, Any]) -> Table:
    versions = {key: found[key] for key in _VERSIONS if found[key]}
    rows = [
        [Cell(title), *[figure_cell(v[key]) for v in versions.values()]]
        for key, title in (("log_loss", "Log loss (nats)"), ("brier", "Brier score (0 to 2)"))
    ]
    rows += [
        [Cell(title), *[Cell(share(v[key])) for v in versions.values()]]
        for key, title in _PARTS.items()
    ]
    rows += [
        [
            Cell(title),
            *[
                Cell(share(v[key]), f"{share(v[f'{key}_chance'])} by chance")
                for v in versions.values()
            ],
        ]
        for key, title in _ERRORS.items()
    ]
    heat = found["temperatures"]
    if heat:
        rows.append([Cell("Temperature"), Cell(MISSING), Cell(_spread(heat))])
    records: list[dict[str, Value]] = []
    for key, v in versions.items():
        record: dict[str, Value] = {"probabilities": key}
        record |= flat("log_loss", v["log_loss"]) | flat("brier", v["brier"])
        record |= {part: v[part] for part in _PARTS}
        for error in _ERRORS:
            record |= {error: v[error], f"{error}_chance": v[f"{error}_chance"]}
        record["temperatures"] = " ".join(f"{t:.6g}" for t in heat) if key != "raw" else ""
        records.append(record)
    return Table(
        f"probabilities_{name}",
        f"Stated probabilities, {plural(found['bins'], 'bin')} of equal numbers of images. "
        + resampling(run.metrics, found["cluster"])
        + " None for calibration errors: resampling itself inflates them.",
        ["", *[_VERSIONS[key] for key in versions]],
        rows,
        records,
    )


def _spread(values: Sequence[float], digits: int = 2) -> str:
    """``1.82`` or ``1.71 to 1.93``: what the parts were given."""
    ends = [f"{value:.{digits}f}" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _points(
    run: RunFolder, name: str, found: Mapping[str, Any], prevalence: float | None
) -> Table | None:
    binary = found["binary"]
    if binary is None:
        return None
    shares = [binary["prevalence"], *([] if prevalence is None else [prevalence])]
    usable = [0 < value < 1 for value in shares]
    rows, records = [], []
    for point in binary["points"]:
        title = _point_title(point)
        if "reason" in point:
            rows.append([Cell(title, point["reason"]), *cells([None] * (3 + 2 * len(shares)))])
            records.append({"point": point["point"]})
            continue
        values = [
            at_prevalence(point, value) if ok else None
            for value, ok in zip(shares, usable, strict=True)
        ]
        rows.append(
            [
                Cell(title),
                Cell(_spread(point["thresholds"], 3)),
                figure_cell(point["sensitivity"]),
                figure_cell(point["specificity"]),
                *[figure_cell(v and v[key]) for v in values for key in ("ppv", "npv")],
            ]
        )
        record: dict[str, Value] = {
            "point": point["point"],
            "thresholds": " ".join(f"{t:.6g}" for t in point["thresholds"]),
        }
        record |= flat("sensitivity", point["sensitivity"])
        record |= flat("specificity", point["specificity"])
        for which, v in zip(("test", "given"), values, strict=False):
            for key in ("ppv", "npv"):
                record |= flat(f"{key}_{which}", v and v[key])
        records.append(record)
    summed = ", its probability summed over its types" if binary["summed"] else ""
    named = f"{share(shares[0])} (these images)"
    if prevalence is not None:
        named += f" and {prevalence:g} (given)"
    else:
        named += "; for another one: magnostic report RUN --prevalence"
    titles = [f"{key} at {share(value)}" for value in shares for key in ("PPV", "NPV")]
    return Table(
        f"operating_points_{name}",
        f"Operating points for {binary['positive']}{summed}. Predictive values at a prevalence of "
        f"{named}. {resampling(run.metrics, found['cluster'])}",
        ["", "Threshold", "Sensitivity", "Specificity", *titles],
        rows,
        records,
    )


def _point_title(point: Mapping[str, Any]) -> str:
    if point["point"] == HALF:
        return "At 0.5"
    if point["point"] == YOUDEN:
        return "Youden"
    return f"Sensitivity ≥ {share(point['target'], 2)}" if "target" in point else "Sensitivity"


def _unit(entry: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    kind = "known" if found["patients"] == "known" else "new"
    unit = found["cluster"]
    if unit == "image":
        return "an image" if entry["unit"] == IMAGE else "an image (no patient ids)"
    if entry["unit"] == IMAGE:
        return f"a random image of a {kind} {unit}"
    return f"all images of a {kind} {unit}"


def _sets(run: RunFolder, name: str, found: Mapping[str, Any]) -> Table | None:
    if not found["conformal"]:
        return None
    rows, records = [], []
    for entry in found["conformal"]:
        fewest, most = entry["n_calibration"]
        patients = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
        head = [Cell(level(entry["level"])), Cell(_unit(entry, found)), Cell(patients)]
        if entry["certifiable"]:
            shown = [figure_cell(entry[key]) for key in ("coverage", "size", "single")]
            shown[1] = Cell(f"{entry['size']['estimate']:.2f}", _size_interval(entry["size"]))
        else:
            told = f"full sets; {needed(entry['level'])} needed"
            shown = [Cell("not certifiable", told), *cells([None, None])]
        rows.append([*head, *shown])
        record: dict[str, Value] = {
            "level": entry["level"],
            "unit": entry["unit"],
            "calibration_fewest": fewest,
            "calibration_most": most,
            "certifiable": "yes" if entry["certifiable"] else "no",
        }
        for key in ("coverage", "size", "single"):
            record |= flat(key, entry[key])
        records.append(record)
    unit = found["cluster"]
    return Table(
        f"sets_{name}",
        f"Conformal sets: empirical coverage at each level, by what is covered (every {unit} "
        f"weighs the same), classes in a set, and share of sets with one class. "
        + resampling(run.metrics, unit),
        ["Level", "Covered", f"Calibration {unit}s", "Coverage", "Classes", "One class"],
        rows,
        records,
        text=2,
    )


def _size_interval(size: Mapping[str, Any]) -> str:
    return "" if size["low"] is None else f"({size['low']:.2f}–{size['high']:.2f})"


#: What the sets are described by, with the column's title.
_KINDS: Final = {"class": "True class", "magnification": "Magnification"}


def _subsets(name: str, found: Mapping[str, Any], kind: str) -> Table | None:
    """Coverage and size by class or magnification at the level that the drawings show."""
    entries = [
        e for e in found["conformal"] if e["level"] == figures.LEVEL and e["certifiable"]
    ]  # fmt: skip
    if not entries or not entries[0][f"by_{kind}"]:
        return None
    rows, records = [], []
    for parts in zip(*[e[f"by_{kind}"] for e in entries], strict=True):
        label = parts[0][kind]
        shown = [Cell(class_name(label) if kind == "class" else f"{label}X")]
        record: dict[str, Value] = {kind: label}
        for entry, part in zip(entries, parts, strict=True):
            shown += [figure_cell(part["coverage"]), Cell(f"{part['size']['estimate']:.2f}")]
            record |= flat(f"{entry['unit']}_coverage", part["coverage"])
            record |= flat(f"{entry['unit']}_size", part["size"])
        rows.append([*shown, *cells([parts[0]["n"]])])
        records.append(record | {"n": parts[0]["n"]})
    titles = [
        f"{title}, {'any' if e['unit'] == IMAGE else 'all'}"
        for e in entries
        for title in ("Images covered", "Classes")
    ]
    return Table(
        f"sets_by_{kind}_{name}",
        f"Sets at {level(figures.LEVEL)} by {_KINDS[kind].lower()}: share of images whose set "
        f"holds the true class, and classes in a set; sets made for any one image of a "
        f"{found['cluster']}, or for all of them. A description: the level is promised over all "
        "classes and magnifications together, not for each.",
        [_KINDS[kind], *titles, "Predictions"],
        rows,
        records,
    )


def _abstention(found: Mapping[str, Any]) -> str:
    """What the stored kind of threshold would have done on the test images."""
    rule = found["selective"]["abstention"]
    unit = found["cluster"]
    if rule is None:
        return ""
    target = level(rule["target"])
    if not rule["certifiable"]:
        return (
            f"Abstention is not certifiable: with so few calibration {unit}s, wrong answers cannot "
            f"be bounded by {target} of one {unit}'s images."
        )
    if found["selective"]["risk"]["estimate"] == 0:
        return ""
    answered, risk = rule["answered"], rule["risk"]
    of_these = "" if risk["estimate"] is None else f"; {_percent(risk)} of these are wrong"
    return (
        f"Abstention that keeps wrong answers within {target} of one {unit}'s images answers "
        f"{_percent(answered)} of the images (confidence above "
        f"{_spread(rule['thresholds'], 3)}){of_these}. Answered wrongly, mean over {unit}s: "
        f"{_percent(rule['answered_wrong'])}."
    )


def _percent(metric: Mapping[str, Any]) -> str:
    text = f"{100 * metric['estimate']:.1f}%"
    if metric["low"] is None:
        return text
    return f"{text} ({100 * metric['low']:.1f} to {100 * metric['high']:.1f})"
