"""Files of runs that somebody else has written: named, refused, and never a way out of the run."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from magnostic import stored
from magnostic.audit import audit_run
from magnostic.browse import find
from magnostic.browse.app import make_app
from magnostic.browse.browser import Browser
from magnostic.data import Images
from magnostic.data.images import HASHED
from magnostic.deploy import load
from magnostic.deploy.export import export
from magnostic.errors import BadInput, MagnosticError, RunFailed, TableError, WeightsError
from magnostic.evaluate.predictions import Predictions
from magnostic.report import write_card, write_report

OUTSIDE = ["../other", "/etc", "a/../../b", "x\0y", 7, None]


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_run, tmp_path / "run")


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_a_run(name: object, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no place inside"):
        stored.inside(tmp_path, name)


def test_names_inside_and_the_run_itself(tmp_path: Path) -> None:
    assert stored.inside(tmp_path, "patient/r0f0") == tmp_path / "patient" / "r0f0"
    assert stored.inside(tmp_path, ".") == tmp_path


@pytest.mark.parametrize("fault", [KeyError("x"), ZeroDivisionError(), RecursionError("deep")])
def test_any_fault_of_reading_is_told_with_its_place(fault: Exception, tmp_path: Path) -> None:
    says = f"{tmp_path}: .*{type(fault).__name__}"
    with (
        pytest.raises(WeightsError, match=says) as caught,
        stored.as_written(tmp_path, WeightsError),
    ):
        raise fault
    assert caught.value.__cause__ is fault


@pytest.mark.parametrize("fault", [RunFailed("full"), PermissionError("no")])
def test_what_is_told_already_stays(fault: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(fault)) as caught, stored.as_written(tmp_path):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize("name", OUTSIDE)
def test_children_and_models_outside_are_refused(name: object, run: Path) -> None:
    change(run / "run.json", lambda told: told["children"][0].update(path=name))
    for use in (write_report, audit_run):
        with pytest.raises(BadInput, match="run"):
            use(run)
    change(run / "run.json", lambda told: told.update(model_for_use=[name]))
    with pytest.raises(BadInput):
        load(run, engine="torch")


def _refusal(use: Callable[[Path], object], run: Path) -> str:
    """What it says; empty where it does what it is for."""
    try:
        use(run)
    except BadInput as error:
        return str(error)
    return ""


def _model(**fields: object) -> Callable[[Path], None]:
    return lambda run: change(run / "final" / "model.json", lambda told: told.update(fields))


def _rules(**fields: object) -> Callable[[Path], None]:
    return lambda run: change(run / "calibration.json", lambda told: told.update(fields))


def _tensors(run: Path) -> None:
    path = run / "final" / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])


@pytest.mark.parametrize(
    "spoil",
    [
        _model(mean=[]), _model(std=[0, 1, 1]), _model(std=["x", 1, 1]), _model(classes=[]),
        _model(classes=["A"] * 8), _model(classes=[1, 2]), _model(size=10**9), _model(size=[3]),
        _model(batch_size=0), _model(args=3), _model(args={"checkpoint_path": "/x.pth"}),
        _model(head={"kind": "linear", "in_features": 2**33, "classes": 8}), _model(head={}),
        _model(backbone_file="../../../../encoder.safetensors"),
        _model(backbone_file="/etc/passwd"),
        _model(version=99), _model(fit="stretch"), _model(colour={}), _model(backbone="os.system"),
        _rules(temperature=0), _rules(temperature="none"), _rules(conformal=3),
        _rules(abstention=[]),
        _rules(thresholds={"positive": {}, "points": 1}), _tensors,
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_one(spoil: Callable[[Path], None], run: Path) -> None:
    spoil(run)
    with pytest.raises(MagnosticError) as caught:
        load(run, engine="torch").predict(np.zeros((40, 40, 3), np.uint8))
    assert len(str(caught.value)) < 1500


def test_classes_other_than_the_networks(run: Path) -> None:
    """What is exported says its classes beside a graph that is not looked into."""
    (run / "calibration.json").unlink()
    predictor = load(run, engine="torch")
    object.__setattr__(predictor.about, "classes", predictor.about.classes[:-1])
    with pytest.raises(WeightsError, match="do not belong together"):
        predictor.predict(np.zeros((40, 40, 3), np.uint8))


@pytest.mark.parametrize(
    "name, edit",
    [
        ("metrics.json", lambda told: told["protocols"]["patient"].pop("overall")),
        ("metrics.json", lambda told: told["protocols"]["patient"].update(by_class=7)),
        ("data.json", lambda told: told.update(sources=5)),
        ("audit.json", lambda told: told.update(findings=None)),
        ("run.json", lambda told: told.update(children=4)),
        ("split.json", lambda told: told.clear()),
    ],
)
def test_reports_cards_audits_and_pages_of_changed_files(
    name: str, edit: Callable[[dict[str, Any]], object], run: Path
) -> None:
    change(run / name, edit)
    told = [_refusal(use, run) for use in (write_report, write_card, audit_run)]
    refusals = [said for said in told if said]
    assert all(str(run) in said for said in refusals)
    assert refusals or name == "split.json"
    browser = Browser(find.check([run.parent]))
    (key,) = [place.key for place in browser.found().places.values() if place.path == run]
    with TestClient(make_app(browser)) as client:
        for page in ("/", f"/run/{key}", f"/run/{key}/errors", f"/run/{key}/patients"):
            assert client.get(page).status_code in (200, 404, 422)


@pytest.mark.parametrize("text", ["- a\n -b", "`", "train: 5", "[]", "\xff"])
def test_a_runs_recipe(text: str, run: Path) -> None:
    (run / "recipe.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput):
        write_report(run)


def test_fitted_on_that_names_no_images(run: Path) -> None:
    path = run / "patient" / "r0f0" / "fitted_on.json"
    for ids in ([{}], 10**30, None):
        change(path, lambda told, ids=ids: told.update(weights={"ids": ids}))
        with pytest.raises(BadInput, match="run"):
            audit_run(run)


def _with(frame: pd.DataFrame, column: str, value: object) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array([value] * len(frame)))


@pytest.mark.parametrize(
    "column, value",
    [("image_id", {"a": 1}), ("y_true", [1, 2]), ("fold", 2**40), ("fold", "x"), ("p_A", b"x"),
     ("p_A", None), ("p_A", [0.5]), ("magnification", "many")],
)  # fmt: skip
def test_columns_of_other_types(column: str, value: object, run: Path) -> None:
    path = run / "predictions.parquet"
    pq.write_table(_with(pd.read_parquet(path), column, value), path)
    with pytest.raises(TableError, match="predictions"):
        Predictions.read(path)


def test_a_column_twice_and_broken_notes(tiny_images: Images, tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    tiny_images.write(path)
    table = pq.read_table(path)
    pq.write_table(table.append_column("label", table.column("label")), path)
    with pytest.raises(TableError, match=r"label\b.* in image_id|stands twice"):
        Images.read(path)
    known = b'"pixel_hash": "%b"' % HASHED.encode()
    for note in (b"{", b"[]", b"\xff", b'{"skipped": [{}], %b}' % known,
                 b'{"relabelled": [{"x": 1}], %b}' % known):  # fmt: skip
        pq.write_table(table.replace_schema_metadata({b"magnostic": note}), path)
        with pytest.raises(TableError, match="noted beside its rows"):
            Images.read(path)


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    export(tiny_run, out, "torchscript")
    return out


@pytest.mark.parametrize(
    "fields",
    [{"classes": []}, {"classes": [1] * 8}, {"classes": ["A", "A"]}, {"size": 0}, {"size": [32]},
     {"fit": "stretch"}, {"task": 3}, {"outputs": []}, {"outputs": ["a", "b", "c"]},
     {"outputs": ["probabilities", "uncalibrated", "other"]}, {"sources": [7]}, {"sources": "x"},
     {"model": "../model.pt"}, {"references": ["../../x"]}, {"files": {"../x": "0"}}, {"to": []},
     {"classes": list("abc")}, {"name": []}],
)  # fmt: skip
def test_an_export_that_says_other_things_than_its_graph(
    fields: dict[str, object], exported: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(exported, tmp_path / "exported")
    change(folder / "export.json", lambda told: told.update(fields))
    with pytest.raises(MagnosticError) as caught:
        load(folder).predict(np.zeros((40, 40, 3), np.uint8))
    assert len(str(caught.value)) < 1500
