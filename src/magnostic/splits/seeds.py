"""One independent random generator for each purpose of a run."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that depends on the seed and the purpose alone.

    ``generator(7, "patient", 0)`` gives the same draws whatever other protocols a recipe names.
    """
    words = [
        part
        if isinstance(part, int)
        else int.from_bytes(hashlib.sha256(part.encode()).digest()[:8])
        for part in purpose
    ]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
