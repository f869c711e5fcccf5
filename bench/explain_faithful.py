"""How often maps are better than random ones, on photographs that the models were not trained on.

    magnostic train probe-lite0 --data DATA --out RUN
    python bench/explain_faithful.py RUN DATA [--method gradcam] [--every 2] [--maps 5]

Every fold's model of the run's strictest protocol explains its test photographs (every second one,
and so on) for the class that it predicts; deletion and insertion are measured beside random maps of
the same smoothness, as ``magnostic explain`` does. About 5 seconds a photograph on one core with
Grad-CAM, 10 with occlusion.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _held_out import held_out
from PIL import Image

from magnostic.data.fit import fit_image
from magnostic.explain import Explainer, faithful, summary
from magnostic.explain.faithful import Faithfulness


def measured(explainer: Explainer, path: Path, maps: int) -> Faithfulness | None:
    """Curves of one photograph; None for an empty map."""
    with Image.open(path) as photograph:
        pixels = fit_image(photograph, explainer.about.size, explainer.about.fit)
    found = explainer.explain(pixels)
    if not found.relevance.max():
        return None
    return faithful.measure(
        lambda images: explainer.probability(images, found.target),
        explainer.seen(pixels),
        found.relevance,
        maps,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--maps", type=int, default=5)
    arguments = parser.parse_args()
    files = {p.stem: p for p in arguments.data.rglob("*.png")}
    curves, empty, method = [], 0, ""
    for name, explainer, images in held_out(arguments.run, arguments.method):
        chosen = [files[i] for i in images[:: arguments.every]]
        found = [measured(explainer, path, arguments.maps) for path in chosen]
        curves += [f for f in found if f is not None]
        empty += sum(f is None for f in found)
        method = explainer.method
        print(f"{name}: {len(chosen)} photographs, {method}", flush=True)
    print(f"{method}: {len(curves)} photographs, {empty} with an empty map")
    for one in summary.summarize(curves):
        print(summary.in_words(one, arguments.maps))
        d = one.difference
        print(
            f"{one.name}: mean area {one.auc:.4f}, of random maps {one.random_auc:.4f}, "
            f"difference {d.estimate:+.4f} ({d.low} to {d.high})"
        )


if __name__ == "__main__":
    main()
