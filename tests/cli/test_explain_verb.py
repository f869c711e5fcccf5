"""``magnostic explain`` as typed."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magnostic import tables
from magnostic.data.phantom import phantom_slides, render_field
from magnostic.train.reference import COLUMNS

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs of the phantom and, between them, a text file."""
    folder = tmp_path_factory.mktemp("explain") / "in"
    folder.mkdir()
    for name, slide in zip(("a.png", "c d.png"), phantom_slides(0, 1), strict=False):
        Image.fromarray(render_field(slide, 400, 0).rgb).save(folder / name)
    (folder / "b.png").write_text("no picture")
    return folder


def _self_contained(page: str) -> None:
    assert "Research use only" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "url(" not in page


def test_a_folder_with_a_bad_file(call: Call, tiny_run: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, told, said = call("explain", tiny_run, folder, "-o", out, "--nearest", 2)
    assert code == 0, said
    assert "3 photographs, 1 could not be read" in told
    assert "b.png: not an image" in told
    assert "random maps of the same smoothness" in told
    assert "gradcam" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]

    table = pd.read_csv(out / "explanations.csv")
    assert [Path(p).name for p in table["path"]] == ["a.png", "b.png", "c d.png"]
    assert table["error"].notna().tolist() == [False, True, False]
    assert (table["target"] == table["y_pred"]).tolist() == [True, False, True]
    good = table[table["error"].isna()]
    assert good["nearest_2_label"].notna().all()
    assert (good["nearest_1_distance"] <= good["nearest_2_distance"]).all()
    some = good[good["relevance"] == "some"]
    assert some["deletion_auc"].between(0, 1).all()
    assert some["insertion_better"].between(0, 1).all()
    for name in good["overlay"]:
        with Image.open(out / name) as pair:
            assert pair.size[1] == 460
            assert pair.size[0] > 2 * 700

    stored = json.loads((out / "explanations.json").read_text(encoding="utf-8"))
    assert [r["path"] for r in stored["images"]] == table["path"].tolist()
    assert stored["images"][1]["error"].startswith("not an image")
    assert len(stored["images"][0]["nearest"]) == 2
    assert {f["name"] for f in stored["faithfulness"]} == {"deletion", "insertion"}
    page = (out / "report.html").read_text(encoding="utf-8")
    _self_contained(page)
    assert page.count("<article>") == 3
    assert "not an image" in page
    assert (out / "figures" / "faithfulness.png").is_file()

    one = tiny_run / "patient" / "r0f0"  # which keeps no training images
    code, _, said = call(
        "explain", one, folder, "-o", tmp_path / "two", "--random-maps", 0, "--strict"
    )
    assert code == 2
    assert "1 of 3 photographs could not be read" in said
    two = pd.read_csv(tmp_path / "two" / "explanations.csv")
    assert two["deletion_auc"].isna().all()
    assert two["y_pred"].notna().tolist() == [True, False, True]
    assert two["nearest_1_image_id"].isna().all()
    page = (tmp_path / "two" / "report.html").read_text(encoding="utf-8")
    _self_contained(page)
    assert page.count("kept no training images") == 2
    assert "nothing was measured" in page


def test_the_photographs_of_the_data_and_another_class(
    call: Call, tiny_run: Path, tiny_breakhis: Path, tmp_path: Path
) -> None:
    image = next(tiny_breakhis.rglob("SOB_M_DC*.png"))
    out = tmp_path / "out"
    code, _, said = call(
        "explain", tiny_run, image, "-o", out, "--data", tiny_breakhis, "--target", "PC",
        "--method", "occlusion", "--nearest", 3, "--random-maps", 1,
    )  # fmt: skip
    assert code == 0, said
    (record,) = json.loads((out / "explanations.json").read_text(encoding="utf-8"))["images"]
    assert (record["target"], record["method"]) == ("PC", "occlusion")
    assert record["nearest"][0]["itself"] is True  # it was trained on
    assert record["nearest"][0]["image_id"] == image.stem
    assert [n["itself"] for n in record["nearest"][1:]] == [False, False]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count('width="96"') == 3
    assert "this photograph itself" in page


def test_a_run_whose_pixels_were_hashed_in_another_way(
    call: Call, tiny_run: Path, tiny_breakhis: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    frame, _ = tables.read(run / "final" / "reference.parquet", COLUMNS, "reference")
    tables.write(frame, COLUMNS, run / "final" / "reference.parquet", "reference", {"version": 1})
    image, out = next(tiny_breakhis.rglob("SOB_M_DC*.png")), tmp_path / "out"
    arguments = (image, "-o", out, "--data", tiny_breakhis, "--nearest", 2, "--random-maps", 0)
    code, _, said = call("explain", run, *arguments)
    assert code == 0, said
    assert "whether a photograph was trained on is not told" in said
    (record,) = json.loads((out / "explanations.json").read_text(encoding="utf-8"))["images"]
    assert record["nearest"][0]["image_id"] == image.stem
    assert [n["itself"] for n in record["nearest"]] == [None, None]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "An earlier version made this run" in page
    assert "this photograph itself" not in page
    assert 'width="96"' not in page


def test_a_genuine_photograph(
    call: Call, tiny_run: Path, breakhis_sample: Path, tmp_path: Path
) -> None:
    image = min(breakhis_sample.rglob("*.png"))
    code, told, said = call("explain", tiny_run, image, "-o", tmp_path / "out")
    assert code == 0, said
    assert "1 photograph, 0 could not be read" in told
    with (
        Image.open(image) as photograph,
        Image.open(next((tmp_path / "out" / "overlays").iterdir())) as pair,
    ):
        plain = np.asarray(photograph)
        shown = np.asarray(pair)[: plain.shape[0], : plain.shape[1]]
        np.testing.assert_array_equal(shown, plain)


def test_bad_input(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o"
    for arguments, says in (
        ((tiny_run, folder, "-o", tmp_path), "exists"),
        ((folder, folder, "-o", out), "no finished run"),
        ((tiny_run, tmp_path / "x/*.png", "-o", out), "no photograph in it"),
        ((tiny_run, folder, "-o", out, "--random-maps", "4"), "odd number"),
        ((tiny_run, folder, "-o", out, "--nearest", "-1"), "0 or more"),
        ((tiny_run, folder, "--strikt", "-o", out), "--strikt: no such option"),
    ):
        code, _, said = call("explain", *arguments)
        assert code == 2
        assert said.splitlines()[-1].startswith("error: ")
        assert says in said
    with monkeypatch.context() as patched:  # before the networks are loaded
        patched.setattr("magnostic.deploy.artefact.load_members", lambda _: pytest.fail("loaded"))
        for name in (".", "final"):
            given = (tiny_run / name, folder, "-o", out, "--target", "XX")
            code, _, said = call("explain", *given)
            assert code == 2
            assert "not a class of this model" in said
        code, _, said = call("explain", tiny_run, folder, "-o", out, "--data", tmp_path / "no")
        assert code == 2
        assert f"--data {tmp_path / 'no'}: no such file or folder" in said
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    code, _, said = call("explain", tiny_run, folder, "-o", out)
    assert code == 2
    assert "magnostic[explain]" in said
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_nothing(
    call: Call, tiny_run: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("magnostic.explain.to_folder.beside", stop)
    code, _, _ = call("explain", tiny_run, folder, "-o", tmp_path / "o", "--random-maps", 0)
    assert code == 130
    assert not list(tmp_path.iterdir())
