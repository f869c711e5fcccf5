"""Balancing within one fold: what training is given, and that it is of the training part alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from magnostic import recipe_file as recipes
from magnostic.data import Images
from magnostic.preprocess.smote import NEIGHBOURS
from magnostic.splits.table import Parts
from magnostic.train import finetune as loop
from magnostic.train import fit, probe
from magnostic.train.experiment import Experiment, load_source, resolve
from magnostic.train.finetune import Job
from magnostic.train.inputs import Photographs
from magnostic.train.run import prepare

CONF = Path(__file__).parents[1] / "conf"
HOLD_OUT = (
    "--task=binary", "--split.protocols=random", "--split.folds=1", "--split.val_fraction=0.25",
    "--split.stratify=true", "--preprocess.size=32", "--model.backbone=test_resnet",
    "--train.batch_size=8",
)  # fmt: skip
Labelled = tuple[NDArray[np.float32], NDArray[np.intp]]


@pytest.fixture(scope="module")
def unequal(tiny_images: Images) -> Images:
    """Of the tiny tree all 24 malignant photographs, and 16 of 24 benign ones."""
    table = tiny_images.table
    benign = table.index[table["malignancy"] == "benign"]
    return Images(table.drop(benign[::3]).reset_index(drop=True))


def one_fold(conf: str, images: Images, *overrides: str) -> tuple[Experiment, Parts]:
    recipe = resolve(recipes.load(CONF / f"{conf}.yaml", [*HOLD_OUT, *overrides]))
    experiment = Experiment(recipe, images, load_source(recipe))
    return experiment, prepare(experiment)[2][0]


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """What the training loop is given; it trains all the same."""
    given: list[Job] = []
    train = fit.finetune

    def noted(model: nn.Module, job: Job, folder: Path) -> nn.Module:
        given.append(job)
        return train(model, job, folder)

    monkeypatch.setattr(fit, "finetune", noted)
    return given


def near(vectors: NDArray[np.float32], among: NDArray[np.intp], one: int) -> set[int]:
    """Those of ``among`` that are nearest to one of them."""
    far = np.square(vectors[among] - vectors[one]).sum(axis=1)
    return set(among[np.argsort(far)[1 : NEIGHBOURS + 1]].tolist())


def test_smote_on_pixels_mixes_near_training_photographs_of_a_class(
    unequal: Images, jobs: list[Job], tmp_path: Path
) -> None:
    experiment, parts = one_fold("finetune-oversample", unequal, "--balance.method=smote-pixels")
    train, val = (experiment.positions(parts.ids(part)) for part in ("train", "val"))
    before = np.array(experiment.pixels.array)
    fitted = fit.fit(experiment, parts, tmp_path)
    (job,), y = jobs, experiment.y_index
    samples, n = job.train, len(train)
    assert samples.second is not None
    assert samples.share is not None
    few, many = np.sort(np.bincount(y[train]))
    assert np.bincount(y[samples.rows]).tolist() == [many, many]
    assert len(samples) == n + many - few > n
    assert not samples.symmetry.any()

    assert samples.rows[:n].tolist() == train.tolist()
    assert not samples.share[:n].any()
    assert set(samples.used) == set(train)
    assert sorted(fitted.weights) == sorted(parts.ids("train"))
    assert job.val.rows.tolist() == val.tolist()
    assert job.val.second is None

    flat = before[experiment.pixel_rows].reshape(len(y), -1).astype(np.float32)
    for first, second in zip(samples.rows[n:], samples.second[n:], strict=True):
        assert y[first] == y[second]
        assert second in near(flat, train[y[train] == y[first]], first)

    assert isinstance(job.inputs, Photographs)
    given = job.inputs.place(job.inputs.read(samples, pinned=False), torch.device("cpu")).numpy()
    assert np.array_equal(given[:n], before[experiment.pixel_rows[train]])
    share = samples.share[n:, None]
    mixed = (1 - share) * flat[samples.rows[n:]] + share * flat[samples.second[n:]]
    assert np.abs(given[n:].reshape(len(mixed), -1) - mixed).max() <= 0.51
    assert np.array_equal(experiment.pixels.array, before)


def test_smote_on_features_fills_the_training_part_alone(
    unequal: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, parts = one_fold("probe-lite0", unequal, "--balance.method=smote-features")
    train, val = (experiment.positions(parts.ids(part)) for part in ("train", "val"))
    taught: list[tuple[Labelled, Labelled]] = []
    fit_head = probe.fit

    def noted(
        features: NDArray[np.float32], y: NDArray[np.intp], *more: object, val: Labelled, seed: int
    ) -> object:
        taught.append(((features, y), val))
        return fit_head(features, y, *more, val=val, seed=seed)  # type: ignore[arg-type]

    monkeypatch.setattr(probe, "fit", noted)
    fitted = fit.fit(experiment, parts, tmp_path)
    (((features, labels), (of_val, y_val)),) = taught
    y, n = experiment.y_index, len(train)
    few, many = np.sort(np.bincount(y[train]))
    assert np.bincount(labels).tolist() == [many, many]
    assert len(features) == n + many - few > n

    own = fitted.features_of(train)
    assert np.array_equal(features[:n], own)
    assert labels[:n].tolist() == y[train].tolist()
    assert np.array_equal(of_val, fitted.features_of(val))
    assert y_val.tolist() == y[val].tolist()
    for made, label in zip(features[n:], labels[n:], strict=True):
        of_class = own[y[train] == label]
        first, second = of_class[:, None], of_class[None]
        between = np.abs(first - made).sum(axis=2) + np.abs(second - made).sum(axis=2)
        detour = between - np.abs(first - second).sum(axis=2)  # 0 on the line between two
        np.fill_diagonal(detour, np.inf)
        assert detour.min() < 1e-3 * np.abs(own).sum(axis=1).mean()
    assert sorted(fitted.weights) == sorted(parts.ids("train"))


def test_features_are_mixed_whatever_their_units() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    y = np.repeat([0, 1], [28, 12])
    units = np.array([1, 4096, 1 / 64], dtype=np.float32)
    mixed, labels = fit._filled_up((features, y), 5)
    other, _ = fit._filled_up((features * units, y), 5)
    assert np.array_equal(mixed[:40], features)
    assert np.bincount(labels).tolist() == [28, 28]
    assert other == pytest.approx(mixed * units, rel=1e-4, abs=1e-4)


def test_a_weighted_sampler_draws_from_the_training_part_as_it_is(
    tiny_images: Images, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tiny_images.table
    benign = table.index[table["malignancy"] == "benign"]
    few_benign = Images(table.drop(benign[8:]).reset_index(drop=True))
    more = ("--balance.method=weighted-sampler", "--train.epochs=6")
    experiment, parts = one_fold("finetune-oversample", few_benign, *more)
    drawn: list[NDArray[np.intp]] = []
    order = loop.order

    def noted(*arguments: object) -> NDArray[np.intp]:
        drawn.append(order(*arguments))  # type: ignore[arg-type]
        return drawn[-1]

    monkeypatch.setattr(loop, "order", noted)
    fitted = fit.fit(experiment, parts, tmp_path)
    (job,), y = jobs, experiment.y_index
    train = experiment.positions(parts.ids("train"))
    assert job.train.rows.tolist() == train.tolist()
    assert job.class_weights is None
    assert job.sampling is not None
    assert np.bincount(y[train], weights=job.sampling) == pytest.approx([0.5, 0.5])
    assert [len(epoch) for epoch in drawn] == [len(train)] * 6
    # Photographs drawn in their own proportions would be benign in a quarter.
    benign_drawn = np.mean(y[train][np.concatenate(drawn)] == experiment.classes.index("benign"))
    assert np.mean(y[train] == experiment.classes.index("benign")) < 0.3
    assert benign_drawn == pytest.approx(0.5, abs=0.1)
    assert sorted(fitted.weights) == sorted(parts.ids("train"))
