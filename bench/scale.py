"""A manifest of many rows: index from given hashes, all split protocols, audit.

Each size runs in a process of its own, so that its peak memory is its own. The manifest is
synthetic: 8 types, 4 magnifications, slides of 20 photographs, a lab number for every two slides,
one photograph in a hundred a pixel-identical copy. Targets: a million rows in at most 60 seconds
and 2 GiB; and time grows linearly with rows, i.e. the time per row of the largest is at most 1.5
times that of the one before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _table import Row, finish

PROTOCOLS = ("random", "patient", "accession", "source")


def write_manifest(path: Path, rows: int) -> None:
    """A CSV in the shape that ``data.manifest`` reads, hashes and sizes given."""
    rng = np.random.default_rng(0)
    types = ("A", "F", "PT", "TA", "DC", "LC", "MC", "PC")
    slide = np.arange(rows) // 20
    copied = np.where(rng.random(rows) < 0.01, slide * 20, np.arange(rows))
    with path.open("w", encoding="utf-8") as file:
        file.write("path,label,patient,slide,accession,magnification,image_id,")
        file.write("pixel_hash,width,height\n")
        for row in range(rows):
            s = int(slide[row])
            file.write(
                f"images/{row}.png,{types[(s // 2) % 8]},p{s},s{s},a{s // 2},"
                f"{(40, 100, 200, 400)[row % 4]},i{row:07},{copied[row]:032x},700,460\n"
            )


def measure(rows: int) -> dict[str, float]:
    """Seconds of each step and peak memory in GiB, in this process."""
    from magnostic import audit, splits
    from magnostic.data import read_images
    from magnostic.data.images import Images, targets
    from magnostic.recipe import Recipe

    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_manifest(folder / "manifest.csv", rows)
        # Two sources, so that one can be left out.
        started = time.perf_counter()
        images = read_images(folder / "manifest.csv")
        images.write(folder / "images.parquet")
        seconds["index"] = time.perf_counter() - started

        table = images.table.copy()
        table["source"] = np.where(table["accession"].str[-1].isin(list("01234")), "one", "two")
        images = Images(table)
        started = time.perf_counter()
        recipe = Recipe.model_validate(
            {
                "name": "scale",
                "task": "subtype",
                "split": {"protocols": PROTOCOLS, "folds": 5},
                "model": {"backbone": "tf_efficientnet_lite0", "weights": "none"},
                "train": {"method": "probe", "head": "logistic", "c": 0.1},
            }
        )
        y = targets(images.table, "subtype")
        selection = splits.apply_policies(images, recipe.data)
        y = targets(selection.table, "subtype")
        folds = splits.make(selection, recipe, y)
        folds.write(folder)
        seconds["splits"] = time.perf_counter() - started

        started = time.perf_counter()
        audit.audit_split(folder, images)
        seconds["audit"] = time.perf_counter() - started
    seconds["total"] = sum(seconds.values())
    seconds["peak GiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(chosen.one)))
        return
    rows: list[Row] = []
    per_row: list[float] = []
    for count in chosen.rows:
        command = [sys.executable, __file__, "--one", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        largest = count >= 1_000_000
        steps = ("index", "splits", "audit")
        rows += [Row(f"{count:,} rows, {step}", found[step], "s") for step in steps]
        met = found["total"] <= 60 if largest else None
        rows.append(
            Row(f"{count:,} rows, all", found["total"], "s", "<= 60 s" if largest else "", met)
        )
        met = found["peak GiB"] <= 2 if largest else None
        rows.append(
            Row(f"{count:,} rows, peak", found["peak GiB"], "GiB", "<= 2" if largest else "", met)
        )
        per_row.append(found["total"] / count)
        if len(per_row) > 1:
            growth = per_row[-1] / per_row[-2]
            name = f"time per row, {count:,} against the size before"
            rows.append(Row(name, growth, "", "<= 1.5", growth <= 1.5))
    finish("scale", rows, chosen.json)


if __name__ == "__main__":
    main()
