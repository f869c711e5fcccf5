"""First pass over photographs: what index and pixel cache cost beside bare decoding and resizing.

    python bench/decode_cache.py [--folder DIR]

The genuine sample and copies of it, about 2,000 files: in each copy one value of the last row is
another, so that all photographs differ and none is skipped; filters and size of the files stay what
they were. They are read from memory (the system's page cache), on all cores, alternately, and the
median of the rounds counts. ``bare`` decodes with the fastest decoder and resizes as the cache
does, and keeps nothing; ``reused`` does so into memory that each thread uses again, as the index
does. The second start reads the index and opens the cache in this process,
without the start of Python and the imports.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import struct
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _table import Row, finish
from decoders import SIZE, installed

from magnostic.data import Wanted, png, read_images
from magnostic.data.pixels import open_pixels
from magnostic.data.scan import decode, pixel_hash

SHARED = Path(os.environ.get("MAGNOSTIC_SHARED", Path(__file__).parents[2] / "shared"))
SAMPLE = SHARED / "breakhis-sample" / "BreaKHis_v1"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TARGET, START = 1.15, 1.0


def spread(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Seconds to do the work for all items on all cores."""
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(work, items):
            pass
    return time.perf_counter() - started


def changed(data: bytes, number: int) -> bytes:
    """The same PNG file with another last value: ``number`` more, modulo 256."""
    place, chunks = len(SIGNATURE), []
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        chunks.append((kind, data[place + 8 : place + 8 + length]))
        place += 12 + length
    rows = bytearray(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")))
    rows[-1] = (rows[-1] + number) % 256  # filtered, so that only this pixel differs
    pixels = zlib.compress(rows, 4)
    parts = [pixels[i : i + 32768] for i in range(0, len(pixels), 32768)]
    out = [SIGNATURE]
    for kind, body in chunks:
        bodies = [body] if kind != b"IDAT" else parts
        if kind == b"IDAT":
            parts = []
        for some in bodies:
            crc = zlib.crc32(kind + some)
            out.append(struct.pack(">I", len(some)) + kind + some + struct.pack(">I", crc))
    return b"".join(out)


def write_copies(folder: Path, copies: int) -> list[Path]:
    """Class folders ``folder/<copy>/``, the first of the files as they are.

    Under plain names, since a name of BreakHis may stand only once.
    """
    sources = sorted(SAMPLE.rglob("*.png"))
    # Some stand under two labels: those would be resized and kept once.
    sources = list({pixel_hash(np.asarray(_open(s))): s for s in sources}.values())
    jobs = []
    for copy in range(copies):
        (folder / f"copy{copy:02}").mkdir(parents=True, exist_ok=True)
        jobs += [
            (s, folder / f"copy{copy:02}" / f"{n:03}.png", copy) for n, s in enumerate(sources)
        ]

    def write(job: tuple[Path, Path, int]) -> None:
        source, target, copy = job
        if not target.exists():
            data = source.read_bytes()
            target.write_bytes(changed(data, copy) if copy else data)

    spread(write, jobs)
    return [target for _, target, _ in jobs]


def _open(path: Path) -> Any:
    from PIL import Image

    return Image.open(path)


def first_pass(data: Path, cache: Path) -> float:
    """Seconds of index and pixel cache together, from nothing."""
    shutil.rmtree(cache, ignore_errors=True)
    os.environ["MAGNOSTIC_CACHE"] = str(cache)
    return start(data)


def start(data: Path) -> float:
    """Seconds of the index and of opening the pixel cache."""
    started = time.perf_counter()
    images = read_images(data, keep=[Wanted(SIZE, "squeeze")])
    open_pixels(images.table, SIZE, "squeeze")
    return time.perf_counter() - started


def of_libraries(files: Sequence[Path]) -> tuple[list[Row], str]:
    """Each library alone, and which decodes fastest; all give the same pixels."""
    decoders, resizers = installed()
    some = [decoders["Pillow"](path) for path in files]
    for name, of in decoders.items():
        if not all(np.array_equal(of(p), s) for p, s in zip(files, some, strict=True)):
            raise SystemExit(f"{name} gives other pixels than Pillow")
    n = len(files)
    decoding = {
        name: min(spread(of, files) for _ in range(3)) / n * 1e3 for name, of in decoders.items()
    }
    rows = [Row(f"decode, {name}", ms, "ms an image") for name, ms in decoding.items()]
    reference = [resizers["Pillow"](s).astype(int) for s in some]
    for name, resize in resizers.items():
        ms = min(spread(resize, some) for _ in range(3)) / n * 1e3
        differs = max(
            int(np.abs(resize(s) - r).max()) for s, r in zip(some, reference, strict=True)
        )
        note = "" if name == "Pillow" else f" (differs from Pillow's by {differs} at most)"
        rows.append(Row(f"resize to {SIZE}, {name}{note}", ms, "ms an image"))
    hashing = min(spread(lambda s: hashlib.sha256(s.data).hexdigest(), some) for _ in range(3))
    rows.append(Row("SHA-256 of the pixels", hashing / n * 1e3, "ms an image"))
    return rows, min(decoding, key=decoding.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="keeps the copies for the next run")
    parser.add_argument("--copies", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if not SAMPLE.is_dir():
        raise SystemExit(f"no genuine photographs at {SAMPLE} (set MAGNOSTIC_SHARED)")
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        data = chosen.folder or scratch / "photographs"
        files = write_copies(data, chosen.copies)
        if len(list(data.rglob("*.png"))) != len(files):
            raise SystemExit(f"{data}: holds other files, too; give an empty --folder")
        rows, fastest = of_libraries(files[:180])
        decoders, resizers = installed()
        fast, resize = decoders[fastest], resizers["Pillow"]
        light, scratch_of = resizers["torchvision"], png.Scratch()
        works = {
            "bare": lambda: spread(lambda path: resize(fast(path)), files),
            "reused": lambda: spread(lambda path: resize(decode(path, scratch_of)), files),
            "light": lambda: spread(lambda path: light(fast(path)), files),
            "ours": lambda: first_pass(data, scratch / "cache"),
        }
        took: dict[str, list[float]] = {work: [] for work in works}
        for number in range(chosen.rounds):
            order = list(works) if number % 2 == 0 else list(works)[::-1]
            for work in order:
                took[work].append(works[work]())
        bare, reused, light_, ours = (statistics.median(took[work]) for work in works)
        again = [start(data) for _ in range(5)]
    ratio, n = ours / bare, len(files)
    second = statistics.median(again)
    rows += [
        Row(f"bare: {fastest} and Pillow's resize, {n:,} files", bare, "s"),
        Row(f"index and pixel cache, {n:,} files", ours, "s"),
        Row("index and cache against bare", ratio, "", f"<= {TARGET}", ratio <= TARGET),
        Row(f"reused: libspng and Pillow's resize, {n:,} files", reused, "s"),
        Row("index and cache against that", ours / reused, ""),
        Row(f"bare: {fastest} and torchvision's resize, {n:,} files", light_, "s"),
        Row("index and cache against that", ours / light_, ""),
        Row(f"second start, {n:,} files", second, "s", f"< {START:g} s", second < START),
    ]
    finish("decode_cache", rows, chosen.json)


if __name__ == "__main__":
    main()
