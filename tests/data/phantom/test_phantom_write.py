"""The phantom's tree on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magnostic.data.phantom import MARKER, phantom_slides, write, write_phantom
from magnostic.errors import BadInput
from magnostic.taxonomy import MAGNIFICATIONS


@pytest.fixture(scope="module", autouse=True)
def few_slides() -> Iterator[None]:
    """A few slides instead of eleven, the double-labelled one among them."""
    with pytest.MonkeyPatch.context() as patch:
        slides = phantom_slides(0, 1)
        chosen = tuple(s for s in slides if s.code == "DC" or s.twin or s.slide_id.endswith("AB"))
        patch.setattr(write, "phantom_slides", lambda *_: chosen)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "out"
    return write_phantom(out, fields_per_magnification=1, workers=1)


def _bytes(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_tree_is_that_of_breakhis(root: Path) -> None:
    breast = root / "histology_slides" / "breast"
    for magnification in MAGNIFICATIONS:
        folder = f"malignant/SOB/ductal_carcinoma/SOB_M_DC_14-*/{magnification}X"
        (image,) = breast.glob(f"{folder}/SOB_M_DC-14-*-{magnification}-001.png")
        assert image.parent.parent.name.split("-")[1] == image.name.split("-")[2]
    assert len(list(breast.rglob("*.png"))) == 5 * 4


def test_it_says_that_it_is_synthetic(root: Path) -> None:
    settings = json.loads((root / MARKER).read_text(encoding="utf-8"))
    assert settings["synthetic"] is True
    assert settings["seed"] == 0
    with Image.open(next(root.rglob("*.png"))) as image:
        assert image.info["Comment"] == "synthetic: magnostic phantom"
        assert (image.mode, image.size) == ("RGB", (700, 460))


def test_the_double_labelled_slide_shows_the_same_pixels(root: Path) -> None:
    names = {p.name: p for p in root.rglob("*.png")}
    pairs = [
        (p, names[n.replace("_DC-", "_LC-")])
        for n, p in names.items()
        if n.replace("_DC-", "_LC-") in names and "_DC-" in n
    ]
    assert len(pairs) == 4
    for first, second in pairs:
        np.testing.assert_array_equal(Image.open(first), Image.open(second))


def test_workers_do_not_change_a_byte(root: Path, tmp_path: Path) -> None:
    other = write_phantom(tmp_path / "new", fields_per_magnification=1, workers=2)
    assert _bytes(root) == _bytes(other)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput, match="not an empty folder"):
        write_phantom(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_broken_call_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "new", workers=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("numbers", [{"fields_per_magnification": 0}, {"workers": -1}])
def test_bad_numbers_are_named(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(BadInput, match=next(iter(numbers))):
        write_phantom(tmp_path / "new", **numbers)  # type: ignore[arg-type]
