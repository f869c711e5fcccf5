"""Drawings of probabilities: reliability, errors among the answered images, sizes of sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from magnostic.evaluate.conformal import IMAGE
from magnostic.report.style import BLUE, MUTED, ORANGE, SKY, VERMILION, Picture, figure, rc, save
from magnostic.report.words import level, protocol, resampling, share

#: Level of the sets that are drawn and described.
LEVEL: Final = 0.9


def reliability(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture:
    """Share predicted rightly against stated confidence, before and after the temperature."""
    found = metrics["protocols"][name]["probabilities"]
    series = (("raw", "as predicted", ORANGE, "o"), ("calibrated", "after temperature", BLUE, "s"))
    with rc():
        drawn, (axes,) = figure(3.4)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, ls="--")
        for key, label, colour, marker in series:
            if not found[key]:
                continue
            bins = found[key]["bins"]
            x = [b["confidence"] for b in bins]
            axes.plot(x, [b["accuracy"]["estimate"] for b in bins], color=colour, lw=1, alpha=0.6)
            for b in bins:
                accuracy = b["accuracy"]
                if accuracy["low"] is not None:
                    ends = [accuracy["low"], accuracy["high"]]
                    axes.plot([b["confidence"]] * 2, ends, color=colour, lw=1.1)
                axes.plot(b["confidence"], accuracy["estimate"], marker, color=colour, ms=4.5)
            axes.plot([], [], marker + "-", color=colour, ms=4.5, lw=1, label=label)
        axes.set_xlim(0, 1.015)
        axes.set_ylim(0, 1.03)
        axes.set_xlabel("Stated probability of the predicted class")
        axes.set_ylabel("Share predicted rightly")
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
        return save(
            drawn,
            folder,
            f"reliability_{name}",
            f"Reliability diagram, {protocol(name).title.lower()}",
            "Reliability of the stated probability in bins of equal numbers of images. Dashed: "
            "stated as it comes true; below it, overconfident. "
            + resampling(metrics, found["cluster"]),
        )


def risk_coverage(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture:
    """Share of wrong answers as fewer and fewer images are answered."""
    result = metrics["protocols"][name]["probabilities"]
    found = result["selective"]
    x = [point["coverage"] for point in found["curve"]]
    risks = [point["risk"] for point in found["curve"]]
    with rc():
        drawn, (axes,) = figure(3.0)
        axes.axhline(found["risk"]["estimate"], color=MUTED, lw=1, ls="--")
        if all(r["low"] is not None for r in risks):
            axes.fill_between(x, [r["low"] for r in risks], [r["high"] for r in risks],
                              color=SKY, alpha=0.35, lw=0)  # fmt: skip
        axes.plot(x, [r["estimate"] for r in risks], "-o", color=BLUE, lw=1.4, ms=3)
        rule = found["abstention"]
        told = ""
        if rule and rule["certifiable"] and rule["answered"]["estimate"]:
            axes.plot(
                rule["answered"]["estimate"], rule["risk"]["estimate"], "D", color=VERMILION, ms=6
            )
            told = "Diamond: the abstention threshold. "
        axes.set_xlim(0, 1.02)
        top = max(r["high"] if r["high"] is not None else r["estimate"] for r in risks)
        axes.set_ylim(0, min(1.03, max(0.1, 1.1 * top)))
        axes.set_xlabel("Share of images answered, the most confident first")
        axes.set_ylabel("Share of these that is wrong")
        axes.grid()
        return save(
            drawn,
            folder,
            f"risk_coverage_{name}",
            f"Errors among answered images, {protocol(name).title.lower()}",
            f"Risk-coverage curve: AURC {share(found['aurc']['estimate'])}; dashed: error rate "
            f"of all images, {share(found['risk']['estimate'])}. {told}"
            + resampling(metrics, result["cluster"]),
        )


def set_sizes(metrics: Mapping[str, Any], name: str, folder: Path) -> Picture | None:
    """How many classes the conformal sets hold, for both units."""
    found = metrics["protocols"][name]["probabilities"]
    entries = [e for e in found["conformal"] if e["level"] == LEVEL and e["certifiable"]]
    if not entries:
        return None
    unit = found["cluster"]
    with rc():
        drawn, (axes,) = figure(2.7)
        n = len(entries[0]["sizes"])
        width = 0.8 / len(entries)
        for k, entry in enumerate(entries):
            sizes = np.array(entry["sizes"], dtype=float)
            any_image = entry["unit"] == IMAGE
            label = f"for any image of one {unit}" if any_image else f"for all images of one {unit}"
            place = np.arange(1, n + 1) + (k - (len(entries) - 1) / 2) * width
            axes.bar(place, sizes / sizes.sum(), 0.92 * width, color=SKY if any_image else BLUE,
                     label=label)  # fmt: skip
        axes.set_xticks(range(1, n + 1))
        axes.set_xlabel("Classes in the set")
        axes.set_ylabel("Share of images")
        axes.grid(axis="y")
        axes.tick_params(axis="x", length=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
        covered = " and ".join(share(e["coverage"]["estimate"]) for e in entries)
        return save(
            drawn,
            folder,
            f"set_sizes_{name}",
            f"Sizes of conformal sets, {protocol(name).title.lower()}",
            f"Sizes of conformal sets at {level(LEVEL)}; empirical coverage {covered}.",
        )
