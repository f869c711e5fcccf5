"""The wheel in a fresh environment without extras: the main verbs work, each extra is named.

python3 .ci/check_wheel.py [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
#: Extras that are for people who work on the project, or that only sum up others.
NOT_FOR_USERS = {"all", "bench", "dev"}
TINY = [
    "--preprocess.size=64", "--split.protocols=patient", "--split.folds=2", "--train.c=1.0",
    "--evaluate.resamples=50",
]  # fmt: skip


class Failed(SystemExit):
    """Ends the script with what went wrong."""


class Environment:
    """A fresh virtual environment with the wheel in it, and a folder to work in."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.bin = work / "venv" / "bin"
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        self.variables = clean | {
            "MAGNOSTIC_CACHE": str(work / "cache"), "HF_HUB_OFFLINE": "1", "COLUMNS": "200",
        }  # fmt: skip

    def call(self, *command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.work, env=self.variables, text=True, capture_output=True, check=False,
        )  # fmt: skip

    def magnostic(self, *arguments: object, code: int = 0, says: str = "") -> str:
        """Output of the installed command, which must end with ``code`` and say ``says``."""
        started = time.monotonic()
        done = self.call(self.bin / "magnostic", *arguments)
        said = done.stdout + done.stderr
        shown = " ".join(str(a) for a in arguments)
        if done.returncode != code or says not in said or "Traceback" in said:
            raise Failed(
                f"magnostic {shown}: exit code {done.returncode}, expected {code}"
                f"{f' and {says!r}' if says else ''}; it said:\n{said}"
            )
        print(f"ok {time.monotonic() - started:5.1f} s  magnostic {shown}", flush=True)
        return said


def install(work: Path) -> Environment:
    """Build the wheel and install it alone; constraints give versions, never packages."""
    started = time.monotonic()
    here = Environment(work)
    pip = [sys.executable, "-m", "pip", "-q"]
    _must(here.call(*pip, "wheel", "--no-deps", "-w", work / "dist", REPOSITORY))
    (wheel,) = (work / "dist").glob("*.whl")
    built = time.monotonic()
    venv.create(work / "venv", with_pip=True)
    pip = [here.bin / "python", "-m", "pip", "-q"]
    _must(here.call(*pip, "install", "-c", REPOSITORY / "constraints.txt", wheel))
    installed = time.monotonic()
    print(f"{wheel.name} ({wheel.stat().st_size / 2**20:.1f} MiB)")
    print(f"built in {built - started:.0f} s, installed in {installed - built:.0f} s", flush=True)
    return here


def _must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise Failed(f"{' '.join(done.args)}:\n{done.stdout}{done.stderr}")


def main_job(here: Environment) -> Path:
    """Help, index, audit, train and predict on a phantom; the folder of the run."""
    here.magnostic("--help", says="Research use only")
    here.magnostic("recipes", says="probe-lite0")
    here.magnostic("phantom", "phantom", "--patients-per-type", 2, "--fields-per-magnification", 1)
    here.magnostic("index", "phantom", says="SYNTHETIC")
    here.magnostic("audit", "phantom", says="passed")
    here.magnostic("train", "probe-lite0", "--data", "phantom", "--out", "run", *TINY)
    here.magnostic("audit", "run", "--data", "phantom", says="MG001")
    here.magnostic("predict", "run", "phantom", "-o", "out.csv", says="0 could not be read")
    rows = (here.work / "out.csv").read_text(encoding="utf-8").splitlines()
    photographs = sorted((here.work / "phantom").rglob("*.png"))
    if len(rows) != len(photographs) + 1:
        raise Failed(f"out.csv: {len(rows)} lines for {len(photographs)} photographs")
    return photographs[0]


def extras(here: Environment, photograph: Path) -> None:
    """Every extra is absent, and what needs it says so; the table below leaves none out."""
    import shutil

    slide = here.work / "slide.svs"
    shutil.copyfile(photograph, slide)
    needs: dict[str, list[tuple[int, list[object]]]] = {
        "fast": [(0, ["doctor"])],
        "lite": [(2, [
            "train", "probe-lite0", "--data", "phantom", "--out", "lite", *TINY,
            "--model.backbone=tf_efficientnet_lite1", "--model.weights=package:efficientnet-lite1",
        ])],
        "handcrafted": [(2, [
            "train", "sharma2020-handcrafted-svm", "--data", "phantom", "--out", "handcrafted",
            *TINY,
        ])],
        "export": [(2, ["export", "run", "--to", kind, "-o", kind])
                   for kind in ("onnx", "openvino")],
        "explain": [(2, ["explain", "run", photograph, "-o", "maps", "--method", "occlusion"])],
        "serve": [(2, ["serve", "run"]), (2, ["ui", "."])],
        "cluster": [(2, ["predict", "run", photograph, "-o", "on-ray.csv", "--on", "ray"])],
        "wsi": [(2, ["slide", "run", slide, "-o", "slide", "--magnification", 200])],
    }  # fmt: skip
    declared = set(_extras(here)) - NOT_FOR_USERS
    if declared != set(needs):
        raise Failed(f"extras {sorted(declared)}, but checked are {sorted(needs)}; mend the table")
    wrong = []
    for extra, calls in needs.items():
        for code, call in calls:
            try:
                here.magnostic(*call, code=code, says=f"magnostic[{extra}]")
            except Failed as failure:
                wrong.append(f"extra {extra}: {failure}")
    if wrong:
        raise Failed("\n".join(wrong))


def _extras(here: Environment) -> list[str]:
    """Extras that the wheel declares."""
    (wheel,) = (here.work / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode("utf-8")
    return re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    keep = parser.parse_args().keep
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        work = (keep or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        here = install(work)
        extras(here, main_job(here))
    print(f"the wheel works without extras ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
