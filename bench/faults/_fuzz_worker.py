"""One process that reads spoilt files: a number a line in, what came of it a line out.

    python _fuzz_worker.py images|texts SEED FOLDER MEMORY

FOLDER holds the whole texts (``whole``) and is where inputs are written; MEMORY is the address
space in MiB that it may take beyond what it has after its imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def main() -> None:
    what, seed, folder, memory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    # What is printed must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    work = folder / f"work-{os.getpid()}"
    work.mkdir()
    with contextlib.ExitStack() as stack:
        one = (_images if what == "images" else _texts)(seed, folder, work, stack)
        one(0)  # imports happen now
        _limit(memory)
        print("ready", file=answers)
        for line in sys.stdin:
            told = _told(one, int(line))
            print(json.dumps(told), file=answers)


def _told(one: Callable[[int], dict[str, Any]], number: int) -> dict[str, Any]:
    _reset_peak()
    before = _status("VmRSS")
    found: dict[str, Any] = {}
    try:
        found = one(number)
    except BaseException as error:  # what must not happen, and is told
        where = traceback.format_exc()
        found = {**getattr(error, "about", {}), "end": "traceback", "said": where[-3000:]}
    return {**found, "peak": max(0, _status("VmHWM") - before) / 1024}


def _images(
    seed: int, folder: Path, work: Path, stack: contextlib.ExitStack
) -> Callable[[int], dict[str, Any]]:
    from _fuzz_images import spoilt
    from _fuzz_read import Reader
    from starlette.testclient import TestClient

    from magnostic.deploy.server import Settings, create_app, load_models

    models = load_models(folder / "whole" / "run", engine="torch")
    app = create_app(models, Settings())
    reader = Reader(work, stack.enter_context(TestClient(app, base_url="http://127.0.0.1")))

    def one(number: int) -> dict[str, Any]:
        given = spoilt(seed, number)
        about = {"kind": given.kind, "how": given.how, "name": given.name}
        with _about(about):
            return {**about, "end": "read" if reader(given) else "refused"}

    return one


def _texts(
    seed: int, folder: Path, work: Path, stack: contextlib.ExitStack
) -> Callable[[int], dict[str, Any]]:
    from _fuzz_open import Opener, no_figures
    from _fuzz_texts import Files, spoilt

    stack.enter_context(no_figures())
    files = Files(folder / "whole")
    opener = Opener(files, work)

    def one(number: int) -> dict[str, Any]:
        given = spoilt(seed, number, files)
        about = {"kind": given.kind, "how": given.how, "name": given.name}
        with _about(about):
            return {**about, "end": "read" if opener(given) else "refused"}

    return one


@contextlib.contextmanager
def _about(about: dict[str, Any]) -> Any:
    try:
        yield
    except BaseException as error:
        error.about = about  # type: ignore[attr-defined]
        raise


def _limit(memory: int) -> None:
    """Allocations beyond fail instead of filling the machine."""
    most = _status("VmSize") * 1024 + memory * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _status(name: str) -> int:
    """A line of the kernel's own account of this process, KiB."""
    for line in (
        Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    ):
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


if __name__ == "__main__":
    main()
