import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnostic.data import read_images
from magnostic.data.images import GIVEN
from magnostic.data.manifest import REQUIRED, read
from magnostic.data.scan import Scanner
from magnostic.errors import DataError, MagnosticError

HASHED = "path,label,pixel_hash,width,height"


def manifest(folder: Path, text: str) -> Path:
    path = folder / "cohort.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def two(tmp_path, photo) -> Path:
    photo(tmp_path / "img" / "a.png", 1)
    photo(tmp_path / "img" / "b.png", 2)
    return tmp_path


def test_the_least_manifest(two) -> None:
    images = read_images(manifest(two, "path,label\nimg/a.png,melanoma\n./img/b.png,naevus\n"))
    table = images.table
    assert table["image_id"].tolist() == ["a", "b"]
    assert table["label"].tolist() == ["melanoma", "naevus"]
    assert table["path"].map(Path).tolist() == [two / "img" / "a.png", two / "img" / "b.png"]
    assert table["source"].unique().tolist() == ["cohort"]
    unknown = ["tumour_type", "malignancy", "slide_id", "patient_id", "accession", "magnification"]
    assert table[unknown].isna().all(axis=None)
    assert table["width"].tolist() == [14, 14]


def test_columns_are_mapped(two) -> None:
    path = manifest(two, "file,dx,case\nimg/a.png,x,p1\nimg/b.png,y,p2\n")
    images = read_images(path, columns={"path": "file", "label": "dx", "patient": "case"})
    assert images.table["patient_id"].tolist() == ["p1", "p2"]
    assert images.table["accession"].isna().all(), "never made up from patients"


def test_a_slide_stands_in_for_the_patient(two) -> None:
    path = manifest(two, "path,label,slide,patient\nimg/a.png,x,s1,\nimg/b.png,y,s2,p2\n")
    table = read_images(path).table
    assert table["slide_id"].tolist() == ["s1", "s2"]
    assert table["patient_id"].tolist() == ["s1", "p2"]
    assert table["accession"].isna().all()


def test_accessions_are_read_as_they_are(two) -> None:
    path = manifest(two, "path,label,patient,accession\nimg/a.png,x,p1,n1\nimg/b.png,y,p2,\n")
    table = read_images(path).table
    assert table["accession"].tolist()[0] == "n1"
    assert table["accession"].isna().tolist() == [False, True]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_recognized(two, separator) -> None:
    text = 'path,"la, bel",patient\nimg/a.png,"x, y",p1\nimg/b.png,y,p2\n'
    text = text.replace(",", separator).replace(f"{separator} ", ", ")
    table = read_images(manifest(two, text), columns={"label": "la, bel"}).table
    assert table["label"].tolist() == ["x, y", "y"]
    assert table["patient_id"].tolist() == ["p1", "p2"]


def test_a_file_that_is_not_utf8(two) -> None:
    path = two / "latin.csv"
    path.write_bytes("path,label\nimg/a.png,Fibroadenom gutartig (m\xe4\xdfig)\n".encode("latin-1"))
    with pytest.raises(
        DataError, match=r"latin\.csv: not UTF-8 text; save it as CSV UTF-8"
    ) as told:
        read_images(path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "text, line, fields",
    [
        ("path,label\nimg/a.png,x,more\nimg/b.png,y\n", 2, 3),
        ("path,label\n\nimg/a.png,x\nimg/b.png,y,z,w\n", 4, 4),
        ("path,label,patient\nimg/a.png,x,p\nimg/b.png,y\n", 3, 2),
    ],
)
def test_a_ragged_row(two, text, line, fields) -> None:
    with pytest.raises(DataError, match=f"cohort.csv: line {line} has {fields} fields") as told:
        read_images(manifest(two, text))
    assert "\n" not in str(told.value)


def test_empty_cells_at_the_end_do_not_count(two) -> None:
    path = manifest(two, "path,label,,\nimg/a.png,x,,\nimg/b.png,y,,,,\n,,,\n")
    assert read_images(path).table["label"].tolist() == ["x", "y"]


