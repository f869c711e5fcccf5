"""The model card: valid for the hub, its figures those of metrics.json, the same every time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from magnostic.errors import BadInput
from magnostic.files import read_json, write_json
from magnostic.report import write_card
from magnostic.report.card_head import HUB_METRICS
from magnostic.report.words import protocol

MakeRun = Callable[..., Path]
OVERALL = {
    "Accuracy": "accuracy",
    "Balanced accuracy": "balanced_accuracy",
    "Macro F1": "macro_f1",
    "Macro AUC": "macro_auc",
    "Log loss (nats)": "log_loss",
}
PER_CLASS = {"Precision": "precision", "Recall": "recall", "F1": "f1", "AUC": "auc"}


def add_model(run: Path, weights: str = "package:efficientnet-lite0 (ImageNet)") -> Path:
    """What a run has beside the tables: its model, its rules."""
    [name] = read_json(run / "run.json").get("model_for_use", ["."])
    write_json(
        run / name / "model.json",
        {"weights": weights, "weights_sha256": "ab" * 32, "backbone_file": None},
    )
    (run / name / "model.safetensors").write_bytes(b"tensors")
    write_json(run / "calibration.json", {
        "version": 1, "protocol": "patient", "source": "out-of-fold", "n_groups": 22,
        "fitted_on": ["a", "b", "c"], "temperature": 1.5,
        "thresholds": {"positive": "malignant",
                       "points": {"half": 0.5, "youden": 0.61, "sensitivity": None}},
        "conformal": [{"level": 0.9, "unit": "image", "limit": 0.875},
                      {"level": 0.95, "unit": "patient", "limit": None}],
        "abstention": {"target": 0.1, "threshold": 0.8125},
    })  # fmt: skip
    about = read_json(run / "run.json")
    write_json(run / "run.json", {"model_for_use": ["."], **about})
    return run


@pytest.fixture(scope="module")
def full(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A parent with three protocols."""
    return add_model(make_run(tmp_path_factory.mktemp("full") / "run", folds=2, resamples=50))


@pytest.fixture(scope="module")
def text(full: Path) -> str:
    return write_card(full).read_text(encoding="utf-8")


def table(text: str, title: str, level: int = 3) -> list[dict[str, str]]:
    """Rows of the first table after a heading, by the titles of its columns."""
    after = text.split(f"\n{'#' * level} {title}\n", 1)[1]
    return rows(after)


def rows(text: str) -> list[dict[str, str]]:
    lines = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert lines
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", x)[1:-1]] for x in lines[0].splitlines()]
    assert {len(row) for row in cells} == {len(cells[0])}
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def figures(cell: str) -> list[float]:
    """``.412 (.330–.498)`` to numbers."""
    return [float(found) for found in re.findall(r"\d*\.\d+", cell)]


def check(cell: str, metric: dict[str, Any]) -> None:
    """The cell says what metrics.json holds, to its three digits; so by reading it back."""
    held = [metric[k] for k in ("estimate", "low", "high") if metric.get(k) is not None]
    assert figures(cell) == pytest.approx(held, abs=0.0005 + 1e-9), cell


def test_the_hub_reads_every_figure_and_interval(full: Path, text: str) -> None:
    metrics = read_json(full / "metrics.json")
    card = ModelCard(text)
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "magnostic"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.model_name == "nishio2024-resnet50-subtype"
    assert {"magnostic", "research-use-only", "breakhis"} <= set(card.data.tags)
    found = {(r.dataset_config, r.metric_type): r for r in card.data.eval_results}
    assert len(found) == 3 * len(HUB_METRICS) == len(card.data.eval_results)
    for name, result in metrics["protocols"].items():
        for key, hub in HUB_METRICS.items():
            figure, read = result["overall"][key], found[name, hub]
            assert read.metric_value == figure["estimate"]
            assert read.metric_args["low"] == figure["low"]
            assert read.metric_args["high"] == figure["high"]
            assert read.metric_args["resampled"] == result["cluster"]
            assert read.dataset_revision == "00ff" * 8
    assert set(card.data.metrics) == {r.metric_type for r in card.data.eval_results}


