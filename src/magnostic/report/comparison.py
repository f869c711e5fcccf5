"""A comparison of runs as it is shown, on a terminal or on a page: what is read, rows and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from magnostic.errors import BadInput
from magnostic.evaluate.predictions import Predictions
from magnostic.evaluate.verdict import NAMES, points
from magnostic.report.words import MISSING, level, ordered, with_interval

PREDICTIONS: Final = "predictions.parquet"


@dataclass(frozen=True)
class Grid:
    """A table of text: its title (empty for none), headings, and rows as wide as these."""

    title: str
    header: list[str]
    rows: list[list[str]]


def read(runs: Sequence[Path]) -> dict[str, Predictions]:
    """Predictions of run folders or predictions.parquet files, under the names they are shown by.

    Raises:
        BadInput: a run has no predictions, or is named twice. TableError: they are broken.
    """
    files = [_predictions_file(run) for run in runs]
    return {
        name: Predictions.read(file) for name, file in zip(_names(runs, files), files, strict=True)
    }


def _predictions_file(run: Path) -> Path:
    file = run / PREDICTIONS if run.is_dir() else run
    if not file.is_file():
        raise BadInput(
            f"{file}: no such file; give the folder of a finished run, or a {PREDICTIONS}"
        )
    return file


def _names(runs: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Folder names; where two are alike, the paths as they were given."""
    names = [f.resolve().parent.name if f.name == PREDICTIONS else f.stem for f in files]
    if len(set(names)) == len(names):
        return names
    given = [str(run) for run in runs]
    if len({file.resolve() for file in files}) < len(files):
        raise BadInput(f"{', '.join(given)}: one run is named twice; name each run once")
    return given


def protocols(tables: Mapping[str, Predictions]) -> list[str]:
    """Those that all systems are tested under, the one to believe first at the head.

    Raises BadInput where there are tables but no such protocol.
    """
    tested = {
        name: set(table.where(part="test").table["protocol"]) for name, table in tables.items()
    }
    common = set.intersection(*tested.values()) if tested else set()
    if tested and not common:
        have = "; ".join(f"{name}: {', '.join(sorted(p)) or 'none'}" for name, p in tested.items())
        raise BadInput(f"no protocol is tested by all runs ({have}); compare runs that share one")
    return ordered(dict.fromkeys(common))


def heading(result: Mapping[str, Any]) -> str:
    """What was compared on, in one line."""
    repeats = f", {result['repeats']} repeats" if result["repeats"] > 1 else ""
    return (
        f"protocol {result['protocol']}, {len(result['classes'])} classes, {result['n_images']} "
        f"images, {result['n_clusters']} clusters ({result['cluster']}){repeats}"
    )


def systems(result: Mapping[str, Any]) -> Grid:
    """Every figure of every system, with its interval."""
    header = [f"{level(result['confidence'])} CI", *(s["name"] for s in result["systems"])]
    rows = [
        [NAMES[figure], *(with_interval(system[figure]) for system in result["systems"])]
        for figure in result["pairs"][0]["figures"]
    ]
    return Grid("", header, rows)


def differences(pair: Mapping[str, Any], result: Mapping[str, Any]) -> Grid:
    """One pair's differences, in points."""
    many = len(result["pairs"]) > 1
    rows = []
    for name, figure in pair["figures"].items():
        limits = MISSING
        if figure["low"] is not None:
            limits = f"{points(figure['low'])} to {points(figure['high'])}"
        rows.append(
            [
                NAMES[name],
                _shown(figure["estimate"]),
                limits,
                p_text(figure["p_holm"]),
                _shown(figure["minimum_detectable"]),
                "yes" if figure["supported"] else "no",
            ]
        )
    ci = f"{level(result['confidence'])} CI"
    p = "p (Holm)" if many else "p"
    return Grid(
        f"{pair['first']} minus {pair['second']}, in points",
        ["figure", "difference", ci, p, "detectable", "supported"],
        rows,
    )


def tests(pair: Mapping[str, Any], n_pairs: int) -> list[str]:
    """The tests beside the bootstrap, a line each."""
    corrected = ", Holm" if n_pairs > 1 else ""
    test = pair["accuracy_test"]
    accuracy = (
        f"clustered McNemar (Durkalski 2003{corrected}): p {p_text(test['p_holm'])}, mean "
        f"difference of clusters {points(test['difference'])} points, {test['first_better']} in "
        f"favour of {pair['first']}, {test['second_better']} of {pair['second']}"
    )
    auc = []
    for test in pair["auc_tests"]:
        size = MISSING if test["difference"] is None else f"{points(test['difference'])} points"
        why = test["reason"] if test["p"] is None else f"p {p_text(test['p_holm'])}"
        auc.append(f"{test['class']} {size} ({why})")
    corrected = ", Holm" if n_pairs > 1 or len(auc) > 1 else ""
    return [accuracy, f"clustered AUC (Obuchowski 1997{corrected}): {'; '.join(auc)}"]


def p_text(p: float | None) -> str:
    """``0.042``, ``< 0.001``; a dash for none."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(value: float | None) -> str:
    return MISSING if value is None else points(value)
