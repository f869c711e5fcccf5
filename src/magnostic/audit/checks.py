"""The checks of parts against the images table: MG001 to MG005, one function each."""

from __future__ import annotations

from collections.abc import Iterable, Sized

import numpy as np
import pandas as pd

from magnostic.audit.findings import Finding
from magnostic.data.summary import counted
from magnostic.splits.grouped import GROUP_COLUMN
from magnostic.splits.table import PARTS, Parts

_RANDOM = (
    " This is what the random protocol measures: it doesn't tell how new patients fare; read the "
    "patient result beside it."
)
_OFFICIAL = " The data set's own fold files do this; read the patient result beside it."
_GROUPED = " The figures are too good; make the split anew with split.protocols patient."
_SIBLINGS = " These are likely one person; split.protocols accession keeps them apart."


def patients_apart(context: pd.DataFrame, parts: Parts, scope: str) -> Finding:
    """MG001: no patient is in the test part and in another (issue), or in train and val (tip)."""
    return _groups_apart("MG001", "patient_id", "patient", context, parts, scope)


def patients_known(images: pd.DataFrame) -> Finding | None:
    """MG001 of the images: a tip where some have no patient; None where all or none have one."""
    missing = images["patient_id"].isna()
    if not missing.any() or missing.all():
        return None
    return Finding(
        "MG001",
        "tip",
        "images",
        f"Can't be checked for {int(missing.sum())} of {len(images)} images: no patient; fill the "
        "column patient (or slide) of the manifest for them, or leave them out.",
        _sorted(images.loc[missing, "image_id"]),
    )


def accessions_apart(context: pd.DataFrame, parts: Parts, scope: str) -> Finding:
    """MG004: no accession, which is likely one person, is on both sides."""
    return _groups_apart("MG004", "accession", "accession", context, parts, scope)


def pixels_unique(images: pd.DataFrame) -> Finding:
    """MG002 of the images: pixel-identical photographs under several names (tip)."""
    twice = images[images["pixel_hash"].duplicated(keep=False)]
    if twice.empty:
        return Finding("MG002", "passed", "images", "No two photographs have the same pixels.")
    groups = twice["pixel_hash"].nunique()
    labels = twice.groupby("pixel_hash")["label"].nunique()
    contradict = int((labels > 1).sum())
    return Finding(
        "MG002",
        "tip",
        "images",
        f"{len(twice)} photographs share their pixels in {counted(groups, 'set')}"
        f"{f', {contradict} of them under different labels' if contradict else ''}; "
        "keep each set on one side (data.duplicates together) or drop them.",
        _sorted(twice["image_id"]),
    )


def pixels_apart(context: pd.DataFrame, parts: Parts, scope: str) -> Finding:
    """MG002 of a split: no photograph's pixels are in the test part and in another."""
    joined = _joined(context, parts)
    missing = int(joined["pixel_hash"].isna().sum())
    if missing == len(joined):
        return _unknown("MG002", scope, "the pixels are not known; give the images table")
    shared = _shared(joined, "pixel_hash", ("train", "val"), ("test",))
    within = _shared(joined, "pixel_hash", ("train",), ("val",))
    if len(shared):
        return Finding(
            "MG002",
            "issue",
            scope,
            f"{len(shared)} photographs with the same pixels are in the test part and in train or "
            "validation; set data.duplicates to together or drop.",
            _sorted(shared["image_id"]),
        )
    if len(within):
        return Finding(
            "MG002",
            "tip",
            scope,
            f"{len(within)} photographs with the same pixels are in train and in validation, "
            "which flatters the selection; set data.duplicates to together or drop.",
            _sorted(within["image_id"]),
        )
    if missing:
        why = (
            f"the pixels of {missing} of {len(joined)} images are not known; give the images table"
        )
        return _unknown("MG002", scope, why)
    return Finding("MG002", "passed", scope, "No photograph's pixels are in two parts.")


def slides_have_one_label(images: pd.DataFrame) -> Finding:
    """MG003: no slide stands under two labels."""
    known = images.dropna(subset=["slide_id"])
    if known.empty:
        return _unknown("MG003", "images", "no slide is known; add a column slide to the manifest")
    pairs = known[["slide_id", "label"]].drop_duplicates()
    double = sorted(pairs.loc[pairs["slide_id"].duplicated(), "slide_id"].unique())
    if not double:
        return Finding("MG003", "passed", "images", "Every slide has one label.")
    named = []
    for slide in double[:3]:
        counts = known.loc[known["slide_id"] == slide, "label"].value_counts().sort_index()
        under = ", ".join(f"{k}: {counted(n, 'image')}" for k, n in counts.items())
        named.append(f"{slide} ({under})")
    more = f" and {len(double) - 3} more" if len(double) > 3 else ""
    return Finding(
        "MG003",
        "issue",
        "images",
        f"Under more than one label: slide {', '.join(named)}{more}. A split may train on one "
        "label and test on the other: keep the slide on one side (data.double_labels together) or "
        "drop it.",
        _sorted(known.loc[known["slide_id"].isin(double), "image_id"]),
    )


