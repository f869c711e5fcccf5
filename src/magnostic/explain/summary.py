"""How often maps were better than random ones, over all photographs that were explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from scipy import stats

from magnostic.evaluate import bootstrap
from magnostic.evaluate.bootstrap import Estimate, Sampling
from magnostic.evaluate.metrics import Floats
from magnostic.explain.faithful import Faithfulness
from magnostic.report.words import plural

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Measured:
    """Deletion or insertion over n photographs.

    Attributes:
        better: photographs whose map was better than most of its random maps. With an odd number
            of these, half of all photographs are by chance alone.
        low, high: of the share, exact binomial interval (Clopper and Pearson, *Biometrika* 26,
            1934). Photographs count as independent, which those of one slide are not: it is too
            narrow where there are several of one.
        auc, random_auc: means over photographs; of the random maps' means.
        difference: map less random, with a bootstrap interval over photographs.
    """

    name: str
    n: int
    better: int
    low: float
    high: float
    auc: float
    random_auc: float
    difference: Estimate

    @property
    def share(self) -> float:
        return self.better / self.n

    def as_dict(self) -> dict[str, Any]:
        """For ``explanations.json``."""
        return {**asdict(self), "share": self.share, "difference": self.difference.as_dict()}


def summarize(found: Sequence[Faithfulness]) -> list[Measured]:
    """Deletion and insertion over all photographs; [] where nothing was measured."""
    if not found:
        return []
    return [
        _of("deletion", [f.deletion_auc for f in found], [f.deletion_better for f in found]),
        _of("insertion", [f.insertion_auc for f in found], [f.insertion_better for f in found]),
    ]


def _of(name: str, areas: Sequence[Floats], better: Sequence[float]) -> Measured:
    own = np.array([a[0] for a in areas])
    other = np.array([a[1:].mean() for a in areas])
    n, most = len(areas), int((np.asarray(better) > 0.5).sum())
    interval = stats.binomtest(most, n).proportion_ci(CONFIDENCE, method="exact")

    def mean(weights: Floats) -> dict[str, Floats]:
        return {"difference": weights @ (own - other) / weights.sum(axis=1)}

    sampling = Sampling(confidence=CONFIDENCE)
    difference = bootstrap.resample(mean, n, sampling, f"explain {name}")["difference"][0]
    return Measured(
        name,
        n,
        most,
        float(interval.low),
        float(interval.high),
        float(own.mean()),
        float(other.mean()),
        difference,
    )


def in_words(measured: Measured, maps: int) -> str:
    """The finding in one plain sentence or two."""
    what = (
        "Covering what a map marks first lowered the class's probability faster"
        if measured.name == "deletion"
        else "Uncovering what a map marks first raised the class's probability faster"
    )
    if measured.low > 0.5:
        verdict = "That is more often than chance."
    elif measured.high < 0.5:
        verdict = "That is less often than chance: these maps mislead."
    else:
        verdict = "That cannot be told from chance, which is half."
    others = "a random map" if maps == 1 else f"most of {maps} random maps"
    return (
        f"{what} than {others} of the same smoothness on {measured.better} of "
        f"{plural(measured.n, 'photograph')} ({measured.share:.2f}, 95% interval "
        f"{measured.low:.2f} to {measured.high:.2f}). {verdict}"
    )
