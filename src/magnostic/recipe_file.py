"""Recipes as YAML files: reading, overriding fields, and errors that name file and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pydantic
import yaml
from pydantic import BaseModel

from magnostic.errors import RecipeError, did_you_mean
from magnostic.recipe import Finetune, Probe, Recipe

#: How the description of a recipe begins whose fields were overridden.
CHANGED: Final = "Changed on the command line:"
_METHODS: Final[dict[str, type[BaseModel]]] = {"finetune": Finetune, "probe": Probe}


def shipped() -> dict[str, Path]:
    """Recipes that come along, by name: inside an installed package, or beside its source."""
    here = Path(__file__).parent
    folders = (here / "recipes", here.parents[1] / "recipes")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, or one that comes along by its name, and apply overrides.

    Args:
        path: a YAML file or a name of :func:`shipped`.
        overrides: ``--section.field value`` tokens.

    Raises RecipeError naming the file and field, with the nearest known field's name.
    """
    if not path.exists():
        known = shipped()
        if str(path) not in known:
            near = did_you_mean(path.stem, known)
            raise RecipeError(f"{path}: no such recipe{near}; known by name: {', '.join(known)}")
        path = known[str(path)]
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as text ({error})") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise RecipeError(f"{path}{line}: not valid YAML; mend the file") from None
    if not isinstance(raw, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of fields, starting with name:")
    raw.setdefault("name", path.stem)
    if not overrides:
        return parse(raw, str(path))
    changed = override(raw, overrides)
    told = ", ".join(f"{key} {_shown(value)}" for key, value in pairs(overrides))
    if not any(key == "description" for key, _ in pairs(overrides)):
        # What the file says about itself may no longer hold; the report shows this first.
        changed["description"] = f"{CHANGED} {told}.\n\n{raw.get('description', '')}"
    return parse(changed, f"{path.name} with command line")


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
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(raw)))
    for key, value in pairs(tokens):
        if key == "train.method" and isinstance(result.get("train"), dict):
            kept = result["train"] if result["train"].get("method", "finetune") == value else {}
            result["train"] = {**kept, "method": value}
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
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):  # YAML 1.1 reads 3e-4 as text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _explain(error: Any, where: str, raw: Mapping[str, Any]) -> str:
    location = [str(part) for part in error["loc"] if part not in ("finetune", "probe")]
    path = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{where}: {_unknown(location, raw)}"
    message = error["msg"].removeprefix("Value error, ")
    is_value = path and not isinstance(error["input"], Mapping) and error["type"] != "missing"
    given = f" (given: {error['input']!r})" if is_value else ""
    return f"{where}: {path + ': ' if is_value else ''}{message}{given}"


def _unknown(location: list[str], raw: Mapping[str, Any]) -> str:
    """What to say of a field that the recipe does not have there."""
    path, field = ".".join(location), location[-1]
    if location[:-1] == ["train"]:
        for method, model in _METHODS.items():
            if field in model.model_fields:
                other = "probe" if method == "finetune" else "finetune"
                return f"{path!r} is for train.method {method}, and the method here is {other}"
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
