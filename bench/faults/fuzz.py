"""Spoilt image files, texts and tables through every way of reading: a result or a stated refusal.

    python bench/faults/fuzz.py [--images 10000] [--texts 2000] [--seed 0] [--json FILE]
    python bench/faults/fuzz.py --only images:NUMBER,NUMBER    # those again, with what they said

Image files (PNG, JPEG, TIFF, GIF, BMP, WebP; of drawn tissue, and of the genuine photographs where
they are at hand) go through indexing, prediction, libspng beside Pillow, the server's uploads and
the reading of slides. Texts are recipes, studies, label maps, manifests, fold files, predictions
made elsewhere, and every file of a run, which is then used. An input is wrongly ended by a
traceback, a process that dies, more than 10 seconds (of the processor; 60 by the clock), more than
3 GiB of memory, a file read wrongly, or a whole file refused. Exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _fuzz_pool import ENDS, Outcome, outcomes  # noqa: E402
from _table import Row, finish  # noqa: E402

SECONDS, MEMORY = 10.0, 3072.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="images:N,N | texts:N,N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    numbers = {"images": range(asked.images), "texts": range(asked.texts)}
    if asked.only:
        what, _, given = asked.only.partition(":")
        numbers = {what: [int(n) for n in given.split(",")]}
    wrong: list[tuple[str, Outcome]] = []
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MAGNOSTIC_CACHE"] = str(folder / "cache")
        _make(folder)
        for what, chosen in ((w, c) for w, c in numbers.items() if len(c)):
            found = _all(what, asked, chosen, folder)
            _print(what, found)
            wrong += [(what, outcome) for outcome in found if outcome.wrong]
            rows += _rows(what, found)
    for what, outcome in wrong:
        words = (outcome.end, outcome.kind, outcome.how, outcome.name)
        print(f"\n--seed {asked.seed} --only {what}:{outcome.number}: {', '.join(words)}")
        print(outcome.said.strip()[-1500:])
    finish("faults/fuzz", rows, asked.json)
    sys.exit(bool(wrong))


def _make(folder: Path) -> None:
    """Whole texts and runs, made in a process of their own."""
    import subprocess

    script = "import sys, pathlib, _fuzz_open as o; o.make(pathlib.Path(sys.argv[1]))"
    where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, "-c", script, str(folder / "whole")]
    subprocess.run(command, check=True, env=where, stderr=subprocess.DEVNULL)


def _all(
    what: str, asked: argparse.Namespace, numbers: range | list[int], folder: Path
) -> list[Outcome]:
    found = []
    for outcome in outcomes(what, asked.seed, numbers, folder, SECONDS, MEMORY):
        found.append(outcome)
        if sys.stderr.isatty() and not len(found) % 50:
            print(f"{what} {len(found)}/{len(numbers)}", end="\r", file=sys.stderr)
    return found


def _print(what: str, found: list[Outcome]) -> None:
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        by_kind[outcome.kind].append(outcome)
    width = max(len(kind) for kind in (*by_kind, "kind"))
    heading = "".join(f"{end:>17}" for end in ENDS)
    print(f"\n{what}\n{'kind':{width}}{'tried':>7}{heading}{'slowest, s':>12}{'peak, MiB':>11}")
    for kind, outcomes_ in [*sorted(by_kind.items()), ("all", found)]:
        ends = Counter(outcome.end for outcome in outcomes_)
        cells = "".join(f"{ends[end]:>17}" for end in ENDS)
        slowest, peak = max(o.seconds for o in outcomes_), max(o.peak for o in outcomes_)
        print(f"{kind:{width}}{len(outcomes_):>7}{cells}{slowest:>12.2f}{peak:>11.0f}", flush=True)


def _rows(what: str, found: list[Outcome]) -> list[Row]:
    wrong = sum(outcome.wrong for outcome in found)
    read = sum(outcome.end == "read" for outcome in found)
    return [
        Row(f"spoilt {what}", len(found), ""),
        Row(f"{what} read", read, ""),
        Row(f"{what} ended wrongly", wrong, "", "none", not wrong),
        Row(f"{what}: slowest", max(o.seconds for o in found), "s", "at most 10",
            max(o.seconds for o in found) <= SECONDS),
        Row(f"{what}: memory beyond the start, peak", max(o.peak for o in found), "MiB",
            "at most 3072", max(o.peak for o in found) <= MEMORY),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
