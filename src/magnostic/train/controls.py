"""Gathering what the negative controls of a run are computed from; ``controls.json``.

The controls themselves, and the file's shape, are in :mod:`magnostic.evaluate.controls`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magnostic.data.derived import derived
from magnostic.evaluate import controls
from magnostic.evaluate.bootstrap import Sampling
from magnostic.evaluate.controls import Features, Fold, Material
from magnostic.files import write_json
from magnostic.models import colour_histogram
from magnostic.progress import say
from magnostic.recipe import Finetune
from magnostic.splits.grouped import GROUP_COLUMN
from magnostic.splits.table import Parts
from magnostic.train import device, fit
from magnostic.train.experiment import Experiment


def wanted(experiment: Experiment, prepared: Sequence[Parts]) -> bool:
    """Whether the recipe asks for controls, and random images stand beside a grouped protocol."""
    names = {_protocol(parts) for parts in prepared}
    grouped = names & set(GROUP_COLUMN)
    return experiment.recipe.evaluate.controls and "random" in names and bool(grouped)


def write(experiment: Experiment, prepared: Sequence[Parts], out: Path) -> None:
    """Measure all controls and write ``controls.json`` to the folder."""
    say("negative controls")
    material = gather(experiment, prepared)
    with device.one_thread():
        found = controls.measure(material)
    write_json(out / "controls.json", found)


def gather(experiment: Experiment, prepared: Sequence[Parts]) -> Material:
    """Colours, frozen features and folds of repeat 0 of a run.

    Args:
        prepared: the parts of all its children.
    """
    recipe = experiment.recipe
    features, statistics_of = _features(experiment, prepared)
    return Material(
        table=experiment.table,
        classes=experiment.classes,
        y=experiment.y_index,
        colours=_colours(experiment),
        features=features,
        folds=[_fold(experiment, p) for p in prepared if int(p.table["repeat"].iloc[0]) == 0],
        sampling=Sampling(recipe.evaluate.resamples, recipe.evaluate.confidence, recipe.seed),
        balanced=recipe.balance.method == "class-weights",
        statistics_of=statistics_of,
    )


def _protocol(parts: Parts) -> str:
    return str(parts.table["protocol"].iloc[0])


def _fold(experiment: Experiment, parts: Parts) -> Fold:
    train, test = (experiment.positions(parts.ids(part)) for part in ("train", "test"))
    return Fold(_protocol(parts), int(parts.table["fold"].iloc[0]), train, test)


def _colours(experiment: Experiment) -> Features:
    """Histograms of the photographs as they are, before any change of colour; kept in the cache."""
    array = experiment.pixels.array
    key = f"{experiment.pixels.key} {colour_histogram.VERSION}"
    found = derived("histograms", key, len(array), lambda: colour_histogram.describe(array))
    rows: Features = found[experiment.pixel_rows]
    return rows


def _features(
    experiment: Experiment, prepared: Sequence[Parts]
) -> tuple[Features | None, str | None]:
    """The run's frozen features, and the fold that their statistics are of, if of any."""
    if isinstance(experiment.recipe.train, Finetune):
        return None, None
    first = next(parts for parts in prepared if _protocol(parts) == "random")
    features, depends = fit.frozen_features(experiment, first)
    row = first.table.iloc[0]
    return features, f"random/r{row['repeat']}f{row['fold']}" if depends else None
