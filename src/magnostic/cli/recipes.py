"""``magnostic recipes``: what comes along and goes by name."""

from __future__ import annotations

import fnmatch
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path


def recipes(pattern: str = "") -> None:
    """List the recipes and studies that go by name, with the beginning of what each says of itself.

    Parameters
    ----------
    pattern
        Only names that this fits, with wildcards (nishio2024*); empty for all.
    """
    from magnostic import recipe_file
    from magnostic.errors import BadInput, did_you_mean
    from magnostic.study import schema

    groups = {"recipes": recipe_file.shipped(), "studies": schema.shipped()}
    every = [name for known in groups.values() for name in known]
    if pattern and not fnmatch.filter(every, pattern):
        near = did_you_mean(pattern, every)
        raise BadInput(
            f"no recipe or study is named {pattern!r}{near}; try a wildcard: nishio2024*"
        )
    for heading, known in groups.items():
        shown = {n: p for n, p in known.items() if not pattern or fnmatch.fnmatch(n, pattern)}
        if shown:
            _print(heading, shown)
    print(
        "magnostic train RECIPE and magnostic study STUDY take these names, or a file of your own"
    )


def _print(heading: str, shown: Mapping[str, Path]) -> None:
    from magnostic import recipe_file

    print(f"{heading}:")
    width = max(map(len, shown))
    room = min(max(shutil.get_terminal_size((140, 24)).columns - width - 5, 40), 96)
    for name, path in shown.items():
        fields = recipe_file.read_mapping(path)
        text = str(fields.get("title") or fields.get("description", ""))
        print(f"  {name:{width}}  {textwrap.shorten(text, room, placeholder=' …')}")
