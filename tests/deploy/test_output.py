"""Files of predictions: what can be listed, formats that agree, resumption, patients."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magnostic.data import Images
from magnostic.deploy import Predictor
from magnostic.deploy.decisions import Rules
from magnostic.deploy.output import Journal
from magnostic.deploy.patients import Patients
from magnostic.deploy.sources import Item, listed
from magnostic.deploy.to_file import predict_to_file
from magnostic.errors import BadInput


@pytest.fixture(scope="module")
def items(tiny_images: Images) -> list[Item]:
    table = tiny_images.table
    return [
        Item(path, (name, patient, None, None))
        for path, name, patient in zip(
            table["path"], table["image_id"], table["patient_id"], strict=True
        )
    ]


def test_every_kind_of_source(
    tiny_breakhis: Path, tiny_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(str(p) for p in tiny_breakhis.rglob("*.png"))
    assert sorted(i.path for i in listed([tiny_breakhis])) == files
    assert [i.path for i in listed([f"{tiny_breakhis}/**/*.png"])] == files
    assert [i.path for i in listed([files[3], files[0], "no.png"])] == [
        files[3],
        files[0],
        "no.png",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(files[:4]) + "\n\n"))
    assert [i.path for i in listed(["-"])] == files[:4]
    tiny_images.write(tmp_path / "images.parquet")
    from_table = listed([tmp_path / "images.parquet"])
    assert [i.path for i in from_table] == tiny_images.table["path"].tolist()
    assert [i.ids[1] for i in from_table] == tiny_images.table["patient_id"].tolist()
    (tmp_path / "a.png").write_bytes(Path(files[0]).read_bytes())
    (tmp_path / "m.csv").write_text(f"file;who\na.png;P1\n{files[1]};\n")
    found = listed([tmp_path / "m.csv"], {"path": "file", "patient": "who"})
    assert found == [
        Item(str(tmp_path / "a.png"), (None, "P1", None, None)),
        Item(files[1], (None, None, None, None)),
    ]


def test_nothing_to_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="no photograph was given"):
        listed([])
    for source in (tmp_path, tmp_path / "*.png"):
        with pytest.raises(BadInput, match="no photograph in it"):
            listed([source])
    for text, says in (
        ("name\nx.png\n", "column 'path' is missing"),
        ("", "empty; expected a header with column path$"),
        ("path\n", r"m\.csv: no row in it"),
    ):
        (tmp_path / "m.csv").write_text(text)
        with pytest.raises(BadInput, match=says):
            listed([tmp_path / "m.csv"])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(BadInput, match="standard input was empty"):
        listed(["-"])


def test_formats_hold_the_same(
    predictor: Predictor, items: list[Item], bad_files: dict[Path, str], tmp_path: Path
) -> None:
    some = [*items[:9], *(Item(str(p)) for p in bad_files)]
    for kind in ("csv", "parquet", "json"):
        summary = predict_to_file(predictor, some, tmp_path / f"out.{kind}")
        assert (summary.images, summary.unread) == (len(some), len(bad_files))
    csv = pd.read_csv(tmp_path / "out.csv")
    parquet = pd.read_parquet(tmp_path / "out.parquet")
    rows = json.loads((tmp_path / "out.json").read_text())
    assert list(csv) == list(parquet) == list(rows[0]) == predictor.columns
    expected = predictor.predict([i.path for i in some])
    for name in ("path", "error", "y_pred", "set", "reasons"):
        wanted = expected[name].astype(object).where(expected[name].notna(), None).tolist()
        assert [r[name] for r in rows] == wanted
        for table in (csv, parquet):
            assert table[name].astype(object).where(table[name].notna(), None).tolist() == wanted
    p = expected["p_DC"].to_numpy(np.float32)
    np.testing.assert_array_equal(parquet["p_DC"].to_numpy(), p)
    np.testing.assert_array_equal(csv["p_DC"].to_numpy(np.float32), p)
    assert {p.name for p in tmp_path.iterdir()} == {
        f"out{part}.{kind}" for part in ("", "-patients") for kind in ("csv", "parquet", "json")
    }


def test_resumed_equals_uninterrupted(
    predictor: Predictor, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_to_file(predictor, items, tmp_path / "whole.csv")
    out = tmp_path / "part.csv"
    compute, calls = predictor.engine.compute, []

    def stop(pixels: np.ndarray) -> object:
        calls.append(len(pixels))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compute(pixels)

    monkeypatch.setattr(predictor.engine, "compute", stop)
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(predictor, items, out)
    monkeypatch.undo()
    assert not out.exists()
    with pytest.raises(BadInput, match="--resume"):
        predict_to_file(predictor, items, out)
    with pytest.raises(BadInput, match="other photographs"):
        predict_to_file(predictor, items[1:], out, resume=True)
    journal = tmp_path / ".part.csv.partial"
    journal.write_bytes(journal.read_bytes() + b'{"path": "cut o')
    summary = predict_to_file(predictor, items, out, resume=True)
    assert summary.resumed == 16
    assert summary.images == len(items)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    patients = [(tmp_path / f"{n}-patients.csv").read_bytes() for n in ("part", "whole")]
    assert patients[0] == patients[1]
    assert not journal.exists()


def test_patients_as_the_metrics_decide(
    predictor: Predictor, items: list[Item], tmp_path: Path
) -> None:
    summary = predict_to_file(predictor, [*items, Item("absent.png", ("x", "new", None, None))],
                              tmp_path / "out.parquet")  # fmt: skip
    assert summary.patients is not None
    found = pd.read_parquet(summary.patients).set_index("patient_id")
    rows = pd.read_parquet(tmp_path / "out.parquet")
    classes = predictor.about.classes
    temperature = predictor.rules.temperature
    stated = rows[[f"p_{c}" for c in classes]].to_numpy(np.float64) ** temperature
    raw = pd.DataFrame(stated / stated.sum(axis=1, keepdims=True), columns=list(classes))
    mean = raw.groupby(rows["patient_id"]).mean().drop(index="new")
    assert found.loc[mean.index, "by_mean_probability"].tolist() == mean.idxmax(axis=1).tolist()
    np.testing.assert_allclose(found.loc[mean.index, "mean_p_A"], mean["A"], atol=1e-5)
    votes = rows.groupby("patient_id")["y_pred"].value_counts().unstack(fill_value=0)
    for patient, row in votes.iterrows():
        assert row[found.loc[patient, "by_majority"]] == row.max()
        assert found.loc[patient, "images"] == row.sum()
    assert found.loc["new", ["images", "unread", "to_review"]].tolist() == [0, 1, 1]
    assert pd.isna(found.loc["new", "by_majority"])


def test_where_to_write(predictor: Predictor, items: list[Item], tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("x")
    for name, says in (("there.csv", "exists"), ("out.xlsx", r"ends in \.csv"), (".csv", "ends")):
        with pytest.raises(BadInput, match=says):
            predict_to_file(predictor, items, tmp_path / name)


def test_what_is_not_there_is_no_photograph(tmp_path: Path) -> None:
    for name in ("no.csv", "no.parquet", "no/", "no"):
        with pytest.raises(BadInput, match="no such file or folder"):
            listed([f"{tmp_path}/{name}"])
    long = "x" * 300 + ".png"
    assert [i.path for i in listed([long])] == [long]


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert [i.path for i in listed([tmp_path])] == [f"{tmp_path}/a/x.png"]


def test_names_that_are_not_utf8(
    predictor: Predictor, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/\xe4.png")
    Path(name).write_bytes(Path(items[0].path).read_bytes())
    given = io.TextIOWrapper(io.BytesIO(os.fsencode(name) + b"\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", given)
    found = listed(["-"])
    assert found == listed([tmp_path]) == [Item(name)]
    for kind in ("csv", "parquet", "json"):
        predict_to_file(predictor, found, tmp_path / f"out.{kind}")
    row = json.loads((tmp_path / "out.json").read_text())[0]
    assert row["path"] == f"{tmp_path}/\\udce4.png"
    assert row["error"] is None


def test_patients_are_never_overwritten(
    predictor: Predictor, items: list[Item], tmp_path: Path
) -> None:
    out, patients = tmp_path / "out.csv", tmp_path / "out-patients.csv"
    patients.write_text("precious")
    for resume in (False, True):
        with pytest.raises(BadInput, match=r"out-patients\.csv: exists"):
            predict_to_file(predictor, items[:3], out, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["out-patients.csv"]
    assert patients.read_text() == "precious"
    # Without patients in the input nothing is written there.
    predict_to_file(predictor, [Item(items[0].path)], out)
    assert patients.read_text() == "precious"


def test_interrupted_after_the_patients_were_written(
    predictor: Predictor, items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(predictor, items[:3], tmp_path / "out.csv")
    monkeypatch.undo()
    assert (tmp_path / "out-patients.csv").exists()
    summary = predict_to_file(predictor, items[:3], tmp_path / "out.csv", resume=True)
    assert summary.resumed == 3
    assert (tmp_path / "out.csv").exists()


def test_sharp_temperatures_are_undone() -> None:
    rules = Rules(("a", "b"), temperature=0.1)
    raw = np.array([[0.999, 0.001], [0.3, 0.7]])
    patients = Patients(rules)
    for p in raw:
        stated = p**10 / (p**10).sum()
        row = {"p_a": float(np.float32(stated[0])), "p_b": float(np.float32(stated[1]))}
        patients.add({"patient_id": "P", "error": None, "review": False, "y_pred": "a", **row})
    row = patients.table()[0]
    np.testing.assert_allclose([row["mean_p_a"], row["mean_p_b"]], raw.mean(axis=0), rtol=1e-6)


def test_threads_and_empty_journals(
    predictor: Predictor, items: list[Item], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="--workers -1"):
        predict_to_file(predictor, items[:2], tmp_path / "out.csv", workers=-1)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.csv.partial").touch()
    assert predict_to_file(predictor, items[:2], tmp_path / "out.csv").images == 2
