"""Two processes at one cache, on the same photographs at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_WORK = """
import hashlib, sys
from pathlib import Path
import numpy as np
from magnostic.data import read_images
from magnostic.data.derived import derived
from magnostic.data.pixels import open_pixels

table = read_images(Path(sys.argv[1])).table
print("ready", flush=True)
sys.stdin.readline()
total = hashlib.sha256()
for size in range(16, 40, 2):
    pixels = open_pixels(table, size, "squeeze")
    total.update(np.asarray(pixels.array).tobytes())
    kept = derived("features", str(size), 48, lambda: np.asarray(pixels.array).mean(axis=(1, 2)))
    total.update(kept.tobytes())
print(total.hexdigest())
"""


def test_both_read_what_one_alone_reads_and_nothing_is_left_unfinished(
    tiny_breakhis: Path, tmp_path: Path
) -> None:
    def start(cache: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _WORK, str(tiny_breakhis)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "MAGNOSTIC_CACHE": str(tmp_path / cache), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    processes = [start(cache) for cache in ("shared", "shared", "alone")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    told = []
    for process in processes:  # all are at work before the first is waited for
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "damaged" not in err
        told.append(out)
    assert len(set(told)) == 1
    left = [p.name for p in (tmp_path / "shared").rglob("*") if p.suffix in (".tmp", ".unfinished")]
    assert not left
