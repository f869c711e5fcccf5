"""Several data sets on one command line: merged, relabelled, and kept apart by protocol source."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data import Images
from magnostic.files import read_json
from magnostic.splits.table import Folds

Call = Callable[..., tuple[int, str, str]]
LABELS = ("IDC", "normal", "unsure")


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A manifest of 18 photographs of 6 patients with labels of its own."""
    rng = np.random.default_rng(5)
    rows = ["path,label,patient"]
    for n in range(18):
        label = LABELS[n % 3]
        pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8) + 100 * (n % 3 == 0)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{n}.png")
        rows.append(f"{n}.png,{label},p{n // 3}")
    (tmp_path / "clinic.csv").write_text("\n".join(rows))
    return tmp_path / "clinic.csv"


@pytest.fixture
def meanings(tmp_path: Path) -> Path:
    path = tmp_path / "labels.yaml"
    path.write_text("clinic: {IDC: malignant, normal: benign, unsure: null}\n")
    return path


def test_a_run_over_two_sets(
    call: Call, tiny_breakhis: Path, clinic: Path, meanings: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    both = ("--data", tiny_breakhis, "--data", clinic, "--label-map", meanings)
    small = ("--task", "binary", "--preprocess.size", 32, "--evaluate.resamples", 20)
    split = ("--split.protocols", "random,source", "--split.folds", 3)
    code, out, error = call("train", "probe-lite0", *small, *split, *both, "--out", run)
    assert code == 0, error
    assert "source, data sets apart" in out
    data = read_json(run / "data.json")
    assert data["sources"] == ["breakhis", "clinic"]
    assert data["n_by_source"] == {"breakhis": 48, "clinic": 12}
    assert [entry["n"] for entry in data["relabelled"]] == [6, 6, 6]
    table = Folds.read(run).table
    source = table["image_id"].str.split("/").str[0][table["protocol"] == "source"]
    assert (table["fold"].groupby(source).nunique() == 1).all()
    report = (run / "report.html").read_text()
    assert "Source-disjoint" in report
    assert str(tmp_path) not in report
    code, out, _ = call("audit", run, *both, "--reproduce")
    assert (code, out.count("identical")) == (0, 5)


def test_index_and_audit_take_several(
    call: Call, tiny_breakhis: Path, clinic: Path, meanings: Path, tmp_path: Path
) -> None:
    table = tmp_path / "both.parquet"
    code, out, _ = call("index", tiny_breakhis, clinic, "--label-map", meanings, "-o", table)
    assert code == 0
    assert "2 data sets: breakhis (48), clinic (12)" in out
    assert "clinic unsure left out (6)" in " ".join(out.split())
    merged = Images.read(table)
    assert len(merged) == 60
    code, out, _ = call("index", "--data", tiny_breakhis, "--data", clinic)
    assert code == 0
    assert "breakhis (48), clinic (18)" in out
    assert call("audit", tiny_breakhis, "--data", clinic)[1] == call("audit", tiny_breakhis)[1]
    twice = tmp_path / "twice.csv"
    twice.write_text(f"path,label\n{next(tiny_breakhis.rglob('*.png'))},x\n")
    assert "2 photographs share" in call("audit", tiny_breakhis, "--data", twice)[1]


def test_bad_input(
    call: Call, tiny_breakhis: Path, clinic: Path, meanings: Path, tmp_path: Path
) -> None:
    def expect(*says: str, words: tuple[object, ...]) -> None:
        code, _, said = call(*words)
        assert code == 2
        error = re.sub(r"\Adecoding \d+ photographs .*\n", "", said)
        assert error.startswith("error: ")
        assert len(error.strip().splitlines()) == 1
        for text in says:
            assert text in error

    both = ("--data", tiny_breakhis, "--data", clinic)
    train = ("train", "probe-lite0", "--out", tmp_path / "run")
    expect("nowhere", words=(*train, *both, "--data", tmp_path / "nowhere"))
    expect("stands in two", words=("index", tiny_breakhis, tiny_breakhis))
    expect("named 'clinic'", "rename", words=("index", clinic, clinic))
    expect("clinic/0", "--label-map", words=(*train, *both, "--task", "binary"))
    meanings.write_text("clinik: {IDC: DC}\n")
    expect(
        *("labels.yaml", "'clinik'", "did you mean 'clinic'"),
        words=(*train, *both, "--label-map", meanings),
    )
    meanings.write_text("clinic: {IDX: DC}\n")
    expect(
        *("labels.yaml", "'IDX'", "did you mean 'IDC'", "normal, unsure"),
        words=("index", *both, "--label-map", meanings),
    )
    source = ("--split.protocols", "source", "--task", "label")
    expect("one data set (clinic)", "--data", words=(*train, "--data", clinic, *source))
    expect("no class stands in two data sets", words=(*train, *both, *source))
    expect(
        "is the input", words=("index", tiny_breakhis, table := tmp_path / "t.parquet", "-o", table)
    )
    assert not (tmp_path / "run").exists()
