"""What blocks ask for with ``given=``: data and runs that are made once, for all pages.

==================  ============================================================================
BreaKHis_v1         the genuine sample
photo.png, more     two genuine photographs; a folder of four
photographs         a folder of twelve genuine photographs
phantom             ``magnostic phantom phantom`` in a small size: 3 patients a type, 1 field
manifest.csv        of ``photographs``, with columns file, case and diagnosis
outside             another system's predictions.csv of the sample, and train.txt
classes             27 drawn photographs in three class folders
clinic              27 drawn photographs of nine cases and clinic.csv
slide.svs           a pyramid of four genuine photographs with glass between them, 0.25 um a pixel
more-slides         a folder of one such slide
large.png           level 2 of it, 2,100 x 920 pixels
exported            runs/real as ONNX
runs/real           ``magnostic train probe-lite0`` on the sample, as README.md has it
runs/best           the same with the recipe ``best-cpu``
runs/binary         the same for ``--task binary``
==================  ============================================================================
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from docs_check.blocks import Wrong

#: Names that are made of the genuine sample.
GENUINE: Final = {
    "BreaKHis_v1", "photo.png", "more", "photographs", "slide.svs", "more-slides",
    "large.png", "exported", "manifest.csv", "outside",
    "runs/real", "runs/best", "runs/binary",
}  # fmt: skip


class Stock:
    """Things given to blocks, in one folder; each is made when it is first asked for.

    Args:
        folder: where they are kept.
        sample: the root of the genuine sample.
        environment: of the commands that make them.
    """

    def __init__(self, folder: Path, sample: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.sample = sample
        self.environment = environment
        self._locks: dict[str, threading.Lock] = {name: threading.Lock() for name in _MAKERS}
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, name: str, into: Path) -> None:
        """A copy of ``name`` at its place below ``into``, where it is not there yet."""
        if name not in _MAKERS:
            raise Wrong(f"given={name}: known are {', '.join(_MAKERS)}")
        made = self.make(name)
        target = into / name
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if made.is_dir():
            shutil.copytree(made, target, symlinks=True)
        else:
            shutil.copy2(made, target)

    def make(self, name: str) -> Path:
        """The thing itself, made where it is not there yet; others wait meanwhile."""
        made = self.folder / name
        with self._locks[name]:
            if not made.exists():
                made.parent.mkdir(parents=True, exist_ok=True)
                _MAKERS[name](self, made)
        return made

    def photographs(self) -> list[Path]:
        """Genuine photographs of 700 x 460 pixels at 100X, one type after the other."""
        found = sorted(self.sample.rglob("*-100-*.png"), key=lambda p: (p.name[-7:], p.name))
        return [p for p in found if Image.open(p).size == (700, 460)]

    def run(self, *words: object) -> None:
        command = [sys.executable, "-m", "magnostic", *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, text=True, capture_output=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise Wrong(f"{' '.join(command[2:])} ended with {done.returncode}:\n{done.stderr}")


def _train(recipe: str, *more: str) -> Callable[[Stock, Path], None]:
    def make(stock: Stock, out: Path) -> None:
        stock.run("train", recipe, "--data", stock.sample, "--out", out, *more)

    return make


def _copies(count: int) -> Callable[[Stock, Path], None]:
    def make(stock: Stock, out: Path) -> None:
        out.mkdir()
        for path in stock.photographs()[:count]:
            shutil.copy2(path, out)

    return make


def _drawn(out: Path, codes: str, slides: int) -> Iterator[tuple[str, str, Path]]:
    """Type, slide and file of drawn photographs at 100X, three of each slide."""
    from magnostic.data.phantom import phantom_slides, render_field

    for code in codes.split():
        of_type = [s for s in phantom_slides(seed=7) if s.code == code and not s.twin]
        for slide in of_type[:slides]:
            for n in range(3):
                path = out / f"{slide.slide_id}-{n}.png"
                Image.fromarray(render_field(slide, 100, n).rgb).save(path)
                yield code, slide.slide_id, path


def _classes(_: Stock, out: Path) -> None:
    out.mkdir()
    names = {"A": "low", "MC": "middle", "DC": "high"}
    for code, _, path in _drawn(out, "A MC DC", 3):
        folder = out / names[code]
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)


def _clinic(_: Stock, out: Path) -> None:
    out.mkdir()
    names = {"DC": "IDC", "F": "fibroadenoma", "PT": "uncertain"}
    rows = ["file,diagnosis,case,lab"]
    for code, slide, path in _drawn(out, "DC F PT", 3):
        number = slide.split("-")[1]
        rows.append(f"{path.name},{names[code]},P-{slide},22-{number[:5]}")
    (out / "clinic.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _manifest(stock: Stock, out: Path) -> None:
    names = [path.name for path in stock.photographs()[:12]]
    rows = [f"photographs/{name},{name.split('-')[2]},{name.split('_')[1]}" for name in names]
    out.write_text("\n".join(["file,case,diagnosis", *rows]) + "\n", encoding="utf-8")


def _outside(stock: Stock, out: Path) -> None:
    """Made up: one image in five is scored, with the right type for most."""
    out.mkdir()
    names = [path.stem for path in sorted(stock.sample.rglob("*.png"))]
    rows, trained = ["image_id,y_pred"], []
    for n, name in enumerate(names):
        code = name.split("_")[2].split("-")[0]
        if n % 5:
            trained.append(name)
        else:
            rows.append(f"{name},{'DC' if n % 3 == 0 else code}")
    (out / "predictions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (out / "train.txt").write_text("\n".join(trained) + "\n", encoding="utf-8")


def _mosaic(stock: Stock) -> NDArray[np.uint8]:
    """Four photographs and two places of glass, uint8 [920, 2100, 3]."""
    chosen = [np.asarray(Image.open(p).convert("RGB")) for p in stock.photographs()[:4]]
    glass = np.full_like(chosen[0], 244)
    rows = [[chosen[0], chosen[1], glass], [glass, chosen[2], chosen[3]]]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _slide(stock: Stock, out: Path) -> None:
    import tifffile

    # As if scanned at 0.24 um: four times as many pixels, so that a tile of 100X is one photograph.
    pixels = _mosaic(stock).repeat(4, axis=0).repeat(4, axis=1)
    with tifffile.TiffWriter(out) as file:
        for level in range(4):
            side = 2**level
            file.write(
                pixels[::side, ::side], tile=(256, 256), photometric="rgb", compression="zlib",
                subfiletype=int(level > 0), resolution=(1e4 / 0.24 / side,) * 2,
                resolutionunit="CENTIMETER",
            )  # fmt: skip


def _slides(stock: Stock, out: Path) -> None:
    out.mkdir()
    _slide(stock, out / "another.svs")


def _exported(stock: Stock, out: Path) -> None:
    stock.make("runs/real")
    stock.run("export", "runs/real", "--to", "onnx", "-o", out, "--images", stock.sample)


_MAKERS: Final[dict[str, Callable[[Stock, Path], None]]] = {
    "BreaKHis_v1": lambda stock, out: out.symlink_to(stock.sample),
    "photo.png": lambda stock, out: shutil.copy2(stock.photographs()[0], out) and None,
    "more": _copies(4),
    "photographs": _copies(12),
    "phantom": lambda stock, out: stock.run(
        "phantom", out, "--patients-per-type", 3, "--fields-per-magnification", 1
    ),
    "manifest.csv": _manifest,
    "outside": _outside,
    "classes": _classes,
    "clinic": _clinic,
    "slide.svs": _slide,
    "more-slides": _slides,
    "large.png": lambda stock, out: Image.fromarray(_mosaic(stock)).save(out),
    "exported": _exported,
    "runs/real": _train("probe-lite0"),
    "runs/best": _train("best-cpu", "--split.protocols", "random,accession"),
    "runs/binary": _train("probe-lite0", "--task", "binary"),
}
