"""What a run's files say to the items of a reporting checklist, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from magnostic.report import context
from magnostic.report.folder import RunFolder
from magnostic.report.settings import settings
from magnostic.report.words import MISSING, interval, ordered, plural, protocol, share

#: A sentence of the run, or None where its files cannot tell.
Answer = Callable[[RunFolder], str | None]


def setting(*names: str) -> Answer:
    """Lines of the facts box, those of them that the run has."""

    def answer(run: RunFolder) -> str | None:
        known = dict(settings(run))
        told = [f"{name}: {known[name]}" for name in names if name in known]
        return ". ".join(told) + "." if told else None

    return answer


def fact(*names: str) -> Answer:
    """Lines of the facts about the data, those of them that are known."""

    def answer(run: RunFolder) -> str | None:
        known = {k: v for k, v in context.facts(run) if v not in (MISSING, "unknown")}
        told = [f"{name}: {known[name]}" for name in names if name in known]
        return ". ".join(told) + "." if told else None

    return answer


def both(*answers: Answer) -> Answer:
    def answer(run: RunFolder) -> str | None:
        told = [says for says in (each(run) for each in answers) if says]
        return " ".join(told) if told else None

    return answer


def _results(run: RunFolder) -> list[tuple[str, Mapping[str, Any]]]:
    protocols = run.metrics["protocols"]
    return [(name, protocols[name]) for name in ordered(protocols)]


def counts(run: RunFolder) -> str | None:
    classes = run.data.get("classes") or {}
    told = [f"{name} {n:,}" for name, n in classes.items()]
    return f"Images by label: {', '.join(told)}." if told else None


def left_out(run: RunFolder) -> str | None:
    if "n_images" not in run.data:
        return None
    skipped = len(run.data.get("skipped") or [])
    dropped = sum((run.data.get("dropped_by_policy") or {}).values())
    used = run.data.get("n_used")
    tail = "" if used is None else f"; {used:,} images were used"
    return (
        f"{plural(skipped, 'file')} could not be read and {plural(dropped, 'image')} were dropped "
        f"by policy{tail}."
    )


def partition(run: RunFolder) -> str | None:
    split = dict(settings(run)).get("Split")
    told = [f"{protocol(name).title}: {protocol(name).apart}" for name, _ in _results(run)]
    return " ".join([*([f"{split}."] if split else []), *told])


def level(run: RunFolder) -> str | None:
    codes = {"MG001": "patients", "MG002": "pixel-identical images", "MG004": "lab numbers"}
    told = []
    for name, _ in _results(run):
        found = [f for f in run.findings if f["scope"].partition("/")[0] == name]
        shared = [codes[f["code"]] for f in found if f["code"] in codes and f["status"] == "issue"]
        clear = [codes[f["code"]] for f in found if f["code"] in codes and f["status"] == "passed"]
        says = [
            f"{', '.join(dict.fromkeys(units))} {where}"
            for units, where in ((shared, "on both sides"), (clear, "apart"))
            if units
        ]
        if says:
            told.append(f"{name}: {'; '.join(says)}")
    return f"By the audit, {'. '.join(told)}." if told else None


def sample_size(run: RunFolder) -> str | None:
    told = [
        f"{name}: {r['n_images']:,} images of {plural(r['n_clusters'], r['cluster'])}"
        for name, r in _results(run)
    ]
    return f"No calculation was made. Tested, {'; '.join(told)}."


def performance(run: RunFolder) -> str | None:
    told = []
    for name, result in _results(run):
        accuracy, f1 = result["overall"]["accuracy"], result["overall"]["macro_f1"]
        told.append(
            f"{protocol(name).title}: accuracy {share(accuracy['estimate'])} {interval(accuracy)}, "
            f"macro F1 {share(f1['estimate'])} {interval(f1)}"
        )
    return f"{'; '.join(told)}."


def uncertainty(run: RunFolder) -> str | None:
    if not run.metrics["resamples"]:
        return None
    units = dict.fromkeys(result["cluster"] for _, result in _results(run))
    return (
        f"{100 * run.metrics['confidence']:g}% bootstrap intervals of {run.metrics['resamples']:,} "
        f"resamples of whole {' and '.join(f'{unit}s' for unit in units)}."
    )


def heterogeneity(run: RunFolder) -> str | None:
    told = []
    for name, result in _results(run)[:1]:
        for magnification, found in result["by_magnification"].items():
            at = f"{magnification}X" if magnification.isdigit() else magnification
            told.append(f"{at} {share(found['accuracy']['estimate'])} ({found['n']:,} images)")
        if told:
            return f"Accuracy by magnification, {protocol(name).title.lower()}: {', '.join(told)}."
    return None


def failures(run: RunFolder) -> str | None:
    name, result = _results(run)[0]
    counts, classes = result["confusion"]["counts"], result["confusion"]["classes"]
    wrong = [
        (n, classes[i], classes[j])
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    if not wrong:
        return None
    most = sorted(wrong, reverse=True)[:3]
    told = [f"{true} taken for {said} ({n:,})" for n, true, said in most]
    return f"Most frequent errors, {protocol(name).title.lower()}: {', '.join(told)}."


def calibration(run: RunFolder) -> str | None:
    name, result = _results(run)[0]
    found = result.get("probabilities")
    if not found or found.get("source") is None:
        return None
    return (
        f"Probabilities are calibrated by temperature scaling, cross-fitted ({name} protocol); "
        "Brier score, expected calibration error and reliability diagrams are in the report."
    )


def robust(run: RunFolder) -> str | None:
    told = []
    if run.robustness:
        told.append(f"Shifted photographs were tested: {', '.join(run.robustness['shifts'])}.")
    if run.controls:
        told.append("Negative controls: colours alone, slide identity, nearest neighbours.")
    return " ".join(told) or None


def external(run: RunFolder) -> str | None:
    if "source" in run.metrics["protocols"]:
        return "Whole data sets were held out (source protocol)."
    if run.run.get("kind") == "outside":
        return None
    return "None: all images tested are of the data sets that were trained on."


def internal(run: RunFolder) -> str | None:
    if run.run.get("kind") == "outside":
        return None
    return f"Protocols {', '.join(name for name, _ in _results(run))}, within the data set."


def limits(run: RunFolder) -> str | None:
    issues: dict[str, list[str]] = {}
    for finding in run.findings:
        if finding["status"] == "issue":
            title = f"{finding['code']} {finding['title'].lower()}"
            issues.setdefault(title, []).append(finding["scope"].partition("/")[0])
    named = [f"{title} ({', '.join(dict.fromkeys(of))})" for title, of in sorted(issues.items())]
    told = [f"Audit issues: {'; '.join(named)}."] if named else []
    missing = sorted({c for child in run.children for c in child.not_estimable})
    if missing:
        told.append(f"Not learnable in some folds: {', '.join(missing)}.")
    told += [warning for _, result in _results(run)[:1] for warning in result["warnings"]]
    if run.data.get("synthetic"):
        told.append("The photographs are synthetic.")
    return " ".join(told) or None


def software(run: RunFolder) -> str | None:
    told = [f"{name} {run.environment[name]}" for name in ("magnostic", "python")
            if name in run.environment]  # fmt: skip
    libraries = run.environment.get("libraries") or {}
    told += [f"{name} {version}" for name, version in libraries.items()]
    return f"Computed with {', '.join(told)}." if told else None


def model_file(run: RunFolder) -> str | None:
    note = run.run.get("model_for_use_note")
    return f"The run folder holds weights and resolved recipe. {note}" if note else None


def output(run: RunFolder) -> str | None:
    if run.run.get("decisions_only"):
        return f"A class for each image, of {', '.join(run.classes)}."
    return f"A probability for each of {', '.join(run.classes)}; the largest decides."


DATA = fact("Source", "Photographs", "Slides", "Patients", "Accessions (lab numbers)")
PREPARED = both(
    setting("Input", "Colour", "Augmentation"),
    fact("Pixel-identical photographs", "Slides with two labels"),
    left_out,
)
BUILT = setting(
    "Model", "Features", "Training", "Dropout", "Epochs", "Optimizer", "Learning rate",
    "Regularization", "Selection", "Precision", "Seed",
)  # fmt: skip
IMBALANCE = both(setting("Balance"), counts)
