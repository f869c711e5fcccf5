"""``report.html`` of one slide: maps and figures on one page that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from magnostic.data.summary import counted
from magnostic.files import write_text
from magnostic.report.page import environment
from magnostic.taxonomy import BY_CODE

HEAT_MAP: Final = "heatmap.png"
CLASS_MAP: Final = "classes.png"
_MAPS: Final = (
    (HEAT_MAP, "Probability of malignancy of each tile with tissue, over the slide."),
    (CLASS_MAP, "Likeliest class of each tile with tissue, and in how many tiles it is that."),
)


def class_names(classes: Sequence[str]) -> dict[str, str]:
    """Of each class, for people: a tumour type by its name."""
    return {c: f"{c} {BY_CODE[c].name}" if c in BY_CODE else c for c in classes}


def write(folder: Path, told: dict[str, Any]) -> None:
    """Write ``report.html`` beside the maps.

    Args:
        told: content of ``summary.json``.
    """
    maps = [(_uri(folder / name), caption) for name, caption in _MAPS if (folder / name).is_file()]
    text = environment().get_template("slide.html.j2").render(
        slide=told["slide"],
        model=told["model"],
        note=told["note"],
        enlarged=told["enlarged"],
        maps=maps,
        headline=_headline(told),
        classes=_classes(told),
        facts=_facts(told),
    )  # fmt: skip
    write_text(folder / "report.html", text)


def _uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _headline(told: dict[str, Any]) -> str:
    if not told["tiles"]:
        return "No tile holds enough tissue to be predicted."
    text = f"{counted(told['tiles'], 'tile')} with tissue ({told['tissue_in_tiles_mm2']:.2f} mm²)"
    if told["mean_malignant"] is not None:
        text += f"; mean probability of malignancy {told['mean_malignant']:.3f}"
    return f"{text}; to review: {_percent(told['review_share'])}."


def _classes(told: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    names = class_names(told["classes"])
    return [
        (
            names[c],
            str(told["class_tiles"][c]),
            _percent(told["class_shares"][c]),
            _number(told["mean_probabilities"][c]),
        )
        for c in told["classes"]
    ]


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    asked = f" ({told['magnification']:g}X)" if told["magnification"] else ""
    micrometres = " x ".join(f"{v:.0f}" for v in told["tile_microns"])
    reasons = ", ".join(f"{name} {n}" for name, n in sorted(told["reasons"].items()))
    points = [
        (f"tiles counted {name.replace('_', ', at point ')}", _percent(share))
        for name, share in told["operating_points"].items()
    ]
    return [
        ("slide", f"{told['size'][0]} x {told['size'][1]} pixels, {told['format']}"),
        ("its pixels", f"{told['mpp'][0]:.4g} µm, from {told['mpp_from']}"),
        ("tiles", f"{told['tile_mpp']:.4g} µm a pixel{asked}, {micrometres} µm"),
        ("read from", f"level {told['level']}, downsampled {told['level_downsample'][0]:.4g}"),
        ("tissue", f"{told['tissue_mm2']:.2f} mm², {told['tissue_in_tiles_mm2']:.2f} in tiles"),
        ("tiles in all", f"{told['tiles_in_grid']}, passed over {told['tiles_background']} with "
                         f"less than {_percent(told['least_tissue'])} tissue"),
        ("tiles that could not be read", str(told["tiles_unread"])),
        ("to review", f"{_percent(told['review_share'])}" + (f" ({reasons})" if reasons else "")),
        *points,
        ("probabilities", f"temperature {told['temperature']:.3g}, fitted on photographs"
                          if told["calibrated"] else "as predicted, not calibrated"),
        ("engine", told["engine"]),
        ("model", f"{told['model']}, {told['model_digest']}"),
        ("magnostic", told["version"]),
    ]  # fmt: skip


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f}%"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