def classes_present(
    context: pd.DataFrame, parts: Parts, y: pd.Series, scope: str, classes: Iterable[str] = ()
) -> Finding:
    """MG005: every class is in train and test (issue) and in val (tip), with groups for all folds.

    Where one group at a time is tested, not every class can be in test.

    Args:
        y: class name, indexed by image_id.
        classes: the run's, of which those of the parts are a part.
    """
    table = parts.table.assign(label=parts.table["image_id"].map(y))
    unlabelled = int(table["label"].isna().sum())
    if unlabelled:
        why = f"the class of {counted(unlabelled, 'image')} is not known; give the images table"
        return _unknown("MG005", scope, why)
    known = sorted({*classes, *table["label"].unique()})
    each = bool(parts.provenance.get("each"))
    absent: dict[str, list[str]] = {}
    for part in [p for p in PARTS if p == "train" or (table["part"] == p).any()]:
        there = set(table.loc[table["part"] == part, "label"].unique())
        lacking = [c for c in known if c not in there and not (each and part == "test")]
        if lacking:
            absent[part] = lacking
    few = _few_groups(context, parts, table)
    sentences = [f"no image of {', '.join(names)} in {part}" for part, names in absent.items()]
    folds = parts.provenance.get("folds")
    what = " to train or test on" if parts.provenance.get("left_out") else ""
    sentences += [
        f"class {name} has {counted(n, 'group')}{what} for {folds} folds" for name, n in few.items()
    ]
    grave = {*absent.get("train", ()), *absent.get("test", ()), *few}
    if grave:
        message = (
            f"{'; '.join(sentences)}: read pooled out-of-fold figures, leave the class out where "
            "it is not estimable, or add patients."
        )
        return Finding("MG005", "issue", scope, _sentence(message), _sorted(grave))
    if absent:
        message = f"{'; '.join(sentences)}: it has no say in choosing the weights."
        return Finding("MG005", "tip", scope, _sentence(message), _sorted(absent["val"]))
    return Finding("MG005", "passed", scope, "Every class is in every part.")


def _groups_apart(
    code: str, column: str, noun: str, context: pd.DataFrame, parts: Parts, scope: str
) -> Finding:
    joined = _joined(context, parts)
    missing = int(joined[column].isna().sum())
    if missing == len(joined):
        name = "lab number (accession)" if noun == "accession" else noun
        why = f"no {name} is known; add a column {noun} to the manifest"
        return _unknown(code, scope, why)
    shared = _sorted(_shared(joined, column, ("train", "val"), ("test",))[column])
    if shared:
        of = joined.loc[joined["part"] == "test", column].nunique()
        by_protocol = {"random": _RANDOM, "official": _OFFICIAL}
        usual = _SIBLINGS if code == "MG004" else _GROUPED
        advice = by_protocol.get(str(parts.table["protocol"].iloc[0]), usual)
        return Finding(
            code,
            "issue",
            scope,
            f"{len(shared)} of {counted(of, noun)} in the test part {_are(shared)} in train or "
            f"validation as well.{advice}",
            shared,
        )
    within = _sorted(_shared(joined, column, ("train",), ("val",))[column])
    if within:
        message = (
            f"{counted(len(within), noun)} {_are(within)} in train and in validation: selection "
            "is flattered."
        )
        return Finding(code, "tip", scope, message, within)
    if missing:
        have = "has" if missing == 1 else "have"
        why = f"{missing} of {len(joined)} images {have} no {noun}; fill it in for all"
        return _unknown(code, scope, why)
    return Finding(code, "passed", scope, f"No {noun} is in two parts.")


def _few_groups(context: pd.DataFrame, parts: Parts, table: pd.DataFrame) -> dict[str, int]:
    """Classes with fewer groups than folds, under a grouped k-fold protocol.

    Where one group at a time is tested, two are enough.
    """
    protocol = str(parts.table["protocol"].iloc[0])
    column, folds = GROUP_COLUMN.get(protocol), int(parts.provenance.get("folds", 1))
    if column is None or folds < 2 or protocol == "official":  # the files are no k folds
        return {}
    joined = table.merge(context[["image_id", column]], on="image_id").dropna(subset=[column])
    groups = joined.groupby("label")[column].nunique()
    least = 2 if parts.provenance.get("each") else folds
    return {str(name): int(n) for name, n in groups.items() if n < least}


def _joined(context: pd.DataFrame, parts: Parts) -> pd.DataFrame:
    return parts.table[["image_id", "part"]].merge(context, on="image_id", how="left")


def _shared(
    joined: pd.DataFrame, column: str, one: tuple[str, ...], other: tuple[str, ...]
) -> pd.DataFrame:
    """Rows of either side whose value of ``column`` is on both."""
    group, names = pd.factorize(joined[column])
    left, right = joined["part"].isin(one).to_numpy(), joined["part"].isin(other).to_numpy()
    # One place more, for the groups that are missing: their code is -1.
    on_left, on_right = np.zeros((2, len(names) + 1), dtype=bool)
    on_left[group[left]] = True
    on_right[group[right]] = True
    both = on_left & on_right
    both[-1] = False
    return joined[both[group] & (left | right)]


def _are(things: Sized) -> str:
    return "is" if len(things) == 1 else "are"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _unknown(code: str, scope: str, why: str) -> Finding:
    return Finding(code, "tip", scope, f"Can't be checked: {why}.")


def _sorted(values: Iterable[object]) -> tuple[str, ...]:
    unique = values.unique() if isinstance(values, pd.Series) else set(values)
    return tuple(sorted(map(str, unique)))
