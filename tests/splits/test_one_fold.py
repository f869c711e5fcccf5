import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from magnostic.errors import LeakError, SplitError
from magnostic.splits import apply_policies, assert_disjoint, make, parts, read_parts
from magnostic.splits.grouped import groups
from magnostic.splits.table import Parts

ROW = st.tuples(st.sampled_from("ABC"), st.integers(0, 11), st.integers(0, 40))
COLUMN = {"patient": "patient_id", "accession": "accession"}


def _images(make_images, rows):
    label, patient, pixels = zip(*rows, strict=True)
    return make_images(
        label=list(label),
        patient_id=[f"p{p:02d}" for p in patient],
        accession=[f"a{p // 2}" for p in patient],
        pixel_hash=[f"h{h}" for h in pixels],
    )


def _groups(selection, protocol) -> int:
    if protocol == "random":
        return int(selection.unit.nunique())
    return int(groups(selection, protocol).max()) + 1


def _can_be_tested(selection, y, protocol) -> bool:
    """Whether some group has no class to itself, so that all it shows can be learnt elsewhere."""
    group = pd.Series(groups(selection, protocol), index=y.index)
    alone = group.groupby(y).nunique() == 1
    return bool((~y.map(alone).groupby(group).any()).any())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, min_size=12, max_size=60),
    protocol=st.sampled_from(["random", "patient", "accession"]),
    folds=st.integers(1, 3),
    seed=st.integers(0, 1000),
    stratify=st.booleans(),
)
def test_what_holds_for_every_split(
    make_images, make_recipe, rows, protocol, folds, seed, stratify
) -> None:
    images = _images(make_images, rows)
    recipe = make_recipe(seed=seed, protocols=protocol, folds=folds, repeats=2, stratify=stratify)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    if _groups(selection, protocol) < max(folds, 2):
        with pytest.raises(SplitError, match=r"too few|one group by"):
            make(selection, recipe, y)
        return
    if folds == 1 and protocol != "random" and not _can_be_tested(selection, y, protocol):
        with pytest.raises(SplitError, match="would test no image"):
            make(selection, recipe, y)
        return
    made = make(selection, recipe, y)
    again = make(selection, recipe, y)
    assert made.table.equals(again.table)
    for repeat in (0, 1):
        drawn = made.table[made.table["repeat"] == repeat]
        if folds > 1:  # each image is tested exactly once a repeat
            assert sorted(drawn["image_id"]) == sorted(selection.table["image_id"])
            assert set(drawn["fold"]) <= set(range(folds))
        for fold in sorted(set(drawn["fold"]) - {-1}):
            result = parts(made, selection, y, protocol, repeat, fold)
            part = result.table["part"]
            assert part.equals(parts(again, selection, y, protocol, repeat, fold).table["part"])
            tested = set(drawn.loc[drawn["fold"] == fold, "image_id"])
            assert set(result.ids("test")) == tested
            assert (part.groupby(selection.unit).nunique() == 1).all()
            if protocol in COLUMN:
                group = selection.table[COLUMN[protocol]]
                assert (part.groupby(group).nunique() == 1).all()


def test_adding_a_protocol_changes_no_other(make_images, make_recipe) -> None:
    rows = [("AB"[i % 2], i % 12, i) for i in range(60)]
    images = _images(make_images, rows)
    tables = []
    for protocols in (["patient"], ["random", "accession", "patient"]):
        recipe = make_recipe(protocols=protocols, folds=3, repeats=2)
        selection = apply_policies(images, recipe.data)
        y = selection.table["label"]
        folds = make(selection, recipe, y)
        table = folds.table[folds.table["protocol"] == "patient"].reset_index(drop=True)
        one = parts(folds, selection, y, "patient", 1, 2).table
        tables.append((table, one))
    assert tables[0][0].equals(tables[1][0])
    assert tables[0][1].equals(tables[1][1])


