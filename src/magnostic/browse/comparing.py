"""What the comparison's page shows: ``magnostic compare`` on runs chosen by key."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from magnostic.browse.browser import Browser, Missing
from magnostic.browse.overview import is_model
from magnostic.errors import MagnosticError
from magnostic.evaluate import compare
from magnostic.report import comparison

#: As the command does unless told otherwise.
RESAMPLES: Final = 10_000
#: Comparisons that are kept.
_KEPT: Final = 32

#: One at a time, so that a second request for the same takes it from what is kept.
_lock = threading.Lock()


def compared(browser: Browser, keys: Sequence[str], protocol: str, task: str) -> dict[str, Any]:
    """``problem`` says why runs cannot be compared; there is no ``result`` then."""
    found = browser.found()
    places = []
    for key in dict.fromkeys(keys):
        place = found.places.get(key)
        if place is None or place.kind != "run":
            raise Missing(f"no run {key!r} in the folders given")
        places.append(place)
    shown: dict[str, Any] = {
        "places": places, "protocol": protocol, "task": task, "protocols": [],
        "result": None, "problem": None, "resamples": RESAMPLES,
        "others": [p for p in found.places.values()
                   if p.kind == "run" and p not in places and not is_model(p, found)],
    }  # fmt: skip
    if len(places) < 2:
        return shown
    paths = tuple(place.path for place in places)
    try:
        loaded = comparison.read(paths)
        shown["protocols"] = comparison.protocols(loaded)
        shown["protocol"] = protocol or shown["protocols"][0]
        stamps = tuple((p / comparison.PREDICTIONS).stat().st_mtime_ns for p in paths)
        with _lock:
            result = _compare(paths, stamps, shown["protocol"], task)
    except MagnosticError as error:
        shown["problem"] = _without_roots(str(error), browser.roots)
        return shown
    return shown | {
        "result": result,
        "heading": comparison.heading(result),
        "systems": comparison.systems(result),
        "pairs": [
            {
                "words": pair["words"],
                "grid": comparison.differences(pair, result),
                "tests": comparison.tests(pair, len(result["pairs"])),
                "figures": pair["figures"],
                "sentences": [f["words"] for f in pair["figures"].values()],
            }
            for pair in result["pairs"]
        ],
    }


@lru_cache(_KEPT)
def _compare(
    paths: tuple[Path, ...], _: tuple[int, ...], protocol: str, task: str
) -> dict[str, Any]:
    return compare.compare(
        comparison.read(paths), protocol, binary=task == "binary", resamples=RESAMPLES
    )


def _without_roots(said: str, roots: Sequence[Path]) -> str:
    for root in roots:
        said = said.replace(f"{root.parent}/", "")
    return said