def test_a_column_that_stands_twice(two) -> None:
    path = manifest(two, "path,label,patient, label\nimg/a.png,x,p1,y\n")
    with pytest.raises(DataError, match="column 'label' stands twice in the header"):
        read_images(path)


@pytest.mark.parametrize(
    "labels, types, malignancy",
    [
        (("DC", "A"), ["DC", "A"], ["malignant", "benign"]),
        (("ductal_carcinoma", "Tubular adenoma"), ["DC", "TA"], ["malignant", "benign"]),
        (("Benign", "malignant"), None, ["benign", "malignant"]),
        (("dc", "a"), None, None),
        (("DC", "other"), None, None),
    ],
)
def test_labels_of_the_field_are_understood(two, labels, types, malignancy) -> None:
    text = f"path,label\nimg/a.png,{labels[0]}\nimg/b.png,{labels[1]}\n"
    table = read_images(manifest(two, text)).table
    for column, expected in (("tumour_type", types), ("malignancy", malignancy)):
        if expected is None:
            assert table[column].isna().all()
        else:
            assert table[column].tolist() == expected


def test_declared_types(two) -> None:
    text = (
        "path,label,tumour_type,magnification\nimg/a.png,1,mucinous carcinoma,40X\nimg/b.png,2,,\n"
    )
    table = read_images(manifest(two, text)).table
    assert table["tumour_type"].tolist()[0] == "MC"
    assert table["malignancy"].tolist()[0] == "malignant"
    assert table["magnification"].tolist()[0] == 40
    assert table[["tumour_type", "malignancy", "magnification"]].iloc[1].isna().all()


def test_given_hashes_are_trusted_and_marked(tmp_path, photo) -> None:
    photo(tmp_path / "b.png")
    text = f"{HASHED}\nfar/away.png,x,abc,700,460\nb.png,y,,,\n"
    table = read_images(manifest(tmp_path, text)).table
    assert table["pixel_hash"].tolist()[0] == f"{GIVEN}abc"
    assert not table["pixel_hash"].tolist()[1].startswith(GIVEN)
    assert table["width"].tolist() == [700, 14]


def test_spaces_around_values_do_not_count(two) -> None:
    path = manifest(two, "path, label ,patient\nimg/a.png , x, p \nimg/b.png,x,  \n")
    table = read_images(path).table
    assert table["label"].tolist() == ["x", "x"]
    assert table["patient_id"].tolist()[0] == "p"
    assert table["patient_id"].isna().tolist() == [False, True]


def test_many_rows_with_hashes(tmp_path) -> None:
    n = 50_000
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(n)], "label": "x"})
    frame = frame.assign(pixel_hash=frame["path"], width=1, height=1, patient="p")
    frame.to_csv(tmp_path / "big.csv", index=False)
    assert len(read_images(tmp_path / "big.csv")) == n


def test_ids_where_stems_repeat(tmp_path, photo) -> None:
    photo(tmp_path / "p1" / "a.png", 1)
    photo(tmp_path / "p2" / "a.png", 2)
    path = manifest(tmp_path, f"path,label\np1/a.png,x\n{tmp_path}/p2/a.png,y\n")
    assert read_images(path).table["image_id"].tolist() == ["p1/a.png", "p2/a.png"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "empty; expected a header with columns path,label"),
        ("path,label\n", "a header but no row"),
        (
            "file,label\na,b\n",
            r"column 'path' is missing \(columns found: file, label\).*path=file",
        ),
        ("path,dx\na,b\n", "column 'label' is missing .*--column label=dx"),
        ('path,label\n"a,b\n', "not a readable CSV"),
        ("path,label\na.png,x\n\na.png,x\n", "rows 2 and 4 give the same path 'a.png'; keep one"),
        ("path,label\na.png,x\n./a.png,y\n", "rows 2 and 3 .*with different labels, 'x' and 'y'"),
        ("path,label\na/b.png,x\na/c/..//b.png,x\n", "the same path 'a/b.png'"),
        ("path,label,image_id\na.png,x,1\nb.png,x,1\n", "same image_id '1'"),
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path, text, message) -> None:
    with pytest.raises(DataError, match=message):
        read_images(manifest(tmp_path, text))


