"""How much of the relevance falls on nuclei and glands, on drawn tissue whose truth is known.

    magnostic phantom PHANTOM
    magnostic train demo-phantom --data PHANTOM --out RUN
    python bench/explain_truth.py RUN PHANTOM [--method gradcam] [--magnifications 100 400]
        [--field 1] [--json FILE]

Every fold's model of the strictest protocol of the run explains the photographs that it was not
trained on, for the class that it predicts. Relevance share: part of a map's sum that falls on a
structure; area share: part of the photograph that the structure covers. Their ratio, each a mean
over photographs, is 1 for a map that knows nothing of the structure. It is printed with an interval
that draws whole lab numbers (patients), beside the same ratio of ten random maps of the
same smoothness for each photograph, which shows how far from 1 chance alone is.

With Grad-CAM about 1 second a photograph on one core, most of it to draw the truth; with occlusion
about 6 seconds.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _held_out import held_out
from numpy.typing import NDArray
from PIL import Image

from magnostic.data.breakhis import parse_name
from magnostic.data.fit import fit_image
from magnostic.data.phantom import MARKER, STRUCTURES, Truth
from magnostic.evaluate import bootstrap
from magnostic.evaluate.bootstrap import Estimate, Sampling
from magnostic.explain import Explainer, on_photograph
from magnostic.explain.faithful import random_maps

MAPS = ("map", "random maps")
#: Random maps for each photograph, whose shares are averaged.
BLIND = 10

Mask = NDArray[np.bool_]


def regions(structure: NDArray[np.uint8], gland: Mask) -> dict[str, Mask]:
    """What is asked about, by name, bool [H, W] each."""
    named = {name: structure == value for value, name in enumerate(STRUCTURES)}
    return {
        "nuclei": named["nucleus"],
        "nuclei of glands": named["nucleus"] & gland,
        "glands (epithelium, nuclei, lumen)": gland,
        "stroma (without nuclei)": named["stroma"],
        "background, fat, mucin, debris": ~gland
        & (named["background"] | named["fat"] | named["mucin"] | named["debris"]),
    }


def share(relevance: NDArray[np.floating], mask: Mask) -> float:
    """Part of the relevance's sum within the mask."""
    return float(relevance[mask].sum() / relevance.sum())


def as_sparse(drawn: NDArray[np.float64], relevance: NDArray[np.float32]) -> NDArray[np.float32]:
    """A random map that is 0 on as large a part of the photograph as the map that it stands for."""
    least = np.quantile(drawn, np.mean(relevance == 0))
    return np.clip(drawn - least, 0, None).astype(np.float32)


def rows_of(explainer: Explainer, truth: Truth, files: Sequence[Path]) -> list[dict[str, Any]]:
    """One row for each photograph, region and kind of map."""
    found = []
    for path in files:
        name = parse_name(path.name)
        field = truth.field(path.name)
        with Image.open(path) as photograph:
            # Products of matrices round by the number of threads: a grey level here and there.
            if np.abs(np.asarray(photograph, np.int16) - field.rgb).mean() > 0.01:
                raise SystemExit(f"{path}: not what its PHANTOM.json draws; write the phantom anew")
            pixels = fit_image(photograph, explainer.about.size, explainer.about.fit)
            width, height = photograph.size
        explanation = explainer.explain(pixels)
        if not explanation.relevance.max():
            print(f"{path.name}: empty map, left out")
            continue
        seed = zlib.crc32(pixels.tobytes())
        blind = [as_sparse(m, explanation.relevance)
                 for m in random_maps(explanation.relevance, BLIND, seed)]  # fmt: skip
        known = regions(field.structure, field.gland)
        for kind, maps in zip(MAPS, ([explanation.relevance], blind), strict=True):
            here = [on_photograph(m, width, height, explainer.about.fit) for m in maps]
            for region, mask in known.items():
                found.append(
                    {
                        "patient": name.accession,
                        "magnification": name.magnification,
                        "map": kind,
                        "region": region,
                        "relevance": float(np.mean([share(m, mask) for m in here])),
                        "area": float(mask.mean()),
                    }
                )
    return found


def ratio(table: pd.DataFrame) -> Estimate:
    """Mean relevance share over mean area share, with an interval that draws patients."""
    summed = table.groupby("patient")[["relevance", "area"]].sum().to_numpy()

    def statistic(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        relevance, area = (weights @ summed).T
        return {"ratio": relevance / area}

    return bootstrap.resample(statistic, len(summed), Sampling(), "explain truth")["ratio"][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("phantom", type=Path)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--magnifications", type=int, nargs="+", default=[40, 100, 200, 400])
    parser.add_argument("--field", type=int, default=1, help="which photograph of each slide")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    root = next(p.parent for p in arguments.phantom.rglob(MARKER))
    truth = Truth(root)
    files = {p.stem: p for p in sorted(root.rglob("*.png"))}
    rows: list[dict[str, Any]] = []
    for fold, explainer, images in held_out(arguments.run, arguments.method):
        names = {i: parse_name(files[i].name) for i in images}
        chosen = [
            files[i]
            for i, name in names.items()
            if name.sequence == arguments.field and name.magnification in arguments.magnifications
        ]
        rows += rows_of(explainer, truth, chosen)
        print(f"{fold}: {len(chosen)} photographs, {explainer.method}", flush=True)
    table = pd.DataFrame(rows)
    kept = []
    everything = [None, *sorted(arguments.magnifications)]
    print(f"{'at':>5} {'map':<11} {'region':<35} area  relevance  ratio (95% interval)")
    for magnification in everything:
        at = table if magnification is None else table[table["magnification"] == magnification]
        for (kind, region), part in at.groupby(["map", "region"], sort=False):
            found = ratio(part)
            area, relevance = part["area"].mean(), part["relevance"].mean()
            label = "all" if magnification is None else f"{magnification}X"
            print(
                f"{label:>5} {kind:<11} {region:<35} {area:.3f} {relevance:9.3f}  "
                f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})"
            )
            kept.append(
                {"magnification": label, "map": kind, "region": region, "area": area,
                 "relevance": relevance, "photographs": len(part),
                 "patients": part["patient"].nunique(), **found.as_dict()}
            )  # fmt: skip
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
