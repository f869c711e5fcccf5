"""Runs that train at some magnifications, or leave out one group at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from magnostic import recipe_file as recipes
from magnostic.data import Images, read_images
from magnostic.evaluate.predictions import Predictions
from magnostic.files import read_json
from magnostic.splits.table import Parts
from magnostic.study import schema
from magnostic.study.expand import expand
from magnostic.study.plan import plan
from magnostic.train.reproduce import reproduce_run
from magnostic.train.run import run

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="module")
def tiny(tiny_breakhis: Path) -> Images:
    return read_images(tiny_breakhis)


@pytest.mark.parametrize("name", ["probe-svm", "finetune-folds"])
def test_training_at_one_magnification_tests_at_all(
    name: str, tiny: Images, tmp_path: Path
) -> None:
    given = ["--data.train_magnifications=40", "--split.repeats=1", "--split.protocols=patient"]
    recipe = recipes.load(CONF / f"{name}.yaml", given)
    out = run(recipe, tiny, tmp_path / "run")
    zoom = tiny.table.set_index("image_id")["magnification"]
    test = Predictions.read(out / "predictions.parquet").where(part="test").table
    assert sorted(test["image_id"]) == sorted(tiny.table["image_id"])
    for child in (c["path"] for c in read_json(out / "run.json")["children"]):
        for told in filter(None, read_json(out / child / "fitted_on.json").values()):
            assert set(zoom[told["ids"]]) == {40}
    if name == "probe-svm":
        final = out / "final"
        assert set(zoom[read_json(final / "fitted_on.json")["weights"]["ids"]]) == {40}
        assert Parts.read(final).provenance["left_out"] == len(tiny) // 2
        assert "fitted on every image at 40X" in read_json(out / "run.json")["model_for_use_note"]
    metrics = read_json(out / "metrics.json")["protocols"]["patient"]["by_magnification"]
    assert set(metrics) == {"40", "400"}
    assert "Trained on" in (out / "report.html").read_text()
    assert all("identical" in line for line in reproduce_run(out, tiny))


def test_one_group_left_out_at_a_time(tiny: Images, tmp_path: Path) -> None:
    given = ["--split.folds=each", "--split.repeats=1", "--split.protocols=accession"]
    recipe = recipes.load(CONF / "probe-svm.yaml", given)
    out = run(recipe, tiny, tmp_path / "run")
    assert len(read_json(out / "run.json")["children"]) == tiny.table["accession"].nunique()
    test = Predictions.read(out / "predictions.parquet").where(part="test").table
    assert (test.groupby("fold")["accession"].nunique() == 1).all()
    assert "one group left out at a time" in (out / "report.html").read_text()


def test_a_plan_counts_what_is_trained_on(tiny: Images, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        f"rows: [{{recipe: {CONF / 'finetune-folds.yaml'}, label: some,"
        " set: {split: {val_fraction: 0}, train: {batch_size: 2}},"
        " grid: {data.train_magnifications: [[], [40]]}}]"
    )
    study, beside = schema.load(tmp_path / "study.yaml")
    both, one = plan(study, expand(study, beside), tiny, tmp_path / "out")
    assert both.status == one.status == "planned", (both.note, one.note)
    assert one.steps * 2 == both.steps
