"""Small predictions tables drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from magnostic.evaluate.predictions import Predictions

Draw = Callable[..., Predictions]


def draw(
    seed: int,
    n: int = 60,
    classes: Sequence[str] = ("A", "F", "DC", "LC"),
    *,
    patients: int = 9,
    protocol: str = "patient",
    repeat: int = 0,
    skill: float = 1.0,
    ties: bool = True,
) -> Predictions:
    """Predictions of ``n`` images; ``ties`` rounds probabilities so that many are equal."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(classes), n)
    logits = rng.normal(size=(n, len(classes)))
    logits[np.arange(n), truth] += skill
    p = np.exp(np.round(logits * 2) / 2 if ties else logits)
    p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
    patient = rng.integers(0, patients, n)
    names = np.asarray(classes, dtype=object)
    frame = pd.DataFrame(
        {
            "image_id": [f"i{k:04d}" for k in range(n)],
            "slide_id": [f"s{k}" for k in patient],
            "patient_id": [f"s{k}" for k in patient],
            "accession": [f"a{k // 2}" for k in patient],
            "magnification": pd.array(rng.choice([40, 100, 200, 400], n), dtype="Int16"),
            "protocol": protocol,
            "repeat": np.int16(repeat),
            "fold": (patient % 3).astype(np.int16),
            "part": "test",
            "y_true": names[truth],
            "y_pred": names[p.argmax(axis=1)],
        }
    )
    scores = pd.DataFrame(p, columns=[f"p_{c}" for c in classes])
    return Predictions(pd.concat([frame, scores], axis=1))


@pytest.fixture(scope="session")
def drawn() -> Draw:
    return draw


def together(*parts: Predictions) -> Predictions:
    return Predictions(pd.concat([p.table for p in parts], ignore_index=True))


@pytest.fixture(scope="session")
def pooled() -> Callable[..., Predictions]:
    return together
