"""The paper's other claims, row by row: the gap between losses, and the confusions it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from magnostic.report import published
from magnostic.report.cells import Cell, Table, Value
from magnostic.report.study.folder import Entry, Study
from magnostic.report.study.say import first_word, percent
from magnostic.report.words import MISSING, plural, protocol


@dataclass(frozen=True)
class LossGap:
    """Losses of the last epoch, means over models, in nats; low, high: the models' gaps."""

    train: float
    val: float
    low: float
    high: float
    models: int

    @property
    def gap(self) -> float:
        return self.val - self.train


def loss_gap(entry: Entry, name: str) -> LossGap | None:
    """Validation minus training loss at the end; None without epochs or validation part."""
    last = [
        child.history[-1]
        for child in (entry.run.children if entry.run else [])
        if child.protocol == name and child.history and "epoch" in child.history[-1]
    ]
    pairs = [
        (float(line["train_loss"]), float(line["val_loss"]))
        for line in last
        if line.get("train_loss") is not None and line.get("val_loss") is not None
    ]
    if not pairs:
        return None
    n = len(pairs)
    gaps = [val - train for train, val in pairs]
    train_mean, val_mean = (sum(values) / n for values in zip(*pairs, strict=True))
    return LossGap(train_mean, val_mean, min(gaps), max(gaps), n)


def losses(study: Study) -> Table | None:
    """Rows trained by epochs: the gap between validation and training loss at the end."""
    found = {
        (entry.key, name): gap
        for entry in study.done
        for name in study.protocols
        if (gap := loss_gap(entry, name)) is not None
    }
    shown = [e for e in study.done if any((e.key, name) in found for name in study.protocols)]
    if not shown:
        return None
    names = [name for name in study.protocols if any((e.key, name) in found for e in shown)]
    paper = any(_says(entry) is not None for entry in shown)
    rows, records = [], []
    for entry in shown:
        says = _says(entry)
        rows.append(
            [
                Cell(entry.label, entry.detail),
                *[_gap_cell(found.get((entry.key, name))) for name in names],
                *([Cell(MISSING if says is None else f"{says:.2f}")] if paper else []),
            ]
        )
        record: dict[str, Value] = {"key": entry.key, "label": entry.label,
                                    "settings": entry.detail, "paper": says}  # fmt: skip
        for name in names:
            gap = found.get((entry.key, name))
            record |= {
                f"{name}_gap": gap.gap if gap else None,
                f"{name}_train_loss": gap.train if gap else None,
                f"{name}_val_loss": gap.val if gap else None,
                f"{name}_models": gap.models if gap else None,
            }
        records.append(record)
    return Table(
        "losses",
        "Validation minus training loss in the last epoch, in nats, mean over the folds' models "
        "(small figures: lowest and highest model; the two losses). The training loss is the mean "
        "over the epoch's batches, while weights still move; validation images are drawn by the "
        "protocol's own grouping."
        + (
            " Last column: what the paper reads off its Fig. 5, for 8 types without augmentation "
            "and random images, beside rows trained as it trained."
            if paper
            else ""
        ),
        ["", *[protocol(name).title for name in names], *(["Paper"] if paper else [])],
        rows,
        records,
    )


def _says(entry: Entry) -> float | None:
    """The paper's own gap where the row repeats what its Fig. 5 shows."""
    recipe = entry.run.recipe if entry.run else {}
    named = entry.task == "subtype" and entry.recipe.startswith("nishio2024")
    if not (named and _as_in_fig_5(recipe)):
        return None
    return published.LOSS_GAPS.get(str(recipe.get("model", {}).get("backbone")))


def _as_in_fig_5(recipe: Mapping[str, Any]) -> bool:
    """All photographs, a z-score of the training images, no augmentation, every layer trained."""
    data, preprocess, train = (recipe.get(name, {}) for name in ("data", "preprocess", "train"))
    return (
        recipe.get("balance", {}).get("method") == "none"
        and not any(recipe.get("augment", {}).values())
        and not (data.get("magnifications") or data.get("train_magnifications"))
        and preprocess.get("colour", "none") == "none"
        and preprocess.get("normalize") in ("train", "train+val")
        and train.get("method") == "finetune"
        and train.get("trainable", "all") == "all"
    )


def _gap_cell(gap: LossGap | None) -> Cell:
    if gap is None:
        return Cell(MISSING)
    among = f"{_signed(gap.low)} to {_signed(gap.high)}; " if gap.models > 1 else ""
    return Cell(_signed(gap.gap), f"{among}{gap.val:.2f} − {gap.train:.2f}")


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


@dataclass(frozen=True)
class ConfusionTable:
    """heads: title of each confusion. protocols: of the columns under each. rows: cells in order.

    csv holds counts and shares.
    """

    caption: str
    heads: list[str]
    protocols: list[str]
    rows: list[tuple[Entry, list[Cell]]]
    csv: Table


def confusions(study: Study) -> ConfusionTable | None:
    """How many of a type's images are taken for the type that the paper says they are."""
    shown = [e for e in study.done if all(e.run and c in e.run.classes for c in _codes())]
    if not shown:
        return None
    rows, records = [], []
    for entry in shown:
        line: list[Cell] = []
        record: dict[str, Value] = {
            "key": entry.key,
            "label": entry.label,
            "settings": entry.detail,
        }
        for true, predicted in published.CONFUSIONS:
            for name in study.protocols:
                taken, of = _count(entry.results().get(name), true, predicted)
                line.append(Cell(percent(taken / of), f"{taken:,}/{of:,}") if of else Cell(MISSING))
                stem = f"{true}_as_{predicted}_{name}"
                record |= {stem: taken if of else None, f"{stem}_of": of if of else None}
        rows.append((entry, line))
        records.append(record)
    return ConfusionTable(
        "Share of the true type's test images, in percent, that are predicted as the other type; "
        "small figures: images. A row that recognizes few types at all has small shares here too: "
        "read them beside its confusion matrix.",
        [f"{true} as {predicted}" for true, predicted in published.CONFUSIONS],
        [first_word(name) for name in study.protocols],
        rows,
        Table("confusions", "", [], [], records),
    )


def _codes() -> set[str]:
    return {code for pair in published.CONFUSIONS for code in pair}


def _count(result: Mapping[str, Any] | None, true: str, predicted: str) -> tuple[int, int]:
    """Images of a type predicted as another, and all images of the type."""
    if result is None:
        return 0, 0
    classes, counts = result["confusion"]["classes"], result["confusion"]["counts"]
    row = counts[classes.index(true)]
    return int(row[classes.index(predicted)]), int(sum(row))


def about(study: Study) -> str:
    """One sentence on which rows carry losses."""
    n = sum(any(loss_gap(e, name) for name in study.protocols) for e in study.done)
    return f"{plural(n, 'row')} of {len(study.done)} were trained by epochs with a validation part."
