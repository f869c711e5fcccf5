"""Docstrings as the site shows them: roles as plain code, fields of recipes as a list."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`")
_FIELDS = re.compile(r"^[a-z_]+(?:, [a-z_]+)*: ", re.MULTILINE)


def shown(text: str, *, fields: bool = False) -> str:
    """Roles as code; with ``fields``, each ``name: meaning`` as an item of a list."""
    text = _ROLE.sub(r"`\1`", text)
    return _FIELDS.sub(lambda found: f"- **{found[0].strip()[:-1]}**: ", text) if fields else text


class Roles(griffe.Extension):
    """Changes docstrings once a module is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            fields = obj.is_class and obj.path.startswith("magnostic.recipe.")
            obj.docstring.value = shown(obj.docstring.value, fields=fields)
