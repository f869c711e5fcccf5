"""Fake run folders with the files of a real one, small enough to render in a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from magnostic.evaluate.predictions import Predictions, make
from magnostic.evaluate.summary import summarize
from magnostic.files import write_json, write_text
from magnostic.splits.table import Parts
from magnostic.taxonomy import CODES

SLIDES = {"A": 4, "F": 10, "PT": 3, "TA": 7, "DC": 38, "LC": 5, "MC": 9, "PC": 6}
SKILL = {"random": 2.6, "patient": 0.9, "accession": 0.5, "official": 1.2}


def slides_table(images_per_slide: int, rng: np.random.Generator) -> pd.DataFrame:
    """BreakHis in small: 82 pairs of slide and type, one slide under two of them."""
    rows = []
    number = 10000
    for code, n_slides in SLIDES.items():
        for k in range(n_slides):
            number += 7
            slide = "14-13412" if (code, k) in (("DC", 5), ("LC", 0)) else f"14-{number}"
            accession = slide if k % 3 else f"14-{number - number % 20}"
            for i in range(images_per_slide):
                magnification = (40, 100, 200, 400)[i % 4]
                rows.append((f"SOB_{code}-{slide}-{magnification}-{i:03d}", slide, accession,
                             magnification, code))  # fmt: skip
    names = ["image_id", "slide_id", "accession", "magnification", "tumour_type"]
    frame = pd.DataFrame(rows, columns=names)
    frame["patient_id"] = frame["slide_id"]
    frame["difficulty"] = rng.normal(size=1000)[frame["slide_id"].astype("category").cat.codes]
    return frame.astype({"magnification": "Int16"})


def _targets(images: pd.DataFrame, task: str) -> tuple[list[str], pd.Series]:
    if task == "binary":
        malignant = images["tumour_type"].isin(["DC", "LC", "MC", "PC"])
        return ["benign", "malignant"], malignant.map({True: "malignant", False: "benign"})
    if task == "label":
        return ["stage one", "stage two", "stage three"], images["tumour_type"].map(
            lambda code: ["stage one", "stage two", "stage three"][CODES.index(code) % 3]
        )
    return list(CODES), images["tumour_type"]


def _history(method: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    if method == "probe":
        return [
            {"c": c, "train_loss": 0.4 - i / 10, "train_accuracy": 0.8 + i / 20,
             "val_loss": 0.9 + i / 10, "val_accuracy": 0.7}
            for i, c in enumerate((0.01, 0.1, 1.0))
        ]  # fmt: skip
    return [
        {
            "epoch": e,
            "lr": 3e-4,
            "train_loss": float(1.9 * np.exp(-e / 8) + rng.normal() * 0.02),
            "train_accuracy": float(1 - 0.75 * np.exp(-e / 8)),
            "val_loss": float(0.7 + 1.3 * np.exp(-e / 5) + rng.normal() * 0.06),
            "val_accuracy": float(0.75 - 0.5 * np.exp(-e / 6) + rng.normal() * 0.02),
            "seconds": 1.0,
        }
        for e in range(1, 31)
    ]


def fake_run(
    folder: Path,
    protocols: Sequence[str] = ("random", "patient", "accession"),
    *,
    task: str = "subtype",
    method: str = "finetune",
    train: Mapping[str, Any] | None = None,
    description: str = "A fake run at /data/machine/place.",
    name: str = "nishio2024-resnet50-subtype",
    folds: int = 5,
    repeats: int = 1,
    images_per_slide: int = 8,
    synthetic: bool = False,
    patients: bool = True,
    magnifications: bool = True,
    metrics: bool = True,
    resamples: int = 100,
) -> Path:
    """Write a run folder; one protocol with one fold makes a child, anything else a parent."""
    rng = np.random.default_rng(3)
    images = slides_table(images_per_slide, rng)
    classes, y = _targets(images, task)
    if not patients:
        images[["slide_id", "patient_id", "accession"]] = None
    if not magnifications:
        images["magnification"] = pd.array([None] * len(images), dtype="Int16")
    recipe = {
        "name": name, "description": description, "seed": 7, "task": task,
        "data": {"duplicates": "together", "double_labels": "together", "on_bad": "skip"},
        "split": {"protocols": list(protocols), "folds": folds, "repeats": repeats,
                  "test_fraction": 0.3, "val_fraction": 0.25, "stratify": True},
        "preprocess": {"size": 224, "fit": "squeeze", "normalize": "train"},
        "balance": {"method": "oversample", "when": "after-val"},
        "model": {"backbone": "resnet50", "weights": "/data/machine/resnet50.safetensors"},
        "train": {"method": method, **(train or {})},
        "evaluate": {"resamples": resamples, "confidence": 0.95},
    }  # fmt: skip
    single = len(protocols) == 1 and folds == 1 and repeats == 1
    tables: list[pd.DataFrame] = []
    children: list[dict[str, Any]] = []
    logits = rng.normal(size=(len(images), len(classes)))
    truth = pd.Index(classes).get_indexer(pd.Index(y))
    for protocol in protocols:
        unit = {"random": "image_id", "accession": "accession"}.get(protocol, "slide_id")
        groups = images[unit].fillna(images["image_id"]).astype("category").cat.codes.to_numpy()
        official = protocol == "official"  # each draw is a repeat of its own
        for repeat in range(folds if official else repeats):
            order = np.random.default_rng(repeat).permutation(groups.max() + 1)
            of_group = order[groups] % max(folds, 3)
            for fold in range(1 if official else folds):
                held = of_group == fold
                missing = sorted({classes[0]} if protocol == "accession" and fold == 1 else set())
                mixed = logits.copy()
                skill = SKILL[protocol] + (
                    0.8 * images["difficulty"] if protocol != "random" else 0
                )
                mixed[np.arange(len(images)), truth] += skill
                p = np.exp(mixed)
                p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
                where: dict[str, Any] = {"protocol": protocol, "repeat": repeat, "fold": fold}
                tables.append(
                    make(images[held], list(y[held]), p[held], classes, **where, part="test")
                )
                path = "." if single else f"{protocol}/r{repeat}f{fold}"
                part = np.where(held, "test", np.where(of_group == (fold + 1) % 5, "val", "train"))
                frame = pd.DataFrame({"image_id": images["image_id"], **where, "part": part})
                Parts(frame, {"protocol": protocol, "seed": 7, "grouping": unit}).write(
                    folder / path
                )
                lines = [json.dumps(line) for line in _history(method, rng)]
                write_text(folder / path / "history.jsonl", "\n".join(lines) + "\n")
                if not single and method == "probe":
                    write_json(folder / path / "run.json", {"c": 0.1 if fold else 1.0})
                children.append({"path": path, **where, "not_estimable": missing})
    predictions = Predictions(pd.concat(tables, ignore_index=True))
    predictions.write(folder / "predictions.parquet")
    about = {"version": 1, "task": task, "classes": classes}
    if single:
        write_json(folder / "run.json", {**about, "kind": "child", **children[0]})
    else:
        write_json(folder / "run.json", {
            **about, "kind": "parent", "children": children, "model_for_use": ["final"],
            "model_for_use_note": "For use: the model in final/, fitted on every image. The pooled "
            "figures describe the folds' models and are an estimate for it.",
        })  # fmt: skip
        write_json(
            folder / "split.json",
            {"seed": 7, "protocols": {p: {"folds": folds} for p in protocols}},
        )
    write_text(folder / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    key = images["magnification"].astype("string").fillna("unknown")
    counts = pd.crosstab(images["tumour_type"] if task != "label" else y, key)
    write_json(folder / "data.json", {
        "data_hash": "00ff" * 8, "synthetic": synthetic, "sources": ["breakhis"],
        "n_images": len(images), "n_slides": 81 if patients else None,
        "n_patients": 81 if patients else None, "n_accessions": 70 if patients else None,
        "classes": {c: int((y == c).sum()) for c in classes},
        "counts": {c: {k: int(n) for k, n in counts.loc[c].items()} for c in counts.index},
        "sizes": {"700x460": len(images) - 14, "700x456": 14}, "n_duplicate_groups": 9,
        "n_duplicate_images": 18, "n_double_label_slides": 1,
        "dropped_by_policy": {"duplicates": 0, "double_labels": 0},
        "skipped": [{"path": "/data/machine/slides/SOB_B_A-14-1-40-001.png", "fault": "unreadable",
                     "detail": "truncated <file> in /data/machine/slides/x.png"}],
        "n_used": len(images),
    })  # fmt: skip
    ids = images["image_id"].iloc[:40].tolist()
    findings = [
        {"code": "MG001", "title": "Patient on both sides",
         "status": "issue" if protocol == "random" else "passed", "scope": f"{protocol}/r0f{fold}",
         "message": "81 patients stand in train and test. Use a patient-disjoint protocol.",
         "ids": ids[:30] if protocol == "random" else []}
        for protocol in protocols for fold in range(folds)
    ]  # fmt: skip
    findings += [
        {"code": "MG003", "title": "One slide with two labels", "status": "tip", "scope": "images",
         "message": "Slide 14-13412 stands under DC and LC: together.", "ids": ["14-13412"]},
        {"code": "MG006", "title": "Selection on test data", "status": "passed", "scope": "random",
         "message": "Weights were selected on the validation part.", "ids": []},
    ]  # fmt: skip
    write_json(folder / "audit.json", {"findings": findings})
    write_json(folder / "environment.json", {
        "magnostic": "0.1.0", "python": "3.11.9", "libraries": {"numpy": "2.4.6"}, "device": "cpu",
    })  # fmt: skip
    if metrics:
        not_estimable = {
            (c["protocol"], c["repeat"], c["fold"]): c["not_estimable"] for c in children
        }
        write_json(folder / "metrics.json", summarize(
            predictions, resamples=resamples, confidence=0.95, seed=7, not_estimable=not_estimable,
        ))  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    return fake_run


def study_entry(key: str, **fields: Any) -> dict[str, Any]:
    """An entry of study.json; a finished one unless told otherwise."""
    return {
        "key": key, "label": key, "group": "", "settings": {}, "seed": 0, "task": "subtype",
        "recipe": "mine", "published": [], "path": f"runs/{key}-0a1b2c3d", "status": "done",
        "reason": "", **fields,
    }  # fmt: skip


@pytest.fixture(scope="session")
def study_folder(make_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a probe, two fine-tunes of different images, and rows without a run."""
    root = tmp_path_factory.mktemp("study") / "study"
    small = {"folds": 2, "images_per_slide": 2, "resamples": 20}
    make_run(root / "runs/probe-0a1b2c3d", method="probe", name="mine", **small)
    plain = root / "runs/plain-0a1b2c3d"
    make_run(plain, **small)
    recipe = yaml.safe_load((plain / "recipe.yaml").read_text())
    recipe["balance"] = {"method": "none"}
    write_text(plain / "recipe.yaml", yaml.safe_dump(recipe, sort_keys=False))
    data = json.loads((plain / "data.json").read_text())
    stain = {"method": "macenko", "reference": "x", "fell_back": 3, "of": 164, "ids": ["a", "b"]}
    write_json(plain / "data.json", {**data, "colour": {**stain, "ids": ["a", "b", "c"]}})
    binary = root / "runs/binary-0a1b2c3d"
    make_run(binary, ("random", "patient"), task="binary", **{**small, "images_per_slide": 1})
    write_json(root / "study.json", {
        "version": 1, "name": "tiny", "title": "Tiny <study>", "description": "At /data/machine/x.",
        "entries": [
            study_entry(
                "binary", task="binary", label="ResNet50", recipe="nishio2024-resnet50-binary",
                published=["table3-nishio2024-resnet50-binary"],
            ),
            study_entry(
                "probe", label="Lite0", settings={"train.head": "svm", "train.c": [0.1, 1.0]},
                published=["table3-patil2022-densenet121", "text-patil2022-densenet121"],
            ),
            study_entry(
                "plain", label="ResNet50", group="Table II", seed=1,
                recipe="nishio2024-resnet50-subtype-plain", published=["table2-resnet50-subtype"],
            ),
            study_entry("few", status="refused", reason="2 images at 200X in /data/machine/y.png"),
            study_entry("vgg", status="failed", reason="no weights <here>", published=[]),
            study_entry("later", status="planned"),
        ],
    })  # fmt: skip
    return root
