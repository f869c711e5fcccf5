"""Runs end to end: what a run folder holds, and that it can be made and loaded again exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from huggingface_hub import ModelCard
from PIL import Image

from magnostic import recipe_file as recipes
from magnostic.audit import read_audit
from magnostic.data import Images, read_images
from magnostic.errors import BadInput, RecipeError, RunFailed, SplitError
from magnostic.evaluate.predictions import Predictions
from magnostic.files import read_json, write_json
from magnostic.splits.table import Parts
from magnostic.train import checkpoint, finetune
from magnostic.train.reproduce import reproduce_run
from magnostic.train.run import run

CONF = sorted((Path(__file__).parents[1] / "conf").glob("*.yaml"))
CHILD_FILES = {
    "recipe.yaml",
    "split.parquet",
    "split.json",
    "model.safetensors",
    "model.json",
    "history.jsonl",
    "predictions.parquet",
    "metrics.json",
    "environment.json",
    "fitted_on.json",
    "audit.json",
    "data.json",
    "run.json",
}


@pytest.fixture(scope="module")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


def conf(name: str, *overrides: str) -> recipes.Recipe:
    path = next(p for p in CONF if p.stem == name)
    return recipes.load(path, overrides)


@pytest.fixture(scope="module")
def single(tiny: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned network with one fold; tests that change it take a copy."""
    return run(conf("finetune-oversample"), tiny, tmp_path_factory.mktemp("single") / "run")


