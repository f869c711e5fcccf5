"""A few photographs and recipes, small enough to be carried out many times."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SAMPLE = Path(__file__).parents[3] / "shared" / "breakhis-sample" / "BreaKHis_v1"
RECIPES = {
    "quick": """
name: quick
task: binary
split: {protocols: [patient], folds: 2, val_fraction: 0}
preprocess: {size: 32, normalize: imagenet}
model: {backbone: test_resnet, weights: none}
train: {method: probe, precision: fp32}
evaluate: {resamples: 10}
""",
    "network": """
name: network
task: binary
split: {protocols: [random], folds: 2, val_fraction: 0.25}
preprocess: {size: 32}
model: {backbone: test_resnet, weights: none, dropout: 0.2}
train: {method: finetune, epochs: 2, batch_size: 16, precision: fp32}
evaluate: {resamples: 10, controls: false}
""",
}


def few(data: Path | None, scratch: Path, step: int = 5) -> Path:
    """A tree of links to every ``step``-th photograph; the phantom's where there are none."""
    data = data or SAMPLE
    if not data.is_dir():
        return phantom(scratch)
    root = scratch / "BreaKHis_v1"
    for path in sorted(data.rglob("*.png"))[::step]:
        link = root / path.relative_to(data)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return root


def phantom(scratch: Path) -> Path:
    command = [sys.executable, "-m", "magnostic", "phantom", str(scratch / "phantom")]
    command += ["--patients-per-type", "3", "--fields-per-magnification", "1"]
    subprocess.run(command, check=True)
    return scratch / "phantom"
