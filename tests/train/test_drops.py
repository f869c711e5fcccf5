"""Dropout of a shared batch is that of the same batch in one process."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from magnostic.errors import RecipeError
from magnostic.recipe import Finetune, Model, Probe, Recipe
from magnostic.train.drops import WholeBatchDrops, require_shared
from magnostic.train.ranks import Group

KINDS = {
    "dropout": nn.Dropout(0.4),
    "inplace": nn.Dropout(0.4, inplace=True),
    "paths": DropPath(0.4),
    "windows": nn.Sequential(nn.Unflatten(1, (2, 8)), nn.Flatten(0, 1), DropPath(0.4)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_shares_drop_what_one_process_drops(kind: str, size: int) -> None:
    model, x = KINDS[kind].train(), 1 + torch.rand(5, 16)
    torch.manual_seed(3)
    expected, after = model(x.clone()).reshape(5, -1), torch.rand(1)
    assert 0 < (expected == 0).sum() < expected.numel()
    for rank in range(size):
        mine = Group(rank, size).share(np.arange(5))
        taken = mine if len(mine) else np.arange(1)
        torch.manual_seed(3)
        with WholeBatchDrops(5, taken):
            found = model(x[taken].clone()).reshape(len(taken), -1)
        assert torch.equal(found, expected[taken])
        assert torch.equal(torch.rand(1), after), "as many numbers were drawn"


def test_nothing_is_dropped_in_evaluation() -> None:
    x = torch.rand(2, 4)
    with WholeBatchDrops(4, np.array([0, 2])):
        assert torch.equal(nn.Dropout(0.5).eval()(x), x)


@pytest.mark.parametrize("name", ["attn_drop_rate", "patch_drop_rate", "drop_block_rate"])
def test_what_several_processes_cannot_share_is_refused(name: str) -> None:
    asked = Recipe(name="x", model=Model(args={name: 0.1}), train=Finetune())
    with pytest.raises(RecipeError, match=rf"model\.args: {name}: 2 processes"):
        require_shared(asked, 2)
    require_shared(asked, 1)
    require_shared(asked.model_copy(update={"train": Probe(method="probe")}), 2)
    for args in ({name: 0.0}, {"drop_path_rate": 0.2, "proj_drop_rate": 0.1}):
        require_shared(asked.model_copy(update={"model": Model(args=args)}), 2)
