"""``magnostic predict`` and ``export`` as typed."""

from __future__ import annotations

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
    ):
        code, _, said = call("predict", *arguments)
        assert code == 2
        assert said.splitlines()[-1].startswith("error: ")
        assert says in said


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
    assert "1 images (photographs given)" in told  # the other is no picture
    monkeypatch.setattr("magnostic.deploy.sources.listed", lambda *_: pytest.fail("was listed"))
    code, _, said = call(
        "export", tiny_run, "--to", "openvino", "--precision", "int8", "-o", tmp_path / "no",
        "--images", folder,
    )  # fmt: skip
    assert code == 2
    assert "openvino has fp32, bf16" in said
