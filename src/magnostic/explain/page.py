"""The page of a folder of explanations: what was measured, then photograph by photograph."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.explain import faithful
from magnostic.explain.faithful import Faithfulness
from magnostic.explain.summary import Measured, in_words
from magnostic.files import write_text
from magnostic.report import words
from magnostic.report.cells import Cell, Table, Value
from magnostic.report.page import environment
from magnostic.report.style import BLUE, VERMILION, Picture, figure, rc, save

#: Photographs on the page at most: it holds their pictures. All stand in the tables and overlays.
SHOWN: Final = 100
#: Width of the pair of pictures on the page, pixels, and JPEG quality.
_WIDTH: Final = 960
_QUALITY: Final = 88

METHODS: Final[Mapping[str, str]] = {
    "gradcam": "Grad-CAM (Selvaraju et al. 2017): the network's last maps, weighted by the "
    "gradient of the class's logit. Its grain is one place of the last map.",
    "attention": "Attention weighted by the gradient of the class's logit, followed through all "
    "blocks (Chefer et al. 2021). Its grain is one patch.",
    "occlusion": "Occlusion (Zeiler and Fergus 2014): how far the class's probability falls when "
    "a square of a seventh of the input's side is covered with the photograph's mean colour.",
}


@dataclass(frozen=True)
class Neighbour:
    """One training image as the page shows it; ``uri`` is None where no picture is at hand."""

    image_id: str
    says: str
    uri: str | None


@dataclass(frozen=True)
class Shown:
    """One photograph as the page shows it.

    Attributes:
        name: of its file; path: in full, as given.
        error: why there is no explanation; everything after it is then empty.
        says: sentences.
        uri, width, height: photograph, overlay and scale in one picture, in CSS pixels.
        neighbours: None where some were asked for, but the run kept none.
    """

    name: str
    path: str
    error: str | None
    says: Sequence[str] = ()
    uri: str = ""
    width: int = 0
    height: int = 0
    neighbours: Sequence[Neighbour] | None = ()


def shown(
    record: Mapping[str, Any],
    pair: Image.Image | None,
    cases: Sequence[NDArray[np.uint8] | None],
) -> Shown:
    """One entry of the page.

    Args:
        record: one of ``explanations.json``.
        pair: photograph, overlay and scale; None where the photograph could not be read.
        cases: a picture of each of ``record["nearest"]``, or None.
    """
    name = Path(record["path"]).name
    if pair is None:
        return Shown(name, record["path"], record["error"])
    width = min(_WIDTH, pair.width)
    height = max(1, round(pair.height * width / pair.width))
    return Shown(
        name,
        record["path"],
        None,
        _sentences(record),
        _uri(pair.resize((width, height), Image.Resampling.LANCZOS)),
        width,
        height,
        None
        if record["nearest"] is None
        else [_neighbour(n, c) for n, c in zip(record["nearest"], cases, strict=True)],
    )


def write_page(
    folder: Path,
    *,
    model: str,
    method: str,
    maps: int,
    entries: Sequence[Shown],
    total: int,
    unread: int,
    empty: int,
    comparable: bool,
    curves: Sequence[Faithfulness],
    measured: Sequence[Measured],
    synthetic: bool,
) -> None:
    """Write ``report.html`` and ``figures/faithfulness.*``.

    Args:
        model: name of the recipe. method: of the maps. maps: random maps for each map.
        entries: what is shown of the ``total`` photographs.
        unread: photographs that could not be read.
        empty: photographs with nothing that speaks for their class.
        comparable: whether training images can be recognized by their pixels.
    """
    text = (
        environment()
        .get_template("explanations.html.j2")
        .render(
            model=model,
            method=METHODS[method],
            entries=entries,
            total=total,
            unread=unread,
            empty=empty,
            comparable=comparable,
            findings=[in_words(m, maps) for m in measured],
            figures=_table(measured, maps) if measured else None,
            picture=_curves(curves, folder / "figures") if curves else None,
            maps=maps,
            synthetic=synthetic,
        )
    )
    write_text(folder / "report.html", text)


def _sentences(record: Mapping[str, Any]) -> list[str]:
    found = []
    target, predicted = record["target"], record["y_pred"]
    told = f"Predicted {words.class_name(predicted)}, stated probability "
    told += f"{record['confidence']:.2f}. "
    told += (
        "Explained: that class"
        if target == predicted
        else (f"Explained: {words.class_name(target)}")
    )
    found.append(f"{told}, whose probability before calibration is {record['probability']:.2f}.")
    if record["relevance"] == "none":
        found.append("Nothing in this photograph speaks for the class by this method.")
    elif record["deletion_auc"] is not None:
        pairs = [
            f"{name} {record[f'{name}_auc']:.3f} ({record[f'{name}_random_auc']:.3f})"
            for name in ("deletion", "insertion")
        ]
        found.append(f"Area under the curve (random maps'): {pairs[0]}, {pairs[1]}.")
    return found


def _neighbour(of: Mapping[str, Any], case: NDArray[np.uint8] | None) -> Neighbour:
    parts = [words.class_name(of["label"])]
    if of["slide_id"] is not None:
        parts.append(f"slide {of['slide_id']}")
    if of["magnification"] is not None:
        parts.append(f"{of['magnification']}X")
    if of["distance"] is not None:
        parts.append(f"distance {of['distance']:.2f}")
    if of["itself"]:
        parts.append("this photograph itself, which was trained on")
    return Neighbour(
        of["image_id"], ", ".join(parts), None if case is None else _uri(Image.fromarray(case))
    )


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _table(measured: Sequence[Measured], maps: int) -> Table:
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for m in measured:
        d = m.difference
        whisker = "" if d.low is None else f"{d.low:+.3f} to {d.high:+.3f}".replace("-", "−")
        rows.append(
            [
                Cell(m.name.capitalize(), "lower is better" if m.name == "deletion" else
                     "higher is better"),
                Cell(f"{m.auc:.3f}"),
                Cell(f"{m.random_auc:.3f}"),
                Cell(f"{d.estimate:+.3f}".replace("-", "−"), whisker),
                Cell(f"{m.better} of {m.n}", f"{m.share:.2f} ({m.low:.2f} to {m.high:.2f})"),
            ]
        )  # fmt: skip
        records.append(
            {
                "measure": m.name, "auc": m.auc, "random_auc": m.random_auc,
                "difference": d.estimate, "difference_low": d.low, "difference_high": d.high,
                "better": m.better, "n": m.n, "share": m.share, "low": m.low, "high": m.high,
            }
        )  # fmt: skip
    return Table(
        "faithfulness",
        f"Area under the curves, mean over photographs, beside {maps} random maps of the same "
        "smoothness for each. Intervals are 95%, over photographs as if they were independent: "
        "too narrow where several are of one slide.",
        ["Measure", "Map", "Random maps", "Difference", "Better than most random maps"],
        rows,
        records,
    )


def _curves(curves: Sequence[Faithfulness], folder: Path) -> Picture:
    """Mean deletion and insertion curves of the maps and of their random maps."""
    with rc():
        drawn, axes = figure(4.4, rows=2)
        share = np.linspace(0, 1, faithful.STEPS + 1)
        for place, name in zip(axes, ("deletion", "insertion"), strict=True):
            every = np.stack([getattr(c, name) for c in curves])
            place.plot(share, every[:, 0].mean(axis=0), color=BLUE, lw=1.8, label="map")
            place.plot(
                share, every[:, 1:].mean(axis=(0, 1)), color=VERMILION, lw=1.4, ls="--",
                label="random maps",
            )  # fmt: skip
            done = "covered" if name == "deletion" else "uncovered"
            place.set_xlabel(f"Share of pixels {done}, most relevant first")
            place.set_ylabel("Probability")
            place.set_title(name.capitalize())
            place.set_xlim(0, 1)
            place.set_ylim(0, 1)
            place.grid(True)
        axes[0].legend(loc="upper right")
        return save(
            drawn,
            folder,
            "faithfulness",
            "Mean deletion and insertion curves of maps and of random maps",
            "The explained class's probability before calibration, mean of "
            f"{words.plural(len(curves), 'photograph')}. A good map falls early in deletion and "
            "rises early in insertion.",
        )
