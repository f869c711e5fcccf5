"""Mutated archives: what isn't the right tree is an error, and nothing lands outside."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import _fetch_archives as archives
import _fetch_run
import pytest

from magnostic.data.download.patience import Corrupt, Unfit
from magnostic.data.download.unpacking import Unpacking


def mutated(data: bytes, random_: random.Random) -> bytes:
    """A few bytes changed, mostly in headers; now and then a piece cut out or doubled."""
    made = bytearray(data)
    for _ in range(random_.randrange(1, 6)):
        block = random_.randrange(len(made) // 512) * 512
        at = block + random_.choice((0, 100, 124, 148, 156, 157, 257, 345, random_.randrange(512)))
        made[at] = random_.choice((0, 0x2F, 0x2E, 0x30, 0x35, 0x78, 0x80, 0xFF))
    if random_.random() < 0.2:
        first = random_.randrange(len(made))
        del made[first : first + random_.randrange(2000)]
    return bytes(made)


def test_mutations(tmp_path: Path) -> None:
    plain, random_ = gzip.decompress(archives.right()), random.Random(0)
    archive, outcomes = tmp_path / "in" / "a.tar.gz", {"right": 0, "error": 0}
    archive.parent.mkdir()
    for number in range(80):
        archive.write_bytes(gzip.compress(mutated(plain, random_), 1))
        root = tmp_path / "out" / str(number)
        root.parent.mkdir(exist_ok=True)
        try:
            Unpacking(root, _fetch_run.wanted()).unpack(archive)
        except (Corrupt, Unfit):
            outcomes["error"] += 1
            assert not root.exists()
        else:  # a change within the pixels, which only a checksum could tell
            outcomes["right"] += 1
            assert _fetch_run.tree(root).keys() == _fetch_run.expected().keys()
    assert min(outcomes.values()) > 10
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}
    assert all(p.name.isdigit() for p in (tmp_path / "out").iterdir())


@pytest.mark.parametrize("keep", [0, 1, 5, 17, 1000, -1])
def test_cut_anywhere(tmp_path: Path, keep: int) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(archives.right()[:keep])
    with pytest.raises(Corrupt):
        Unpacking(tmp_path / "root", _fetch_run.wanted()).unpack(archive)
