"""``magnostic demo``: the main job on the phantom, with nothing to download."""

from __future__ import annotations

import time
from pathlib import Path


def demo(*, out: Path = Path("runs/demo"), seed: int = 0) -> None:
    """Make a phantom, train a probe on it, and show what a random split hides.

    Prints one table with the random-image and the patient-disjoint result side by side, and
    writes the report. Takes a few minutes on two cores; needs no network.

    Parameters
    ----------
    out
        New or empty folder for the phantom and the run.
    seed
        Seed of phantom and recipe.
    """
    from magnostic import recipe_file as recipes
    from magnostic.cli.table import print_results
    from magnostic.data import Wanted, read_images
    from magnostic.data.phantom import write_phantom
    from magnostic.errors import BadInput
    from magnostic.progress import say
    from magnostic.train.run import run

    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: exists and is not empty; choose another --out or delete it")
    experiment = recipes.load(Path("demo-phantom"), [f"--seed={seed}"] if seed else [])
    started = time.monotonic()
    say("making the phantom (synthetic photographs)")
    # As few patients of a type as BreakHis has of its rarer ones: few enough for a random split
    # to flatter, and quick to draw.
    root = write_phantom(
        out / "phantom", seed=seed, patients_per_type=4, fields_per_magnification=4
    )
    made = time.monotonic()
    preprocess = experiment.preprocess
    images = read_images(root, keep=[Wanted(preprocess.size, preprocess.fit)])
    folder = run(experiment, images, out / "run")
    print_results(folder)
    took = time.monotonic() - made
    say(f"phantom {made - started:.0f} s; indexing, learning, judging and report {took:.0f} s")
