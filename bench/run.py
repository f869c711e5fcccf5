"""``make bench``: every speed claim measured now, written as one table to docs/benchmarks.md.

    python bench/run.py [NAME …]

Each script runs alone, in a process of its own, one after another; what is named is run anew and
the rest of the table stays as the last run left it (``bench/results/NAME.json``). The scripts
``bootstrap_coverage``, ``conformal_coverage``, ``best_honest``, ``phantom_patient_effect``,
``explain_faithful`` and ``explain_truth`` measure statistics, not speed; docs/statistics.md,
docs/probabilities.md, docs/best-model.md, docs/phantom.md and docs/explain.md hold what they print.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"
#: Script below bench/ and what it measures, in the order of the page.
SPEED = {
    "decode_cache": "First pass over photographs: index and pixel cache from one decode",
    "train_step": "A fine-tuning epoch against the same steps on a batch in memory",
    "newcomer": "Fine-tuning against the loop that a newcomer writes",
    "heads": "All heads of studies/protocols.yaml at BreakHis's size",
    "predict": "Prediction from files",
    "export": "Exported models",
    "serve_load": "A server under load beside offline prediction",
    "scale": "Tables of many rows",
    "bootstrap_speed": "Intervals",
    "controls_speed": "Negative controls",
    "peers/run": "Other software, side by side",
}
PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "scikit-learn", "numpy")


def kept(name: str) -> Path:
    """Where the rows of a script are kept."""
    return RESULTS / f"{name.replace('/', '_')}.json"


def measure(name: str) -> None:
    """Run one script and keep its rows; a failed one leaves a row that says so."""
    target = kept(name)
    target.parent.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(target)]
    print(f"== {name}", flush=True)
    done = subprocess.run(command, check=False)
    if done.returncode:
        record = {"bench": name, "failed": f"exit code {done.returncode}", "rows": []}
        target.write_text(json.dumps(record) + "\n", encoding="utf-8")


def page() -> str:
    """The table of everything measured, in Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Ratios are measured side by side in one run of the script named,",
        "on the machine below, with nothing else running. A target that is missed says so.",
        "",
        _machine(),
        "",
    ]
    for name, title in SPEED.items():
        source = kept(name)
        if not source.exists():
            lines += [f"## {title}", "", f"`bench/{name}.py` was not measured.", ""]
            continue
        record = json.loads(source.read_text(encoding="utf-8"))
        lines += [f"## {title}", "", f"`bench/{name}.py`", ""]
        if "failed" in record:
            lines += [f"The script failed ({record['failed']}).", ""]
            continue
        lines += ["| measured | value | target | |", "|---|--:|---|---|"]
        lines += [_line(row) for row in record["rows"]]
        lines += [""]
    return "\n".join(lines)


def _met(name: str) -> bool:
    record = json.loads(kept(name).read_text(encoding="utf-8"))  # measured just now
    return "failed" not in record and all(row["met"] is not False for row in record["rows"])


def _line(row: dict[str, Any]) -> str:
    verdict = "" if row["met"] is None else "met" if row["met"] else "**missed**"
    value = f"{row['value']:.4g} {row['unit']}".strip()
    return f"| {row['name']} | {value} | {row['target']} | {verdict} |"


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    packages = []
    for package in PACKAGES:
        try:
            packages.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, Python {platform.python_version()}; {', '.join(packages)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="by default all")
    names = parser.parse_args().names or list(SPEED)
    for name in names:
        if name not in SPEED:
            sys.exit(f"{name}: no speed bench; known: {', '.join(SPEED)}")
        measure(name)
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(HERE.parent)}")
    if bad := [name for name in names if not _met(name)]:
        sys.exit(f"failed, or a target was missed: {', '.join(bad)}")


if __name__ == "__main__":
    main()
