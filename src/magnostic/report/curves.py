"""Learning curves: loss and accuracy of the training and the validation part by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.ticker import MaxNLocator

from magnostic.report.folder import Child
from magnostic.report.style import BLUE, VERMILION, Picture, figure, rc, save
from magnostic.report.words import plural, protocol

_PANELS: Final = (("loss", "Loss (nats)"), ("accuracy", "Accuracy"))
_PARTS: Final = (("train", BLUE, "-", "training"), ("val", VERMILION, "--", "validation"))


def learning(children: Sequence[Child], name: str, folder: Path) -> Picture | None:
    """All models of a protocol in one figure, loss above accuracy; None without epochs."""
    histories = [
        [line for line in child.history if "epoch" in line]
        for child in children
        if child.protocol == name
    ]
    histories = [history for history in histories if history]
    if not histories:
        return None
    several = len(histories) > 1
    with rc():
        drawn, axes = figure(4.2, rows=2)
        for panel, (quantity, title) in zip(axes, _PANELS, strict=True):
            for part, colour, dash, label in _PARTS:
                key = f"{part}_{quantity}"
                drawn_one = False
                for history in histories:
                    seen = [(h["epoch"], h[key]) for h in history if h.get(key) is not None]
                    if not seen:
                        continue
                    panel.plot(
                        *zip(*seen, strict=True),
                        dash,
                        color=colour,
                        lw=1.1 if several else 1.6,
                        alpha=0.75 if several else 1,
                        marker="o" if len(seen) == 1 else None,
                        ms=4,
                        label=None if drawn_one else label,
                    )
                    drawn_one = True
            panel.set_ylabel(title)
            panel.grid(axis="y")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0].set_ylim(bottom=0)
        axes[1].set_ylim(0, 1)
        axes[1].set_xlabel("Epoch")
        axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
        has_validation = any("val_loss" in line for h in histories for line in h)
        return save(
            drawn,
            folder,
            f"learning_{name}",
            f"Learning curves, {protocol(name).title.lower()}",
            f"{protocol(name).title}: {plural(len(histories), 'model')}, one line each"
            + ("." if has_validation else "; no validation part was set aside."),
        )
