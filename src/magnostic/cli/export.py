"""``magnostic export``: a run's model for another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from magnostic.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
        Photographs to compare on and to scale int8 by: files, folders, globs, manifests; by
        default made-up pictures.
    """
    from magnostic.deploy import artefact
    from magnostic.deploy.export import export as write

    shown = None
    if images:
        about, _ = artefact.load_members(run)
        shown = _inputs(images, about, options.mapping(column))
    told = write(run, out, to, precision=precision, pixels=shown)
    parity = told["parity"]
    print(
        f"{parity['images']} images ({parity['source']}) at batches of 1, 7 and 32: probabilities "
        f"differ by {parity['largest']:.2g} at most, {parity['mean']:.2g} on average; same class "
        f"for {parity['same_class']:.1%}"
    )
    print(out / told["model"])


def _inputs(images: tuple[str, ...], about: object, columns: dict[str, str]) -> NDArray[np.uint8]:
    import numpy as np

    from magnostic.deploy.artefact import About
    from magnostic.deploy.photograph import strict_decoding
    from magnostic.deploy.pipeline import batches
    from magnostic.deploy.sources import listed
    from magnostic.errors import BadInput

    assert isinstance(about, About)
    paths = [item.path for item in listed(images, columns)]
    with strict_decoding():
        read = [b for b in batches(paths, about.size, about.fit, 64) if b.good]
    if not read:
        raise BadInput(f"--images {images[0]}: no photograph could be read")
    return np.concatenate([batch.pixels() for batch in read])
