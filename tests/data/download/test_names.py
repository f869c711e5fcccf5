"""What a whole BreakHis holds, against the official fold files and the paper's Table I."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

from magnostic.data import breakhis
from magnostic.data.download import names
from magnostic.data.summary import PAPER_TABLE1
from magnostic.taxonomy import MAGNIFICATIONS


def test_the_fold_files_have_the_published_checksums() -> None:
    found = names.fold_files()
    sums = {n: hashlib.sha256(found[f"dsfold{n}.txt"]).hexdigest() for n in range(1, 6)}
    assert sums == names.FOLD_SHA256


def test_the_fold_files_are_the_official_ones(fold_files: Path) -> None:
    for name, content in names.fold_files().items():
        assert (fold_files / name).read_bytes() == content


def test_counts_are_those_of_table_1() -> None:
    every = [name for slide in names.slides() for name in slide.names]
    assert len(every) == len(names.places()) == 7909
    counts = Counter((name.type, name.magnification) for name in every)
    for code, row in PAPER_TABLE1.items():
        assert tuple(counts[code, m] for m in MAGNIFICATIONS) == row
    assert len(names.slides()) == 82


def test_places_are_those_of_the_original_tree(breakhis_sample: Path) -> None:
    found = [p.relative_to(breakhis_sample) for p in breakhis_sample.rglob("*.png")]
    places = names.places()
    assert found
    assert all(places[path.name] == path for path in found)


def test_a_place_agrees_with_its_name_as_the_reader_checks_it() -> None:
    for name, place in list(names.places().items())[::97]:
        breakhis._agree(Path(names.TOP, place), breakhis.parse_name(name))
