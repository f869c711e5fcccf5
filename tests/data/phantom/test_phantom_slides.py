"""The phantom's slides: names, siblings, the double label."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from magnostic.data.phantom import phantom_slides, shown_slide
from magnostic.errors import BadInput
from magnostic.taxonomy import BY_CODE, CODES

NAME = re.compile(r"SOB_([BM])_([A-Z]+)-(\d{2})-(\d+)([A-Z]*)-(40|100|200|400)-(\d{3})\.png")


def test_names_are_of_the_breakhis_form() -> None:
    for slide in phantom_slides(3, 4):
        match = NAME.fullmatch(slide.file_name(100, 7))
        assert match is not None
        assert match[1] == BY_CODE[slide.code].letter
        assert (match[2], match[4], match[5]) == (slide.code, str(slide.number), slide.block)
        assert slide.folder.endswith(f"SOB_{match[1]}_{slide.code}_14-{match[4]}{match[5]}")


def test_every_type_has_its_patients() -> None:
    patients = Counter(code for code, _ in {(s.code, s.number) for s in phantom_slides(0, 5)})
    assert patients == {**dict.fromkeys(CODES, 5), "LC": 6}


def test_siblings_share_a_lab_number_and_a_lab() -> None:
    slides = phantom_slides(0, 3)
    blocks = [s for s in slides if s.code == "A" and s.block]
    assert [s.block for s in blocks] == ["AB", "CD"]
    assert len({(s.number, s.lab) for s in blocks}) == 1
    (first,) = [s for s in slides if s.code == "F" and s.block]
    (second,) = [s for s in slides if s.code == "PT" and s.block]
    assert (first.number, first.lab) == (second.number, second.lab)
    assert first.slide_id != second.slide_id


def test_one_slide_has_two_labels() -> None:
    slides = phantom_slides(0, 3)
    labels: dict[str, set[str]] = {}
    for slide in slides:
        labels.setdefault(slide.slide_id, set()).add(slide.code)
    assert [v for v in labels.values() if len(v) > 1] == [{"DC", "LC"}]
    (twin,) = [s for s in slides if s.twin]
    shown = [shown_slide(twin, field, 4).code for field in range(4)]
    assert shown == ["DC", "DC", "LC", "LC"]


def test_lab_numbers_are_above_every_real_one() -> None:
    # The largest lab number in BreakHis is 29960.
    assert min(s.number for s in phantom_slides(11, 200)) >= 31000


@pytest.mark.parametrize(("seed", "patients"), [(-1, 2), (0, 0), (0, 1001)])
def test_bad_numbers_are_named(seed: int, patients: int) -> None:
    with pytest.raises(BadInput, match=r"seed|patients_per_type"):
        phantom_slides(seed, patients)
