"""Run every code block of README.md and docs/, or bind it where it says that it can't be run.

python .ci/check_docs.py [--only NAME…] [--parse-only] [--keep FOLDER] [--jobs 2]

docs_check/blocks.py says what a comment above a block may say. Ends with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from docs_check import given, page
from docs_check.bind import REPOSITORY

#: Pages that take longest come first, so that no worker ends alone.
_FIRST = ("README.md", "tutorial.md", "predict.md", "magnification.md", "own-data.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="pages whose name holds this text")
    parser.add_argument("--parse-only", action="store_true", help="run nothing, bind everything")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    parser.add_argument("--jobs", type=int, default=2, help="pages at a time")
    options = parser.parse_args()
    started = time.monotonic()
    work = options.keep or Path(tempfile.mkdtemp(prefix="check-docs-"))
    try:
        pages = _pages(options.only)
        stock = given.Stock(work / "given", _sample(), _environment(work))
        with ThreadPoolExecutor(options.jobs) as pool:
            tasks = [
                pool.submit(page.check, p, work / p.stem, stock, run=not options.parse_only)
                for p in pages
            ]
            found = {p: task.result() for p, task in zip(pages, tasks, strict=True)}
    finally:
        if not options.keep:
            shutil.rmtree(work, ignore_errors=True)
    return _tell(found, time.monotonic() - started)


def _pages(only: list[str]) -> list[Path]:
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    pages = [p for p in pages if not only or any(text in p.name for text in only)]
    return sorted(pages, key=lambda p: (p.name not in _FIRST, p.name))


def _sample() -> Path:
    shared = Path(os.environ.get("MAGNOSTIC_SHARED", REPOSITORY.parent / "shared"))
    return shared.resolve() / "breakhis-sample" / "BreaKHis_v1"


def _environment(work: Path) -> dict[str, str]:
    path = [str(page.programs(work / "bin")), str(Path(sys.executable).parent)]
    variables = {
        "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
        "MAGNOSTIC_CACHE": str(work / "cache"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "120",
        "PYTHONWARNINGS": "ignore",
    }
    return dict(os.environ) | variables


def _tell(found: dict[Path, list[page.Outcome]], seconds: float) -> int:
    kinds = ("run", "served", "written", "parsed", "inline")
    print(f"{'page':24}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'seconds':>9}")
    total: Counter[str] = Counter()
    for path, outcomes in sorted(found.items(), key=lambda item: item[0].name):
        counts = Counter(o.did for o in outcomes)
        total += counts
        took = sum(o.seconds for o in outcomes)
        print(f"{path.name:24}" + "".join(f"{counts[k]:9}" for k in kinds) + f"{took:9.1f}")
    print(f"{'all':24}" + "".join(f"{total[k]:9}" for k in kinds) + f"{seconds:9.1f}")
    every = [o for outcomes in found.values() for o in outcomes]
    print("\nnot run, bound only:")
    for reason, n in Counter(o.reason for o in every if o.did == "parsed").most_common():
        print(f"{n:4}  {reason or 'YAML: read as what it is'}")
    print("\nslowest:")
    for outcome in sorted(every, key=lambda o: -o.seconds)[:6]:
        print(f"{outcome.seconds:6.1f} s  {outcome.where}")
    wrong = [o for o in every if o.wrong]
    for outcome in wrong:
        print(f"\n{outcome.where}: {outcome.wrong}")
    print(f"\n{len(wrong)} of {len(every)} wrong")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
