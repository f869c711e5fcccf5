"""YAML within limits: what is small on the disk stays small in memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from magnostic import recipe_file, yaml_text
from magnostic.data.relabel import read_label_map
from magnostic.errors import BadInput, DataError, RecipeError
from magnostic.study import schema

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "text, says",
    [
        (BOMB, "aliases"),
        ("a: &a [*a]", "alias within itself"),
        ("[" * 3000, "nested too deeply"),
        ("a: 2001-99-99", "a value that is none"),
        ("a: !!int x", "a value that is none"),
        ("a: !!python/object/apply:os.system ['touch ran']", "line 1: not valid YAML"),
        ("a: *nothing", "line 1: not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("x" * (yaml_text.MOST_BYTES + 1), "longer than"),
    ],
)
def test_what_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.monotonic()
    with pytest.raises(BadInput, match=says) as caught:
        yaml_text.load(path)
    assert "x.yaml" in str(caught.value)
    assert time.monotonic() - started < 5
    assert not (tmp_path / "ran").exists()


def test_aliases_and_plain_types_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {b: [1, 0.5, null, yes]}\nc: [*a, *a]\n", encoding="utf-8")
    inner = {"b": [1, 0.5, None, True]}
    assert yaml_text.load(path) == {"a": inner, "c": [inner, inner]}
    path.write_text("", encoding="utf-8")
    assert yaml_text.load(path) is None
    assert yaml_text.compose(path) is None


def test_recipes_studies_and_label_maps_go_through_it(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(BOMB + "description: *a29\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="aliases"):
        recipe_file.load(path)
    with pytest.raises(RecipeError, match="aliases"):
        schema.load(path)
    with pytest.raises(DataError, match="aliases"):
        read_label_map(path)


def test_a_wrong_value_is_shown_in_short(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"seed: {'x' * 100_000}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="seed") as caught:
        recipe_file.load(path)
    assert len(str(caught.value)) < 500


def test_a_base_with_a_name_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"base: {'probe-lite0' * 50}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="no such recipe"):
        recipe_file.load(path)
