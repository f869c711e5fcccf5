"""The page of each kind of run: complete, self-contained, the same every time."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from magnostic.errors import BadInput
from magnostic.files import read_json, write_json
from magnostic.report import write_report

MakeRun = Callable[..., Path]
pytestmark = pytest.mark.whole_figures


@pytest.fixture(scope="module")
def full(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a parent with three protocols, on a phantom."""
    run = make_run(tmp_path_factory.mktemp("full") / "run", folds=2, synthetic=True)
    return write_report(run).parent


@pytest.fixture(scope="module")
def single(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A child that is the only run: random images alone."""
    folder = tmp_path_factory.mktemp("single") / "run"
    return write_report(make_run(folder, ("random",), folds=1, resamples=20)).parent


def _text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


class _Tags(HTMLParser):
    """Tags left open, ids, and every address that the page would load or link."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [values[k] or "" for k in ("src", "href") if k in values]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_well_formed_and_needs_nothing_beside_it(full: Path) -> None:
    tags = _Tags()
    tags.feed(_text(full))
    assert tags.open == []
    assert len(set(tags.ids)) == len(tags.ids)
    assert "script" not in tags.tags
    assert "link" not in tags.tags
    for address in tags.addresses:
        assert address.startswith(("data:image/svg+xml;base64,", "#"))
        if address.startswith("#"):
            assert address[1:] in tags.ids
    assert "@import" not in _text(full)
    assert "url(" not in _text(full)


def test_page_says_what_matters_first(full: Path) -> None:
    text = _text(full)
    verdict = re.search(r'<p class="verdict">(.*?)</p>', text, re.DOTALL)
    assert verdict is not None
    assert "Under the patient-disjoint protocol, 8-class accuracy is ." in verdict[1]
    assert "54 patients" in verdict[1]
    assert "it tests patients that it knows from training" in verdict[1]
    assert "With lab numbers kept apart (accession-disjoint), accuracy is ." in verdict[1]
    assert "Research use only" in text
    assert "SYNTHETIC DATA" in text
    order = ["verdict", 'id="protocols"', 'id="audit"', 'id="data"', 'id="results"',
             'id="training"', 'id="published"', 'id="reproduce"', 'id="glossary"']  # fmt: skip
    body = text[text.index("</style>") :]
    places = [body.index(mark) for mark in order]
    assert places == sorted(places)


def test_the_gap_has_a_section_where_there_is_one(full: Path, single: Path) -> None:
    assert "No controls were measured (evaluate.controls)." in _text(full)
    assert (full / "figures/gap.png").is_file()
    assert 'id="gap"' not in _text(single)


def test_classes_and_magnifications_stand_in_the_fields_order(full: Path) -> None:
    rows = list(csv.DictReader((full / "tables/classes_patient.csv").open()))
    assert [row["class"] for row in rows] == ["A", "F", "PT", "TA", "DC", "LC", "MC", "PC"]
    rows = list(csv.DictReader((full / "tables/magnifications_patient.csv").open()))
    assert [row["magnification"] for row in rows] == ["40", "100", "200", "400"]


def test_slides_with_two_labels_are_counted(full: Path) -> None:
    text = re.sub(r"<[^>]+>", " ", _text(full))
    assert re.search(r"Slides with two labels\s+1; policy: together", text)


def test_every_table_and_figure_is_a_file_too(full: Path) -> None:
    text = _text(full)
    names = set(re.findall(r'id="table-(\w+)"', text)) | {"audit"}
    assert {path.stem for path in (full / "tables").iterdir()} == names
    for name in names:
        rows = list(csv.reader(io.StringIO((full / f"tables/{name}.csv").read_text())))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 1
    stems = {path.stem for path in (full / "figures").iterdir()}
    assert len(stems) == text.count("<img ")
    assert {p.name for p in (full / "figures").iterdir()} == {
        f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")
    }


def test_csv_holds_unrounded_figures(full: Path) -> None:
    rows = {r["protocol"]: r for r in csv.DictReader((full / "tables/protocols.csv").open())}
    metrics = read_json(full / "metrics.json")
    accuracy = metrics["protocols"]["patient"]["overall"]["accuracy"]
    assert float(rows["patient"]["accuracy"]) == accuracy["estimate"]
    assert float(rows["patient"]["accuracy_high"]) == accuracy["high"]


def test_no_path_of_the_machine_and_no_markup_from_data(full: Path) -> None:
    text = _text(full)
    everything = text + "".join(p.read_text() for p in (full / "tables").iterdir())
    assert "/data/machine" not in everything
    assert str(full) not in everything
    assert "truncated &lt;file&gt;" in text


def test_random_alone_warns_and_says_how_to_mend(single: Path) -> None:
    text = _text(single)
    assert "--split.protocols random,patient" in text
    assert "SYNTHETIC DATA" not in text


def test_same_run_same_bytes_and_metrics_computed_where_there_are_none(
    make_run: MakeRun, single: Path, tmp_path: Path
) -> None:
    bare = make_run(tmp_path / "bare", ("random",), folds=1, resamples=20, metrics=False)
    out = write_report(bare, tmp_path / "out").parent
    assert not (bare / "metrics.json").exists()
    assert not (bare / "report.html").exists()
    files = [p.relative_to(out) for p in out.rglob("*") if p.is_file()]
    assert len(files) > 20
    for name in files:
        assert (out / name).read_bytes() == (single / name).read_bytes(), name


@pytest.mark.usefixtures("empty_figures")
def test_own_labels_without_patients_and_magnifications(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path, ("patient",), task="label", patients=False, magnifications=False,
        method="probe", name="own", folds=2, resamples=20,
    )  # fmt: skip
    text = _text(write_report(run).parent)
    assert "3-class accuracy" in text
    assert "intervals draw single images and are too narrow" in text
    assert "Patient recognition rate</th>" not in text
    assert "Table II" not in text
    assert (run / "tables" / "probe.csv").is_file()


@pytest.mark.usefixtures("empty_figures")
def test_command_line_changes_stand_in_the_open(make_run: MakeRun, tmp_path: Path) -> None:
    description = "Changed on the command line: train.epochs 2 <b>.\n\nThirty epochs, as shipped.\n"
    run = make_run(
        tmp_path, ("patient",), description=description, folds=1, resamples=20,
        images_per_slide=2,
    )  # fmt: skip
    text = _text(write_report(run).parent)
    header = text[text.index("<header>") : text.index("</header>")]
    before, folded = header.split("<details>")
    assert "Changed on the command line:</strong> train.epochs 2 &lt;b&gt;." in before
    assert "Thirty epochs" not in before
    assert "Thirty epochs" in folded
    assert "Changed on" not in folded


@pytest.mark.usefixtures("empty_figures")
def test_official_folds_are_not_called_pooled(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path, ("patient", "official"), folds=2, resamples=20, images_per_slide=2
    )  # fmt: skip
    text = _text(write_report(run).parent)
    assert "Out-of-fold predictions are pooled. Official folds: nothing is pooled; the 2" in text
    assert "images, summed over the overlapping draws" in text
    assert "Figures of several repeats" not in text
    assert "On the official folds, accuracy is ." in text
    alone = make_run(tmp_path / "alone", ("official",), folds=2, resamples=20, images_per_slide=2)
    text = _text(write_report(alone).parent)
    assert "predictions are pooled" not in text
    assert "the 2 draws overlap" in text


@pytest.mark.usefixtures("empty_figures")
def test_binary_with_repeats(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path, ("random", "patient"), task="binary", name="probe-lite0", method="probe",
        folds=2, repeats=2, resamples=20,
    )  # fmt: skip
    text = _text(write_report(run).parent)
    assert "benign-or-malignant accuracy" in text
    assert "Figures of several repeats" in text


@pytest.mark.usefixtures("empty_figures")
def test_lacking_files_leave_their_sections_empty(single: Path, tmp_path: Path) -> None:
    for name in ("run.json", "recipe.yaml", "predictions.parquet"):
        (tmp_path / name).write_bytes((single / name).read_bytes())
    text = _text(write_report(tmp_path).parent)
    assert "This run holds no audit." in text
    assert "This run holds no training history." in text


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no run\.json.*--resume"):
        write_report(tmp_path)


def test_broken_history_names_file_and_line(single: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", read_json(single / "run.json"))
    (tmp_path / "history.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(BadInput, match=r"history\.jsonl, line 2: not JSON"):
        write_report(tmp_path)


def test_neither_torch_nor_train_is_imported() -> None:
    code = (
        "import sys, magnostic.report, magnostic.evaluate.summary;"
        "bad = [m for m in sys.modules if m == 'torch' or m.startswith('magnostic.train')];"
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("empty_figures")
def test_photographs_that_stain_normalization_left_unchanged(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(tmp_path, ("patient",), folds=1, resamples=20, images_per_slide=2)
    ids = [f"pale-{n}" for n in range(14)]
    colour = {"method": "macenko", "reference": "x", "fell_back": 14, "of": 164, "ids": ids}
    write_json(run / "data.json", {**read_json(run / "data.json"), "colour": colour})
    text = _text(write_report(run).parent)
    assert "Left unchanged by macenko, too pale or blank for it" in text
    assert "14 of 164: pale-0, pale-1" in text
    assert "pale-11, … (14 in all)" in text
    assert "pale-12" not in text
