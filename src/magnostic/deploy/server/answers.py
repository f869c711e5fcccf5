"""Rows of the predictor as the JSON that is sent, and back for the patients' sums."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import magnostic
from magnostic.data.fit import sides
from magnostic.deploy import distance
from magnostic.deploy.decisions import Rules
from magnostic.deploy.patients import Patients
from magnostic.deploy.predictor import JOINED, Row
from magnostic.deploy.server import problems
from magnostic.deploy.server.models import Models
from magnostic.deploy.server.settings import Settings
from magnostic.evaluate.predictions import PREFIX
from magnostic.taxonomy import BY_CODE, MALIGNANCIES


def result(name: str, patient: str | None, row: Row, rules: Rules) -> dict[str, Any]:
    """One photograph's :class:`~magnostic.deploy.server.schema.Result`."""
    error = row["error"]
    told = None
    if error is not None:
        told = {"code": problems.kind(error)[0], "detail": error}
    return {
        "name": name,
        "patient_id": patient,
        "error": told,
        "prediction": None if told else _prediction(row, rules),
    }


def _prediction(row: Row, rules: Rules) -> dict[str, Any]:
    return {
        "predicted": row["y_pred"],
        "confidence": row["confidence"],
        "probabilities": {c: row[PREFIX + c] for c in rules.classes},
        "set": None if row["set"] is None else _split(row["set"]),
        "answered": row["answered"],
        "review": row["review"],
        "reasons": _split(row["reasons"] or ""),
        **{name: row[name] for name in ("width", "height", "contrast", "sharpness", "distance")},
        "points": {name: row[f"{rules.positive_name}_{name}"] for name in rules.points},
    }


def _split(joined: str) -> list[str]:
    return joined.split(JOINED) if joined else []


def patients(rows: Iterable[Row], rules: Rules) -> list[dict[str, Any]]:
    """Decisions for the patients of rows that have ``patient_id``."""
    sums = Patients(rules)
    for row in rows:
        sums.add(row)
    return [_patient(entry, rules) for entry in sums.table()]


def _patient(entry: Row, rules: Rules) -> dict[str, Any]:
    plain = (
        "patient_id", "images", "unread", "to_review", "by_mean_probability", "by_majority",
    )  # fmt: skip
    found = {name: entry[name] for name in plain}
    means = {c: entry[f"mean_{PREFIX}{c}"] for c in rules.classes}
    found["mean"] = means if entry["images"] else None
    found["votes"] = {c: entry[f"votes_{c}"] for c in rules.classes}
    return found


def row_of(image: dict[str, Any], classes: Sequence[str]) -> Row:
    """One photograph of ``POST /v1/patients`` as a row that patients are summed from."""
    shares, predicted = image["probabilities"], image["predicted"]
    row: Row = {"patient_id": image["patient_id"], "review": image["review"], "error": None}
    if shares is None or predicted is None:
        return {**row, "error": "unread"}
    values = np.array([shares[c] for c in classes], dtype=np.float64)
    total = values.sum()
    values = values / total if total > 0 else np.full(len(values), 1 / len(values))
    named = {PREFIX + c: v for c, v in zip(classes, values, strict=True)}
    return {**row, "y_pred": predicted, **named}


def model(models: Models, settings: Settings) -> dict[str, Any]:
    """The :class:`~magnostic.deploy.server.schema.ModelAnswer`."""
    predictor, explainer = models.predictor, models.explainer
    about, rules = predictor.about, predictor.rules
    height, width = sides(about.size)
    return {
        "name": about.name,
        "digest": about.digest,
        "version": magnostic.__version__,
        "task": about.task,
        "classes": [_class(code) for code in about.classes],
        "input_height": height,
        "input_width": width,
        "fit": about.fit,
        "engine": predictor.engine.name,
        "batch_size": predictor.engine.batch_size,
        "calibrated": about.calibration is not None,
        "temperature": rules.temperature,
        "level": rules.level,
        "certifiable": rules.certifiable,
        "vacuous": rules.vacuous,
        "far": distance.FAR,
        "points": dict(rules.points),
        "columns": predictor.columns,
        "limits": {
            "max_bytes": settings.max_bytes,
            "max_body": settings.max_body,
            "max_pixels": settings.max_pixels,
            "max_files": settings.max_files,
        },
        "explain": {
            "available": explainer is not None,
            "method": None if explainer is None else explainer.method,
            "reason": models.reason,
        },
        "research_use_only": True,
    }


def _class(code: str) -> dict[str, Any]:
    known = BY_CODE.get(code)
    if known is not None:
        return {"code": code, "name": known.name, "malignancy": known.malignancy}
    return {"code": code, "name": code, "malignancy": code if code in MALIGNANCIES else None}


def png(pixels: NDArray[np.uint8]) -> str:
    """uint8 [H, W, 3] as a PNG file in base64."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
