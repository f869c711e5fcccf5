"""A :class:`magnostic.deploy.graph.Graph` to the files of another runtime."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from magnostic.deploy.graph import Graph
from magnostic.errors import MissingExtra, RunFailed

Pixels = NDArray[np.uint8]
#: Images that int8 is scaled by at most.
_SCALED_BY = 256


def convert(graph: Graph, folder: Path, to: str, precision: str, pixels: Pixels) -> Path:
    """Write the graph below ``folder``; returns its main file.

    Args:
        to: ``onnx``, ``openvino`` or ``torchscript``.
        precision: ``int8`` quantizes an ONNX graph; ``bf16`` is a matter of running, not of files.
        pixels: uint8 [N, H, W, 3], from which the graph is traced and int8 is scaled.

    Raises MissingExtra, or RunFailed naming what could not be converted.
    """
    try:
        with _quiet():
            if to == "torchscript":
                return _torchscript(graph, folder, pixels)
            if to == "openvino":
                return _openvino(graph, folder, pixels)
            return _onnx(graph, folder, precision, pixels)
    except (MissingExtra, OSError):
        raise
    except Exception as error:  # converters raise classes of their own
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), "")
        raise RunFailed(
            f"{to}: the model cannot be converted ({type(cause).__name__}: {reason}); try another "
            "--to, or predict with the run itself"
        ) from error


def _traced(graph: Graph, pixels: Pixels) -> Any:
    # Two images, so that nothing takes a batch of one for granted; any number is then accepted.
    example = torch.from_numpy(np.resize(pixels, (2, *pixels.shape[1:])))
    with torch.inference_mode():
        return torch.jit.trace(  # type: ignore[no-untyped-call]
            graph, example, check_trace=False
        )


def _torchscript(graph: Graph, folder: Path, pixels: Pixels) -> Path:
    path = folder / "model.pt"
    torch.jit.save(_traced(graph, pixels), str(path))
    return path


def _openvino(graph: Graph, folder: Path, pixels: Pixels) -> Path:
    try:
        import openvino
    except ImportError:
        raise MissingExtra("export", "openvino") from None
    height, width = pixels.shape[1:3]
    model = openvino.convert_model(
        _traced(graph, pixels),
        example_input=torch.from_numpy(pixels[:1]),
        input=[(openvino.PartialShape([-1, height, width, 3]), openvino.Type.u8)],
    )
    model.inputs[0].get_tensor().set_names({"images"})
    for output, name in zip(model.outputs, graph.outputs, strict=True):
        output.get_tensor().set_names({name})
    path = folder / "model.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def _onnx(graph: Graph, folder: Path, precision: str, pixels: Pixels) -> Path:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise MissingExtra("export", str(error.name)) from None
    del onnxscript, onnxruntime
    path = folder / "model.onnx"
    torch.onnx.export(
        graph,
        (torch.from_numpy(np.resize(pixels, (2, *pixels.shape[1:]))),),
        str(path),
        input_names=["images"],
        output_names=graph.outputs,
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    onnx.checker.check_model(str(path))
    if precision == "int8":
        _quantize(path, pixels)
    return path


def _quantize(path: Path, pixels: Pixels) -> None:
    """Static int8 of convolutions, scaled by these inputs, one scale a channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            some = pixels[np.unique(np.linspace(0, len(pixels) - 1, _SCALED_BY).astype(int))]
            self._batches: Iterator[Pixels] = iter(some[i : i + 8] for i in range(0, len(some), 8))

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": batch}

    ready = path.with_name("prepared.onnx")
    quant_pre_process(str(path), str(ready))
    path.unlink()
    quantize_static(
        str(ready),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        op_types_to_quantize=["Conv"],
    )
    ready.unlink()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Converters warn of what the check after them decides."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
