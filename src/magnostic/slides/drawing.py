"""Heat maps over the slide's thumbnail: probability of malignancy, and the likeliest class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from magnostic.files import whole_file
from magnostic.report import style
from magnostic.slides.geojson import rgb

if TYPE_CHECKING:
    import pandas as pd

#: Longer side of the thumbnail, pixels.
THUMBNAIL: Final = 1400
_INCHES: Final = 9.0
_ALPHA: Final = 0.55
_MAP: Final[Colormap] = LinearSegmentedColormap.from_list(
    "malignant", [style.BLUE, "#F7F4E3", style.VERMILION]
)
#: Benign in cold colours, malignant in warm ones.
_COLOURS: Final = {
    "benign": style.BLUE, "malignant": style.VERMILION,
    "A": "#56B4E9", "F": "#0072B2", "PT": "#009E73", "TA": "#44AA99",
    "DC": "#D55E00", "LC": "#E69F00", "MC": "#CC79A7", "PC": "#882255",
}  # fmt: skip
_OTHERS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#882255")


def colours(classes: Sequence[str]) -> dict[str, str]:
    """A colour ``#rrggbb`` for each class."""
    if all(c in _COLOURS for c in classes):
        return {c: _COLOURS[c] for c in classes}
    return {c: _OTHERS[i % len(_OTHERS)] for i, c in enumerate(classes)}


class Canvas:
    """What all drawings of one slide share.

    Args:
        thumbnail: uint8 [H, W, 3].
        downsample: level-0 pixels a pixel of the thumbnail.
        mpp: micrometres a level-0 pixel in x.
        tiles: the tiles table.
    """

    def __init__(
        self, thumbnail: NDArray[np.uint8], downsample: float, mpp: float, tiles: pd.DataFrame
    ) -> None:
        self.thumbnail = thumbnail
        self.downsample = downsample
        self.mpp = mpp
        self.tiles = tiles

    def heat_map(self, path: Path, column: str, label: str) -> None:
        """``column``, in [0, 1], as colour from blue to vermilion, with its scale."""
        with style.rc():
            figure, axes = self._figure()
            values = self.tiles[column].to_numpy(np.float64)
            rgba = _MAP(np.nan_to_num(values))
            rgba[np.isnan(values)] = (0.5, 0.5, 0.5, 1)
            self._paint(axes, rgba[:, :3])
            scale = figure.colorbar(
                ScalarMappable(Normalize(0, 1), _MAP),
                ax=axes,
                orientation="horizontal",
                fraction=0.04,
                pad=0.03,
                aspect=40,
            )
            scale.set_label(label)
            scale.outline.set_linewidth(0.5)
            _save(figure, path)

    def class_map(self, path: Path, chosen: Mapping[str, str], names: Mapping[str, str]) -> None:
        """The likeliest class of each tile, with a legend of classes that occur.

        Args:
            chosen: colour of each class.
            names: of each class, for people.
        """
        with style.rc():
            figure, axes = self._figure()
            grey = np.full((len(self.tiles), 3), 0.5)
            predicted = self.tiles["y_pred"].to_numpy(object)
            for name, colour in chosen.items():
                grey[predicted == name] = np.array(rgb(colour)) / 255
            self._paint(axes, grey)
            counts = self.tiles["y_pred"].value_counts()
            keys = [
                Patch(facecolor=colour, label=f"{names[name]} ({counts[name]})")
                for name, colour in chosen.items()
                if name in counts
            ]
            if keys:
                figure.legend(handles=keys, loc="outside lower center", ncols=4)
            _save(figure, path)

    def _figure(self) -> tuple[Figure, Axes]:
        height, width = self.thumbnail.shape[:2]
        drawn = Figure(
            figsize=(_INCHES, min(_INCHES * height / width, 14) + 0.75), layout="constrained"
        )
        FigureCanvasAgg(drawn)
        axes = drawn.subplots()
        axes.imshow(self.thumbnail, interpolation="none")
        axes.set_axis_off()
        self._scale_bar(axes)
        return drawn, axes

    def _paint(self, axes: Axes, colour: NDArray[np.float64]) -> None:
        """Each tile in its colour, half transparent, the thumbnail seen through."""
        height, width = self.thumbnail.shape[:2]
        over = np.zeros((height, width, 4), np.float32)
        boxes = self.tiles[["x", "y", "width", "height"]].to_numpy(np.float64)
        edges = boxes.copy()
        edges[:, 2:] += boxes[:, :2]
        edges = np.rint(edges / self.downsample).astype(int)
        for (left, top, right, bottom), shade in zip(edges, colour, strict=True):
            part = over[top : max(bottom, top + 1), left : max(right, left + 1)]
            part[..., :3], part[..., 3] = shade, _ALPHA
        axes.imshow(over, interpolation="none")

    def _scale_bar(self, axes: Axes) -> None:
        """A bar of 1, 2 or 5 times a power of ten micrometres, about a fifth of the width."""
        height, width = self.thumbnail.shape[:2]
        micrometres = width * self.downsample * self.mpp / 5
        power = 10.0 ** np.floor(np.log10(micrometres))
        length = max(m * power for m in (1, 2, 5) if m * power <= micrometres * 1.0001)
        pixels = length / self.mpp / self.downsample
        left, low = width * 0.02, height * 0.97
        for thick, colour in ((4.5, "white"), (2.5, style.INK)):
            axes.plot([left, left + pixels], [low, low], color=colour, lw=thick,
                      solid_capstyle="butt")  # fmt: skip
        text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.text(left + pixels / 2, low - height * 0.012, text, ha="center", va="bottom", bbox=box)


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
