"""TIAToolbox's ``PatchPredictor`` in patch mode, with a model of one's own.

Settings, and why they are fair: a ``ModelABC`` around timm's network, as TIAToolbox's notebook on
advanced models shows, whose ``preproc`` is torchvision's resize, ``ToTensor`` and ``Normalize`` (as
that of its own models); two workers; batches of 32 (its default, 8, is slower here); probabilities
and classes as a ``dict``. ``PatchPredictor`` runs its models through ``torch.compile``: with
``--option compile=default`` that stays on and a first call before the clock pays for compiling;
``compile=disable`` is TIAToolbox's own switch for eager mode. It decodes every file once more than
needed, to check that all have one size (so no others are given): that is how it works, and counted.
"""

from __future__ import annotations

import numpy as np
import torch
from _job import Clock, Job, finish, read
from PIL import Image
from plain import network
from tiatoolbox import rcParam
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
from tiatoolbox.models.models_abc import ModelABC
from torch import nn
from torchvision import transforms


class Model(ModelABC):
    """timm's network as TIAToolbox takes it: HWC arrays in, probabilities out."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.network = network(job, len(job.classes))
        self.transform = transforms.Compose(
            [
                transforms.Resize((job.size, job.size)),
                transforms.ToTensor(),
                transforms.Normalize(job.mean, job.std),
            ]
        )
        self.preproc_func = self.prepare

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(images), dim=1)

    def prepare(self, image: np.ndarray) -> torch.Tensor:
        return self.transform(Image.fromarray(image)).permute(1, 2, 0)

    @staticmethod
    def postproc(image: np.ndarray) -> np.ndarray:
        return image.argmax(axis=-1)

    @staticmethod
    def infer_batch(model: nn.Module, batch_data: torch.Tensor, *, device: str) -> np.ndarray:
        model.eval()
        batch = batch_data.to(device).permute(0, 3, 1, 2).contiguous()
        with torch.inference_mode():
            return model(batch).cpu().numpy()


def predict(job: Job) -> None:
    rcParam["torch_compile_mode"] = job.options.get("compile", "default")
    paths = job.paths()
    with Image.open(paths[0]) as first:
        width, height = first.size
    described = IOPatchPredictorConfig(
        input_resolutions=[{"units": "baseline", "resolution": 1.0}],
        output_resolutions=[{"units": "baseline", "resolution": 1.0}],
        patch_input_shape=(height, width),
        stride_shape=(height, width),
    )

    def run(predictor: PatchPredictor, some: list) -> dict:
        return predictor.run(
            some,
            patch_mode=True,
            ioconfig=described,
            return_probabilities=True,
            output_type="dict",
        )

    clock = Clock()
    predictor = PatchPredictor(
        Model(job), batch_size=job.batch_size, num_workers=job.workers, verbose=False
    )
    if rcParam["torch_compile_mode"] != "disable":
        run(predictor, paths[: job.batch_size])
        clock = Clock()
    output = run(predictor, paths)
    clock.stage("predict")
    classes = np.asarray(output["predictions"])
    finish(job, "tiatoolbox", clock.seconds, dict(zip(job.files(), map(int, classes), strict=True)))


if __name__ == "__main__":
    predict(read(["predict"]))
