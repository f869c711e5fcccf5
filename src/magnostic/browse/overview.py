"""What the list, a run's page and a study's page show, as mappings for their templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from magnostic.browse import files, listing
from magnostic.browse.browser import Browser
from magnostic.browse.find import Found, Place
from magnostic.errors import BadInput
from magnostic.files import read_object
from magnostic.report import context, tables, words
from magnostic.report.comparison import PREDICTIONS
from magnostic.report.findings import grouped
from magnostic.report.settings import TASKS, settings
from magnostic.report.study.folder import STATUS
from magnostic.report.verdict import judge


def runs(browser: Browser, asked: listing.Asked) -> dict[str, Any]:
    found = browser.found()
    tops = [p for p in found.places.values() if not is_model(p, found)]
    lines = [listing.line(place, browser.runs) for place in tops]
    return {
        "asked": asked,
        "lines": listing.chosen(lines, asked),
        "n_all": len(lines),
        "protocols": listing.protocols(lines),
        "tasks": sorted({line.task for line in lines if line.task}),
        "states": listing.STATES,
        "cut": found.cut,
        "roots": [root.name or str(root) for root in browser.roots],
    }


def is_model(place: Place, found: Found) -> bool:
    """Whether it is one of a run's models, which that run's page lists."""
    return place.inside is not None and found.places[place.inside].kind == "run"


def run(browser: Browser, key: str) -> dict[str, Any]:
    place, shown = browser.run(key)
    found = browser.found()
    figures = files.listed(place.path, "figures")
    pdf = {Path(f.name).stem for f in figures if f.name.endswith(".pdf")}
    models = [p for p in found.places.values() if p.inside == key]
    return {
        **browser.head(place, shown),
        "task": TASKS.get(shown.task, shown.task),
        "verdict": judge(shown.metrics, shown.task, len(shown.classes), shown.controls),
        "headline": tables.headline(shown),
        "settings": settings(shown),
        "facts": context.facts(shown),
        "audit": grouped(shown.findings),
        "pictures": [
            (Path(f.name).stem, f.name, Path(f.name).stem in pdf)
            for f in figures
            if f.name.endswith(".png") and f.size
        ],
        "tables": [f for f in files.listed(place.path, "tables") if f.shown == "table"],
        "files": files.listed(place.path),
        "models": [(p, _scored(browser, p)) for p in models],
        "has_predictions": (place.path / PREDICTIONS).is_file(),
    }


def _scored(browser: Browser, place: Place) -> Mapping[str, Any] | None:
    """Accuracy of one model on its own fold."""
    run = browser.runs.read(place.path)
    if isinstance(run, str):
        return None
    result = next(iter(run.metrics["protocols"].values()))
    return {"accuracy": result["overall"]["accuracy"], "n": result["n_images"]}


def study(browser: Browser, key: str) -> dict[str, Any]:
    place = browser.place(key, "study")
    line = listing.line(place, browser.runs)
    if line.wrong:
        raise BadInput(line.wrong)
    found = browser.found()
    by_path = {p.path: p for p in found.places.values() if p.kind == "run"}
    about = read_object(place.path / "study.json")
    rows: list[dict[str, Any]] = []
    for entry in about["entries"]:
        at = by_path.get((place.path / str(entry.get("path", ""))).resolve())
        status = str(entry["status"])
        told = "done" if status == "done" else STATUS.get(status, status)
        reason = words.without_machine(str(entry.get("reason") or ""))
        rows.append(
            {
                "label": str(entry.get("label") or entry.get("key", "")),
                "group": str(entry.get("group") or ""),
                "settings": entry.get("settings") or {},
                "outcome": f"{told} ({reason})" if reason else told,
                "line": None if at is None else listing.line(at, browser.runs),
            }
        )
    return {
        "place": place,
        "name": line.name,
        "note": line.note,
        "description": words.without_machine(str(about.get("description") or "")).strip(),
        "rows": rows,
        "protocols": listing.protocols(r["line"] for r in rows if r["line"]),
        "has_report": (place.path / "report.html").is_file(),
        "files": files.listed(place.path),
    }
