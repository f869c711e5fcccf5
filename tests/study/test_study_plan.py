"""The plan: what it counts, what it measures, and that it trains and downloads nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch

from magnostic.data import Images
from magnostic.errors import RunFailed
from magnostic.models import hub
from magnostic.recipe import Recipe
from magnostic.splits.table import Parts
from magnostic.study import measure, schema
from magnostic.study.execute import carry_out_one, execute
from magnostic.study.expand import expand
from magnostic.study.plan import Planned, plan
from magnostic.train import device

WriteStudy = Callable[[str], Path]


def planned(path: Path, images: Images, out: Path, *overrides: str) -> list[Planned]:
    study, beside = schema.load(path)
    study = study.model_copy(update={"overrides": overrides})
    return plan(study, expand(study, beside), images, out)


def test_a_plan_counts_what_the_runs_then_do(
    write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    rows = """
rows:
  - {recipe: quick.yaml, label: q}
  - {recipe: slow.yaml, set: {train: {epochs: 2, batch_size: 7}, balance: {method: oversample},
     task: subtype, split: {folds: 2}}}
  - {recipe: quick.yaml, label: again}
  - {recipe: quick.yaml, label: refused, set: {data: {magnifications: [100]}}}
  - {recipe: quick.yaml, label: unknown, set: {model: {backbone: resnet51}}}
"""
    path, out = write_study(rows), tmp_path / "o"
    quick, slow, again, refused, unknown = planned(path, tiny, out)
    assert not out.exists()
    assert (quick.status, quick.images, quick.children, quick.steps) == ("planned", 48, 2 + 1, 0)
    assert quick.seconds is not None
    assert quick.seconds > 0
    assert again.status == "shared"
    assert refused.status == "refused"
    assert "magnifications [100]" in refused.note
    assert unknown.status == "unknown"
    assert "did you mean" in unknown.note
    study, beside = schema.load(path)
    records = execute(study, expand(study, beside), tiny, out, "slow")
    children = sorted((out / records[1].path).glob("*/r[0-9]*f[0-9]*"))
    assert slow.children == len(children) == 4
    steps = 0
    for child in children:
        parts = Parts.read(child).table
        labels = tiny.table.set_index("image_id")["tumour_type"]
        trained = labels[parts.loc[parts["part"] == "train", "image_id"]].value_counts()
        steps += 2 * int(np.ceil(trained.max() * len(trained) / 7))
    assert slow.steps == steps
    done = planned(path, tiny, out)[1]
    assert (done.status, done.seconds) == ("done", 0.0)


def test_a_missing_reference_photograph_is_known_before_the_runs(
    write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    missing, out = tmp_path / "nowhere.png", tmp_path / "out"
    row = f"{{recipe: quick.yaml, set: {{preprocess: {{colour: macenko, reference: {missing}}}}}}}"
    path = write_study(f"rows: [{row}]")
    (line,) = planned(path, tiny, out)
    assert (line.status, line.seconds) == ("refused", None)
    assert f"preprocess.reference {missing}: missing" in line.note
    study, beside = schema.load(path)
    assert carry_out_one(expand(study, beside), 1, tiny, out) == ("failed", line.note)
    assert not out.exists()


def test_features_that_runs_share_are_counted_once(
    write_study: WriteStudy, tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "rows: [{recipe: quick.yaml, grid: {train.c: [0.1, 1.0], preprocess.normalize: [%s]}}]"
    monkeypatch.setattr(measure, "backbone", lambda *_: measure.Speed(64, forward=10.0))
    monkeypatch.setattr(measure, "head", lambda *_: 0.0)
    path = write_study(rows % "imagenet")
    first, second = planned(path, tiny, tmp_path / "out")
    assert first.seconds is not None
    assert second.seconds is not None
    assert first.seconds - second.seconds == pytest.approx(480, abs=5)
    of_training = planned(write_study(rows % "train"), tiny, tmp_path / "out")
    assert all(line.seconds is not None and line.seconds > 3 * 480 for line in of_training)


def test_weights_are_never_asked_for(
    write_study: WriteStudy, tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise AssertionError("downloads")

    monkeypatch.setattr(hub, "download", refuse)
    monkeypatch.setattr(hub, "download_url", refuse)
    path = write_study(
        "rows: [{recipe: quick.yaml, set: {model: {backbone: resnet18, weights: tv_in1k}}}]"
    )
    (line,) = planned(path, tiny, tmp_path / "out")
    assert line.status == "planned"


def recipe(backbone: str, method: str = "probe", **model: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "r",
            "preprocess": {"size": 64},
            "model": {"backbone": backbone, "weights": "none", **model},
            "train": {"method": method, "precision": "fp32", "batch_size": 4},
        }
    )


@pytest.mark.parametrize(
    ("backbone", "method"),
    [
        ("test_resnet", "probe"),
        ("test_resnet", "finetune"),
        ("test_vit", "finetune"),
        ("handcrafted", "dense"),
    ],
)
def test_every_kind_of_backbone_is_timed(backbone: str, method: str) -> None:
    size = 160 if backbone == "test_vit" else 64
    made = recipe(backbone, method)
    made = made.model_copy(update={"preprocess": made.preprocess.model_copy(update={"size": size})})
    photos = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    speed = measure.backbone(made, photos)
    assert speed.width > 0
    assert speed.forward > 0
    assert (speed.train > 0) == (speed.update > 0) == (method == "finetune")
    assert (measure.head(made, 100, speed.width, 3) > 0) == (method != "finetune")


@pytest.mark.parametrize(
    "name", ["swin_tiny_patch4_window7_224", "densenet121", "vgg11", "beit_base_patch16_224"]
)
def test_networks_without_weights_compute_finite_numbers(name: str) -> None:
    made = recipe(name)
    network, where = measure._network(made), device.torch_device()
    assert all(p.device.type != "meta" for p in (*network.parameters(), *network.buffers()))
    size = timm.get_pretrained_cfg(name).input_size[-1]
    photo = torch.zeros(1, size, size, 3, dtype=torch.uint8, device=where)
    with torch.inference_mode():
        assert torch.isfinite(network(photo)).all()


def test_a_network_larger_than_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.os, "sysconf", lambda _: 1000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    photos = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(RunFailed, match="test_resnet needs about 0 GiB"):
        measure.backbone(recipe("test_resnet", "finetune"), photos)


@pytest.mark.parametrize("method", ["none", "grayscale", "reinhard", "macenko", "vahadane"])
def test_changes_of_colour_are_timed_on_blank_fields_too(method: str) -> None:
    photos = np.full((2, 32, 32, 3), 255, np.uint8)
    describing, applying = measure.colours(method, photos)  # type: ignore[arg-type]
    assert (describing > 0, applying > 0) == (method != "none", method != "none")


def test_photographs_are_decoded_at_the_networks_size(tiny: Images) -> None:
    photos, seconds = measure.photographs(tiny.table, recipe("test_resnet").preprocess)
    assert photos.shape == (measure.SAMPLE, 64, 64, 3)
    assert seconds > 0
    one: pd.DataFrame = tiny.table.head(1)
    assert len(measure.photographs(one, recipe("test_resnet").preprocess)[0]) == 1
