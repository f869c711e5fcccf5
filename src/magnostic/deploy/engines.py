"""What computes: PyTorch as in training, or an exported graph in another runtime.

Every engine turns inputs into probabilities as predicted and features; rules are applied outside.
"""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from magnostic.deploy.artefact import Member
from magnostic.errors import MissingExtra, WeightsError
from magnostic.progress import say
from magnostic.stored import as_written

if TYPE_CHECKING:
    from magnostic.train.device import Precision

Pixels = NDArray[np.uint8]
Outputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Computed:
    """For N inputs and C classes.

    Attributes:
        raw: float32 [N, C], probabilities as predicted, before the temperature.
        features: float32 [N, D] of each network that has training images to compare with.
    """

    raw: NDArray[np.float32]
    features: tuple[NDArray[np.float32], ...]


class Engine(Protocol):
    """Anything that computes; ``compute`` may be called from several threads.

    Attributes:
        name: for people.
        batch_size: inputs at once that it is best given.
        shares_cores: whether it computes on the cores that decode.
    """

    name: str
    batch_size: int
    shares_cores: bool

    def compute(self, pixels: Pixels) -> Computed:
        """From uint8 [N, H, W, 3], N >= 1, before any change of colour."""
        ...


class TorchEngine:
    """The networks themselves, in the precision of the run, as :mod:`magnostic.train.predict`.

    Networks that share a frozen encoder and its input compute it once. Inputs are always computed
    in whole batches of the run's size, as in training: some kernels round differently for another
    batch size.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        from magnostic.train import device

        self._device = device.torch_device()
        self._precision = precision(members[0])
        if self._precision == "fp32" and members[0].spec.precision == "fp16":
            say("trained in fp16, which no CPU computes in: computing in fp32")
        device.threads()
        self.shares_cores = self._device.type == "cpu"
        if self.shares_cores:
            device.keep_memory()
        self.batch_size = members[0].spec.batch_size
        self.name = f"torch ({self._device.type}, {self._precision})"
        self._heads = [copy.deepcopy(m.model.head).cpu().double().eval() for m in members]
        self._members = list(members)
        self._source = encoder_sources(members)
        for index in set(self._source):
            members[index].model.to(self._device)
        self._lock = threading.Lock()

    def compute(self, pixels: Pixels) -> Computed:
        with self._lock:
            by_encoder = {i: self._features(i, pixels) for i in sorted(set(self._source))}
            features = tuple(by_encoder[i] for i in self._source)
            return Computed(self._average(features), features)

    def _average(self, features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        from magnostic.models.classifier import softmax
        from magnostic.train.predict import head_logits

        each = [softmax(head_logits(h, f)) for h, f in zip(self._heads, features, strict=True)]
        if len(each) == 1:
            return each[0]
        return np.asarray(np.mean(each, axis=0, dtype=np.float64), np.float32)

    def _features(self, index: int, pixels: Pixels) -> NDArray[np.float32]:
        import torch

        from magnostic.preprocess import colour
        from magnostic.train.predict import encode

        member = self._members[index]
        changes = colour.Colour.from_dict(member.spec.colour)
        parts = []
        for start in range(0, len(pixels), self.batch_size):
            here = pixels[start : start + self.batch_size]
            filled = np.resize(np.arange(len(here)), self.batch_size)
            with torch.inference_mode():
                images = torch.from_numpy(here[filled]).to(self._device)
                if changes.method != "none":
                    described = colour.describe(changes.method, here)[filled]
                    images = colour.apply(changes, images, torch.from_numpy(described))
                parts.append(encode(member.model, images, self._precision)[: len(here)])
        return np.concatenate(parts)


def precision(member: Member) -> Precision:
    """What PyTorch computes the network in here: as in training, but fp16 without CUDA as fp32."""
    from magnostic.train import device

    if member.spec.precision == "fp16" and device.torch_device().type != "cuda":
        return "fp32"
    return device.precision(member.spec.precision)


def encoder_sources(members: Sequence[Member]) -> list[int]:
    """For each network the first one whose features of a photograph are the same."""
    keys = [_encoder_key(member) for member in members]
    return [keys.index(key) for key in keys]


def _encoder_key(member: Member) -> object:
    spec = member.spec
    if spec.backbone_file is None:
        return member.folder
    shared = (member.folder / spec.backbone_file).resolve()
    return (shared, spec.mean, spec.std, spec.normalize, repr(spec.colour))


class Exported:
    """Base of the engines that run an exported graph.

    Args:
        path: of the graph.
        sources: for each network, which of the outputs ``features_<k>`` its head sees.
    """

    batch_size = 32
    shares_cores = True

    def __init__(self, name: str, path: Path, sources: Sequence[int]) -> None:
        self.name = name
        self._path = path
        self._sources = sources

    def run(self, pixels: Pixels) -> Outputs:
        """The graph's outputs by name for uint8 [N, H, W, 3], N >= 1."""
        raise NotImplementedError

    def compute(self, pixels: Pixels) -> Computed:
        # The graph may be anybody's, and of other inputs and outputs than stand beside it.
        with as_written(self._path, WeightsError, "export the run again"):
            return self._compute(pixels)

    def _compute(self, pixels: Pixels) -> Computed:
        # In whole batches alone: some kernels round differently for another batch size.
        parts: dict[str, list[NDArray[np.float32]]] = {}
        for start in range(0, len(pixels), self.batch_size):
            here = pixels[start : start + self.batch_size]
            filled = here[np.resize(np.arange(len(here)), self.batch_size)]
            for name, values in self.run(filled).items():
                parts.setdefault(name, []).append(np.asarray(values[: len(here)], np.float32))
        found = {name: np.concatenate(values) for name, values in parts.items()}
        features = tuple(found[f"features_{i}"] for i in self._sources)
        return Computed(found["uncalibrated"], features)