def test_columns_that_do_not_exist(two) -> None:
    path = manifest(two, "file,label\nimg/a.png,x\n")
    with pytest.raises(
        DataError, match=r"'pathh' is no column of a manifest \(did you mean 'path'"
    ):
        read_images(path, columns={"pathh": "file"})
    with pytest.raises(
        DataError, match=r"column 'fil', named for 'path', is missing \(did you mean"
    ):
        read_images(path, columns={"path": "fil"})


@pytest.mark.parametrize(
    "row, message",
    [
        (",x,,,40", "no path: row 2: column 'path' is empty"),
        ("img/a.png,,,,40", "label unknown: row 2: column 'label' is empty"),
        ("img/a.png,x,ductal_carcinom,,40", "row 2: .*'ductal_carcinom'; did you mean 'ductal_car"),
        ("img/a.png,x,,bening,40", "row 2: .*'bening'; did you mean 'benign'"),
        ("img/a.png,x,,qqq,40", "known: benign, malignant"),
        ("img/a.png,x,DC,benign,40", "contradiction: row 2"),
        ("img/a.png,x,,,4.5", "bad magnification: row 2: .*'4.5'; give a whole number from 1 to"),
        ("img/a.png,x,,,-40", "bad magnification"),
        ("img/z.png,x,,,40", "img/z.png: missing: no such file"),
    ],
)
def test_a_row_that_cannot_be_used(two, row, message) -> None:
    text = f"path,label,tumour_type,malignancy,magnification\n{row}\nimg/b.png,y,,,\n"
    path = manifest(two, text)
    with pytest.raises(DataError, match=message):
        read_images(path)
    images = read_images(path, on_bad="skip")
    assert images.table["image_id"].tolist() == ["b"]
    assert len(images.skipped) == 1


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_any_text_gives_a_table_or_an_error_of_ours(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(",".join(REQUIRED) + "\n" + text, encoding="utf-8", errors="replace")
    with pytest.raises(DataError):  # no path of random text leads to a photograph
        read(path, None, "stop", Scanner(1))


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(WORDS, st.none() | WORDS, st.none() | st.integers(1, 32_767)),
        min_size=1, max_size=6,
    ),
    separator=st.sampled_from(",;\t"),
)  # fmt: skip
def test_what_a_spreadsheet_writes_is_read_back(tmp_path_factory, rows, separator) -> None:
    """Any words, with separators and quotes in them, in the three forms of CSV."""
    path = tmp_path_factory.getbasetemp() / "written.csv"
    names = ["image_id", "path", "label", "patient", "magnification", "pixel_hash", "width",
             "height"]  # fmt: skip
    frame = pd.DataFrame(
        [(f"i{n}", f"{n}.png", label, patient, magnification, f"h{n}", 5, 7)
         for n, (label, patient, magnification) in enumerate(rows)],
        columns=names,
    ).astype({"magnification": "Int64"})  # fmt: skip
    frame.to_csv(path, index=False, sep=separator)
    table = read(path, None, "stop", Scanner(1)).table
    assert table["label"].tolist() == [label for label, _, _ in rows]
    for column, place in (("patient_id", 1), ("magnification", 2)):
        found = [None if pd.isna(value) else value for value in table[column]]
        assert found == [row[place] for row in rows]
    assert table["pixel_hash"].tolist() == [f"{GIVEN}h{n}" for n in range(len(rows))]


@settings(max_examples=60)
@given(st.lists(st.lists(st.text(max_size=8), max_size=5), max_size=5))
def test_any_cells_give_a_table_or_an_error_of_ours(tmp_path_factory, cells) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HASHED.split(","))
        writer.writerows(cells)
    try:
        table = read(path, None, "skip", Scanner(1)).table
    except MagnosticError:
        return
    assert table["pixel_hash"].str.startswith(GIVEN).all()
    assert (table["width"] > 0).all()
