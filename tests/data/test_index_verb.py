"""``magnostic index``: what it prints, and what --out may not overwrite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from magnostic.cli import main
from magnostic.data import Images

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process; exit code, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        code = caught.value.code
        printed = capsys.readouterr()
        return (code if isinstance(code, int) else 0), printed.out, printed.err

    return run


@pytest.fixture
def manifest(tmp_path: Path, photo: Callable[..., Path]) -> Path:
    photo(tmp_path / "a.png", 1)
    photo(tmp_path / "b.png", 2)
    path = tmp_path / "man.csv"
    path.write_text("path,label,patient\na.png,x,p1\nb.png,y,\n")
    return path


def refused(result: tuple[int, str, str], *says: str) -> None:
    code, out, error = result
    assert (code, out) == (2, "")
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    for text in says:
        assert text in error


def test_the_manifest_is_never_overwritten(call: Call, manifest: Path) -> None:
    before = manifest.read_bytes()
    refused(call("index", manifest, "-o", manifest), "man.csv", ".parquet")
    assert manifest.read_bytes() == before


def test_a_table_is_written_and_may_be_made_anew(call: Call, manifest: Path) -> None:
    out = manifest.parent / "new" / "images.parquet"
    for _ in range(2):
        code, printed, _ = call("index", manifest, "-o", out)
        assert code == 0
        assert "patients known for 1 of 2 images (1 without)" in " ".join(printed.split())
        assert "no lab numbers (accession)" in " ".join(printed.split())
        assert len(Images.read(out)) == 2
    before = out.read_bytes()
    refused(call("index", out, "-o", out), "images.parquet", "is the input")
    other = manifest.parent / "link.parquet"
    other.symlink_to(out)
    refused(call("index", other, "-o", out), "is the input")
    assert out.read_bytes() == before


def test_what_is_no_images_table_is_not_overwritten(call: Call, manifest: Path) -> None:
    out = manifest.parent / "other.parquet"
    out.write_text("mine")
    refused(call("index", manifest, "-o", out), "other.parquet", "not an images table")
    assert out.read_text() == "mine"
    pd.DataFrame({"image_id": ["a"]}).to_parquet(out)
    refused(call("index", manifest, "-o", out), "not an images table")
    folder = manifest.parent / "folder.parquet"
    folder.mkdir()
    refused(call("index", manifest, "-o", folder), "folder.parquet", "folder")


def test_a_folder_that_cannot_be_written(call: Call, manifest: Path) -> None:
    result = call("index", manifest, "-o", manifest / "sub" / "images.parquet")
    refused(result, f"folder {manifest / 'sub'} cannot be written")
    result = call("index", manifest, "-o", "/proc/magnostic/images.parquet")
    refused(result, "folder /proc/magnostic cannot be written")
    assert sorted(p.name for p in manifest.parent.iterdir()) == ["a.png", "b.png", "man.csv"]


def test_a_run_on_class_folders(call: Call, tmp_path: Path, photo: Callable[..., Path]) -> None:
    for seed in range(8):
        photo(tmp_path / "data" / ("melanoma", "naevus")[seed % 2] / f"{seed}.png", seed)
    small = ["--task", "label", "--preprocess.size", "32", "--split.folds=2"]
    small += ["--evaluate.resamples=20", "--data", tmp_path / "data", "--out", tmp_path / "run"]
    result = call("train", "probe-lite0", *small, "--split.protocols", "patient")
    refused(result, "manifest.csv with a column 'patient'", "--split.protocols random")
    code, printed, error = call("train", "probe-lite0", *small, "--split.protocols", "random")
    assert code == 0, error
    assert (tmp_path / "run" / "report.html").is_file()
    assert "random" in printed
