"""``magnostic slide``: whole slides and large images to tiles, heat maps and files for QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    from magnostic.slides import Outcome, Photographs, Settings


def slide(
    run: Path,
    *slides: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    magnification: float | None = None,
    mpp: float | None = None,
    tile: tuple[int, int] | None = None,
    tissue: float = 0.25,
    slide_mpp: float | None = None,
    objective: float | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    engine: options.Engine = "auto",
    level: options.Level = 0.9,
    workers: int = 0,
) -> None:
    """Predict whole slides or large images tile by tile; a folder each.

    Each holds the tiles (CSV, Parquet, GeoJSON for QuPath), heat maps, a summary and a page. Tiles
    cover what a training photograph covers. A slide that cannot be read is a row of slides.csv with
    its error. Research use only.

    Parameters
    ----------
    run
        A run folder, one of its models (RUN/final), or the folder of an exported model.
    slides
        Files, folders or quoted globs: whatever OpenSlide reads, and plain PNG, JPEG or TIFF, for
        which --slide-mpp or --objective is needed.
    out
        A new folder.
    magnification
        Of the tiles, as BreakHis counts it: 40, 100, 200 and 400 stand for 2.4, 0.96, 0.48 and 0.24
        micrometres a pixel. Give that of the photographs on which the run was trained.
    mpp
        Micrometres a pixel of the tiles, instead of --magnification.
    tile
        Width and height of a tile in pixels at that scale; by default what most photographs of the
        run have, or 700 460 where its folder does not say.
    tissue
        Least share of tissue in a tile; others are passed over.
    slide_mpp
        Micrometres a pixel of the slides, where their files do not say or say it wrong.
    objective
        Power of the slides' objective, instead of --slide-mpp: 40 stands for 0.25 micrometres.
    resume
        Keep the slides that an interrupted command of the same kind has done.
    strict
        Exit with code 2 where any slide could not be predicted, not only where none could; all
        others are written first.
    workers
        Reading threads; 0: one a core.
    """
    from magnostic.cli.predict import introduce
    from magnostic.deploy import load
    from magnostic.slides import Photographs, Settings, listed, predict_slides

    trained = Photographs.of(run)
    tile = tile or trained.pixels
    settings = Settings(magnification, mpp, tile, tissue, slide_mpp, objective, workers)
    paths = listed(slides)
    predictor = load(run, engine=engine, level=level)
    introduce(predictor)
    _compare(trained, settings)
    outcome = predict_slides(predictor, paths, out, settings, resume=resume)
    _report(outcome)
    unread, given = len(outcome.bad), len(outcome.rows)
    options.refuse_unread(unread, given, strict, outcome.table, "slide", "predicted")


def _compare(trained: Photographs, settings: Settings) -> None:
    """Say what the tiles are like, and where the run has not seen their magnification."""
    from magnostic.progress import say

    across, down = (pixels * settings.wanted_mpp for pixels in settings.pixels)
    say(f"tiles of {across:.0f} x {down:.0f} micrometres at {settings.wanted_mpp:.3g} a pixel")
    asked, known = settings.magnification, trained.magnifications
    if asked is not None and known and asked not in known:
        say(f"no photograph of the run's data is at {asked:g}X; they are at {trained.told()}")


def _report(outcome: Outcome) -> None:
    from magnostic.data.summary import counted

    before = f" ({outcome.resumed} of them before)" if outcome.resumed else ""
    print(
        f"{counted(len(outcome.rows), 'slide')}{before}, {len(outcome.bad)} could not be predicted"
    )
    for row in outcome.rows:
        if row["error"] is not None:
            print(f"  {row['error']}")
            continue
        tiles = counted(row["tiles"], "tile")
        text = f"  {row['folder']}: {tiles}, {row['tissue_mm2']:.2f} mm2 of tissue"
        if row["most"] is not None:
            text += f", most often {row['most']} ({row['most_share']:.0%})"
        if row["mean_malignant"] is not None:
            text += f", mean malignant {row['mean_malignant']:.3f}"
        print(text)
    print(outcome.table)
