"""Recipes as YAML files: reading, overriding fields, and errors that name file and field."""

from __future__ import annotations

import copy
import difflib
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pydantic
from pydantic import BaseModel

from magnostic import yaml_text
from magnostic.errors import BadInput, RecipeError, did_you_mean
from magnostic.recipe import Dense, Finetune, Probe, Recipe

#: How the description of a recipe begins whose fields were overridden.
CHANGED: Final = "Changed on the command line:"
_METHODS: Final[dict[str, type[BaseModel]]] = {
    "finetune": Finetune,
    "dense": Dense,
    "probe": Probe,
}


def shipped() -> dict[str, Path]:
    """Recipes that come along, by name: inside an installed package, or beside its source."""
    here = Path(__file__).parent
    folders = (here / "recipes", here.parents[1] / "recipes")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, or one that comes along by its name, and apply overrides.

    A file may start from another with ``base: NAME-OR-FILE`` and give only what differs; name and
    description are never inherited.

    Args:
        path: a YAML file or a name of :func:`shipped`.
        overrides: ``--section.field value`` tokens.

    Raises RecipeError naming the file and field, with the nearest known field's name.
    """
    path = find(path)
    raw = read(path)
    if not overrides:
        return parse(raw, str(path))
    changed = override(raw, overrides)
    told = ", ".join(f"{key} {_shown(value)}" for key, value in pairs(overrides))
    if not any(key == "description" for key, _ in pairs(overrides)):
        # What the file says about itself may no longer hold; the report shows this first.
        changed["description"] = f"{CHANGED} {told}.\n\n{raw.get('description', '')}"
    return parse(changed, f"{path.name} with command line")


def find(path: Path, beside: Path | None = None) -> Path:
    """The file of a recipe: a path (also relative to the folder ``beside``) or a shipped name."""
    candidates = [path, beside / path] if beside else [path]
    for candidate in candidates:
        if os.path.isfile(candidate):  # noqa: PTH113 - Path's question raises for a name too long
            return candidate
    known = shipped()
    if str(path) not in known:
        near = did_you_mean(path.stem, known)
        raise RecipeError(
            f"{path}: no such recipe{near}; `magnostic recipes` lists {len(known)} known by name"
        )
    return known[str(path)]


def read(path: Path) -> dict[str, Any]:
    """The fields of a recipe file with those of its base filled in, not yet validated."""
    chain: list[Path] = []
    fields: dict[str, Any] = {}
    following: Path | None = path
    while following is not None:
        if following.resolve() in chain:
            raise RecipeError(f"{following}: its base leads back to itself; mend 'base:'")
        chain.append(following.resolve())
        raw = read_mapping(following)
        base = raw.pop("base", None)
        if not fields:
            raw.setdefault("name", following.stem)
        else:
            raw = {k: v for k, v in raw.items() if k not in ("name", "description")}
        fields = merge(raw, fields)
        following = find(Path(str(base)), following.parent) if base is not None else None
    return fields


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; RecipeError where it is not one."""
    raw = yaml_text.load(path, RecipeError)
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: expected a mapping of fields, starting with name:")
    return raw


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ``over`` on top of ``under``, section by section.

    A section that names another train.method starts empty: fields of one method are no others'.
    """
    result = dict(under)
    for key, value in over.items():
        mine = result.get(key)
        if not isinstance(mine, Mapping) or not isinstance(value, Mapping) or key == "args":
            result[key] = value
        elif key == "train" and value.get("method", _method(mine)) != _method(mine):
            result[key] = dict(value)
        else:
            result[key] = merge(mine, value)
    return result


def _method(train: Mapping[str, Any]) -> str:
    return str(train.get("method", "finetune"))


def _shown(value: object) -> str:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else str(value)


def parse(raw: Mapping[str, Any], where: str) -> Recipe:
    """Validate a mapping as a recipe; RecipeError lists every wrong field, one a line."""
    try:
        return Recipe.model_validate(raw)
    except pydantic.ValidationError as error:
        raise RecipeError("\n".join(_explain(e, where, raw) for e in error.errors())) from None


def override(raw: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Apply ``["--train.epochs", "4", "--model.weights=none"]``; values are read as YAML."""
    result: dict[str, Any] = copy.deepcopy(dict(raw))
    for key, value in pairs(tokens):
        if key == "train.method":
            result = merge(result, {"train": {"method": value}})
    for key, value in pairs(tokens):
        *sections, field = key.split(".")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise RecipeError(f"--{key}: {section!r} is not a section of the recipe")
        target[field] = value
    return result


def pairs(tokens: Sequence[str]) -> list[tuple[str, Any]]:
    """``["--train.epochs", "4", "--seed=1"]`` as keys and values; RecipeError for anything else."""
    found: list[tuple[str, Any]] = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise RecipeError(f"{token!r}: expected --section.field value, e.g. --train.epochs 4")
        key, equals, value = token[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise RecipeError(f"--{key}: needs a value, e.g. --{key} VALUE")
            value = rest.pop(0)
        found.append((key.replace("-", "_"), _value(value)))
    return found


def _value(text: str) -> Any:
    try:
        value = yaml_text.loads(text, "the command line")
    except BadInput:  # no YAML, or beyond its limits: the field says what it wants
        return text
    if isinstance(value, str):  # YAML 1.1 reads 3e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: Any, where: str, raw: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"] if part not in _METHODS]
    path = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{where}: {_unknown(location, raw)}"
    message = error["msg"].removeprefix("Value error, ")
    is_value = path and not isinstance(error["input"], Mapping) and error["type"] != "missing"
    given = f" (given: {reprlib.repr(error['input'])})" if is_value else ""
    return f"{where}: {path + ': ' if is_value else ''}{message}{given}"


def _unknown(location: list[str], raw: Mapping[str, Any]) -> str:
    """What to say of a field that the recipe does not have there."""
    path, field = ".".join(location), location[-1]
    if location[:-1] == ["train"]:
        train = raw.get("train")
        here = train.get("method", "finetune") if isinstance(train, Mapping) else "finetune"
        takers = [name for name, model in _METHODS.items() if field in model.model_fields]
        if takers:
            given = " or ".join(takers)
            return f"{path!r} is for train.method {given}, and the method here is {here}"
    if len(location) == 1:
        for section, info in Recipe.model_fields.items():
            inner = info.annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):  # noqa: SIM102
                if field in inner.model_fields:
                    return f"unknown field {path!r}; did you mean '{section}.{field}'?"
    known = _fields(location[:-1], raw)
    near = difflib.get_close_matches(field, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return f"unknown field {path!r}; {hint}"


def _fields(sections: Iterable[str], raw: Mapping[str, Any]) -> list[str]:
    model: type[BaseModel] = Recipe
    for section in sections:
        if section == "train":
            train = raw.get("train")
            method = train.get("method") if isinstance(train, Mapping) else None
            model = _METHODS.get(str(method), Finetune)
            continue
        annotation = model.model_fields[section].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
