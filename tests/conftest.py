"""Fixtures shared by all tests: where the genuine photographs and the official folds lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("MAGNOSTIC_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def breakhis_sample() -> Path:
    """The root of the genuine BreakHis sample; the test skips where it is absent."""
    root = SHARED / "breakhis-sample" / "BreaKHis_v1"
    if not root.is_dir():
        pytest.skip(f"no genuine BreakHis sample at {root} (set MAGNOSTIC_SHARED to its parent)")
    return root


@pytest.fixture(scope="session")
def fold_files() -> Path:
    """The folder of dsfold1..5.txt; the test skips where it is absent."""
    folder = SHARED / "breakhis-folds"
    if not (folder / "dsfold1.txt").is_file():
        pytest.skip(f"no official fold files at {folder} (set MAGNOSTIC_SHARED to its parent)")
    return folder
