"""Arrays beside the pixel cache: computed once, and anew where the file is no good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from magnostic.data.derived import derived
from magnostic.errors import RunFailed


class Counted:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> np.ndarray:
        self.times += 1
        return np.full((3, 2), self.times)


def test_an_array_is_computed_once_for_a_key(tmp_path: Path) -> None:
    compute = Counted()
    for key, expected in (("a", 1), ("a", 1), ("b", 2)):
        assert derived("features", key, 3, compute, tmp_path)[0, 0] == expected
    assert compute.times == 2


def test_a_damaged_or_short_file_is_computed_anew(tmp_path: Path) -> None:
    compute = Counted()
    derived("features", "a", 3, compute, tmp_path)
    [path] = (tmp_path / "features").glob("*.npy")
    for content in (b"", path.read_bytes()[:-4]):
        path.write_bytes(content)
        assert derived("features", "a", 3, compute, tmp_path)[0, 0] == compute.times
    assert derived("features", "a", 4, compute, tmp_path)[0, 0] == compute.times == 4


def test_no_changed_bit_goes_unnoticed(tmp_path: Path) -> None:
    compute = Counted()
    derived("features", "a", 3, compute, tmp_path)
    [path] = (tmp_path / "features").glob("*.npy")
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        before = compute.times
        derived("features", "a", 3, compute, tmp_path)
        assert compute.times == before + 1


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.save", full)
    with pytest.raises(
        RunFailed, match=r"the disk is full: .* free space, .* or set MAGNOSTIC_CACHE"
    ):
        derived("features", "a", 3, Counted(), tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
