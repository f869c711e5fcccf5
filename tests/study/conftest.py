"""Studies small enough to be carried out in a test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from magnostic.data import Images, read_images

#: A probe and a fine-tuned network that take a second on the tiny tree.
RECIPES = {
    "quick": """
name: quick
task: subtype
split: {protocols: [patient], folds: 2, val_fraction: 0}
preprocess: {size: 32, normalize: imagenet}
model: {backbone: test_resnet, weights: none}
train: {method: probe, precision: fp32}
evaluate: {resamples: 10}
""",
    "slow": """
name: slow
description: Long enough to be interrupted.
task: binary
split: {protocols: [random, patient], folds: 1, val_fraction: 0.25}
preprocess: {size: 32}
model: {backbone: test_resnet, weights: none, dropout: 0.2}
train: {method: finetune, epochs: 40, precision: fp32}
evaluate: {resamples: 10, controls: false}
""",
}

#: Read by Python at its start.
NO_FIGURES = """
from matplotlib.figure import Figure
Figure.savefig = lambda self, target, format, **more: format == "svg" or open(target, "wb").close()
"""

WriteStudy = Callable[[str], Path]


@pytest.fixture(scope="session")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


@pytest.fixture
def no_figures(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts write no files of figures, which are half of their time."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(NO_FIGURES)
    paths = filter(None, (str(folder), os.environ.get("PYTHONPATH")))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture
def write_study(tmp_path: Path) -> WriteStudy:
    """Write a study beside the recipes quick.yaml and slow.yaml; gives its path."""
    for name, text in RECIPES.items():
        (tmp_path / f"{name}.yaml").write_text(text)

    def write(text: str) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return path

    return write
