"""Prediction: the run's own figures again, order, every kind of input, bad ones as rows."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageFile

from magnostic.data import Images, strict
from magnostic.deploy import Predictor, distance, load
from magnostic.deploy.artefact import load_members
from magnostic.deploy.decisions import Rules
from magnostic.deploy.distance import Reference
from magnostic.deploy.engines import TorchEngine
from magnostic.deploy.photograph import as_pixels, read
from magnostic.errors import BadInput, WeightsError
from magnostic.evaluate.calibration import temper
from magnostic.evaluate.collapse import collapse
from magnostic.evaluate.predictions import Predictions
from magnostic.taxonomy import TUMOUR_TYPES


def paths_of(images: Images) -> list[str]:
    return images.table["path"].tolist()


def probabilities(table: pd.DataFrame, predictor: Predictor) -> np.ndarray:
    return table[[f"p_{c}" for c in predictor.about.classes]].to_numpy(np.float32)


@pytest.mark.parametrize("fixture", ["tiny_run", "tuned_run"])
def test_stored_predictions_come_out_again(
    fixture: str, tiny_images: Images, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(fixture)
    where = tiny_images.table.set_index("image_id")["path"]
    for child in ("patient/r0f0", "patient/r0f1"):
        stored = Predictions.read(run / child / "predictions.parquet").where(part="test")
        one = load(run / child, engine="torch")
        again = one.predict(where[stored.table["image_id"]].tolist())
        np.testing.assert_array_equal(probabilities(again, one), stored.probabilities)
        assert again["y_pred"].tolist() == stored.table["y_pred"].tolist()


def test_folds_are_averaged_where_the_run_says_so(tuned_run: Path, tiny_images: Images) -> None:
    paths = paths_of(tiny_images)
    both = load(tuned_run, engine="torch")
    assert both.about.calibration is not None
    each = [load(tuned_run / f"patient/r0f{k}", engine="torch") for k in (0, 1)]
    raw = np.mean([probabilities(p.predict(paths), p) for p in each], axis=0)
    stated = temper(raw, both.about.calibration["temperature"])
    np.testing.assert_allclose(probabilities(both.predict(paths), both), stated, atol=1e-6)


def test_rules_are_those_of_calibration_json(predictor: Predictor, tiny_images: Images) -> None:
    paths = paths_of(tiny_images)
    plain = replace(predictor.about, calibration=None)
    engine, references = predictor.engine, predictor.references
    table = Predictor(plain, engine, references).predict(paths)
    assert table[["set", "answered"]].isna().all(axis=None)
    raw = probabilities(table, predictor)
    threshold = float(np.median(raw.max(axis=1)))
    told = {
        **predictor.about.calibration,
        "temperature": 1.7,
        "abstention": {"target": 0.1, "threshold": threshold},
        "conformal": [{"level": 0.9, "unit": "image", "limit": 0.97},
                      {"level": 0.9, "unit": "patient", "limit": 0.1},
                      {"level": 0.95, "unit": "image", "limit": None}],
    }  # fmt: skip
    about = replace(predictor.about, calibration=told)
    ready = Predictor(about, engine, references)
    table = ready.predict(paths)
    logits = np.log(raw.astype(float)) / 1.7
    stated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(table, ready), stated, atol=1e-5)
    classes = about.classes
    sizes = set()
    for row, p in zip(table.to_dict("records"), raw, strict=True):
        inside = {c for c, q in zip(classes, p, strict=True) if 1 - q <= 0.97} | {row["y_pred"]}
        assert set(row["set"].split("|")) == inside
        reasons = set() if pd.isna(row["reasons"]) else set(row["reasons"].split("|"))
        assert ("set" in reasons) == (len(inside) > 1)
        assert row["answered"] == (p.max() > threshold)
        assert ("abstained" in reasons) == (not row["answered"])
        assert row["review"] == bool(reasons)
        malignant = sum(q for c, q in zip(classes, p, strict=True) if c in ("DC", "LC", "MC", "PC"))
        assert row["malignant_half"] == (malignant >= 0.5)
        sizes.add(len(inside))
    assert len(sizes) > 1
    assert table["answered"].nunique() == 2
    full = Predictor(about, engine, references, level=0.95).predict(paths)
    assert (full["set"] == "|".join(classes)).all()
    assert not full["reasons"].fillna("").str.contains("set").any()


def test_levels(tiny_run: Path) -> None:
    assert load(tiny_run, engine="torch", level=0.8).rules.level == 0.8
    with pytest.raises(BadInput, match=r"known: 0\.8, 0\.9, 0\.95"):
        load(tiny_run, engine="torch", level=0.7)


def test_rules_that_were_changed_are_named(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "calibration.json").write_text("{}")
    with pytest.raises(WeightsError, match=rf"^{run / 'calibration.json'}: not as this version"):
        load(run, engine="torch")


def test_order_and_errors(
    predictor: Predictor, tiny_images: Images, bad_files: dict[Path, str], odd_but_good: Path
) -> None:
    good, bad = paths_of(tiny_images), [str(p) for p in bad_files]
    mixed = [*bad[:3], *good[:9], *bad[3:6], str(odd_but_good), *good[9:20], *bad[6:]]
    table = predictor.predict(mixed, workers=3)
    assert table["path"].tolist() == mixed
    says = {str(p): text for p, text in bad_files.items()}
    alone = predictor.predict(good).set_index("path")
    for row in table.to_dict("records"):
        if row["path"] in says:
            assert says[row["path"]] in row["error"]
            assert row["review"]
            assert row["reasons"] == "error"
            assert pd.isna(row["y_pred"])
            assert pd.isna(row["p_A"])
        elif row["path"] in good:
            assert pd.isna(row["error"])
            assert row["p_A"] == alone.loc[row["path"], "p_A"]
        else:
            assert row["y_pred"]


def test_only_bad_ones(predictor: Predictor, bad_files: dict[Path, str]) -> None:
    paths = [str(p) for p in bad_files] * 8  # more than wait for one batch
    table = predictor.predict(paths)
    assert table["path"].tolist() == paths
    assert table["error"].notna().all()


def test_every_kind_of_image(predictor: Predictor, tiny_images: Images) -> None:
    path = Path(paths_of(tiny_images)[0])
    image = Image.open(path)
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy())
    floating = tensor.permute(2, 0, 1).float() / 255
    assert as_pixels(floating.bfloat16()).shape == array.shape
    kinds = [path, str(path), image, array, tensor, tensor.permute(2, 0, 1), floating]
    table = predictor.predict(kinds)
    assert table["error"].isna().all()
    assert table["path"].tolist()[2:] == [f"image {n}" for n in range(2, 7)]
    rest = table.drop(columns="path")
    assert (rest.nunique(dropna=False) == 1).all()
    for one in (path, image, array, tensor):
        assert len(predictor.predict(one)) == 1
    assert len(predictor.predict(np.stack([array] * 3))) == 3


def test_content_of_a_file_is_predicted_as_the_file(
    predictor: Predictor, tiny_images: Images, bad_files: dict[Path, str]
) -> None:
    paths = [Path(p) for p in paths_of(tiny_images)[:9]] + [p for p in bad_files if p.is_file()]
    files = predictor.predict(paths)
    contents = predictor.predict([path.read_bytes() for path in paths])
    pd.testing.assert_frame_equal(
        files.drop(columns=["path", "error"]), contents.drop(columns=["path", "error"])
    )
    of_files, of_contents = (
        [None if pd.isna(e) else e.split(":")[0] for e in table["error"]]
        for table in (files, contents)
    )
    assert of_files == of_contents
    size, fit = predictor.about.size, predictor.about.fit
    assert read(paths[0].read_bytes(), size, fit, max_pixels=10) == (
        "too large: 40x32 pixels, more than 10; cut it into tiles"
    )


def test_what_is_no_image(predictor: Predictor) -> None:
    grey = Image.new("L", (40, 40))
    assert len(predictor.predict(np.zeros((40, 40), np.uint8))) == 1
    wrong = [np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3)), torch.full((3, 40, 40), 2.0),
             grey, None, np.zeros((0, 4, 3), np.uint8)]  # fmt: skip
    table = predictor.predict(wrong)
    assert table["error"].str.startswith(("not an image", "not RGB")).all()


def test_quality_flags(predictor: Predictor) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)).resize((64, 64))
    blank = np.full((64, 64, 3), 240, np.uint8)
    table = predictor.predict([noise, noise[:20], blank, coarse])
    told = table["reasons"].fillna("").str.split("|")
    reasons = [set(r) & {"small", "blank", "blurred"} for r in told]
    assert reasons == [set(), {"small"}, {"blank"}, {"blurred"}]


def test_far_from_the_training_images(predictor: Predictor, tiny_images: Images) -> None:
    known = predictor.predict(paths_of(tiny_images))
    # Training images lie on top of themselves, but for rounding to float16.
    assert (known["distance"] < 0.1).all()
    # To a model that knew adenosis alone, ductal carcinoma of another colour is far.
    types = tiny_images.table["tumour_type"]
    inputs = [read(p, 32, "squeeze") for p in paths_of(tiny_images)]
    pixels = np.stack([entry.pixels for entry in inputs if not isinstance(entry, str)])
    adenosis = predictor.compute(pixels[types == "A"]).features[0]
    reference = Reference(adenosis, np.arange(len(adenosis)))
    narrow = Predictor(predictor.about, predictor.engine, [reference])
    found = narrow.predict(paths_of(tiny_images))
    assert (found["distance"][types == "DC"] > 1).all()
    assert found["reasons"][types == "DC"].str.contains("far").all()
    assert not found["reasons"][types == "A"].fillna("").str.contains("far").any()
    none_kept = Predictor(predictor.about, predictor.engine, [None])
    assert none_kept.predict(paths_of(tiny_images)[:2])["distance"].isna().all()


def test_batches_of_inputs_from_several_threads(predictor: Predictor, tiny_images: Images) -> None:
    about = predictor.about
    inputs = [read(p, about.size, about.fit) for p in paths_of(tiny_images)]
    pixels = np.stack([entry.pixels for entry in inputs if not isinstance(entry, str)])
    wanted = predictor.predict(paths_of(tiny_images))["p_DC"].tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: predictor.batch(pixels[k : k + 5]), range(0, 48, 5)))
    assert [row["p_DC"] for rows in found for row in rows] == wanted
    with pytest.raises(BadInput, match="give uint8"):
        predictor.batch(pixels[:, :16])


def test_no_run(tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no finished run"):
        load(tmp_path)
    with pytest.raises(BadInput, match="choose one of auto, torch"):
        load(tiny_run, engine="caffe")  # type: ignore[arg-type]
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(WeightsError, match="not a model description"):
        load(tmp_path)


def test_the_refitted_model_alone_has_the_runs_rules(
    tiny_run: Path, tiny_images: Images, predictor: Predictor
) -> None:
    alone = load(tiny_run / "final", engine="torch")
    assert alone.about == predictor.about
    assert alone.about.calibration is not None
    some = paths_of(tiny_images)[:4]
    pd.testing.assert_frame_equal(alone.predict(some), predictor.predict(some))
    assert load(tiny_run / "patient" / "r0f0", engine="torch").about.calibration is None


def test_points_read_scores_as_they_were_locked() -> None:
    raw = np.random.default_rng(0).dirichlet(np.ones(8), 400).astype(np.float32)
    codes = tuple(t.code for t in TUMOUR_TYPES)
    names = np.array([f"i{n}" for n in range(400)])
    table = pd.DataFrame(raw, columns=[f"p_{c}" for c in codes]).assign(
        image_id=names, slide_id=names, patient_id=names, accession=names, magnification=40,
        protocol="patient", repeat=0, fold=0, part="test", y_true="A",
        y_pred=np.array(codes)[raw.argmax(axis=1)],
    )  # fmt: skip
    locked = collapse(Predictions(table)).table["p_malignant"].to_numpy()
    assert locked.dtype == np.float32
    positive = tuple(i for i, t in enumerate(TUMOUR_TYPES) if t.malignancy == "malignant")
    for n in range(400):  # each score is its own threshold
        rules = Rules(codes, positive=positive, points={"x": float(locked[n])})
        np.testing.assert_array_equal(rules.at_points(raw)["x"], locked >= locked[n])


def test_strict_from_several_streams(
    predictor: Predictor, tiny_images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict, "_strict", strict._Strict())  # a server elsewhere may be inside
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    before = list(warnings.filters)
    first, second = (predictor.stream(paths_of(tiny_images)[:3]) for _ in range(2))
    next(first)
    next(second)
    first.close()
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    second.close()
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    assert list(warnings.filters) == before


def test_a_pipe_is_no_photograph(predictor: Predictor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    table = predictor.predict(tmp_path / "pipe.png")
    assert "no regular file" in table["error"][0]


def test_fp16_without_cuda(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("computes in fp16 here")
    _, members = load_members(tiny_run)
    half = [replace(m, spec=replace(m.spec, precision="fp16")) for m in members]
    assert TorchEngine(half).name == "torch (cpu, fp32)"
    assert "computing in fp32" in capsys.readouterr().err


def test_broken_descriptions(tiny_run: Path, tmp_path: Path) -> None:
    for text in ("{}", '{"model_for_use": []}', '{"model_for_use": 3}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(BadInput, match="no model for use"):
            load(tmp_path)
    for text in ("{", "[]", "{}", '{"files": {}, "size": "x"}'):
        (tmp_path / "export.json").write_text(text)
        with pytest.raises(WeightsError, match=r"export\.json"):
            load(tmp_path)
    told = {"files": {}, "size": 32, "name": "x", "classes": ["a"], "task": "label",
            "fit": "squeeze"}  # fmt: skip
    for more in ({}, {"references": ["."], "sources": [0]}):
        (tmp_path / "export.json").write_text(json.dumps({**told, **more}))
        with pytest.raises(WeightsError, match=r"export\.json"):
            load(tmp_path)
    for name in ("reference.parquet", "reference.safetensors"):
        shutil.copy(tiny_run / "final" / name, tmp_path)
    table = pd.read_parquet(tmp_path / "reference.parquet")
    table.drop(columns="pixel_hash").to_parquet(tmp_path / "reference.parquet")
    with pytest.raises(WeightsError, match="cannot be read"):
        distance.read(tmp_path)
