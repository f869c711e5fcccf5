"""Several data sets as one images table, whose ids cannot be mistaken for one another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from magnostic.data.assemble import tidy
from magnostic.data.images import Images
from magnostic.errors import DataError

#: Sources whose own names of images and slides mean the same in every part of the set; other
#: sources are named after a file or folder, which says nothing of what is in it.
_ONE_SET: Final = ("breakhis", "aptos")
_IDS: Final = ("image_id", "slide_id", "patient_id", "accession")


def merge(parts: Sequence[Images]) -> Images:
    """One images table of all parts, sorted by ``image_id``.

    Where sources differ, every id begins with ``source/``; parts of one source (BreakHis in two
    folders) keep their ids, so that a patient of both stays one patient. Synthetic if any part is.

    Raises DataError for a photograph that stands in two parts, and for two parts that are named
    alike though they may be different data sets.
    """
    if len(parts) == 1:
        return parts[0]
    sources = [set(part.table["source"]) for part in parts]
    _refuse_namesakes(sources)
    if len(set().union(*sources)) > 1:
        parts = [_prefixed(part) for part in parts]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    _refuse_twice(table)
    return Images(
        tidy(table),
        any(part.synthetic for part in parts),
        tuple(bad for part in parts for bad in part.skipped),
        tuple(entry for part in parts for entry in part.relabelled),
    )


def _refuse_namesakes(sources: Sequence[set[str]]) -> None:
    seen: set[str] = set()
    for names in sources:
        for name in sorted(names & seen):
            if name not in _ONE_SET:
                raise DataError(
                    f"--data: two data sets are named {name!r}, so that their patients can't be "
                    f"told apart; {_mend(name)}"
                )
        seen |= names


def _mend(name: str) -> str:
    # No name tells phantoms apart, and slides of two seeds may have one number by chance.
    if name.startswith("phantom"):
        return (
            "leave one of two phantoms out, give the one folder that holds both parts of the same "
            "phantom, or rename the manifest of one"
        )
    return (
        "rename the manifest or folder of one, or write both into one manifest if they are one set"
    )


def _refuse_twice(table: pd.DataFrame) -> None:
    twice = table[table["image_id"].duplicated(keep=False)]
    if twice.empty:
        return
    name = twice["image_id"].iloc[0]
    same = twice.loc[twice["image_id"] == name, "pixel_hash"].nunique() == 1
    n = twice["image_id"].nunique()
    what = "give each photograph once" if same else "with other pixels, so these are different sets"
    raise DataError(
        f"--data: image {name!r} stands in two of the data sets"
        f"{f' (and {n - 1} more do)' if n > 1 else ''}, {what}; leave one of the sets out"
    )


def _prefixed(part: Images) -> Images:
    """The part with ``source/`` before every id; one that was merged before has that already."""
    table = part.table
    prefix = table["source"] + "/"
    several = table["source"].nunique() > 1
    begins = [i.startswith(p) for i, p in zip(table["image_id"], prefix, strict=True)]
    if several and all(begins):
        return part
    table = table.assign(**{name: prefix + table[name] for name in _IDS})
    skipped = part.skipped
    if not several:
        skipped = tuple(replace(bad, path=prefix.iloc[0] + bad.path) for bad in skipped)
    return replace(part, table=table, skipped=skipped)
