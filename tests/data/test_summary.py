import io

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
    assert told["counts"]["LC"] == {"100": 21, "200": 1}
    assert told["sizes"] == {"500x328": 9, "700x456": 5, "700x460": 173}
    assert (told["synthetic"], told["sources"], told["skipped"]) == (False, ["breakhis"], [])
    text = "\n".join(shown(sample))
    assert "24 (903)" in text
    assert "187 images, 26 slides, 26 patients, 22 accessions" in text
    assert "4 images share their pixels with another, in 2 sets" in text


def test_labels_of_its_own(tmp_path, photo) -> None:
    photo(tmp_path / "[red]naevus" / "a.png", 1)
    photo(tmp_path / "melanoma" / "b.png", 2)
    images = read_images(tmp_path)
    told = summarize(images)
    assert told["classes"] == {"[red]naevus": 1, "melanoma": 1}
    assert told["counts"] == {}
    assert told["n_patients"] is None
    skipped = tuple(BadFile(f"{i}.png", "empty file", "0 bytes") for i in range(25))
    text = "\n".join(shown(Images(images.table, synthetic=True, skipped=skipped)))
    assert "[red]naevus" in text  # no markup
    assert "no patient information" in text
    assert "SYNTHETIC" in text
    assert "… and 5 more" in text