@pytest.fixture(scope="module")
def probe(tiny: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A probe under three protocols, two folds and two repeats."""
    return run(conf("probe-svm"), tiny, tmp_path_factory.mktemp("probe") / "run")


@pytest.fixture(scope="module")
def some_real(breakhis_sample: Path) -> Images:
    """Real photographs of every type and magnification, 66 of the sample's 187."""
    table = read_images(breakhis_sample).table
    common = table["magnification"] == 100
    kept = pd.concat([table[~common], table[common].groupby("tumour_type").head(5)])
    return Images(kept.sort_values("image_id").reset_index(drop=True))


@pytest.fixture(scope="module")
def retinas(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Round fields of view in APTOS 2019's layout; no real retina can be shipped."""
    root = tmp_path_factory.mktemp("aptos")
    (root / "train_images").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.ogrid[-1:1:48j, -1.5:1.5:72j]
    rows = ["id_code,diagnosis"]
    for number in range(30):
        field = np.where(y**2 + x**2 < 1, 60 + 30 * (number % 5), 0)[..., None]
        pixels = np.clip(field * (1.0, 0.6, 0.3) + rng.normal(0, 10, (48, 72, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(root / "train_images" / f"{number:02}.png")
        rows.append(f"{number:02},{number % 5}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
    return read_images(root)


@pytest.mark.parametrize("path", CONF, ids=lambda p: p.stem)
def test_every_system_runs_on_real_images(
    path: Path, some_real: Images, retinas: Images, tmp_path: Path
) -> None:
    images = retinas if path.stem.startswith("aptos2019") else some_real
    out = run(recipes.load(path), images, tmp_path / "run")
    assert (out / "report.html").stat().st_size > 10_000
    assert ModelCard.load(out / "MODEL_CARD.md").data.eval_results
    children = read_json(out / "run.json").get("children", [{"path": "."}])
    for child in children:
        assert {p.name for p in (out / child["path"]).iterdir()} >= CHILD_FILES
        assert not (out / child["path"] / "checkpoint").exists()
    assert all(line.split(": ")[1].startswith("identical") for line in reproduce_run(out, images))
    shutil.rmtree(out)  # up to 200 MB of weights each, which pytest would keep


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("name", ["finetune-oversample", "probe-svm"])
def test_the_same_seed_gives_the_same_bytes(
    name: str, single: Path, probe: Path, tiny: Images, tmp_path: Path
) -> None:
    first = single if name == "finetune-oversample" else probe
    second = run(conf(name), tiny, tmp_path / "second")
    other = run(conf(name, "--seed", "1"), tiny, tmp_path / "other")
    one, again, another = (
        (out / "predictions.parquet").read_bytes() for out in (first, second, other)
    )
    if not torch.cuda.is_available():  # whose kernels may add in another order each time
        assert one == again
    assert one != another


@pytest.mark.usefixtures("no_page")
def test_training_goes_on_exactly_where_it_stopped(
    tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = conf("finetune-oversample", "--train.epochs", "3", "--model.dropout", "0.3")
    run(recipe, tiny, tmp_path / "whole")
    epochs = finetune._epoch

    def stop_in_second(*arguments: object) -> dict[str, float]:
        if next(a for a in arguments if isinstance(a, checkpoint.Progress)).epoch == 1:
            raise KeyboardInterrupt
        return epochs(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(finetune, "_epoch", stop_in_second)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tiny, tmp_path / "stopped")
    monkeypatch.undo()
    with pytest.raises(BadInput, match="--resume"):
        run(recipe, tiny, tmp_path / "stopped")
    with pytest.raises(BadInput, match="another recipe"):
        run(recipe.model_copy(update={"seed": 5}), tiny, tmp_path / "stopped", resume=True)
    run(recipe, tiny, tmp_path / "stopped", resume=True)
    if torch.cuda.is_available():  # whose kernels may add in another order each time
        tables = [
            pd.read_parquet(tmp_path / o / "predictions.parquet") for o in ("whole", "stopped")
        ]
        pd.testing.assert_frame_equal(*tables, atol=0.01)
    else:
        for name in ("predictions.parquet", "model.safetensors"):
            whole, stopped = (tmp_path / o / name for o in ("whole", "stopped"))
            assert whole.read_bytes() == stopped.read_bytes()
    lines = (tmp_path / "stopped" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


@pytest.mark.usefixtures("no_page")
def test_finished_children_are_not_trained_again(tiny: Images, tmp_path: Path) -> None:
    recipe = conf("finetune-folds")
    out = run(recipe, tiny, tmp_path / "run")
    kept = out / "patient" / "r0f0" / "model.safetensors"
    before = kept.stat().st_mtime_ns
    expected = (out / "predictions.parquet").read_bytes()
    (out / "patient" / "r0f1" / "run.json").unlink()
    run(recipe, tiny, out, resume=True)
    assert kept.stat().st_mtime_ns == before
    assert (out / "predictions.parquet").read_bytes() == expected


@pytest.mark.usefixtures("no_page")
def test_the_learning_rate_goes_from_the_first_to_the_last_value(
    tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float] = []
    step = finetune.torch.optim.Adam.step

    def record(self: finetune.torch.optim.Adam, *more: object, **named: object) -> object:
        used.append(self.param_groups[0]["lr"])
        return step(self, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(finetune.torch.optim.Adam, "step", record)
    overrides = (
        "--model.backbone",
        "test_resnet",
        "--model.weights",
        "none",
        "--train.epochs",
        "3",
    )
    paper = recipes.load(
        Path("nishio2024-resnet50-subtype"), [*overrides, "--preprocess.size", "32"]
    )
    run(paper, tiny, tmp_path / "run")
    assert used[0] == pytest.approx(3e-4, rel=1e-12)
    assert used[-1] == 1e-5
    assert used == sorted(used, reverse=True)


def test_what_was_fitted_on_what_is_stored(single: Path) -> None:
    fitted, parts = read_json(single / "fitted_on.json"), Parts.read(single)
    assert set(fitted["weights"]["ids"]) == set(parts.ids("train"))
    assert set(fitted["statistics"]["ids"]) == set(parts.ids("train"))
    assert set(fitted["selection"]["ids"]) == set(parts.ids("val"))
    assert set(fitted["calibration"]["ids"]) == set(parts.ids("val"))


@pytest.mark.usefixtures("no_page")
def test_the_audit_sees_what_the_papers_readings_leak(tiny: Images, tmp_path: Path) -> None:
    """Copies made before the validation draw, and statistics of training and validation."""
    leaky = run(conf("finetune-leaky", "--split.val_fraction=0.4"), tiny, tmp_path / "leaky")
    codes = {f.code: f.status for f in read_audit(leaky)}
    assert codes["MG002"] == "issue", "copies of a photograph in training and validation"
    both = conf("finetune-oversample", "--preprocess.normalize=train+val")
    codes = {f.code: f.status for f in read_audit(run(both, tiny, tmp_path / "both"))}
    assert codes["MG008"] == "tip"
    assert codes["MG002"] == "passed"


@pytest.mark.usefixtures("no_page")
def test_the_leaky_reading_can_learn_what_its_validation_holds(
    tiny: Images, tmp_path: Path
) -> None:
    """Validation images are training images too there, so no class is left without."""
    out = run(conf("finetune-leaky", "--split.val_fraction=0.8"), tiny, tmp_path / "run")
    assert read_json(out / "run.json")["not_estimable"] == []
    assert set(Parts.read(out).table["part"]) == {"train", "test"}


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize("threads", [1, 2])
def test_fp32_is_reproduced_with_any_number_of_threads(
    threads: int, tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some fp32 kernels round differently for another batch size: batches are always whole."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    recipe = conf("probe-chosen-c", "--split.protocols=random", "--preprocess.size=96")
    out = run(recipe, tiny, tmp_path / "run")
    assert all("identical" in line for line in reproduce_run(out, tiny))


def test_other_data_is_not_reproduced(tiny: Images, single: Path) -> None:
    flipped = tiny.table["malignancy"].map({"benign": "malignant", "malignant": "benign"})
    with pytest.raises(BadInput, match="not the data of"):
        reproduce_run(single, Images(tiny.table.assign(malignancy=flipped)))


def test_a_run_of_other_hashes_is_told_apart(tiny: Images, tmp_path: Path) -> None:
    write_json(tmp_path / "data.json", {"data_hash": "of other hashes"})
    with pytest.raises(BadInput, match=r"made by an earlier version.*train the run again"):
        reproduce_run(tmp_path, tiny)


def test_changed_targets_are_another_run(tiny: Images, single: Path) -> None:
    flipped = tiny.table["malignancy"].map({"benign": "malignant", "malignant": "benign"})
    other = Images(tiny.table.assign(malignancy=flipped))
    with pytest.raises(BadInput, match="other data"):
        run(conf("finetune-oversample"), other, single, resume=True)


def test_a_report_that_is_missing_is_written_on_resume(
    tiny: Images, single: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(single, tmp_path / "run")
    (out / "report.html").unlink()
    run(conf("finetune-oversample"), tiny, out, resume=True)
    assert (out / "report.html").read_bytes() == (single / "report.html").read_bytes()


def test_a_backbone_of_fixed_size_says_which(tiny: Images, tmp_path: Path) -> None:
    recipe = conf("finetune-oversample", "--model.backbone=vit_tiny_patch16_224")
    with pytest.raises(RecipeError, match="takes 224 px only"):
        run(recipe, tiny, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "refused before anything is written"


def test_several_c_need_a_validation_part(tiny: Images, tmp_path: Path) -> None:
    two = tiny.table[tiny.table["slide_id"].str.endswith(("0", "1"))].reset_index(drop=True)
    with pytest.raises(SplitError, match="left for validation"):
        run(conf("probe-chosen-c"), Images(two), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "refused before anything is written"


@pytest.mark.usefixtures("no_page")
def test_the_choice_of_c_is_told_of_the_model_for_use(tiny: Images, tmp_path: Path) -> None:
    out = run(conf("probe-chosen-c"), tiny, tmp_path / "run")
    validated = Predictions.read(out / "predictions.parquet").where(part="val").table
    fitted = read_json(out / "final" / "fitted_on.json")
    assert set(fitted["selection"]["ids"]) == set(validated["image_id"])
    child = read_json(out / "patient" / "r0f0" / "fitted_on.json")
    assert child["statistics"]["ids"] == child["weights"]["ids"], "the head's standardization"


def test_processes_that_have_not_joined_are_refused(
    tiny: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="has not joined the others"):
        run(conf("finetune-oversample"), tiny, tmp_path / "run")


@pytest.mark.usefixtures("no_page")
def test_what_is_kept_of_the_training_images_is_a_choice(tiny: Images, tmp_path: Path) -> None:
    for keep in ("none", "features", "thumbnails"):
        recipe = conf("finetune-oversample", f"--keep_reference={keep}")
        out = run(recipe, tiny, tmp_path / keep)
        if keep == "none":
            assert not list(out.glob("reference.*"))
            continue
        rows = pd.read_parquet(out / "reference.parquet")
        kept = safetensors.torch.load_file(out / "reference.safetensors")
        assert set(rows["image_id"]) == set(Parts.read(out).ids("train"))
        assert "path" not in rows
        assert kept["features"].shape == (len(rows), 96)
        assert ("thumbnails" in kept) == (keep == "thumbnails")
    assert kept["thumbnails"].shape == (len(rows), 64, 64, 3)


def test_a_probe_is_refitted_on_everything_for_use(tiny: Images, probe: Path) -> None:
    out = probe
    description = read_json(out / "run.json")
    assert description["model_for_use"] == ["final"]
    assert "nothing was held out" in description["model_for_use_note"].lower()
    fitted = read_json(out / "final" / "fitted_on.json")
    assert set(fitted["weights"]["ids"]) == set(tiny.table["image_id"])
    assert (out / "final" / "reference.safetensors").is_file()
    assert not list((out / "patient").rglob("reference.*")), "only beside the model for use"
    pooled = Predictions.read(out / "predictions.parquet").table
    assert len(pooled) == 3 * 2 * len(tiny), "each image once per protocol and repeat"


def test_a_run_that_is_not_reproduced_is_named(tiny: Images, single: Path, tmp_path: Path) -> None:
    out = shutil.copytree(single, tmp_path / "run")
    stored = Predictions.read(out / "predictions.parquet").table
    changed = stored.assign(y_pred=stored["y_pred"].to_numpy()[::-1])
    Predictions(changed).write(out / "predictions.parquet")
    with pytest.raises(RunFailed, match="not reproduced"):
        reproduce_run(out, tiny)


def test_one_class_is_refused_before_training(tiny: Images, tmp_path: Path) -> None:
    benign = Images(tiny.table[tiny.table["malignancy"] == "benign"].reset_index(drop=True))
    with pytest.raises(SplitError, match="only one class"):
        run(conf("probe-svm"), benign, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("no_page")
def test_the_papers_recipe_overfits_64_real_images(breakhis_sample: Path, tmp_path: Path) -> None:
    """From packaged weights, to a training accuracy of at least .95 (what overfits can learn)."""
    images = read_images(breakhis_sample)
    table = images.table.drop_duplicates("pixel_hash")
    some = table.groupby("tumour_type").head(12).sample(92, random_state=0)
    few = Images(some.sort_values("image_id").reset_index(drop=True))
    overrides = [
        "--model.backbone=tf_efficientnet_lite0",
        "--model.weights=package:efficientnet-lite0",
        "--split.val_fraction=0",
        "--balance.method=none",
        "--preprocess.size=128",  # a third of the time of 224 px
        "--train.epochs=12",
        "--evaluate.resamples=0",
    ]
    recipe = recipes.load(Path("nishio2024-resnet50-subtype"), overrides)
    out = run(recipe, few, tmp_path / "run")
    assert len(Parts.read(out).ids("train")) == 64
    last = json.loads((out / "history.jsonl").read_text().splitlines()[-1])
    assert last["train_accuracy"] >= 0.95
