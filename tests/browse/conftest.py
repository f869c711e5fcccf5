"""A folder of tiny runs on the tiny photographs: whole, broken, unfinished, and in a study."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from starlette.testclient import TestClient

from magnostic.browse import find
from magnostic.browse.app import make_app
from magnostic.browse.browser import Browser
from magnostic.browse.photographs import DataSet
from magnostic.data import Images
from magnostic.data.images import targets
from magnostic.data.summary import summarize as summarize_data
from magnostic.evaluate.predictions import Predictions, make
from magnostic.evaluate.summary import summarize
from magnostic.files import write_json, write_text
from magnostic.report.folder import read
from magnostic.report.tables import headline
from magnostic.taxonomy import CODES


def predict(
    images: Images, seed: int, skill: dict[str, float], repeats: int = 2, part: str = "test"
) -> Predictions:
    """Made-up predictions of every image under each protocol of ``skill``, in two folds."""
    rng = np.random.default_rng(seed)
    y = targets(images.table, "subtype")
    truth = pd.Index(CODES).get_indexer(pd.Index(y))
    tables = []
    for protocol, strength in skill.items():
        for repeat in range(repeats):
            p = np.exp(rng.normal(size=(len(y), len(CODES))) + strength * np.eye(8)[truth])
            p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
            for fold in (0, 1):
                held = np.arange(len(y)) % 2 == fold
                tables.append(
                    make(
                        images.table[held], list(y[held]), p[held], CODES,
                        protocol=protocol, repeat=repeat, fold=fold, part=part,
                    )
                )  # fmt: skip
    return Predictions(pd.concat(tables, ignore_index=True))


#: As self-contained as a report is, with a script that must not run.
REPORT = """<!doctype html><html lang="en"><title>A report</title>
<style>h1 { color: rgb(1, 2, 3) }</style><h1>A report</h1>
<img alt="" src="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='9'/%3E">
<script>document.title = "ran"</script></html>
"""


def write_run(
    folder: Path, images: Images, predictions: Predictions, resamples: int = 0, **about: object
) -> Path:
    """A run folder of these predictions, without its report."""
    predictions.write(folder / "predictions.parquet")
    run = {"version": 1, "task": "subtype", "classes": list(CODES), "kind": "parent",
           "children": [], **about}  # fmt: skip
    write_json(folder / "run.json", run)
    recipe = {"name": f"recipe-{folder.name}", "task": "subtype", "seed": 0}
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe))
    data = {**summarize_data(images), "dropped_by_policy": {}, "n_used": len(images)}
    write_json(folder / "data.json", data)
    finding = {"code": "MG001", "title": "Patient on both sides", "status": "issue",
               "scope": "random/r0f0", "message": "24 patients stand on both sides.",
               "ids": ["14-1000"]}  # fmt: skip
    write_json(folder / "audit.json", {"findings": [finding]})
    write_json(folder / "metrics.json", summarize(
        predictions, resamples=resamples, confidence=0.95, seed=0, not_estimable={},
    ))  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def site(tiny_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``site``; see the head of this file. Tests do not change it."""
    site = tmp_path_factory.mktemp("browse") / "site"
    protocols = {"random": 2.0, "patient": 0.3, "accession": 0.1}
    model = {"path": "patient/r0f0", "protocol": "patient", "repeat": 0, "fold": 0,
             "not_estimable": []}  # fmt: skip
    good = write_run(site / "good", tiny_images, predict(tiny_images, 1, protocols),
                     resamples=40, children=[model])  # fmt: skip
    tested = predict(tiny_images, 3, {"patient": 0.5}, 1).where(fold=0).table
    seen = predict(tiny_images, 4, {"patient": 0.5}, 1, "val").where(fold=0).table
    both = Predictions(pd.concat([tested, seen], ignore_index=True))
    write_run(good / "patient/r0f0", tiny_images, both, kind="child", protocol="patient",
              repeat=0, fold=0, not_estimable=[])  # fmt: skip
    write_text(good / "report.html", REPORT)
    write_text(good / "tables/protocols.csv", headline(read(good)).to_csv())
    write_text(good / "MODEL_CARD.md", "---\nlicense: cc-by-4.0\n---\n# Card <b>of</b> good\n")
    write_run(site / "other", tiny_images, predict(tiny_images, 2, {"patient": 1.5}))
    few = Images(tiny_images.table.iloc[:20].reset_index(drop=True))
    write_run(site / "few", few, predict(few, 5, {"random": 1.0}))
    write_text(write_run(site / "cut", few, predict(few, 6, {"random": 1.0})) / "metrics.json", "{")
    write_text(site / "begun/recipe.yaml", "name: begun\n")
    write_run(site / "study/runs/row-1", tiny_images, predict(tiny_images, 7, {"patient": 1.0}))
    write_json(site / "study/study.json", {"name": "two", "title": "Two rows", "entries": [
        {"key": "row", "label": "Row one", "status": "done", "path": "runs/row-1"},
        {"key": "no", "label": "Row two", "status": "refused", "path": "runs/no",
         "reason": "too few patients"},
    ]})  # fmt: skip
    return site


@pytest.fixture(scope="session")
def browser(site: Path, tiny_images: Images) -> Browser:
    return Browser(find.check([site]), [DataSet("tiny", tiny_images)])


@pytest.fixture(scope="session")
def client(browser: Browser) -> TestClient:
    return TestClient(make_app(browser))


@pytest.fixture(scope="session")
def address(site: Path, tiny_breakhis: Path) -> Iterator[str]:
    """Where ``magnostic ui`` serves the folder, in a process of its own."""
    command = [sys.executable, "-m", "magnostic", "ui", str(site), "--data", str(tiny_breakhis),
               "--port", "0"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        found = re.search(r"http://\S+/", said)
        assert found, said
        yield found[0].removesuffix("/")
        server.terminate()
        assert server.wait(20) == 0  # what stops it is no failure
