"""From a study to its runs: every row, combination of its grid, and seed is one recipe."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magnostic import recipe_file
from magnostic.errors import RecipeError
from magnostic.recipe import Dense, Finetune, Probe, Recipe
from magnostic.study.schema import Row, Study


@dataclass(frozen=True)
class Entry:
    """One run of a study.

    Attributes:
        key: names it within the study, of a-z, 0-9 and hyphens.
        label, group: of its row.
        source: the row's recipe as the study names it.
        recipe: with everything that study, row, grid and command line change.
        settings: values of the row's grid, by the field's path.
        published: keys of ``report.published.ROWS``.
    """

    key: str
    label: str
    group: str
    source: str
    recipe: Recipe
    settings: dict[str, Any] = field(default_factory=dict)
    published: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        return self.recipe.seed


def expand(study: Study, beside: Path | None = None) -> list[Entry]:
    """All runs of a study, in its order.

    Fields are set in this order, later ones winning: the recipe, the study, the row, its grid, the
    seed, the overrides. A field of ``train`` that the study or an override sets counts in rows
    whose method has it.

    Args:
        study: as loaded, with the command line's overrides.
        beside: folder in which the rows' recipes are looked for.

    Raises RecipeError naming the row and field, or two rows that cannot be told apart.
    """
    changes = _Changes(study)
    seeds = () if any(key == "seed" for key, _ in changes.pairs) else study.seeds
    names = _names(study.rows)
    entries: list[Entry] = []
    for number, row in enumerate(study.rows, start=1):
        where = f"study {study.name}, row {number} ({row.label or row.recipe})"
        for settings, seed in itertools.product(_combinations(row), seeds or (None,)):
            recipe = _recipe(study, row, settings, seed, changes, beside, where)
            key = "-".join([names[number - 1], *_words(*settings.values())])
            if len(seeds) > 1:
                key += f"-seed{seed}"
            label = row.label or recipe.name
            entries.append(
                Entry(key, label, row.group, row.recipe, recipe, settings, row.published)
            )
    changes.require_used()
    twice = [key for key, n in Counter(entry.key for entry in entries).items() if n > 1]
    if twice:
        raise RecipeError(
            f"study {study.name}: several runs would be named {twice[0]!r}; give their rows "
            "different labels"
        )
    return entries


class _Changes:
    """What the study and the command line set, and whether any row could take it."""

    def __init__(self, study: Study) -> None:
        self.name = study.name
        self.pairs = recipe_file.pairs(study.overrides)
        self._used: set[str] = set()

    def set(self, fields: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
        """``over`` on top of ``fields``, without fields of ``train`` that are another method's."""
        train = over.get("train")
        if isinstance(train, Mapping):
            kept = {k: v for k, v in train.items() if _takes(_method(fields, train), k)}
            self._used.update(f"train.{key}" for key in kept)
            over = {**over, "train": kept}
        return recipe_file.merge(fields, over)

    def override(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        result = dict(fields)
        methods = [value for key, value in self.pairs if key == "train.method"]
        if methods:
            result = recipe_file.merge(result, {"train": {"method": methods[-1]}})
        for key, value in self.pairs:
            section, _, name = key.partition(".")
            if section == "train" and not _takes(_method(result, {}), name):
                continue
            self._used.add(key)
            result = recipe_file.merge(result, nested(key, value))
        return result

    def require_used(self) -> None:
        """Raise RecipeError for an override that no row could take."""
        for key, _ in self.pairs:
            if key not in self._used:
                raise RecipeError(
                    f"--{key}: no row of study {self.name} has this field; check its name, or the "
                    "rows' train.method"
                )


def nested(path: str, value: object) -> dict[str, Any]:
    """``nested("a.b", 1)`` is ``{"a": {"b": 1}}``."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and values of nested fields."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _recipe(
    study: Study,
    row: Row,
    settings: Mapping[str, Any],
    seed: int | None,
    changes: _Changes,
    beside: Path | None,
    where: str,
) -> Recipe:
    fields = recipe_file.read(recipe_file.find(Path(row.recipe), beside))
    description = str(fields.get("description", ""))
    fields = recipe_file.merge(changes.set(fields, study.set), row.set)
    for path, value in settings.items():
        fields = recipe_file.merge(fields, nested(path, value))
    if seed is not None:
        fields["seed"] = seed
    fields = changes.override(fields)
    changed = [*flat(study.set), *flat(row.set), *settings.items(), *changes.pairs]
    told = ", ".join(f"{key} {_shown(value)}" for key, value in changed)
    if told and fields.get("description", "") == description:
        # What the recipe says about itself may no longer hold.
        fields["description"] = f"Changed by study {study.name}: {told}.\n\n{description}"
    return recipe_file.parse(fields, where)


def _names(rows: Sequence[Row]) -> list[str]:
    """A name for each row: its recipe's, with label and then group where others share it."""
    names = [_slug(row.recipe) for row in rows]
    for longer in (
        [_slug(row.recipe, row.label) for row in rows],
        [_slug(row.recipe, row.group, row.label) for row in rows],
    ):
        shared = Counter(names)
        names = [new if shared[old] > 1 else old for old, new in zip(names, longer, strict=True)]
    return names


def _combinations(row: Row) -> list[dict[str, Any]]:
    return [
        dict(zip(row.grid, values, strict=True)) for values in itertools.product(*row.grid.values())
    ]


def _method(fields: Mapping[str, Any], over: Mapping[str, Any]) -> str:
    train = fields.get("train")
    given = train.get("method", "finetune") if isinstance(train, Mapping) else "finetune"
    return str(over.get("method", given))


def _takes(method: str, name: str) -> bool:
    """Whether this train.method has the field; unknown fields pass, for the recipe's own error."""
    fields = {
        "finetune": Finetune.model_fields,
        "dense": Dense.model_fields,
        "probe": Probe.model_fields,
    }
    if method not in fields or not any(name in known for known in fields.values()):
        return True
    return name in fields[method]


def _shown(value: object) -> str:
    """A value in prose; of a file its name, since no file of a run names a place on a machine."""
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else str(value)


def _slug(recipe: str, *words: object) -> str:
    """The recipe's name and the words that it does not hold already, references like [4] apart."""
    name = _words(Path(recipe).stem)
    return "-".join([*name, *(word for word in _words(*words) if word not in name)])


def _words(*values: object) -> list[str]:
    text = re.sub(r"\[\d+\]", " ", " ".join(map(_plain, values)))
    return re.findall(r"[a-z0-9]+", text.lower())


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(_plain(v) for v in value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(_plain, value))
    return str(value)