def test_results_are_those_of_metrics(full: Path, text: str) -> None:
    metrics = read_json(full / "metrics.json")["protocols"]
    shown = {row[""]: row for row in table(text, "Results")}
    for title, key in OVERALL.items():
        for name, result in metrics.items():
            check(shown[title][protocol(name).title], result["overall"][key])
    for name, result in metrics.items():
        title = protocol(name).title
        by_class = table(text, title)
        assert [re.findall(r"\((\w+)\)", row[""])[0] for row in by_class] == [
            "A", "F", "PT", "TA", "DC", "LC", "MC", "PC",
        ]  # fmt: skip
        for row in by_class:
            entry = result["by_class"][re.findall(r"\((\w+)\)", row[""])[0]]
            for column, key in PER_CLASS.items():
                check(row[column], entry[key])
            assert int(row["Images"].replace(",", "")) == entry["n"]
        after = text.split(f"\n### {title}\n", 1)[1].split("\nBy magnification", 1)[1]
        magnifications = {row[""]: row for row in rows(after)}
        assert list(magnifications) == ["40X", "100X", "200X", "400X"]
        for at, entry in result["by_magnification"].items():
            check(magnifications[f"{at}X"]["Accuracy"], entry["accuracy"])
            check(magnifications[f"{at}X"]["Macro F1"], entry["macro_f1"])


def test_gap_calibration_and_sets_are_those_of_metrics(full: Path, text: str) -> None:
    metrics = read_json(full / "metrics.json")
    gap = {row[""]: row for row in table(text, "The gap between protocols")}
    for name, found in metrics["gap"].items():
        cell = gap[f"Random images − {protocol(name).title.lower()}, all images"]["Accuracy"]
        held = [found["accuracy"][k] for k in ("estimate", "low", "high")]
        numbers = [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d", cell)]
        assert numbers == pytest.approx(held, abs=0.05 + 1e-9)
    held = metrics["protocols"]["patient"]["probabilities"]
    told = text.split("\n### Patient-disjoint\n", 1)[1].split("\n### ", 1)[0]
    scores = {r[""]: r for r in rows(told.split("Stated probabilities", 1)[1])}
    for title, version in (("As predicted", "raw"), ("After temperature", "calibrated")):
        check(scores["Log loss (nats)"][title], held[version]["log_loss"])
        check(scores["Brier score (0 to 2)"][title], held[version]["brier"])
        assert figures(scores["ECE, predicted class"][title])[0] == pytest.approx(
            held[version]["ece"], abs=0.0005
        )
    points = rows(told.split("Operating points for malignant", 1)[1])
    for row, point in zip(points, held["binary"]["points"], strict=True):
        check(row["Sensitivity"], point["sensitivity"])
        check(row["Specificity"], point["specificity"])
    sets = rows(told.split("Conformal sets:", 1)[1])
    for row, entry in zip(sets, held["conformal"], strict=True):
        if entry["certifiable"]:
            check(row["Coverage"], entry["coverage"])


def test_known_patients_calibrate_nothing(text: str) -> None:
    told = text.split("\n### Random images\n", 1)[1].split("\n### ", 1)[0]
    assert "Conformal sets" not in told


def test_what_abstention_rests_on(text: str) -> None:
    told = text.split("\n### Rules of the model in use, and what they rest on\n", 1)[1]
    assert "3 images of 22 patients" in told
    assert "above 0.812" in told  # 0.8125, half to even
    thresholds = rows(told)
    assert [row["Threshold"] for row in thresholds] == ["0.500", "0.610", "–"]
    sets = rows(told.split("Sets of the model in use", 1)[1])
    assert [row["Probability"] for row in sets] == [
        "0.12", "none, not certifiable: every class; 19 patients needed",
    ]  # fmt: skip


def test_limits_licences_and_uses_are_told(text: str) -> None:
    for says in (
        "**Research use only.**",
        "CC BY 4.0",
        "doi:10.1109/TBME.2015.2496264",
        "Apache-2.0, as packaged",
        "Diagnosis, screening, triage",
        "of 81 patients.",
        "40X (",
        "Audit issues: MG001 patient on both sides (random)",
        "were not tested (magnostic robustness)",
        "magnostic.load(",
        "libraries.numpy**: 2.4.6",
    ):
        assert says in text, says
    assert "/data/machine" not in text
    plain = text.replace("None for calibration errors", "")
    assert not re.search(r"\bNone\b|\bnan\b|\{\{|\{%", plain)
    assert "\n\n\n" not in text
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("weights", "head", "says"),
    [
        ("random", {"license": "unknown"}, "none, a random start"),
        ("file mine.safetensors", {"license": "unknown"}, "not known to magnostic: look it up"),
        (
            "resnet50.tv_in1k (timm/resnet50.tv_in1k)",
            {"license": "bsd-3-clause", "base_model": "timm/resnet50.tv_in1k"},
            "bsd-3-clause, as timm states it",
        ),
        (
            "hf_hub:MahmoodLab/UNI",
            {"license": "cc-by-nc-nd-4.0", "base_model": "MahmoodLab/UNI"},
            "CC BY-NC-ND 4.0; given only to who has accepted its terms",
        ),
        (
            "hf_hub:1aurent/vit_base_patch16_224.owkin_pancancer",
            {
                "license": "other",
                "license_name": "owkin-non-commercial",
                "license_link": "https://huggingface.co/1aurent/vit_base_patch16_224.owkin_pancancer",
                "base_model": "1aurent/vit_base_patch16_224.owkin_pancancer",
            },
            "Filiot et al., 2023",
        ),
        ("hf_hub:some/where", {"license": "unknown", "base_model": "some/where"}, "not known to"),
    ],
)
def test_licences_of_weights(
    full: Path, tmp_path: Path, weights: str, head: dict[str, str], says: str
) -> None:
    run = shutil.copytree(full, tmp_path / "run")
    text = write_card(add_model(run, weights)).read_text(encoding="utf-8")
    read = yaml.safe_load(text.split("---\n")[1])
    keys = ("license", "license_name", "license_link", "base_model")
    assert {key: read[key] for key in keys if key in read} == head
    assert says in text