@pytest.fixture
def made(make_images, make_recipe):
    rows = [("AB"[i % 2], i % 12, i) for i in range(60)]
    images = _images(make_images, rows)
    recipe = make_recipe(protocols=["random", "patient", "accession"], folds=3)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    return images, selection, y, make(selection, recipe, y)


def test_seeds_and_repeats_differ(made, make_recipe) -> None:
    _, selection, y, folds = made
    other = make(selection, make_recipe(seed=1, protocols="random", folds=3), y)
    mine = folds.table[folds.table["protocol"] == "random"]
    assert mine["fold"].tolist() != other.table["fold"].tolist()


def test_no_validation_part(make_recipe, made) -> None:
    _, selection, y, _ = made
    recipe = make_recipe(protocols="patient", folds=3, val_fraction=0)
    table = parts(make(selection, recipe, y), selection, y, "patient", 0, 1).table
    assert set(table["part"]) == {"train", "test"}


def test_unknown_folds_and_other_images(made) -> None:
    _, selection, y, folds = made
    with pytest.raises(SplitError, match="there is no fold 7"):
        parts(folds, selection, y, "patient", 0, 7)
    with pytest.raises(SplitError, match="the folds name 0 images"):
        parts(folds, selection, y, "official", 0, 0)
    with pytest.raises(ValueError, match=r"index of selection\.table"):
        parts(folds, selection, y.iloc[1:], "patient", 0, 0)


def test_provenance_names_everything_but_the_time(made) -> None:
    _, selection, y, folds = made
    told = parts(folds, selection, y, "accession", 0, 2).provenance
    assert told["seed"] == 0
    assert (told["protocol"], told["repeat"], told["fold"]) == ("accession", 0, 2)
    assert told["data_hash"] == selection.data_hash
    assert told["policies"]["duplicates"] == "together"
    assert told["protocols"]["accession"]["n_groups"] == 6
    assert told["protocols"]["patient"]["test_groups"] == [[4, 4, 4]]
    assert told["protocols"]["random"]["test_images"] == [[20, 20, 20]]
    assert "numpy" in told["libraries"]


def _plant(made: Parts, row: int, part: str) -> Parts:
    table = made.table.copy()
    table.loc[row, "part"] = part
    return Parts(table, made.provenance)


@pytest.mark.parametrize("protocol", ["patient", "accession"])
@pytest.mark.parametrize("other", ["train", "val"])
def test_a_leak_is_found_when_made_and_when_read(made, tmp_path, protocol, other) -> None:
    images, selection, y, folds = made
    good = parts(folds, selection, y, protocol, 0, 0)
    good.write(tmp_path / "good")
    assert read_parts(tmp_path / "good", images).table.equals(good.table)
    row = int((good.table["part"] == "test").to_numpy().argmax())
    bad = _plant(good, row, other)
    with pytest.raises(LeakError, match=f"{COLUMN[protocol]} on both sides: "):
        assert_disjoint(bad, selection)
    bad.write(tmp_path / "bad")
    with pytest.raises(LeakError, match="make the split anew"):
        read_parts(tmp_path / "bad", images)


def test_a_unit_on_both_sides_is_a_leak(make_images, make_recipe) -> None:
    images = make_images(label=list("ABABAB"), pixel_hash=["x", "x", "3", "4", "5", "6"])
    recipe = make_recipe(protocols="random", folds=2)
    selection = apply_policies(images, recipe.data)
    y = selection.table["label"]
    good = parts(make(selection, recipe, y), selection, y, "random", 0, 0)
    here = good.table["part"].iloc[0]
    bad = _plant(good, 0, "test" if here != "test" else "train")
    with pytest.raises(LeakError, match="same pixels"):
        assert_disjoint(bad, selection)


def test_a_split_of_other_images(made, make_images, tmp_path) -> None:
    _, selection, y, folds = made
    parts(folds, selection, y, "random", 0, 0).write(tmp_path)
    fewer = make_images(label=list("AB"), patient_id=list("pq"))
    with pytest.raises(SplitError, match=r"58 images are not in the images table \(first: i00002"):
        read_parts(tmp_path, fewer)
