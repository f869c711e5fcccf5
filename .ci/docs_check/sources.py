"""Blocks of Python and YAML read without running them."""

from __future__ import annotations

import ast
import importlib
import tempfile
from pathlib import Path
from typing import Final

import yaml

from docs_check.blocks import Block
from magnostic import recipe_file
from magnostic.data.relabel import read_label_map
from magnostic.errors import MagnosticError
from magnostic.recipe import Recipe
from magnostic.study import expand, schema

_RECIPE: Final = {*Recipe.model_fields, "base"}


def python(block: Block) -> list[str]:
    """What is wrong with a block of Python: its syntax, or what it takes from magnostic."""
    try:
        tree = ast.parse(block.text)
    except SyntaxError as error:
        return [f"line {error.lineno}: {error.msg}"]
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _ours(node.module):
            wrong += [w for name in node.names for w in _lacks(str(node.module), name.name)]
        elif isinstance(node, ast.Import):
            wrong += [w for name in node.names if _ours(name.name) for w in _lacks(name.name, "")]
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "magnostic"
        ):
            wrong += _lacks("magnostic", node.attr)
    return wrong


def yaml_text(block: Block) -> list[str]:
    """What is wrong with a block of YAML as a recipe, a study or a label map."""
    try:
        raw = yaml.safe_load(block.text)
    except yaml.YAMLError as error:
        return [f"not valid YAML: {error}"]
    kind = block.directive.yaml or _kind(raw)
    if not kind:
        return ["neither a recipe nor a study; say what it is with yaml=KIND"]
    if kind == "other":
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (block.directive.file or "block.yaml")
        path.write_text(block.text, encoding="utf-8")
        try:
            if kind == "recipe":
                recipe_file.load(path)
            elif kind == "study":
                expand.expand(*schema.load(path))
            else:
                read_label_map(path)
        except MagnosticError as error:
            return [str(error).replace(folder, "")]
    return []


def _kind(raw: object) -> str:
    if not isinstance(raw, dict):
        return ""
    if "rows" in raw:
        return "study"
    return "recipe" if {"base", "model", "train", "split", "task"} & set(raw) else ""


def _ours(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == "magnostic"


def _lacks(module: str, name: str) -> list[str]:
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        return [f"import {module}: {error}"]
    if not name or name == "*" or hasattr(found, name):
        return []
    try:
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return [f"{module} has no {name!r}"]
    return []
