"""Prediction from PNG files: how near to the machine's limit, and how much memory.

Rate: EfficientNet-Lite0 (packaged weights) on links to the genuine photographs (made-up ones of
700x460 where the sample is missing), as ``magnostic predict`` does it, rows to a CSV. D is the rate
of decoding and fitting alone, with one thread a core; M the rate of the engine alone on inputs in
memory, with all cores. Decoding and the network share the cores, so that 1/(1/D + 1/M) is all that
there is. The three are measured in turns, and the median ratio is given.

Memory: highest resident memory of a process of its own, less what it held once the model had been
loaded. Lite0 on photographs of full size; and, so that 100,000 can be predicted in a minute or two,
links to small PNG files (64x64) with a tiny network of 64 pixels, all else being the same.

    python bench/predict.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _models
import numpy as np
from _table import Row, finish
from PIL import Image

from magnostic.data.strict import strict_decoding
from magnostic.deploy.engines import TorchEngine
from magnostic.deploy.photograph import read
from magnostic.deploy.predictor import Predictor
from magnostic.deploy.sources import listed
from magnostic.deploy.to_file import predict_to_file
from magnostic.processors import cores

LITE0 = "tf_efficientnet_lite0", "package:efficientnet-lite0", 224
TINY = "test_resnet", None, 64
SHARE, MEMORY, MANY = 0.9, 1536, 100_000
#: More memory for ten times the photographs that still counts as flat, MiB; their names are kept.
FLAT = 64


def predictor(model: tuple[str, str | None, int], folder: Path) -> Predictor:
    one = _models.member(*model, folder)
    return Predictor(_models.about(one), TorchEngine([one]), [None])


def linked(paths: list[Path], n: int, folder: Path) -> Path:
    """A folder of n links to these files."""
    folder.mkdir()
    for k, path in zip(range(n), itertools.cycle(paths)):
        (folder / f"{k:06}{path.suffix}").symlink_to(path.resolve())
    return folder


def rates(folder: Path, images: int, rounds: int) -> list[Row]:
    ready = predictor(LITE0, folder)
    paths = [i.path for i in listed([linked(_models.photographs(folder), images, folder / "in")])]
    size, fit = ready.about.size, ready.about.fit
    with ThreadPoolExecutor(cores()) as pool:
        first = list(pool.map(lambda p: read(p, size, fit), paths[:128]))
    pixels = np.stack([entry.pixels for entry in first if not isinstance(entry, str)])

    def decode() -> None:
        with strict_decoding(), ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(lambda p: read(p, size, fit), paths):
                pass

    def model() -> None:
        for start in range(0, images, 32):
            ready.compute(np.take(pixels, range(start, min(start + 32, images)), 0, mode="wrap"))

    def whole() -> None:
        out = folder / "out.csv"
        predict_to_file(ready, listed([folder / "in"]), out)
        out.unlink()

    ready.compute(pixels[:32])
    seen: dict[str, list[float]] = {"decode": [], "model": [], "whole": []}
    for _ in range(rounds):
        for name, work in (("decode", decode), ("whole", whole), ("model", model)):
            seen[name].append(images / seconds(work))
    shares = [
        w * (1 / d + 1 / m)
        for d, m, w in zip(seen["decode"], seen["model"], seen["whole"], strict=True)
    ]
    share = statistics.median(shares)
    middle = {name: statistics.median(values) for name, values in seen.items()}
    return [
        Row("D: decoding and fitting alone", middle["decode"], "images/s"),
        Row(f"M: Lite0 alone, {ready.engine.name}", middle["model"], "images/s"),
        Row("Lite0 from PNG files to CSV", middle["whole"], "images/s"),
        Row("share of 1/(1/D + 1/M)", share, "", f"at least {SHARE}", share >= SHARE),
    ]


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def memory(name: str, images: int) -> float:
    """MiB above the loaded model, in a process of its own."""
    command = [sys.executable, __file__, "--memory", name, "--images", str(images)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure_memory(name: str, images: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if name == "lite0":
            model, files = LITE0, _models.photographs(folder)
        else:
            model, files = TINY, small_files(folder)
        ready = predictor(model, folder)
        ready.compute(np.zeros((32, model[2], model[2], 3), dtype=np.uint8))
        source = linked(files, images, folder / "in")
        before = resident()
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # a peak of this job alone
        summary = predict_to_file(ready, listed([source]), folder / "out.csv")
        assert (summary.images, summary.unread) == (images, 0)
        print(json.dumps(peak() - before))


def small_files(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [folder / f"small{n}.png" for n in range(20)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return paths


def resident() -> float:
    """MiB in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    """MiB at most since clear_refs; ru_maxrss would hold what the parent process once had."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10


def memory_rows() -> list[Row]:
    full = {n: memory("lite0", n) for n in (1000, 5000)}
    tiny = {n: memory("tiny", n) for n in (1000, 10_000, MANY)}
    below = max(full[5000], tiny[MANY]) <= MEMORY
    grown = tiny[MANY] - tiny[10_000]
    return [
        Row("memory above the model, Lite0, 1,000 photographs", full[1000], "MiB"),
        Row("the same, 5,000", full[5000], "MiB"),
        Row("memory above the model, tiny network, 1,000 small files", tiny[1000], "MiB"),
        Row("the same, 10,000", tiny[10_000], "MiB"),
        Row("the same, 100,000", tiny[MANY], "MiB", f"at most {MEMORY} MiB, Lite0's too", below),
        Row("growth from 10,000 to 100,000", grown, "MiB", f"at most {FLAT} MiB", grown <= FLAT),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", choices=("lite0", "tiny"), help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=600, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("rates", "memory"))
    given = parser.parse_args()
    if given.memory:
        measure_memory(given.memory, given.images)
        return
    rows = []
    if given.only != "memory":
        with tempfile.TemporaryDirectory() as place:
            rows += rates(Path(place), given.images, given.rounds)
    if given.only != "rates":
        rows += memory_rows()
    finish("predict", rows, given.json)


if __name__ == "__main__":
    main()
