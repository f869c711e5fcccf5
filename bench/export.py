"""Exported models against eager float32 PyTorch as a newcomer runs it.

Eager: the timm network in float32, NCHW, on inputs that are normalized already. Exported: the whole
graph on uint8 [N, H, W, 3], normalization and calibration included, in ONNX Runtime and in
OpenVINO; the faster at batch 32 counts. EfficientNet-Lite0 has its packaged ImageNet weights,
ResNet50 random ones: they decide no speed. Rates are medians of rounds taken in turns.

One reduced precision has to pass. They are judged on a probe that is trained on the genuine
photographs (skipped where the sample is missing), in which a likeliest class means something.

    python bench/export.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _models
import numpy as np
import torch
from _table import Row, finish

from magnostic import recipe_file as recipes
from magnostic.data import read_images
from magnostic.deploy import export, ready
from magnostic.errors import RunFailed
from magnostic.train import device
from magnostic.train.run import run

NETWORKS = {
    "Lite0": ("tf_efficientnet_lite0", "package:efficientnet-lite0", 5),
    "ResNet50": ("resnet50", None, 2),
}
Call = Callable[[], Any]


def rates(works: dict[str, Call], images: int, seconds: float, rounds: int) -> dict[str, float]:
    """Images a second of each, medians of rounds in turns."""
    seen: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started, n = time.perf_counter(), 0
            while time.perf_counter() - started < seconds:
                work()
                n += images
            seen[name].append(n / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in seen.items()}


def network(name: str, folder: Path, seconds: float, rounds: int) -> list[Row]:
    backbone, source, factor = NETWORKS[name]
    one = _models.member(backbone, source, 224, folder)
    pixels = _models.inputs(_models.photographs(folder), 224)
    engines, off = {}, 0.0
    for to in ("onnx", "openvino"):
        place = folder / f"{backbone}-{to}"
        told = export.write(_models.about(one), [one], place, to, pixels=pixels[:64])
        engines[to] = ready.of_export(place, told)
        off = max(off, told["parity"]["largest"])
    plain = one.model.encoder.backbone.float().to(memory_format=torch.contiguous_format)
    found: dict[int, dict[str, float]] = {}
    for batch in (32, 1):
        some = np.ascontiguousarray(pixels[:batch])
        scaled = torch.from_numpy(some).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1

        def eager(scaled: torch.Tensor = scaled) -> None:
            with torch.inference_mode():
                plain(scaled)

        works: dict[str, Call] = {"eager": eager}
        for to, engine in engines.items():
            works[to] = lambda engine=engine, some=some: engine.run(some)
        found[batch] = rates(works, batch, seconds, rounds)
    best = max(engines, key=lambda to: found[32][to])
    times = {batch: found[batch][best] / found[batch]["eager"] for batch in found}
    rows = [
        Row(f"{name}, batch {batch}, {to}", rate, "images/s")
        for batch, by_engine in found.items()
        for to, rate in by_engine.items()
    ]
    return [
        *rows,
        Row(f"{name}: {best} over eager, batch 32", times[32], "times", f"at least {factor}",
            times[32] >= factor),
        Row(f"{name}: {best} over eager, batch 1", times[1], "times", "above 1", times[1] > 1),
        Row(f"{name}: largest difference of a probability", off, "", "at most 1e-4", off <= 1e-4),
    ]  # fmt: skip


def reduced(folder: Path) -> list[Row]:
    """Reduced precisions on a probe of the genuine photographs."""
    paths = _models.photographs(folder)
    root = next((p for p in paths[0].parents if p.name == "BreaKHis_v1"), None)
    if root is None:
        return []
    recipe = recipes.load(
        Path("probe-lite0"), ["--split.protocols=patient", "--evaluate.resamples=20"]
    )
    trained = run(recipe, read_images(root), folder / "run")
    pixels = _models.inputs(paths, 224)
    rows = []
    for to, precision in (("openvino", "bf16"), ("onnx", "int8"), ("onnx", "fp32")):
        place = folder / f"{to}-{precision}"
        what = f"Lite0 probe, {to} {precision}, {len(pixels)} photographs"
        try:
            parity = export.export(trained, place, to, precision=precision, pixels=pixels)["parity"]
        except RunFailed as refused:
            print(refused, flush=True)
            rows.append(Row(f"{what}: passes the check (1) or is refused (0)", 0, ""))
            continue
        mean, same = parity["mean"], parity["same_class"]
        if precision == "fp32":
            off = parity["largest"]
            rows.append(Row(f"{what}: largest difference", off, "", "at most 1e-4", off <= 1e-4))
        else:
            rows.append(Row(f"{what}: mean difference", mean, "", "under 1e-2", mean < 1e-2))
            rows.append(Row(f"{what}: same class", same, "", "at least 0.98", same >= 0.98))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each engine and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=(*NETWORKS, "reduced"))
    given = parser.parse_args()
    device.threads()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for name in NETWORKS:
            if given.only in (None, name):
                rows += network(name, Path(place), given.seconds, given.rounds)
        if given.only in (None, "reduced"):
            rows += reduced(Path(place))
    finish("export", rows, given.json)


if __name__ == "__main__":
    main()
