"""``magnostic predict`` and ``export`` as typed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photographs and a text file."""
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    for name in ("b.png", "c.png"):
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / name)
    (tmp_path / "in" / "a.png").write_text("no picture")
    return tmp_path / "in"


def test_a_folder_with_a_bad_file(call: Call, tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code, told, said = call("predict", tiny_run, folder, "-o", out)
    assert code == 0
    assert "3 photographs, 1 could not be read" in told
    assert "a.png: not an image" in told
    assert "engine" in said
    table = pd.read_csv(out)
    assert [Path(p).name for p in table["path"]] == ["a.png", "b.png", "c.png"]
    assert table["y_pred"].notna().tolist() == [False, True, True]
    code, _, said = call("predict", tiny_run, folder, "-o", tmp_path / "two.csv", "--strict")
    assert code == 2
    assert "1 of 3 photographs could not be read" in said
    assert (tmp_path / "two.csv").read_bytes() == out.read_bytes()


def test_bad_input(call: Call, tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    for arguments, says in (
        ((tiny_run, folder, "-o", tmp_path / "o.txt"), ".parquet"),
        ((folder, folder, "-o", tmp_path / "o.csv"), "no finished run"),
        ((tiny_run, tmp_path / "x/*.png", "-o", tmp_path / "o.csv"), "no photograph in it"),
        ((tiny_run, folder, "-o", tmp_path / "o.csv", "--level", "0.5"), "known: 0.8"),
        ((folder, folder, "-o", tmp_path / "o.csv", "--workers", "-3"), "--workers -3: give 0"),
        ((tiny_run, folder, "-o", tmp_path / "o.csv", "--column", "path=x"), "none was given"),
    ):
        code, _, said = call("predict", *arguments)
        assert code == 2
        assert said.splitlines()[-1].startswith("error: ")
        assert says in said


def test_a_folder_with_nothing_that_can_be_read(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path
) -> None:
    for name in ("b.png", "c.png"):
        (folder / name).unlink()
    Image.new("P", (40, 40)).save(folder / "g.gif")
    (folder / "notes").write_text("no photograph")
    (folder / ".hidden").write_text("nor this")
    out = tmp_path / "out.csv"
    code, told, said = call("predict", tiny_run, folder, "-o", out)
    assert code == 2
    assert "2 photographs, 2 could not be read" in told
    assert f"{folder}: 1 file passed over, no images by name (first: {folder}/notes)" in said
    assert f"error: none of 2 photographs could be read; see the column error in {out}" in said
    errors = pd.read_csv(out)["error"].tolist()
    assert errors[0].startswith("not an image: ")
    assert errors[1].startswith("not RGB: ")
    (folder / "a.png").unlink()
    code, told, said = call("explain", tiny_run, folder, "-o", tmp_path / "explained")
    assert code == 2
    assert "none of 1 photograph could be read" in said
    page = (tmp_path / "explained" / "report.html").read_text()
    assert "there is no map" in page
    assert "believed" not in page


def test_sets_of_every_class_are_no_reason_for_review(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    for path in run.rglob("calibration.json"):
        told = json.loads(path.read_text())
        for entry in told["conformal"]:
            entry["limit"] = 1.0
        path.write_text(json.dumps(told))
    out = tmp_path / "out.csv"
    code, _, said = call("predict", run, folder, "-o", out)
    assert code == 0
    assert "hold every class whatever the photograph" in said
    table = pd.read_csv(out).iloc[1:]
    assert (table["set"].str.count(r"\|") + 1 == table.filter(like="p_").shape[1]).all()
    assert not table["reasons"].fillna("").str.split("|").map(lambda r: "set" in r).any()


def test_export_and_predict_from_it(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path
) -> None:
    made = tmp_path / "exported"
    code, told, _ = call("export", tiny_run, "--to", "torchscript", "-o", made, "--images", folder)
    assert code == 0
    assert "2 images (photographs given)" in told
    code, _, said = call("predict", made, folder, "-o", tmp_path / "out.parquet")
    assert code == 0
    assert "torchscript" in said
    code, _, said = call("export", tiny_run, "--to", "torchscript", "-o", made)
    assert code == 2
    assert "exists" in said


def test_a_mistyped_option_is_no_photograph(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path
) -> None:
    for given in (("--stict",), ("-x",), ("--engin", "torch")):
        code, _, said = call("predict", tiny_run, folder, *given, "-o", tmp_path / "o.csv")
        assert code == 2
        assert f"{given[0]}: no such option" in said
    code, _, said = call("predict", tiny_run, tmp_path / "no.csv", "-o", tmp_path / "o.csv")
    assert code == 2
    assert "no such file or folder" in said
    assert not (tmp_path / "o.csv").exists()


def test_export_looks_at_a_part_of_many(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnostic.cli.export._MOST", 2)
    made = tmp_path / "made"
    code, told, said = call(
        "export", tiny_run, "--to", "torchscript", "-o", made, "--images", folder
    )
    assert code == 0
    assert "comparing on 2 of 3 photographs" in said
    assert "1 image (photographs given)" in told  # the other is no picture
    monkeypatch.setattr("magnostic.deploy.sources.listed", lambda *_: pytest.fail("was listed"))
    code, _, said = call(
        "export", tiny_run, "--to", "openvino", "--precision", "int8", "-o", tmp_path / "no",
        "--images", folder,
    )  # fmt: skip
    assert code == 2
    assert "openvino has fp32, bf16" in said