class OnnxEngine(Exported):
    """An exported ``model.onnx`` in ONNX Runtime on the CPU."""

    def __init__(self, path: Path, sources: Sequence[int], note: str = "") -> None:
        super().__init__(f"onnx (ONNX Runtime, cpu{note})", path, sources)
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("export", "onnxruntime") from None
        from magnostic.processors import threads

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        # Threads that wait actively would take the cores from decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises classes of its own
            raise WeightsError(f"{path}: ONNX Runtime cannot load it ({error})") from None
        self._outputs = [out.name for out in self._session.get_outputs()]

    def run(self, pixels: Pixels) -> Outputs:
        found = self._session.run(None, {"images": pixels})
        return dict(zip(self._outputs, found, strict=True))


class OpenvinoEngine(Exported):
    """An exported ``model.xml`` in OpenVINO on the CPU."""

    def __init__(
        self, path: Path, sources: Sequence[int], precision: str = "f32", note: str = ""
    ) -> None:
        super().__init__(f"openvino (cpu{note})", path, sources)
        try:
            import openvino
        except ImportError:
            raise MissingExtra("export", "openvino") from None
        from magnostic.processors import threads

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            self._model = core.compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise WeightsError(f"{path}: OpenVINO cannot load it ({error})") from None
        self._outputs = [out.get_any_name() for out in self._model.outputs]
        self._local = threading.local()

    def run(self, pixels: Pixels) -> Outputs:
        if not hasattr(self._local, "request"):  # a request serves one call at a time
            self._local.request = self._model.create_infer_request()
        request = self._local.request
        request.infer([pixels])
        return {name: request.get_tensor(name).data.copy() for name in self._outputs}


class TorchscriptEngine(Exported):
    """An exported ``model.pt`` in PyTorch, without the classes it was made from."""

    def __init__(
        self, path: Path, sources: Sequence[int], outputs: Sequence[str], note: str = ""
    ) -> None:
        import torch

        from magnostic.train import device

        self._device = device.torch_device()
        super().__init__(f"torchscript ({self._device.type}{note})", path, sources)
        self.shares_cores = self._device.type == "cpu"
        device.threads()
        if self.shares_cores:
            device.keep_memory()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that there is a newer format
                self._module = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location=self._device
                )
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path}: PyTorch cannot load it ({reason})") from None
        self._outputs = list(outputs)
        self._lock = threading.Lock()

    def run(self, pixels: Pixels) -> Outputs:
        import torch

        with self._lock, torch.inference_mode():
            found = self._module(torch.from_numpy(pixels).to(self._device))
        arrays = [tensor.float().cpu().numpy() for tensor in found]
        return dict(zip(self._outputs, arrays, strict=True))
