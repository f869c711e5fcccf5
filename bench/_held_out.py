"""Explainers of a run's folds, each with the photographs that its model was not trained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from magnostic.explain import Explainer

#: The strictest first.
PROTOCOLS = ("accession", "patient", "random")


def held_out(run: Path, method: str) -> Iterator[tuple[str, Explainer, list[str]]]:
    """Name, explainer and sorted image ids of each fold of the strictest protocol of a run."""
    scored = pd.read_parquet(run / "predictions.parquet")
    protocol = next(p for p in PROTOCOLS if (scored["protocol"] == p).any())
    scored = scored[(scored["protocol"] == protocol) & (scored["part"] == "test")]
    for (repeat, fold), part in scored.groupby(["repeat", "fold"]):
        folder = run / protocol / f"r{repeat}f{fold}"
        explainer = Explainer.load(folder, method=method)
        yield f"{protocol} r{repeat}f{fold}", explainer, sorted(part["image_id"])
