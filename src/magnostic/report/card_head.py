"""The head of a model card: YAML that Hugging Face reads, with the figures as a model index.

Fields: huggingface.co/docs/hub/model-cards, and its specification modelcard.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from magnostic.models.licences import Licence
from magnostic.report.folder import RunFolder
from magnostic.report.words import METRICS, ordered, plural, protocol

#: Our figures by the metric ids of the hub; those without one keep their name.
HUB_METRICS: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "macro_precision": "precision",
    "macro_recall": "recall",
    "macro_f1": "f1",
    "macro_auc": "roc_auc",
    "log_loss": "log_loss",
}
_TAGS: Final = (
    "magnostic",
    "image-classification",
    "histopathology",
    "breast-cancer",
    "hematoxylin-eosin",
    "research-use-only",
)


def head(run: RunFolder, name: str, licence: Licence) -> str:
    """The front matter's YAML, without the lines of dashes around it."""
    synthetic = bool(run.data.get("synthetic"))
    sources = [str(s) for s in run.data.get("sources", [])]
    fields: dict[str, Any] = {"license": licence.hub}
    if licence.hub == "other":
        fields |= {"license_name": _slug(str(licence.name)), "license_link": licence.link}
    if licence.base:
        fields["base_model"] = licence.base
    results = [_result(run, key, sources) for key in ordered(run.metrics["protocols"])]
    shown = {metric["type"] for result in results for metric in result["metrics"]}
    fields |= {
        "library_name": "magnostic",
        "pipeline_tag": "image-classification",
        "tags": [*_TAGS, *sources, *(["synthetic-data"] if synthetic else [])],
        "metrics": [name for name in HUB_METRICS.values() if name in shown],
        "model-index": [{"name": name, "results": [r for r in results if r["metrics"]]}],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100)


def _result(run: RunFolder, name: str, sources: list[str]) -> dict[str, Any]:
    """Figures of one protocol on the test parts, each with its interval."""
    result = run.metrics["protocols"][name]
    words = protocol(name)
    kind = "synthetic photograph" if run.data.get("synthetic") else "photograph"
    images = plural(result["n_images"], kind)
    dataset: dict[str, Any] = {
        "type": "+".join(sources) or "unknown",
        "name": f"{' + '.join(sources) or 'unknown'}, {images}, {words.adjective} protocol",
        "config": name,
        "split": "test",
    }
    if run.data.get("data_hash"):
        dataset["revision"] = str(run.data["data_hash"])
    return {
        "task": {"type": "image-classification", "name": f"{run.task} classification"},
        "dataset": dataset,
        "metrics": [
            _metric(run, result, hub, f"{METRICS[key]}, {words.adjective}", result["overall"][key])
            for key, hub in HUB_METRICS.items()
            if result["overall"][key]["estimate"] is not None
        ],
    }


def _metric(
    run: RunFolder,
    result: Mapping[str, Any],
    kind: str,
    title: str,
    figure: Mapping[str, Any],
) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": kind, "name": title, "value": figure["estimate"]}
    if figure["low"] is not None:
        metric["args"] = {
            "low": figure["low"],
            "high": figure["high"],
            "confidence": run.metrics["confidence"],
            "resampled": result["cluster"],
        }
    return metric


def _slug(text: str) -> str:
    """A licence's name as the hub takes it: lower case, words joined by dashes."""
    kept = "".join(c if c.isalnum() or c == "." else " " for c in text.lower())
    return "-".join(kept.split())
