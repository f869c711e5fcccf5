"""Pictures of training images: kept thumbnails, or the photographs themselves where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magnostic.data import read_sets
from magnostic.data.fit import fit_image
from magnostic.data.scan import Unusable, decode
from magnostic.deploy.distance import Neighbour
from magnostic.explain.explainer import Explainer

#: Side of a thumbnail made from a photograph, pixels.
SIDE: Final = 128


class Cases:
    """Shows training images.

    Args:
        data: the data sets that the run was trained on, or a part of them; photographs are found
            by the hash of their pixels. () where thumbnails that the run kept have to do.

    Raises what reading the data sets raises.
    """

    def __init__(self, explainer: Explainer, data: Sequence[Path] = ()) -> None:
        self._explainer = explainer
        self._paths: dict[str, Path] = {}
        if data:
            table = read_sets(data, on_bad="skip").table
            self._paths = dict(zip(table["pixel_hash"], map(Path, table["path"]), strict=True))

    def show(self, neighbour: Neighbour) -> NDArray[np.uint8] | None:
        """uint8 [S, S, 3] of any side; None where neither thumbnail nor photograph is at hand."""
        path = self._paths.get(neighbour.pixel_hash or "")
        if path is not None:
            try:
                return fit_image(Image.fromarray(decode(path)), SIDE, "crop")
            except Unusable:  # it has changed since it was indexed
                pass
        return self._explainer.thumbnail(neighbour)
