"""``magnostic compare``: two or more systems on the same images, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

if TYPE_CHECKING:
    from rich.table import Table

    from magnostic.evaluate.predictions import Predictions

_PREDICTIONS = "predictions.parquet"


def compare(
    *runs: Path,
    protocol: str | None = None,
    task: Literal["stored", "binary"] = "stored",
    resamples: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 10_000,
    confidence: Annotated[float, Parameter(validator=validators.Number(gt=0.5, lt=1))] = 0.95,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Say which run is better on the same images, and on how many patients that rests.

    Every figure's difference comes with an interval that draws whole patients (lab numbers under
    the accession protocol), the same for both runs; what is supported is said in words.

    Parameters
    ----------
    runs
        Two or more run folders, or predictions.parquet files of any system.
    protocol
        Whose test predictions are compared; by default the one that a report of all runs would put
        first (patient, then accession).
    task
        binary: sum the eight types' probabilities to benign and malignant first.
    resamples
        Bootstrap resamples; 0 for no intervals.
    confidence
        Of the intervals; a difference is supported at one minus this.
    seed
        Of the resamples.
    out
        Where to write the result: a .json file, a .csv file (one row a pair and figure), or a
        folder for both.
    """
    from magnostic.evaluate.compare import compare as compare_systems
    from magnostic.evaluate.predictions import Predictions

    targets = _targets(out)
    files = [_predictions_file(run) for run in runs]
    tables = {
        name: Predictions.read(file) for name, file in zip(_names(runs, files), files, strict=True)
    }
    result = compare_systems(
        tables,
        protocol or _main(tables),
        binary=task == "binary",
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    _print(result)
    _write(result, targets)


def _predictions_file(run: Path) -> Path:
    from magnostic.errors import BadInput

    file = run / _PREDICTIONS if run.is_dir() else run
    if not file.is_file():
        raise BadInput(
            f"{file}: no such file; give the folder of a finished run, or a {_PREDICTIONS}"
        )
    return file


def _names(runs: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Folder names; where two are alike, the paths as they were given."""
    from magnostic.errors import BadInput

    names = [f.resolve().parent.name if f.name == _PREDICTIONS else f.stem for f in files]
    if len(set(names)) == len(names):
        return names
    given = [str(run) for run in runs]
    if len({file.resolve() for file in files}) < len(files):
        raise BadInput(f"{', '.join(given)}: one run is named twice; name each run once")
    return given


def _main(tables: Mapping[str, Predictions]) -> str:
    from magnostic.errors import BadInput
    from magnostic.report.words import ordered

    tested = {
        name: set(table.where(part="test").table["protocol"]) for name, table in tables.items()
    }
    common = set.intersection(*tested.values()) if tested else set()
    if tested and not common:
        have = "; ".join(f"{name}: {', '.join(sorted(p)) or 'none'}" for name, p in tested.items())
        raise BadInput(f"no protocol is tested by all runs ({have}); compare runs that share one")
    return ordered(dict.fromkeys(common))[0] if common else ""


def _targets(out: Path | None) -> dict[str, Path]:
    from magnostic.errors import BadInput

    if out is None:
        return {}
    if out.suffix in (".json", ".csv") and not out.is_dir():
        return {out.suffix: out}
    if out.is_file():
        raise BadInput(f"{out}: is a file; name a .json file, a .csv file or a folder")
    return {suffix: out / f"comparison{suffix}" for suffix in (".json", ".csv")}


def _print(result: Mapping[str, Any]) -> None:
    from magnostic.cli.console import console as console_of

    console = console_of()
    repeats = f", {result['repeats']} repeats" if result["repeats"] > 1 else ""
    print(
        f"protocol {result['protocol']}, {len(result['classes'])} classes, {result['n_images']} "
        f"images, {result['n_clusters']} clusters ({result['cluster']}){repeats}"
    )
    console.print(_systems_table(result))
    for pair in result["pairs"]:
        console.print()
        console.print(_pair_table(pair, result))
        console.print(pair["words"], markup=False)
        console.print(_tests(pair, len(result["pairs"])), markup=False)
    for warning in result["warnings"]:
        print(f"note: {warning}")


def _systems_table(result: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from magnostic.cli.table import with_interval
    from magnostic.evaluate.verdict import NAMES

    table = Table(box=None, pad_edge=False)
    table.add_column(f"{100 * result['confidence']:.6g}% CI")
    for system in result["systems"]:
        table.add_column(escape(system["name"]), justify="right", overflow="fold")
    for figure in result["pairs"][0]["figures"]:
        table.add_row(
            NAMES[figure], *(with_interval(system[figure]) for system in result["systems"])
        )
    return table


def _pair_table(pair: Mapping[str, Any], result: Mapping[str, Any]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from magnostic.evaluate.verdict import NAMES, points

    def shown(value: float | None) -> str:
        return "–" if value is None else points(value)

    many = len(result["pairs"]) > 1
    table = Table(
        title=f"{escape(pair['first'])} minus {escape(pair['second'])}, in points",
        title_justify="left",
    )
    table.add_column("figure")
    level = f"{100 * result['confidence']:.6g}% CI"
    for heading in ("difference", level, "p (Holm)" if many else "p", "detectable", "supported"):
        table.add_column(heading, justify="right")
    for name, figure in pair["figures"].items():
        limits = "–"
        if figure["low"] is not None:
            limits = f"{points(figure['low'])} to {points(figure['high'])}"
        table.add_row(
            NAMES[name],
            shown(figure["estimate"]),
            limits,
            p_text(figure["p_holm"]),
            shown(figure["minimum_detectable"]),
            "yes" if figure["supported"] else "no",
        )
    return table


def _tests(pair: Mapping[str, Any], n_pairs: int) -> str:
    """The tests beside the bootstrap, a line each."""
    from magnostic.evaluate.verdict import points

    corrected = ", Holm" if n_pairs > 1 else ""
    test = pair["accuracy_test"]
    accuracy = (
        f"clustered McNemar (Durkalski 2003{corrected}): p {p_text(test['p_holm'])}, mean "
        f"difference of clusters {points(test['difference'])} points, {test['first_better']} in "
        f"favour of {pair['first']}, {test['second_better']} of {pair['second']}"
    )
    auc = []
    for test in pair["auc_tests"]:
        size = "–" if test["difference"] is None else f"{points(test['difference'])} points"
        why = test["reason"] if test["p"] is None else f"p {p_text(test['p_holm'])}"
        auc.append(f"{test['class']} {size} ({why})")
    corrected = ", Holm" if n_pairs > 1 or len(auc) > 1 else ""
    return f"{accuracy}\nclustered AUC (Obuchowski 1997{corrected}): {'; '.join(auc)}"


def p_text(p: float | None) -> str:
    """``0.042``, ``< 0.001``; a dash for none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _write(result: Mapping[str, Any], targets: Mapping[str, Path]) -> None:
    import pandas as pd

    from magnostic.files import write_json, write_text

    for suffix, target in targets.items():
        if suffix == ".json":
            write_json(target, result)
        else:
            rows = [
                {"first_run": pair["first"], "second_run": pair["second"], "figure": name}
                | {"protocol": result["protocol"], "n_clusters": result["n_clusters"]}
                | figure
                for pair in result["pairs"]
                for name, figure in pair["figures"].items()
            ]
            write_text(target, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
        print(f"written: {target}")
