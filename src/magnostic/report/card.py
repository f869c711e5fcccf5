"""The model card of a run: MODEL_CARD.md, from the files of its folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2

from magnostic import stored
from magnostic.errors import BadInput
from magnostic.files import read_object, write_text
from magnostic.models import licences
from magnostic.report import (
    answers,
    card_head,
    context,
    controls,
    folder,
    markdown,
    probabilities,
    published,
    robustness,
    tables,
    words,
)
from magnostic.report.card_rules import rules
from magnostic.report.findings import grouped
from magnostic.report.folder import RunFolder
from magnostic.report.page import described, flat
from magnostic.report.settings import TASKS, settings
from magnostic.report.verdict import judge
from magnostic.stored import as_written

NAME: Final = "MODEL_CARD.md"
#: What is known of data sets by the name of their reader: licence, citation.
_DATA: Final = {
    "breakhis": (published.BREAKHIS_LICENCE, published.BREAKHIS),
    "phantom": ("none needed: drawn by magnostic's phantom.", None),
}
_UNKNOWN: Final = "not known to magnostic; to be told by whoever publishes this model."


def write_card(run: Path, out: Path | None = None) -> Path:
    """Write ``MODEL_CARD.md``, as Hugging Face reads it.

    Args:
        run: a finished run folder, parent or child.
        out: the file to write; in the run folder by default.

    Returns:
        Its path. Equal folders give equal bytes.

    Raises:
        BadInput: ``run`` is no finished run, one of its files cannot be read, or ``out`` is a
            folder.
    """
    folders = stored.folders_for_use(run)
    if not (run / "run.json").is_file():
        raise BadInput(f"{run}: is one model of a run; give the run that it belongs to")
    if out is not None and out.is_dir():
        raise BadInput(f"{out}: is a folder; give the file to write, such as {out / NAME}")
    with as_written(run):
        return _write(run, folders, run / NAME if out is None else out)


def _write(run: Path, folders: Sequence[Path], target: Path) -> Path:
    models = [read_object(place / "model.json") for place in folders]
    encoders = [model.get("backbone_file") for model in models]
    calibration = run / stored.CALIBRATION
    shown = _build(
        folder.read(run),
        models[0],
        read_object(calibration) if calibration.is_file() else None,
        stored.digest(run, zip(folders, encoders, strict=True)),
    )
    # A child of several shares its parent's encoder, and is not enough without it.
    shown["alone"] = all(
        (place / name).resolve().is_relative_to(run.resolve())
        for place, name in zip(folders, encoders, strict=True)
        if name
    )
    write_text(target, environment().get_template("card.md.j2").render(**shown))
    return target


def _build(
    run: RunFolder,
    model: Mapping[str, Any],
    calibration: Mapping[str, Any] | None,
    digest: str,
) -> dict[str, Any]:
    """Everything that the template shows."""
    name = str(run.recipe.get("name") or "run")
    licence = licences.of_weights(model)
    of_data = _data_licences(run)
    names = words.ordered(run.metrics["protocols"])
    changed, description = described(run.recipe)
    return {
        "head": card_head.head(run, name, licence),
        "name": name,
        "description": description,
        "changed": changed,
        "synthetic": bool(run.data.get("synthetic")),
        "task": TASKS.get(run.task, run.task),
        "classes": [words.class_name(c) for c in run.classes],
        "verdict": judge(run.metrics, run.task, len(run.classes), run.controls),
        "use_note": run.run.get("model_for_use_note") or "",
        "weights": model.get("weights"),
        "weights_hash": model.get("weights_sha256"),
        "licence": licence,
        "digest": digest,
        "facts": context.facts(run),
        "counts": context.counts(run),
        "data_licences": of_data,
        "settings": settings(run),
        "protocols": [_protocol(run, key) for key in names],
        "headline": tables.headline(run),
        "gap": controls.gaps(run),
        "controls": controls.by_protocol(run),
        "rules": rules(run, calibration),
        "robustness": robustness.falls(run.robustness, words.ordered(run.robustness["protocols"]))
        if run.robustness
        else None,
        "limits": _limits(run),
        "findings": grouped(run.findings),
        "environment": flat(run.environment),
        "citations": [c for c in (*(c for _, _, c in of_data), licence.citation) if c],
    }


def _protocol(run: RunFolder, name: str) -> dict[str, Any]:
    """Results of one protocol; of probabilities only where they say something of new patients."""
    told = probabilities.section(run, name, None, None)
    known = run.metrics["protocols"][name].get("probabilities", {}).get("patients") == "known"
    return {
        "words": words.protocol(name),
        "classes": tables.by_class(run, name),
        "confusion": tables.confusion(run, name),
        "magnifications": tables.magnifications(run, name),
        "probabilities": None if known and len(run.metrics["protocols"]) > 1 else told,
    }


def _data_licences(run: RunFolder) -> list[tuple[str, str, str | None]]:
    """Name, licence and citation of each data set."""
    sources = [str(s) for s in run.data.get("sources", [])]
    return [(source, *_DATA.get(source, (_UNKNOWN, None))) for source in sources]


def _limits(run: RunFolder) -> list[str]:
    """What the figures do not show, from what the run holds and what it lacks."""
    data = run.data
    patients, seen = data.get("n_patients"), _magnifications(data)
    told = [
        f"Training and test together hold {words.plural(data['n_images'], 'photograph')}"
        + (f" of {words.plural(patients, 'patient')}" if patients else "; patients are not known")
        + ".",
        seen,
        ""
        if "source" in run.metrics["protocols"]
        else "Images from another source than those trained on were not tested.",
        answers.limits(run),
        ""
        if run.robustness
        else "Shifted stain, light, blur, compression and scale were not tested (magnostic "
        "robustness).",
        "Every photograph gets one of the classes, also one that shows none of them, such as "
        "normal tissue or another organ.",
        "Age, sex, origin and other characteristics of patients are not known to magnostic, so "
        "that differences between groups of people could not be examined.",
    ]
    return [sentence for sentence in told if sentence]


def _magnifications(data: Mapping[str, Any]) -> str:
    seen: dict[str, int] = {}
    for row in (data.get("counts") or {}).values():
        for magnification, n in row.items():
            seen[magnification] = seen.get(magnification, 0) + n
    numbers = sorted((m for m in seen if m.isdigit()), key=int)
    if not numbers:
        return "Magnifications are not known."
    named = ", ".join(f"{m}X ({seen[m]:,})" for m in numbers)
    return f"Magnifications of the photographs: {named}; nothing is known of others."


def environment() -> jinja2.Environment:
    """The card's template: Markdown, in which ``md`` keeps texts from being taken for markup."""
    # Markdown, not HTML: every text that comes from elsewhere goes through ``md``.
    made = jinja2.Environment(  # nosec B701
        loader=jinja2.PackageLoader("magnostic.report"),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["md"] = markdown.escaped
    made.filters["table"] = markdown.table
    return made
