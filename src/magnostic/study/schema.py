"""Studies as YAML files: rows of recipes, what is changed in them, and the published figures.

A study holds for every row a recipe, the fields set on top of it, a grid of which every
combination is one run, and the keys of the published results to print beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from magnostic import recipe_file
from magnostic.errors import RecipeError, did_you_mean
from magnostic.report import published


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Text = Annotated[str, Field(min_length=1)]
#: What may stand unquoted in a shell's line and be a folder's name.
_NAME: Final = re.compile(r"\w[\w.-]{0,99}")


class Row(_Section):
    """One line of the study's table, or one for each combination of ``grid``.

    recipe: a recipe that comes along, by name, or a file beside the study.
    label: shown in the table; the recipe's name by default.
    group: heading that the row stands under.
    published: keys of ``report.published.ROWS`` to print beside it.
    set: recipe fields changed in this row.
    grid: recipe fields by their path (``train.optimizer``), each with the values to try.
    """

    recipe: Text
    label: str = ""
    group: str = ""
    published: tuple[str, ...] = ()
    set: dict[str, Any] = Field(default_factory=dict)
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)

    @field_validator("published")
    @classmethod
    def _known(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if key not in published.ROWS:
                near = did_you_mean(key, published.ROWS)
                raise ValueError(f"no published result has the key {key!r}{near}")
        return keys


class Study(_Section):
    """Runs that are reported together.

    name: of the study and, by default, of its folder below ``runs/``; the file's, if not given.
    set: recipe fields changed in every row.
    seeds: every row is run once for each; empty for the recipes' own seed.
    overrides: ``--section.field value`` tokens, applied last; the command line's are stored here.
    """

    name: str
    title: str = ""
    description: str = ""
    set: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = ()
    overrides: tuple[str, ...] = ()
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of a study; give a field `name` of letters, digits, _, . and "
                "-, that starts with neither . nor - and has at most 100 characters"
            )
        return name

    def to_yaml(self) -> str:
        """YAML with every field; loads as the same study."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def shipped() -> dict[str, Path]:
    """Studies that come along, by name: inside an installed package, or beside its source."""
    package = Path(__file__).parents[1]
    folders = (package / "studies", package.parents[1] / "studies")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def load(path: Path) -> tuple[Study, Path]:
    """A study, and the folder beside whose files its recipes are looked for.

    Args:
        path: a YAML file or a name of :func:`shipped`.

    Raises RecipeError naming the file and field, with the nearest known field's name.
    """
    if not path.is_file():
        known = shipped()
        if str(path) not in known:
            near = did_you_mean(path.stem, known)
            raise RecipeError(f"{path}: no such study{near}; known by name: {', '.join(known)}")
        path = known[str(path)]
    raw = recipe_file.read_mapping(path)
    raw.setdefault("name", path.stem)
    try:
        return Study.model_validate(raw), path.parent
    except pydantic.ValidationError as error:
        found = error.errors()
        # pydantic counts a list as empty whose only item is wrong; the item's error says it all.
        inside = {e["loc"][:-n] for e in found for n in range(1, len(e["loc"]))}
        told = [_explain(e, str(path)) for e in found if e["loc"] not in inside]
        raise RecipeError("\n".join(told)) from None


def _explain(error: Any, where: str) -> str:
    """One line for a pydantic error; rows are counted from 1."""
    location = [part + 1 if isinstance(part, int) else part for part in error["loc"]]
    path = ".".join(map(str, location))
    if error["type"] == "extra_forbidden":
        model = Row if location[0] == "rows" else Study
        known = list(model.model_fields)
        near = did_you_mean(str(location[-1]), known) or f"; known here: {', '.join(known)}"
        return f"{where}: unknown field {path!r}{near}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {path}: {message}"
