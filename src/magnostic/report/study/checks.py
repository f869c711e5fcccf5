"""What qualifies each row: audit, stain fall-backs, types not learnable, and its settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from magnostic.report.cells import Cell, Table, Value, cells
from magnostic.report.study.folder import Entry, Study
from magnostic.report.words import MISSING, protocol, without_machine

_NONE: Final = "none"
_IMAGES: Final = "images"
#: Fields that name a row or describe it in prose.
_NO_SETTING: Final = ("name", "description")


def checks(study: Study) -> Table | None:
    """Audit issues by protocol, photographs left unchanged, and types not learnable."""
    if not study.done:
        return None
    stained = any(_colour(entry) for entry in study.done)
    scopes = [s for s in (_IMAGES, *study.protocols) if any(_issues(e, s) for e in study.done)]
    rows, records = [], []
    for entry in study.done:
        colour, missing = _colour(entry), _not_learnable(entry)
        number = sum(len(_issues(entry, scope)) for scope in scopes)
        line = [Cell(entry.label, entry.detail)]
        line += [Cell(", ".join(_issues(entry, scope)) or _NONE) for scope in scopes]
        line.append(Cell(missing or _NONE))
        if stained:
            line += cells([f"{colour['fell_back']:,} of {colour['of']:,}" if colour else None])
        rows.append(line)
        record: dict[str, Value] = {
            "key": entry.key, "label": entry.label, "settings": entry.detail, "issues": number,
            **{f"issues_{scope}": " ".join(_issues(entry, scope)) for scope in scopes},
            "not_learnable": missing,
            "stain_method": str(colour.get("method", "")),
            "fell_back": colour.get("fell_back"), "fell_back_of": colour.get("of"),
        }  # fmt: skip
        records.append(record)
    titles = sorted({(str(f["code"]), str(f["title"])) for e in study.done for f in _found(e)})
    caption = "Checks of the audit that found an issue, by protocol."
    if titles:
        caption += " " + "; ".join(
            f"{code}: {title[0].lower()}{title[1:]}" for code, title in titles
        )
        caption += "."
    caption += " Not learnable: types without a training image in a fold."
    if stained:
        caption += " Last column: photographs too pale or blank for stain normalization."
    heads = ["Images" if s == _IMAGES else protocol(s).title for s in scopes]
    return Table(
        "checks",
        caption,
        ["", *heads, "Not learnable", *(["Left unchanged"] if stained else [])],
        rows,
        records,
        text=len(scopes) + 2,
    )


def _found(entry: Entry) -> list[dict[str, Any]]:
    findings = entry.run.findings if entry.run else []
    return [f for f in findings if f.get("status") == "issue"]


def _issues(entry: Entry, scope: str) -> list[str]:
    """Codes of the checks that found an issue in a protocol or in the images."""
    here = (f for f in _found(entry) if str(f["scope"]).partition("/")[0] == scope)
    return sorted({str(f["code"]) for f in here})


def _colour(entry: Entry) -> Mapping[str, Any]:
    return (entry.run.data.get("colour") if entry.run else None) or {}


def _not_learnable(entry: Entry) -> str:
    """``A, TA (accession-disjoint)`` by protocol."""
    if entry.run is None:
        return ""
    says = []
    for name, result in entry.results().items():
        codes = {c for fold in result["by_fold"] for c in fold["not_estimable"]}
        if codes:
            known = [c for c in entry.run.classes if c in codes]
            says.append(f"{', '.join(known)} ({protocol(name).title.lower()})")
    return "; ".join(says)


def settings(study: Study) -> tuple[Table | None, list[tuple[str, str]]]:
    """Fields in which a row differs from most rows, and all fields in which none differs."""
    flat = {entry.key: _flat(entry.run.recipe) for entry in study.done if entry.run}
    fields = list(dict.fromkeys(field for values in flat.values() for field in values))
    usual, common = {}, []
    for field in fields:
        numbers = Counter(values[field] for values in flat.values() if field in values)
        if len(numbers) == 1 and all(field in values for values in flat.values()):
            common.append((field, next(iter(numbers))))
        else:
            usual[field] = numbers.most_common(1)[0]  # of equals the first row's
    usual_values = {f: value for f, (value, n) in usual.items() if n > 1 or len(flat) == 1}
    if not usual:
        return None, common
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    for entry in study.done:
        values = flat[entry.key]
        own = [
            f"{f} {values[f]}" for f in usual if f in values and values[f] != usual_values.get(f)
        ]
        rows.append([Cell(entry.label, entry.detail), Cell("; ".join(own) or MISSING)])
        records.append(
            {"key": entry.key, "label": entry.label, **{f: values.get(f, "") for f in usual}}
        )
    most = "; ".join(f"{field} {value}" for field, value in usual_values.items())
    caption = "Settings in which a row differs from most."
    caption += f" Most of the rows that have the field: {most}." if most else ""
    return Table("settings", caption, ["", "Differs in"], rows, records, text=2), common


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    pairs: dict[str, str] = {}
    for key, value in recipe.items():
        name = f"{prefix}{key}"
        if not prefix and key in _NO_SETTING:
            continue
        if isinstance(value, Mapping) and value:
            pairs |= _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            pairs[name] = without_machine(", ".join(map(str, value))) or _NONE
        elif isinstance(value, Mapping) or value is None:
            pairs[name] = _NONE
        else:
            pairs[name] = without_machine(str(value))
    return pairs
