"""``magnostic compare``: two or more systems on the same images, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

if TYPE_CHECKING:
    from rich.table import Table

    from magnostic.report.comparison import Grid


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
    from magnostic.report import comparison

    targets = _targets(out)
    tables = comparison.read(runs)
    common = comparison.protocols(tables)
    result = compare_systems(
        tables,
        protocol or (common[0] if common else ""),
        binary=task == "binary",
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    _print(result)
    _write(result, targets)


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
    from magnostic.report import comparison

    console = console_of()
    print(comparison.heading(result))
    console.print(_table(comparison.systems(result), plain=True))
    for pair in result["pairs"]:
        console.print()
        console.print(_table(comparison.differences(pair, result)))
        console.print(pair["words"], markup=False)
        console.print("\n".join(comparison.tests(pair, len(result["pairs"]))), markup=False)
    for warning in result["warnings"]:
        print(f"note: {warning}")


def _table(grid: Grid, *, plain: bool = False) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False) if plain else Table()
    if grid.title:
        table.title, table.title_justify = escape(grid.title), "left"
    for n, name in enumerate(grid.header):
        fold: Literal["fold", "ellipsis"] = "fold" if plain and n else "ellipsis"
        table.add_column(escape(name), justify="right" if n else "left", overflow=fold)
    for row in grid.rows:
        table.add_row(*row)
    return table


def _write(result: Mapping[str, Any], targets: Mapping[str, Path]) -> None:
    import pandas as pd

    from magnostic.csv_text import guarded
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
            frame = pd.DataFrame(rows).map(guarded)
            write_text(target, frame.to_csv(index=False, lineterminator="\n"))
        print(f"written: {target}")
