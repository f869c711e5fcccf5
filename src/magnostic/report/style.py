"""One look for every figure, and files whose bytes follow from the content alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from magnostic.files import whole_file

#: Okabe and Ito's palette, told apart by the colour-blind: blue, vermilion, green, sky, orange.
BLUE, VERMILION, GREEN, SKY, ORANGE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00"
INK, MUTED, RULE = "#1c2430", "#5b6675", "#d5dae1"
#: Inches; two stand side by side on the page, one on a phone.
WIDTH: Final = 4.7

_RC: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "text.color": INK,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "magnostic",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure as the page shows it. width, height in CSS pixels."""

    name: str
    uri: str
    alt: str
    caption: str
    width: int
    height: int


def figure(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of :data:`WIDTH` x ``height`` inches with ``rows`` axes, one above another.

    Call it, and draw, inside ``with rc():``.
    """
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.05)
    drawn = Figure(figsize=(WIDTH, height), layout=layout)
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(rows, 1, squeeze=False)
    return drawn, [row[0] for row in axes]


def rc() -> AbstractContextManager[None]:
    """Context in which figures are drawn and saved."""
    return matplotlib.rc_context(cast(Any, _RC))


def save(drawn: Figure, folder: Path, name: str, alt: str, caption: str) -> Picture:
    """Write ``name.png`` and ``name.pdf`` to the folder; the page gets the drawing as SVG."""
    drawn.draw_without_rendering()
    drawn.set_layout_engine(None)  # laid out once, so that all three files agree
    metadata: Mapping[str, Mapping[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
    for kind, entries in metadata.items():
        with whole_file(folder / f"{name}.{kind}") as temporary:
            drawn.savefig(temporary, format=kind, dpi=200, metadata=dict(entries))
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    uri = "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
    width, height = drawn.get_size_inches() * 96
    return Picture(name, uri, alt, caption, round(width), round(height))
