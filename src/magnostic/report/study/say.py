"""Figures as the study page prints them: in percent, as the paper does, intervals below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from magnostic.report.cells import Cell
from magnostic.report.words import MISSING, protocol

#: Titles of narrow columns and names in sentences.
_SHORT: Final = {
    "random": "random images",
    "official": "official folds",
    "patient": "patient-disjoint",
    "accession": "accession-disjoint",
    "source": "source-disjoint",
}


def short(name: str) -> str:
    """A protocol in few words: ``random images``, ``patient-disjoint``."""
    return _SHORT.get(name, protocol(name).title.lower())


def first_word(name: str) -> str:
    """A protocol in one word, for narrow columns: ``random``, ``patient``."""
    return re.split(r"[ -]", short(name))[0]


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as percent: ``41.2``."""
    return MISSING if value is None else f"{100 * value:.{digits}f}"


def between(metric: Mapping[str, Any]) -> str:
    """``33.0–49.8`` in percent, or nothing where there is no interval."""
    if metric.get("low") is None:
        return ""
    return f"{percent(metric['low'])}–{percent(metric['high'])}"


def figure(metric: Mapping[str, Any] | None) -> Cell:
    """A share in percent with its interval below."""
    if metric is None:
        return Cell(MISSING)
    return Cell(percent(metric["estimate"]), between(metric))


def points(value: float) -> str:
    """A difference in points: ``36.7``, ``−1.2``."""
    return f"{value:.1f}".replace("-", "−")


def points_between(metric: Mapping[str, Any]) -> str:
    """``−3.1 to 7.5``, or nothing."""
    if metric.get("low") is None:
        return ""
    return f"{points(metric['low'])} to {points(metric['high'])}"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """``68.0 to 97.9``, or the one value."""
    low, high = (f"{v:.{digits}f}".replace("-", "−") for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
