"""The table that ends a training: protocols side by side."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from magnostic.files import read_json
from magnostic.report.words import number, with_interval

#: Loosest first, with what stands on one side only.
_APART = {
    "random": "patients mixed",
    "official": "slides mostly apart",
    "patient": "patients apart",
    "accession": "lab numbers apart",
    "source": "data sets apart",
}


def print_results(run: Path) -> None:
    """Accuracy with interval, macro F1 and AUC of each protocol, and where the report lies."""
    metrics = read_json(run / "metrics.json")
    task = read_json(run / "run.json")["task"]
    confidence = round(100 * metrics["confidence"])
    table = Table(title=f"Test results, task {task}")
    table.add_column("protocol")
    for heading in (f"accuracy ({confidence}% CI)", "macro F1", "AUC", "images"):
        table.add_column(heading, justify="right", no_wrap=True)
    for protocol in sorted(metrics["protocols"], key=list(_APART).index):
        result = metrics["protocols"][protocol]
        overall = result["overall"]
        table.add_row(
            f"{protocol}, {_APART[protocol]}",
            with_interval(overall["accuracy"]),
            number(overall["macro_f1"]["estimate"]),
            number(overall["macro_auc"]["estimate"]),
            str(result["n_images"]),
        )
    Console().print(table)
    if read_json(run / "data.json")["synthetic"]:
        print("SYNTHETIC: phantom images; these figures say nothing about patients.")
    if set(metrics["protocols"]) == {"random"}:
        known = read_json(run / "data.json")["n_patients"]
        advice = "add --split.protocols random,patient" if known else "add patients to the data"
        print(f"Patients may stand on both sides here; for the honest figure {advice}")
    print(f"report: {run / 'report.html'}")
