"""Rows, grids, seeds and overrides become recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from magnostic.errors import RecipeError
from magnostic.study import schema
from magnostic.study.expand import Entry, expand, flat, nested

WriteStudy = Callable[[str], Path]


def entries(path: Path, *overrides: str) -> list[Entry]:
    study, beside = schema.load(path)
    return expand(study.model_copy(update={"overrides": overrides}), beside)


def test_every_combination_and_seed_is_a_run(write_study: WriteStudy) -> None:
    found = entries(
        write_study(
            """
name: s
set: {task: binary}
seeds: [0, 7]
rows:
  - recipe: quick.yaml
    label: "[4] Quick one"
    group: G
    published: [table2-resnet50-binary]
    set: {split: {folds: 3}}
    grid: {train.c: [0.1, 2.0], train.head: [logistic, svm]}
  - {recipe: slow.yaml}
"""
        )
    )
    assert [e.key for e in found][:4] == [
        "quick-0-1-logistic-seed0",
        "quick-0-1-logistic-seed7",
        "quick-0-1-svm-seed0",
        "quick-0-1-svm-seed7",
    ]
    assert len(found) == 2 * 2 * 2 + 2
    first, last = found[0], found[-1]
    assert first.settings == {"train.c": 0.1, "train.head": "logistic"}
    assert (first.label, first.group) == ("[4] Quick one", "G")
    assert first.published == ("table2-resnet50-binary",)
    assert first.recipe.split.folds == 3
    assert {e.recipe.task for e in found} == {"binary"}
    assert (last.label, last.seed, last.recipe.seed) == ("slow", 7, 7)
    assert first.recipe.description.startswith("Changed by study s: task binary, split.folds 3")
    assert first.recipe.name == "quick", "the recipe keeps its name"


def test_rows_of_one_recipe_are_named_by_label_then_group(write_study: WriteStudy) -> None:
    rows = """
rows:
  - {recipe: quick.yaml, label: as it is, group: One}
  - {recipe: quick.yaml, label: as it is, group: Two, set: {task: binary}}
  - {recipe: quick.yaml, label: "[9] quick other"}
"""
    assert [e.key for e in entries(write_study(rows))] == [
        "quick-one-as-it-is",
        "quick-two-as-it-is",
        "quick-other",
    ]
    with pytest.raises(RecipeError, match="several runs would be named 'quick-one-as-it-is'"):
        entries(write_study(rows.replace("Two", "One")))


def test_the_command_line_comes_last_and_where_it_fits(write_study: WriteStudy) -> None:
    path = write_study(
        "seeds: [1, 2]\nrows: [{recipe: quick.yaml, set: {task: label}}, {recipe: slow.yaml}]"
    )
    probe, slow = entries(path, "--task", "binary", "--train.epochs=2", "--seed", "9")
    assert probe.recipe.task == slow.recipe.task == "binary"
    assert probe.recipe.train.method == "probe"
    assert slow.recipe.train.model_dump()["epochs"] == 2
    assert probe.seed == slow.seed == 9, "one seed in place of the study's"
    with pytest.raises(RecipeError, match=r"row 1 \(quick\.yaml\).*'train.epoch'"):
        entries(path, "--train.epoch=2")
    with pytest.raises(RecipeError, match=r"--train.trees: no row"):
        entries(write_study("rows: [{recipe: slow.yaml}]"), "--train.trees", "5")


def test_a_field_of_train_for_all_rows_counts_where_the_method_has_it(
    write_study: WriteStudy,
) -> None:
    text = "set: {train: {epochs: 3, batch_size: 8}}\nrows: [{recipe: quick.yaml},"
    probe, slow = entries(write_study(text + "{recipe: slow.yaml}]"))
    assert probe.recipe.train.batch_size == slow.recipe.train.batch_size == 8
    assert slow.recipe.train.model_dump()["epochs"] == 3


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{recipe: quick.yaml, set: {trian: {c: 1}}}", "did you mean 'train'"),
        ("{recipe: quick.yaml, grid: {train.d: [1]}}", "unknown field 'train.d'"),
        ("{recipe: quikc.yaml}", "no such recipe"),
        ("{recipe: slow.yaml, set: {train: {c: 1}}}", "'train.c' is for train.method probe"),
    ],
)
def test_a_wrong_field_names_its_row(row: str, says: str, write_study: WriteStudy) -> None:
    with pytest.raises(RecipeError) as caught:
        entries(write_study(f"name: mine\nrows: [{row}]"))
    assert says in str(caught.value)


def test_no_place_on_a_machine_in_the_description(write_study: WriteStudy, tmp_path: Path) -> None:
    path = write_study("rows: [{recipe: quick.yaml}]")
    (entry,) = entries(path, "--model.weights", str(tmp_path / "w.pth"))
    assert "w.pth" in entry.recipe.description
    assert str(tmp_path) not in entry.recipe.description


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,4}(\.[a-z]{1,4}){0,2}", fullmatch=True), st.integers())
)
def test_paths_and_nested_fields_are_one_thing(fields: dict[str, int]) -> None:
    for path, value in fields.items():
        assert list(flat(nested(path, value))) == [(path, value)]
        assert yaml.safe_load(yaml.safe_dump(nested(path, value))) == nested(path, value)
