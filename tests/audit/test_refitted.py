"""What is told of stated rules that are not those fitted anew."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from magnostic.audit import refitted


def test_abstention_that_one_part_alone_can_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compared with that part, and a point of an unknown name is an issue like any other."""
    abstention = {"fit 0": None, "fit 1": 0.5, "apply 0": 0.7, "apply 1": 0.9}

    def refit(_: object, __: object, rows: Any) -> Any:
        name = "apply" if rows[0] in (0, 2) else "fit"
        which = 0 if rows[0] in (0, 1) else 1
        return SimpleNamespace(temperature=1.0, abstention=abstention[f"{name} {which}"],
                               points={}, limits=defaultdict(lambda: 0.5))  # fmt: skip

    monkeypatch.setattr(refitted._Judged, "refit", refit)
    judged = refitted._Judged(None, np.array(["a", "b", "c", "d"]))  # type: ignore[arg-type]
    steps = [SimpleNamespace(fit=np.array([n + 1]), apply=np.array([n])) for n in (0, 2)]
    plan: Any = SimpleNamespace(groups=np.arange(4), steps=steps)
    stated = {
        "temperatures": [1.0, 1.0],
        "binary": {"points": [{"point": "mystery", "thresholds": [0.3]}]},
        "selective": {"abstention": {"thresholds": [0.9]}},
    }
    refitted._crossed(judged, plan, stated)
    assert [text.split()[0] for text in judged.wrong] == ["mystery", "abstention"]
    assert judged.peeked == {"c"}