def test_labels_of_ones_own_without_patients_or_rules(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", ("random",), folds=1, resamples=20, task="label", patients=False,
        magnifications=False, synthetic=True, description="Ends in `code`, *stars* and a | b <i>.",
    )  # fmt: skip
    add_model(run)
    (run / "calibration.json").unlink()
    text = write_card(run, tmp_path / "elsewhere.md").read_text(encoding="utf-8")
    assert not (run / "MODEL_CARD.md").exists()
    assert "**Synthetic photographs.**" in text
    assert "Nothing was fitted for the model in use" in text
    assert "patients are not known" in text
    assert "Magnifications are not known." in text
    assert r"\`code\`, \*stars\* and a \| b \<i\>." in text
    assert "### The gap between protocols" not in text
    card = ModelCard(text)
    assert {r.dataset_config for r in card.data.eval_results} == {"random"}
    assert "synthetic-data" in card.data.tags


def test_equal_folders_give_equal_bytes_and_another_model_another_digest(
    full: Path, text: str, tmp_path: Path
) -> None:
    again = shutil.copytree(full, tmp_path / "run")
    assert write_card(again).read_text(encoding="utf-8") == text
    (again / "final" / "model.safetensors").write_bytes(b"others")
    changed = write_card(again).read_text(encoding="utf-8").splitlines()
    differ = [a for a, b in zip(text.splitlines(), changed, strict=True) if a != b]
    assert len(differ) == 2
    assert all("igest" in line for line in differ)


def test_what_is_no_run_is_refused(full: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is one model of a run"):
        write_card(full / "final")
    with pytest.raises(BadInput, match="no finished run"):
        write_card(tmp_path)
    with pytest.raises(BadInput, match="is a folder"):
        write_card(full, tmp_path)
    write_json(tmp_path / "study.json", {})
    with pytest.raises(BadInput, match="is a study"):
        write_card(tmp_path)
    broken = shutil.copytree(full, tmp_path / "run")
    (broken / "final" / "model.json").unlink()
    with pytest.raises(BadInput, match=r"model\.json: no such file"):
        write_card(broken)


def test_torch_is_not_needed(full: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from magnostic.report import write_card;"
        f"write_card(Path({str(full)!r}), Path({str(tmp_path / 'card.md')!r}));"
        "bad = {'torch', 'timm', 'magnostic.train'} & set(sys.modules);"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
