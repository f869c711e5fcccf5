"""A small part of ``bench/faults/fuzz.py``, and that its workers tell what must not happen."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from magnostic.data import Images
from magnostic.deploy.server import Settings, create_app, load_models

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "faults"))

import _fuzz_images as images
import _fuzz_texts as texts
from _fuzz_open import Opener, around, no_figures
from _fuzz_pool import Outcome, Worker
from _fuzz_read import Reader


@pytest.fixture(scope="module")
def whole(
    tiny_run: Path, tiny_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> texts.Files:
    root = tmp_path_factory.mktemp("whole")
    for name in ("run", "tuned"):
        shutil.copytree(tiny_run, root / name, copy_function=os.link)
    around(root, tiny_images)
    return texts.Files(root)


@pytest.fixture(scope="module")
def client(tiny_run: Path) -> Iterator[TestClient]:
    app = create_app(load_models(tiny_run, engine="torch"), Settings())
    with TestClient(app, base_url="http://127.0.0.1") as found:
        yield found


def test_spoilt_image_files_are_read_or_refused(client: TestClient, tmp_path: Path) -> None:
    reader = Reader(tmp_path, client, every=5)
    # Bombs take seconds and have tests of their own.
    given = [g for g in (images.spoilt(7, n) for n in range(200)) if g.how not in ("bomb", "sizes")]
    ends = Counter(reader(one) for one in given)
    assert len(given) >= 150
    assert min(ends[True], ends[False]) >= 30


def test_spoilt_texts_are_read_or_refused(whole: texts.Files, tmp_path: Path) -> None:
    opener = Opener(whole, tmp_path)
    # A report takes half a second; the files that need one have tests of their own (test_stored).
    quick = [kind for kind in texts.WHOLE if not kind.startswith(("run: ", "predictions"))]
    quick += ["run: model.json", "run: safetensors", "run: reference.parquet"]  # fmt: skip
    given = [g for g in (texts.spoilt(7, n, whole) for n in range(250)) if g.kind in quick]
    with no_figures():
        ends = Counter(opener(one) for one in given)
    assert len(given) >= 100
    assert min(ends[True], ends[False]) >= 15


def test_whole_files_of_every_kind_are_taken(whole: texts.Files, tmp_path: Path) -> None:
    opener = Opener(whole, tmp_path)
    with no_figures():
        for kind, (folder, _) in texts.WHOLE.items():
            if kind.startswith(("run: ", "study: ")) and kind != "run: model.json":
                continue
            path = whole.of(kind)[0]
            name = str(path.relative_to(whole.root / folder))
            assert opener(texts.Text(kind, "unchanged", name, path.read_bytes(), whole=True)), kind


def test_equal_seeds_give_equal_inputs(whole: texts.Files) -> None:
    for n in range(60):
        assert images.spoilt(3, n).data == images.spoilt(3, n).data
    first = [texts.spoilt(3, n, whole).data for n in range(30)]
    assert first == [texts.spoilt(3, n, whole).data for n in range(30)]
    assert first != [texts.spoilt(4, n, whole).data for n in range(30)]


_CODE = """
import ctypes, json, sys, time
print("ready", flush=True)
for line in sys.stdin:
    n = int(line)
    told = {"kind": "k", "how": "h", "name": "n", "end": "read", "peak": 1.0}
    if n == 1: ctypes.string_at(0)
    if n == 2:
        while True: pass
    if n == 7: time.sleep(60)
    if n == 3: told |= {"end": "traceback", "said": "ValueError"}
    if n == 4: told["peak"] = 500.0
    if n == 5: print("Traceback (most recent call last)", file=sys.stderr, flush=True)
    if n == 6: told["end"] = "refused"
    print(json.dumps(told), flush=True)
"""


@pytest.fixture(scope="module")
def ends() -> dict[int, Outcome]:
    worker = Worker([sys.executable, "-c", _CODE], seconds=0.5, memory=100.0)
    try:
        return {n: worker.run(n) for n in range(8)}
    finally:
        worker.close()


@pytest.mark.parametrize(
    "number, end",
    [(0, "read"), (1, "crashed"), (2, "hung"), (3, "traceback"), (4, "too much memory"),
     (5, "traceback"), (6, "refused"), (7, "hung")],
)  # fmt: skip
def test_what_must_not_happen_is_told_of_its_input(
    number: int, end: str, ends: dict[int, Outcome]
) -> None:
    """A segmentation fault, a loop or wait without end, a traceback thrown or printed, memory."""
    assert ends[number].end == end
    assert ends[number].wrong is (end not in ("read", "refused"))
    if number == 1:
        assert "SIGSEGV" in ends[number].said
