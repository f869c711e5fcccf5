"""Cells of CSV files that a spreadsheet would take for a formula.

Names of files, patients and labels come from others. A cell that begins with one of ``= + - @``, a
tab or a carriage return gets an apostrophe before it, which spreadsheets take for "this is text",
unless it is a number. :func:`plain` takes the apostrophe away again.
"""

from __future__ import annotations

from typing import Final

_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def guarded(value: object) -> object:
    """The value as it is written; anything but such a text as it is."""
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def plain(value: object) -> object:
    """The value as it was before :func:`guarded`."""
    if isinstance(value, str) and value.startswith("'") and _is_formula(value[1:]):
        return value[1:]
    return value


def _is_formula(text: str) -> bool:
    text = text.lstrip("'")  # such as begin with an apostrophe themselves get another one
    if not text.startswith(_STARTS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text[0] in "\t\r"
