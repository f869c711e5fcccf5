"""Whole slides predicted: the predictor's own figures, files that agree, bad ones as rows."""

from __future__ import annotations

import json
import logging
import struct
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from magnostic.cli import main
from magnostic.deploy import Predictor
from magnostic.errors import BadInput, DataError, MissingExtra
from magnostic.slides import Outcome, Photographs, Settings, listed, predict_slides, source, table

SETTINGS = Settings(magnification=100)


@pytest.fixture(scope="module")
def done(
    predictor: Predictor, mosaic: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """The mosaic between two bad slides."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "text.svs").write_text("no slide")
    slides = [folder / "text.svs", mosaic.path, folder / "absent.ndpi"]
    return folder / "out", predict_slides(predictor, slides, folder / "out", SETTINGS)


def where(mosaic: Any) -> list[tuple[int, int]]:
    return [
        (column * 700, row * 460)
        for row, line in enumerate(mosaic.layout)
        for column, which in enumerate(line)
        if which >= 0
    ]


def test_tiles_are_predicted_as_photographs_are(
    done: tuple[Path, Outcome], mosaic: Any, predictor: Predictor
) -> None:
    found = pd.read_parquet(done[0] / "mosaic" / "tiles.parquet")
    alone = predictor.predict(mosaic.photographs)
    assert list(found.columns) == table.columns(predictor)
    assert list(zip(found["x"], found["y"], strict=True)) == where(mosaic)
    assert set(zip(found["width"], found["height"], strict=True)) == {(700, 460)}
    same = [c for c in alone if c in found and c not in ("width", "height")]
    assert {"y_pred", "confidence", "set", "review", "distance", "p_A", "p_PC"} <= set(same)
    for name in same:
        expected = alone[name]
        if expected.dtype == np.float64:
            np.testing.assert_array_equal(found[name], expected.astype(np.float32), name)
        else:
            assert found[name].fillna("").tolist() == expected.fillna("").tolist(), name
    summed = alone[["p_DC", "p_LC", "p_MC", "p_PC"]].sum(axis=1)
    np.testing.assert_allclose(found["malignant"], summed, rtol=1e-6)
    csv = pd.read_csv(done[0] / "mosaic" / "tiles.csv")
    assert list(csv.columns) == list(found.columns)
    np.testing.assert_array_equal(csv["p_A"].astype(np.float32), found["p_A"])
    assert csv["y_pred"].tolist() == found["y_pred"].tolist()


def test_geojson_covers_the_tissue_tiles_and_nothing_else(
    done: tuple[Path, Outcome], mosaic: Any
) -> None:
    found = pd.read_parquet(done[0] / "mosaic" / "tiles.parquet")
    content = json.loads((done[0] / "mosaic" / "tiles.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    covered = np.zeros(mosaic.pixels.shape[:2], np.uint8)
    expected = np.zeros_like(covered)
    for x, y in where(mosaic):
        expected[y : y + 460, x : x + 700] += 1
    ids = set()
    for feature, row in zip(content["features"], found.to_dict("records"), strict=True):
        assert feature["type"] == "Feature"
        ids.add(uuid.UUID(feature["id"]))
        assert feature["geometry"]["type"] == "Polygon"
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert len(ring) == 5
        (left, top), (right, bottom) = np.min(ring, axis=0), np.max(ring, axis=0)
        corners = {(left, top), (right, top), (right, bottom), (left, bottom)}
        assert {tuple(p) for p in ring} == corners
        covered[top:bottom, left:right] += 1
        told = feature["properties"]
        assert told["objectType"] == "tile"
        assert told["classification"]["name"] == row["y_pred"]
        assert all(0 <= c <= 255 for c in told["classification"]["color"])
        assert len(told["classification"]["color"]) == 3
        assert told["measurements"]["malignant"] == pytest.approx(row["malignant"])
        assert all(isinstance(v, float) for v in told["measurements"].values())
    np.testing.assert_array_equal(covered, expected)
    assert len(ids) == len(found)


def test_the_summary_counts_what_the_table_holds(done: tuple[Path, Outcome]) -> None:
    folder = done[0] / "mosaic"
    told = json.loads((folder / "summary.json").read_text())
    found = pd.read_parquet(folder / "tiles.parquet")
    assert (told["tiles"], told["tiles_background"], told["tiles_in_grid"]) == (4, 2, 6)
    assert told["class_tiles"] == {c: Counter(found["y_pred"])[c] for c in told["classes"]}
    assert sum(told["class_shares"].values()) == pytest.approx(1)
    assert told["mean_malignant"] == pytest.approx(found["malignant"].astype(float).mean())
    assert told["review_share"] == found["review"].mean()
    area = float((found["tissue"] * 700 * 460).sum()) * 0.96**2 / 1e6
    assert told["tissue_in_tiles_mm2"] == pytest.approx(area)
    assert told["tissue_mm2"] == pytest.approx(area, rel=0.05)  # the mask is coarser
    assert told["tile_microns"] == pytest.approx([672, 441.6])
    assert told["calibrated"]
    assert "photographs" in told["note"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "classes.png", "heatmap.png", "report.html", "summary.json", "tiles.csv", "tiles.geojson",
        "tiles.parquet",
    ]  # fmt: skip
    page = (folder / "report.html").read_text()
    assert "Research use only" in page
    assert f"{told['mean_malignant']:.3f}" in page


def test_bad_slides_are_rows(done: tuple[Path, Outcome]) -> None:
    rows = pd.read_csv(done[0] / "slides.csv")
    assert [Path(p).name for p in rows["path"]] == ["text.svs", "mosaic.tif", "absent.ndpi"]
    assert rows["error"].isna().tolist() == [False, True, False]
    assert rows["tiles"].iloc[1] == 4
    assert len(done[1].bad) == 2


def test_resumed_slides_are_left_alone(
    done: tuple[Path, Outcome], mosaic: Any, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = done[0]
    with pytest.raises(BadInput, match="--resume"):
        predict_slides(predictor, [mosaic.path], out, SETTINGS)

    def refuse(*_: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr("magnostic.slides.run.predict_slide", refuse)
    again = predict_slides(predictor, [mosaic.path], out, SETTINGS, resume=True)
    assert again.resumed == 1
    assert again.rows[0]["tiles"] == 4
    with pytest.raises(AssertionError, match="predicted again"):  # other settings: not the same
        predict_slides(predictor, [mosaic.path], out, Settings(mpp=1.0), resume=True)


def test_a_tile_that_cannot_be_read_is_a_row(
    mosaic: Any, predictor: Predictor, tmp_path: Path, pyramid: Any
) -> None:
    """One compressed tile of level 0 is spoilt, after which OpenSlide refuses its handle."""
    import tifffile

    path = pyramid(tmp_path / "spoilt.tif", mosaic.pixels, 0.96)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        across = -(-page.imagewidth // 128)
        offset = page.dataoffsets[3 * across + 3]  # pixels 384 to 512: the first photograph
        length = page.databytecounts[3 * across + 3]
    raw = bytearray(path.read_bytes())
    raw[offset : offset + length] = b"\xff" * length
    path.write_bytes(raw)
    predict_slides(predictor, [path], tmp_path / "out", SETTINGS)
    found = pd.read_parquet(tmp_path / "out" / "spoilt" / "tiles.parquet")
    assert found["error"].isna().tolist() == [False, True, True, True]
    assert "damaged" in found["error"][0]
    assert found["review"].tolist()[0]
    told = json.loads((tmp_path / "out" / "spoilt" / "summary.json").read_text())
    assert told["tiles_unread"] == 1
    assert sum(told["class_tiles"].values()) == 3
    features = json.loads((tmp_path / "out" / "spoilt" / "tiles.geojson").read_text())["features"]
    assert len(features) == 3


def test_a_slide_of_glass(predictor: Predictor, tmp_path: Path, pyramid: Any) -> None:
    path = pyramid(tmp_path / "glass.tif", np.full((600, 900, 3), 244, np.uint8), 0.96)
    (row,) = predict_slides(predictor, [path], tmp_path / "out", SETTINGS).rows
    assert (row["error"], row["tiles"], row["most"]) == (None, 0, None)
    content = json.loads((tmp_path / "out" / "glass" / "tiles.geojson").read_text())
    assert content == {"type": "FeatureCollection", "features": []}


def test_a_missing_extra_stops_everything(
    predictor: Predictor, mosaic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openslide", None)
    with pytest.raises(MissingExtra, match="wsi"):
        predict_slides(predictor, [mosaic.path], tmp_path / "out", SETTINGS)


def test_the_verb(
    tiny_run: Path, mosaic: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mosaic.tif").write_bytes(mosaic.path.read_bytes())
    (tmp_path / "in" / "bad.svs").write_text("no slide")
    given = ["slide", tiny_run, tmp_path / "in", "-o", tmp_path / "out", "--magnification", "200"]
    more = ["--tile", "700", "460", "--strict"]
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in [*given, *more]])
    assert left.value.code == 2
    told, said = capsys.readouterr()
    assert "2 slides, 1 could not be predicted" in told
    assert "enlarged 2.00 times" in said
    assert "no photograph of the run's data is at 200X" in said
    assert pd.read_parquet(tmp_path / "out" / "mosaic" / "tiles.parquet")["width"].eq(350).all()
    only = [*given[:2], tmp_path / "in" / "bad.svs", "-o", tmp_path / "none", *given[5:]]
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in only])
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert f"none of 1 slide could be predicted; see the column error in {tmp_path}" in said
    with pytest.raises(SystemExit) as left:
        main([str(a) for a in given[:5]])
    assert left.value.code == 2
    assert "--magnification" in capsys.readouterr().err


def test_photographs_of_a_run(tiny_run: Path, tmp_path: Path) -> None:
    for folder in (tiny_run, tiny_run / "final"):
        found = Photographs.of(folder)
        assert found.pixels == (40, 32)
        assert found.magnifications == {40: 24, 400: 24}
    assert Photographs.of(tmp_path).pixels == (700, 460)


def test_what_is_listed(tmp_path: Path) -> None:
    for name in ("b.svs", "a.tif", "sub/c.png", "notes.txt", ".hidden.svs"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub" / "back").symlink_to(tmp_path)
    names = [p.relative_to(tmp_path).as_posix() for p in listed([str(tmp_path)])]
    assert names == ["a.tif", "b.svs", "sub/c.png"]
    assert listed([f"{tmp_path}/*.svs"]) == [tmp_path / "b.svs"]
    with pytest.raises(BadInput, match="no slide"):
        listed([f"{tmp_path}/*.ndpi"])
    with pytest.raises(BadInput, match="no slide was given"):
        listed([])


def test_qupath_sees_the_scanned_part_alone() -> None:
    slide = object.__new__(source.PyramidSlide)
    slide.size = (1000, 800)
    bounds = {"openslide.bounds-x": "30", "openslide.bounds-y": "40"}
    sides = {"openslide.bounds-width": "900", "openslide.bounds-height": "700"}
    assert slide._scanned(bounds | sides) == (30, 40)
    assert slide._scanned(bounds | sides | {"openslide.bounds-width": "1000"}) == (0, 0)
    assert slide._scanned(bounds) == (0, 0)


def test_plain_images_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    """A JPEG of some bytes took 20 seconds and 9 GB."""
    jpeg = tmp_path / "x.jpg"
    Image.new("RGB", (64, 64)).save(jpeg)
    data = bytearray(jpeg.read_bytes())
    struct.pack_into(">HH", data, data.find(b"\xff\xc0") + 5, 30_000, 30_000)
    jpeg.write_bytes(data)
    with pytest.raises(DataError, match=r"cannot hold 30000x30000 pixels"):
        source.open_slide(jpeg)


def test_a_tiff_that_names_a_part_of_its_strips(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint8), rowsperstrip=64, photometric="rgb",
                     compression="zlib", metadata=None)  # fmt: skip
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["ImageLength"].overwrite(64 * 900)
    for _ in range(3):
        with pytest.raises(DataError, match="a part of its pixels only"):
            source._tiff(path)
    assert len(logging.getLogger("tifffile").handlers) == 1, "and not one a file"


def test_other_formats_and_memory_that_does_not_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (32, 32)).save(path, "EPS")
    with pytest.raises(DataError, match="cannot be read"):
        source.open_slide(path)
    Image.new("RGB", (32, 32)).save(path)

    def none(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("magnostic.slides.source._opaque", none)
    with pytest.raises(DataError, match="memory does not suffice"):
        source.open_slide(path)
