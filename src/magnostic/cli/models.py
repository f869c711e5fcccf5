"""``magnostic models``: backbones, their weights, and whether those are at hand."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter


def models(pattern: str = "", *, at_hand: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List backbones with their weights, licence, and whether the weights can be had offline.

    Parameters
    ----------
    pattern
        timm name with wildcards (resnet*), or name of a foundation model (uni*); empty lists those
        that the paper and its peers use, and every foundation model of pathology.
    at_hand
        Only weights that need no network: installed packages and the hub's local cache.
    """
    from rich.table import Table

    from magnostic.cli.console import console
    from magnostic.models.catalogue import catalogue

    table = Table(box=None, pad_edge=False)
    for heading in ("backbone", "model.weights", "px", "licence", "at hand", "recipe"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("backbone", "px"))
    rows = [e for e in catalogue(pattern) if e.at_hand or not at_hand]
    for entry in rows:
        table.add_row(
            entry.backbone,
            entry.weights,
            str(entry.input_size or "any"),
            entry.licence + (" (gated)" if entry.gated else ""),
            "yes" if entry.at_hand else "no",
            entry.recipe,
        )
    console().print(table)
    sets = "set" if len(rows) == 1 else "sets"
    print(f"{len(rows)} {sets} of weights; any network also takes a local file or none")
