"""Networks and photographs that the benches of prediction and export work on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from magnostic.data.pixels import fit_image
from magnostic.data.scan import decode, find_images
from magnostic.deploy import parity
from magnostic.deploy.artefact import About, Member
from magnostic.models import weights
from magnostic.models.classifier import Classifier, Spec
from magnostic.models.encoders import Network
from magnostic.train import device

CLASSES = ("A", "F", "PT", "TA", "DC", "LC", "MC", "PC")
HALF = (0.5, 0.5, 0.5)


def member(backbone: str, source: str | None, size: int, folder: Path) -> Member:
    """A network with a head of eight classes drawn by lot, in the best precision of this device."""
    found = weights.resolve(source, backbone) if source else None
    encoder = Network(weights.build(backbone, found, {}), HALF, HALF)
    head = nn.Linear(encoder.width, len(CLASSES))
    spec = Spec(
        backbone=backbone, args={}, features="pooled", weights=source or "random",
        weights_sha256=None, classes=list(CLASSES), task="subtype", size=size, fit="squeeze",
        colour={"method": "none", "reference": None, "target": []}, normalize="backbone",
        mean=HALF, std=HALF, precision=device.precision("auto"), batch_size=32, method="logistic",
    )  # fmt: skip
    return Member(folder, Classifier(encoder, head).eval(), spec)


def about(one: Member) -> About:
    """What a stored run would say of it; nothing was calibrated."""
    spec = one.spec
    return About(spec.backbone, CLASSES, spec.task, spec.size, spec.fit, None, spec.backbone)


def photographs(folder: Path) -> list[Path]:
    """The genuine sample where it is at hand, else made-up PNG of the same size in ``folder``."""
    shared = Path(os.environ.get("MAGNOSTIC_SHARED", Path(__file__).parents[2] / "shared"))
    sample = shared / "breakhis-sample" / "BreaKHis_v1"
    if sample.is_dir():
        return find_images(sample)
    made = []
    for n, pixels in enumerate(parity.pictures((460, 700))):
        made.append(folder / f"{n:03}.png")
        Image.fromarray(pixels).save(made[-1])
    return made


def inputs(paths: list[Path], size: int) -> NDArray[np.uint8]:
    """uint8 [N, size, size, 3]."""
    return np.stack([fit_image(Image.fromarray(decode(p)), size, "squeeze") for p in paths])
