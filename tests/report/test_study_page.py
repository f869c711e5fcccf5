"""The report of a study: what it says, that it needs nothing beside it, and its files."""

from __future__ import annotations

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from magnostic.errors import BadInput
from magnostic.files import read_json, write_json
from magnostic.report import write_study

pytestmark = pytest.mark.whole_figures


@pytest.fixture(scope="module")
def written(study_folder: Path) -> Path:
    return write_study(study_folder).parent


@pytest.fixture(scope="module")
def text(written: Path) -> str:
    return (written / "report.html").read_text(encoding="utf-8")


def _rows(folder: Path, name: str) -> dict[str, dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.get("key") or row["protocol"]: row for row in rows}


class _Page(HTMLParser):
    """Tags left open, ids and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [values[k] or "" for k in ("src", "href") if k in values]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_well_formed_and_every_address_leads_somewhere(text: str) -> None:
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert "<script" not in text
    assert "url(" not in text
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids
        else:
            assert address.startswith("data:image/svg+xml;base64,")


def test_runs_are_linked_from_wherever_the_page_lies_and_bytes_follow_from_the_folder(
    study_folder: Path, tmp_path: Path
) -> None:
    about = read_json(study_folder / "study.json")
    about["entries"] = [e for e in about["entries"] if e["key"] == "plain"]
    study = tmp_path / "study"
    path = "runs/plain-0a1b2c3d"
    shutil.copytree(study_folder / path, study / path)
    write_json(study / "study.json", about)
    report = study / path / "report.html"
    report.write_text("")
    pages = []
    for out in (tmp_path / "else where", tmp_path / "there"):
        page = _Page()
        page.feed(write_study(study, out).read_text(encoding="utf-8"))
        links = [a for a in page.addresses if not a.startswith(("#", "data:"))]
        assert [(out / unquote(a)).resolve() for a in links] == [report.resolve()]
        assert str(tmp_path) not in links[0]
        pages.append(out)
    assert not (study / "report.html").exists()
    files = [p.relative_to(pages[0]) for p in pages[0].rglob("*") if p.is_file()]
    assert len(files) > 10
    for name in files:
        assert (pages[0] / name).read_bytes() == (pages[1] / name).read_bytes(), name


def test_no_path_of_the_machine_and_no_markup_from_data(written: Path, text: str) -> None:
    everything = text + "".join(p.read_text() for p in (written / "tables").iterdir())
    assert "/data/machine" not in everything
    assert str(written) not in everything
    assert "Tiny &lt;study&gt;" in text
    assert "no weights &lt;here&gt;" in text


def test_rows_without_a_run_say_why(text: str) -> None:
    assert "3 of 6 rows are done; 1 refused, 1 failed and 1 not run." in text
    assert "refused: the data cannot bear it (2 images at 200X in …/y.png)" in text
    assert "failed (no weights" in text


def test_small_data_are_said_before_anything_else(text: str) -> None:
    warning = text.index("Small data: our rows use at most 164 photographs of 81 patients")
    assert warning < text.index('id="paper"')
    assert "neither confirm nor refute" in text


def test_csv_holds_printed_and_unrounded_figures(written: Path) -> None:
    rows = _rows(written, "study")
    assert list(rows) == ["binary", "probe", "plain", "few", "vgg", "later"]
    metrics = read_json(written / "runs/plain-0a1b2c3d/metrics.json")
    for name in ("random", "patient", "accession"):
        for key in ("accuracy", "macro_precision", "macro_recall", "macro_f1"):
            figure = metrics["protocols"][name]["overall"][key]
            assert float(rows["plain"][f"{name}_{key}"]) == figure["estimate"]
            assert float(rows["plain"][f"{name}_{key}_low"]) == figure["low"]
            assert float(rows["plain"][f"{name}_{key}_high"]) == figure["high"]
    assert rows["plain"]["published_accuracy"] == "93.97"
    assert rows["probe"]["published_rows"] == (
        "table3-patil2022-densenet121 text-patil2022-densenet121"
    )
    assert rows["probe"]["published_accuracy"] == "87.2"
    assert rows["probe"]["published_f1"] == "87.0"
    assert rows["probe"]["published_2_accuracy"] == "86.54"
    assert rows["probe"]["published_2_source"] == "[9], 2022, in the text"
    assert rows["probe"]["published_2_f1"] == rows["plain"]["published_2_accuracy"] == ""
    assert rows["binary"]["accession_accuracy"] == ""
    assert rows["few"]["status"] == "refused"
    assert rows["few"]["random_accuracy"] == ""


def test_page_gives_precision_and_recall_under_macro_f1(written: Path, text: str) -> None:
    for key in ("binary", "probe", "plain"):
        metrics = read_json(written / f"runs/{key}-0a1b2c3d/metrics.json")["protocols"]
        for result in metrics.values():
            p, r = (
                100 * result["overall"][f"macro_{name}"]["estimate"]
                for name in ("precision", "recall")
            )
            assert f"P {p:.1f} · R {r:.1f}<" in text


def test_every_table_and_figure_is_a_file_too(written: Path, text: str) -> None:
    names = set(re.findall(r'id="table-(\w+)"', text))
    assert {path.stem for path in (written / "tables").iterdir()} == names
    stems = {path.stem for path in (written / "figures").iterdir()}
    assert {"rows_binary", "rows_subtype", "row_01", "row_02", "row_03"} == stems
    assert len(stems) == text.count("<img ")
    assert len(list((written / "figures").iterdir())) == 2 * len(stems)


def test_published_figures_keep_their_contradictions(text: str) -> None:
    assert "87.20<sup>" in text
    assert "86.54<sup>" in text
    assert "accuracy is 86.54 in the text." in text
    assert "P 98.9 · R 98.9 · F1 98.9 · paper" in text


@pytest.mark.usefixtures("empty_figures")
def test_nothing_done_yet(study_folder: Path, tmp_path: Path) -> None:
    about = read_json(study_folder / "study.json")
    about["entries"] = [e for e in about["entries"] if e["status"] != "done"]
    write_json(tmp_path / "study.json", about)
    text = write_study(tmp_path).read_text(encoding="utf-8")
    assert "0 of 3 rows are done" in text
    assert "nothing to compare yet" in text


@pytest.mark.usefixtures("empty_figures")
def test_a_broken_run_folder_is_a_failed_row(study_folder: Path, tmp_path: Path) -> None:
    about = read_json(study_folder / "study.json")
    about["entries"] = [e for e in about["entries"] if e["key"] in ("probe", "binary")]
    write_json(tmp_path / "study.json", about)
    path = "runs/binary-0a1b2c3d"
    shutil.copytree(study_folder / path, tmp_path / path)
    text = write_study(tmp_path).read_text(encoding="utf-8")
    assert "1 of 2 rows are done; 1 failed." in text
    assert "its run folder cannot be read: …/probe-0a1b2c3d: holds no run.json" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"published": ["table2-resnet50-subtypes"]}, "did you mean 'table2-resnet50-subtype'"),
        ({"status": None}, "entry 1: field status is missing"),
    ],
)
def test_bad_study_file(change: dict[str, object], says: str, tmp_path: Path) -> None:
    entry = {"key": "a", "status": "planned", "path": "runs/a", **change}
    entry = {k: v for k, v in entry.items() if v is not None}
    (tmp_path / "study.json").write_text(json.dumps({"entries": [entry]}))
    with pytest.raises(BadInput, match=re.escape(says)):
        write_study(tmp_path)


def test_no_study_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no study\.json"):
        write_study(tmp_path)
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(BadInput, match="field entries"):
        write_study(tmp_path)
