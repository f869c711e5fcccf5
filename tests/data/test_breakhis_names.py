import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.data.breakhis import Name, from_names, parse_name
from magnostic.data.summary import PAPER_PATIENTS, PAPER_TABLE1
from magnostic.errors import DataError
from magnostic.taxonomy import CODES, MAGNIFICATIONS

NAMES = st.builds(
    Name,
    type=st.sampled_from(CODES),
    year=st.from_regex("[0-9]{2}", fullmatch=True),
    lab=st.from_regex("[0-9]{1,6}", fullmatch=True),
    block=st.from_regex("[A-Z]{0,3}", fullmatch=True),
    magnification=st.sampled_from(MAGNIFICATIONS),
    sequence=st.integers(0, 20_000),
)


@given(NAMES)
def test_a_name_written_is_read_back(name: Name) -> None:
    assert parse_name(name.file) == name


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_round_trips(text: str) -> None:
    try:
        name = parse_name(text)
    except ValueError:
        return
    assert name.file == text


def test_the_parts_of_a_name() -> None:
    name = parse_name("SOB_B_A-14-22549AB-40-001.png")
    assert (name.slide_id, name.accession) == ("14-22549AB", "14-22549")
    assert (name.type, name.magnification, name.sequence) == ("A", 40, 1)
    assert name.slide_folder == "SOB_B_A_14-22549AB"


@pytest.mark.parametrize(
    "file",
    [
        "SOB_M_A-14-22549AB-40-001.png",  # adenosis is benign
        "SOB_B_A-14-22549ab-40-001.png",
        "SOB_B_A-14-22549AB-50-001.png",
        "SOB_B_A-14-22549AB-40-01.png",
        "SOB_B_A-14-22549AB-40-0001.png",
        "SOB_B_A-14-22549AB-40-001.png\n",
        "SOB_B_A-14-22549AB-40-٠٠١.png",
        "SOB_B_X-14-22549AB-40-001.png",
    ],
)
def test_a_name_that_breaks_the_form(file: str) -> None:
    with pytest.raises(ValueError, match=r"BreakHis|is benign"):
        parse_name(file)


def test_from_names_names_the_wrong_one() -> None:
    with pytest.raises(DataError, match=r"^holiday.png: not a BreakHis"):
        from_names(["SOB_B_A-14-22549AB-40-001.png", "holiday.png"])


def test_all_7909_names_give_the_papers_table(fold_files) -> None:
    lines = (fold_files / "dsfold1.txt").read_text().split()
    frame = from_names(line.split("|")[0] for line in lines)
    assert len(frame) == frame["image_id"].nunique() == 7909
    counts = frame.groupby(["tumour_type", "magnification"]).size()
    for code in CODES:
        found = tuple(int(counts[code, m]) for m in MAGNIFICATIONS)
        assert found == PAPER_TABLE1[code]
    pairs = frame[["tumour_type", "malignancy", "slide_id"]].drop_duplicates()
    assert len(pairs) == 82
    assert pairs["malignancy"].value_counts().to_dict() == PAPER_PATIENTS
    slides = {"A": 4, "F": 10, "PT": 3, "TA": 7, "DC": 38, "LC": 5, "MC": 9, "PC": 6}
    assert pairs["tumour_type"].value_counts().to_dict() == slides
    assert frame["slide_id"].nunique() == 81
    assert frame["accession"].nunique() == 70
    twice = frame.groupby("slide_id")["tumour_type"].nunique()
    assert twice[twice > 1].index.tolist() == ["14-13412"]
    assert frame.loc[frame["slide_id"] == "14-13412", "tumour_type"].value_counts().to_dict() == {
        "DC": 123,
        "LC": 123,
    }
