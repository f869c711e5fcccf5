"""Files that fail: at each operation on a file the disk is full, broken, or the process is killed.

    OMP_NUM_THREADS=1 python bench/faults/writes.py [--all | --each | --sample N] [--data DIR]
        [--json FILE]

A small fine-tuning, and a study of a probe and a network, are carried out on a few genuine
photographs (the phantom without any), from an empty cache. A first pass counts what they do to
files of the cache and of their folder: creating, writing, syncing, renaming, removing, opening and
reading, also by Arrow, safetensors and NumPy, since a preloaded C library (_faulty.c; needs cc)
stands between them and the system. Then, for one operation after the other (of each kind of fault
an even sample of N; with --each every kind of operation on every kind of file, by its name, once;
or --all):

    full    nothing can be written or created from there on; half of the bytes there still is
    broken  this one operation, reading ones too, fails with an input/output error
    killed  SIGKILL there, in the middle of the bytes where it is a write

The process must end by itself with an error in words (or have done without), every file that bears
its name must be whole and the very one that an undisturbed process writes; the same command must
then come to its end, leave the same files, bit for bit, and touch no file of a run that was done.
Figures are laid out, but their files hold nothing. Exit code 1 if anything is otherwise.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _forked import Forked, load  # noqa: E402
from _material import RECIPES, few  # noqa: E402
from _table import Row, finish  # noqa: E402
from _trees import changed, damaged, differences  # noqa: E402

KINDS = {"full": 1, "broken": 2, "killed": 3}
#: What counts: writing operations, for broken ones reading too.
CLASSES = {"full": 2, "broken": 3, "killed": 2}
PATIENCE = 120.0
#: What is done, and to which path.
Operation = tuple[str, str]
#: Numbers of the operations that are disturbed, from the kind of fault and all there are.
Choice = Callable[[str, Sequence[Operation]], list[int]]
#: Files that are true of the moment: of the epochs and of what has been fitted so far.
_GROWING = ("history.jsonl", "fitted_on.json")


@dataclass(frozen=True)
class Subject:
    """What is disturbed: a command that makes ``PLACE/out``."""

    name: str
    command: tuple[str, ...]

    def start(self, place: Path, fault: tuple[str, int] | None = None, log: str = "") -> Forked:
        place.mkdir(exist_ok=True)
        command = [*self.command, "--out", str(place / "out")]

        def arm() -> None:
            _empty_figures()
            if fault is not None or log:
                kind, at = fault or ("broken", 0)
                how = KINDS[kind] if fault else 0
                folders = f"{place}/out\n{place}/cache".encode()
                ctypes.CDLL(None).faulty_arm(
                    folders, ctypes.c_long(at), how, CLASSES[kind], log.encode()
                )

        environment = {"MAGNOSTIC_CACHE": str(place / "cache")}
        return Forked(command, place / "log", environment, arm)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true")
    which.add_argument("--each", action="store_true")
    which.add_argument("--sample", type=int, default=25, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(os.environ.get("FAULTY_SCRATCH", name))
        if "FAULTY_SCRATCH" not in os.environ:
            sys.exit(_preloaded(scratch))
        load()
        data = few(given.data, scratch)
        (scratch / "study").mkdir()
        for recipe, text in RECIPES.items():
            (scratch / "study" / f"{recipe}.yaml").write_text(text)
        study = scratch / "study" / "small.yaml"
        study.write_text("name: small\nrows: [{recipe: quick.yaml}, {recipe: network.yaml}]\n")
        network = str(scratch / "study" / "network.yaml")
        subjects = [
            Subject("training", ("train", network, "--data", str(data), "--resume")),
            Subject("study", ("study", str(study), "--data", str(data))),
        ]
        choose = _all if given.all else Each() if given.each else partial(_even, given.sample)
        rows = []
        for subject in subjects:
            rows += _disturbed(subject, scratch, choose)
    finish("faults/writes", rows, given.json)
    sys.exit(any(row.met is False for row in rows))


def _preloaded(scratch: Path) -> int:
    """The exit code of this script, started with the library that lets files fail."""
    library = scratch / "faulty.so"
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("cc: not found; install a C compiler")
    flags = ["-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "_faulty.c"), "-ldl"]
    subprocess.run([compiler, *flags], check=True)
    preloaded = {"LD_PRELOAD": str(library), "FAULTY_SCRATCH": str(scratch)}
    return subprocess.run([sys.executable, *sys.argv], env=os.environ | preloaded).returncode


def _all(_: str, operations: Sequence[Operation]) -> list[int]:
    return [*range(1, len(operations) + 1)]


def _even(most: int, _: str, operations: Sequence[Operation]) -> list[int]:
    n = len(operations)
    tried = min(most, n)
    return [1 + (2 * i + 1) * n // (2 * tried) for i in range(tried)]


class Each:
    """The first of each operation on a file of a name that is alike but for numbers and digests."""

    def __init__(self) -> None:
        self._tried: set[tuple[str, ...]] = set()

    def __call__(self, fault: str, operations: Sequence[Operation]) -> list[int]:
        first = []
        for at, (what, path) in enumerate(operations, 1):
            folder, _, name = path.rpartition("/")
            if folder.endswith(("/figures", "/tables")):  # one writer each
                name = ".".join(name.strip(".").split(".")[1:])
            name = re.sub(r"\.\w{8}\.unfinished|tmp\w{6}$|[0-9a-f]{8,}|[0-9]+", "*", name)
            if (fault, what, name) not in self._tried:
                self._tried.add((fault, what, name))
                first.append(at)
        return first


def _disturbed(subject: Subject, scratch: Path, choose: Choice) -> list[Row]:
    whole = scratch / f"{subject.name}-whole"
    log = scratch / f"{subject.name}-operations"
    if subject.start(whole, log=str(log)).wait(PATIENCE) != 0:
        sys.exit((whole / "log").read_text())
    parts = [line.split(" ", 2) for line in log.read_text().splitlines()]
    operations = [(what, path) for _, what, path in parts]
    print(f"{subject.name}: {dict(Counter(what for what, _ in operations))}", flush=True)
    rows = []
    for kind in KINDS:
        these = [o for o in operations if kind == "broken" or o[0] not in ("open", "read")]
        n, places, survived = len(these), choose(kind, these), 0
        for at in places:
            place = scratch / "trial"
            what, path = these[at - 1]
            wrong, told = _try(subject, place, (kind, at), whole, what == "remove")
            survived += not wrong
            where = Path(path).relative_to(whole)
            verdict = f"WRONG: {wrong}" if wrong else "survived"
            print(
                f"{subject.name} {kind} {at}/{n} ({what} {where}): {verdict} | {told}", flush=True
            )
            shutil.rmtree(place)
        rows += [
            Row(f"{subject.name}, {kind}: operations", n, "", ""),
            Row("of which tried", len(places), ""),
            Row("survived", survived, "", "all", survived == len(places)),
        ]
    return rows


def _try(
    subject: Subject, place: Path, fault: tuple[str, int], whole: Path, removing: bool
) -> tuple[str, str]:
    """What is wrong, if anything, and the last line that was told."""
    code = _ended(subject.start(place, fault))
    came = "(the fault)\n"
    log = (place / "log").read_text()
    told = f"{code}: " + "".join(
        log.replace(came, "").replace(str(place), "PLACE").splitlines()[-1:]
    )
    if came not in log:
        return "the operation was not reached", told
    if "Traceback" in log or code not in ((-9,) if fault[0] == "killed" else (0, 1, 2)):
        return f"exit code {code}: {log[-600:]}", told
    if code > 0 and not any(w in log for w in ("error: ", "failed: ", "not carried out: ")):
        return f"no error in words: {log[-300:]}", told
    if code == 2 and fault[0] == "full":
        return "a full disk is called bad input", told
    bad = damaged(place / "out") + damaged(place / "cache")
    if bad:
        return f"not whole: {bad}", told
    done = _done(place / "out")
    below = Path("out", "runs") if subject.name == "study" else Path("out")  # its report grows
    others = changed(whole / below, place / below, _GROWING)
    if others:
        return f"others than an undisturbed process writes: {others}", told
    code = _ended(subject.start(place))
    log = (place / "log").read_text()
    if code != 0:
        return f"next start, exit code {code}: {log[-600:]}", told
    touched = [f for f, before in done.items() if _times(place / "out" / f) != before]
    if touched:
        return f"done, and touched: {touched}", told
    different = differences(whole / "out", place / "out")
    if removing and fault[0] == "broken":  # what the disk refused to remove may lie there
        different = [name for name in different if (whole / "out" / name).exists()]
    return (f"differ in the end: {different}" if different else ""), told


def _ended(process: Forked) -> int | None:
    code = process.wait(PATIENCE)
    if code is None:
        process.send(9)
        process.wait()
    return code


def _done(out: Path) -> dict[Path, dict[str, int]]:
    """Finished runs of a study, and the times of their files."""
    pages = out.glob("runs/*/report.html")
    return {p.parent.relative_to(out): _times(p.parent) for p in pages}


def _times(folder: Path) -> dict[str, int]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")
    return {str(p): p.stat().st_mtime_ns for p in files}


def _empty_figures() -> None:
    from matplotlib.figure import Figure

    def save(_: Figure, target: Any, **more: Any) -> None:
        if more["format"] == "svg":
            target.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        else:
            Path(target).write_bytes(b"no figure")

    Figure.savefig = save  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
