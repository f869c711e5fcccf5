"""``magnostic export``: a run's model for another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from magnostic.deploy.artefact import About

#: Photographs that are compared on at most; they are held in memory together.
_MOST: Final = 512


def export(
    run: Path,
    *,
    to: Literal["onnx", "openvino", "torchscript"],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    precision: Literal["fp32", "bf16", "int8"] = "fp32",
    images: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    column: options.Columns = (),
) -> None:
    """Write a run's model as one graph, with normalization and calibration inside.

    The graph takes uint8 [N, height, width, 3] in RGB and any N. It is compared with the run's
    model at batches of 1, 7 and 32 and written only where both say the same.

    Parameters
    ----------
    run
        A run folder, or one of its models (RUN/final).
    to
        The runtime.
    out
        A new folder, from which `magnostic predict` predicts as from the run.
    precision
        onnx: fp32 or int8; openvino: fp32 or bf16; torchscript: fp32.
    images
        Photographs to compare on: files, folders, globs, manifests; of more than 512 as many,
        evenly spaced. Every second one scales int8 and is not compared. Default: made-up pictures.
    """
    from magnostic.data.summary import counted
    from magnostic.deploy.artefact import load_members
    from magnostic.deploy.export import require_possible, write
    from magnostic.deploy.graph import require_exportable

    require_possible(out, to, precision, shown=bool(images))
    about, members = load_members(run)
    require_exportable(members)
    shown = _inputs(images, about, options.mapping(column)) if images else None
    told = write(about, members, out, to, precision=precision, pixels=shown)
    parity = told["parity"]
    print(
        f"{counted(parity['images'], 'image')} ({parity['source']}) at batches of 1, 7 and 32: "
        f"probabilities differ by {parity['largest']:.2g} at most, {parity['mean']:.2g} on "
        f"average; same class for {parity['same_class']:.1%}"
    )
    print(out / told["model"])


def _inputs(images: tuple[str, ...], about: About, columns: dict[str, str]) -> NDArray[np.uint8]:
    import numpy as np

    from magnostic.data.strict import strict_decoding
    from magnostic.deploy.pipeline import batches
    from magnostic.deploy.sources import listed
    from magnostic.errors import BadInput
    from magnostic.progress import say

    paths = [item.path for item in listed(images, columns)]
    if len(paths) > _MOST:
        say(f"comparing on {_MOST} of {len(paths)} photographs, evenly spaced")
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, _MOST).astype(int)]
    with strict_decoding():
        read = [b for b in batches(paths, about.size, about.fit, 64) if b.good]
    if not read:
        raise BadInput(f"--images {images[0]}: no photograph could be read")
    return np.concatenate([batch.pixels() for batch in read])
