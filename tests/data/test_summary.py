import io

import pandas as pd
import pytest
from rich.console import Console

from magnostic.data import Images, read_images
from magnostic.data.assemble import tidy
from magnostic.data.breakhis import from_names
from magnostic.data.images import BadFile
from magnostic.data.summary import PAPER_TABLE1, render, summarize, table1


def shown(images: Images) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    console.print(render(images))
    return console.file.getvalue().splitlines()


@pytest.fixture(scope="module")
def whole(fold_files) -> Images:
    """The index that the official names alone give; every photograph its own pixels."""
    names = [line.split("|")[0] for line in (fold_files / "dsfold1.txt").read_text().split()]
    frame = from_names(names)
    ids = frame["image_id"]
    frame = frame.assign(path=ids, width=700, height=460, pixel_hash=ids, source="breakhis")
    return Images(tidy(frame))


def test_the_papers_table_adds_up() -> None:
    assert [sum(row[i] for row in PAPER_TABLE1.values()) for i in range(4)] == [
        1995, 2081, 2013, 1820]  # fmt: skip
    assert sum(map(sum, PAPER_TABLE1.values())) == 7909


def test_the_whole_data_set(whole) -> None:
    counts = table1(whole)
    assert counts["other"].sum() == 0
    for column in ("40", "100", "200", "400", "total"):
        assert counts[column].tolist() == counts[f"paper_{column}"].tolist()
    told = summarize(whole)
    keys = ("n_images", "n_slides", "n_patients", "n_accessions", "n_duplicate_images")
    assert [told[key] for key in keys] == [7909, 81, 81, 70, 0]
    lines = shown(whole)
    assert max(map(len, lines)) <= 80
    assert not any("(" in line for line in lines if line.lstrip().startswith("DC"))


def test_the_genuine_sample(sample) -> None:
    told = summarize(sample)
    assert told["n_duplicate_groups"] == 2
    assert told["n_duplicate_images"] == 4
    assert told["n_double_label_slides"] == 1, "14-13412, under DC and LC"
    assert told["counts"]["LC"] == {"100": 21, "200": 1}
    assert told["sizes"] == {"500x328": 9, "700x456": 5, "700x460": 173}
    assert (told["synthetic"], told["sources"], told["skipped"]) == (False, ["breakhis"], [])
    text = "\n".join(shown(sample))
    assert "24 (903)" in text
    assert "187 images, 26 slides, 26 patients, 22 accessions" in text
    assert "4 images share their pixels with another, in 2 sets" in text
    assert "1 slide stands under two types and is counted in both rows" in text
    assert "other" not in text.partition("187 images")[0]


def grouped_images(**columns: list[object]) -> Images:
    """Images of one pixel each, with the columns given."""
    ids = [f"i{row}" for row in range(len(next(iter(columns.values()))))]
    frame = pd.DataFrame(
        {"image_id": ids, "path": ids, "label": "x", "width": 1, "height": 1, "pixel_hash": ids}
        | {"source": "made-up"}
        | columns
    )
    return Images(tidy(frame))


def test_other_magnifications_stand_in_a_column_of_their_own() -> None:
    images = grouped_images(
        tumour_type=["DC", "DC", "DC", "A"], magnification=[40, 20, None, 400], label=list("dddb")
    )
    counts = table1(images)
    assert counts["other"].to_dict() == dict.fromkeys(PAPER_TABLE1, 0) | {"DC": 2}
    columns = ["40", "100", "200", "400", "other"]
    assert (counts[columns].sum(axis=1) == counts["total"]).all()
    lines = shown(images)
    assert max(map(len, lines)) <= 80
    assert "other" in next(line for line in lines if "40X" in line)
    row = next(line for line in lines if line.lstrip().startswith("DC")).split()
    assert row == [
        "DC",
        "1",
        "(864)",
        "0",
        "(903)",
        "0",
        "(896)",
        "0",
        "(788)",
        "2",
        "3",
        "(3451)",
        "0",
    ]


def test_patients_that_are_partly_known() -> None:
    images = grouped_images(patient_id=["p", "p", "q", None, None], slide_id=[None] * 5)
    told = summarize(images)
    assert (told["n_patients"], told["n_images_without_patient"]) == (2, 2)
    assert (told["n_slides"], told["n_accessions"]) == (None, None)
    line = " ".join("\n".join(shown(images)).split())
    assert "5 images, 2 patients, patients known for 3 of 5 images (2 without)" in line
    assert "no lab numbers (accession)" in line


def test_one_of_each_is_said_in_the_singular() -> None:
    images = grouped_images(patient_id=["p"], slide_id=["s"], accession=["n"])
    assert "1 image, 1 slide, 1 patient, 1 accession" in "\n".join(shown(images))
    images = grouped_images(patient_id=["p", "p"], pixel_hash=["h", "h"])
    text = "\n".join(shown(images))
    assert "2 images, 1 patient, no lab numbers (accession)" in text
    assert "2 images share their pixels with another, in 1 set" in text
    assert "1 sets" not in text


def test_labels_of_its_own(tmp_path, photo) -> None:
    photo(tmp_path / "[red]naevus" / "a.png", 1)
    photo(tmp_path / "melanoma" / "b.png", 2)
    images = read_images(tmp_path)
    told = summarize(images)
    assert told["classes"] == {"[red]naevus": 1, "melanoma": 1}
    assert told["counts"] == {}
    assert told["n_patients"] is None
    assert told["n_images_without_patient"] == 2
    skipped = tuple(BadFile(f"{i}.png", "empty file", "0 bytes") for i in range(25))
    text = "\n".join(shown(Images(images.table, synthetic=True, skipped=skipped)))
    assert "[red]naevus" in text  # no markup
    assert "no patient information" in text
    assert "SYNTHETIC" in text
    assert "… and 5 more" in text
