"""Batch normalization over processes is that of the whole batch in one; threads stand for them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from magnostic.train import ranks
from magnostic.train.batch_norm import across_processes


class Threads:
    """Collective operations among threads, as those of a group of processes."""

    device = torch.device("cpu")

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size)
        self._given: list[Any] = [None] * size
        self._own = threading.local()

    def begin(self, rank: int) -> None:
        self._own.rank = rank

    def counts_and(self, values: Tensor) -> Tensor:
        self._barrier.wait(20)
        self._given[self._own.rank] = values.clone()
        self._barrier.wait(20)
        return torch.stack(self._given)

    def sum_of_batch(self, values: Tensor) -> Tensor:
        return self.counts_and(values).sum(0)


def shared(
    norm: nn.Module, x: Tensor, weight: Tensor, shares: Sequence[Sequence[int]]
) -> tuple[list[Tensor], list[Tensor], list[nn.Module]]:
    """Outputs, gradients of x and modules of each process for its rows of x."""
    group = Threads(len(shares))

    def work(rank: int) -> tuple[Tensor, Tensor, nn.Module]:
        group.begin(rank)
        model = nn.Sequential(copy.deepcopy(norm))
        rows = list(shares[rank]) or [0]
        own = x[rows].clone().requires_grad_()
        with across_processes(model) as norms:
            for each in norms:
                each.silent = not shares[rank]
            result = model(own)
        torch.autograd.backward((result * weight[rows]).sum() * bool(shares[rank]))
        assert own.grad is not None
        return result.detach(), own.grad, model[0]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(shares)) as pool:
        patch.setattr(ranks, "current", lambda: group)
        found = list(pool.map(work, range(len(shares))))
    results, gradients, models = zip(*found, strict=True)
    return list(results), list(gradients), list(models)


@pytest.mark.parametrize("shares", [[[0, 2, 4], [1, 3]], [[0, 3], [1, 4], [2], []]])
@pytest.mark.parametrize("kind", ["plain", "act", "flat", "cumulative", "bare"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_that_of_the_whole_batch(
    shares: list[list[int]], kind: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    shape = (5, 6) if kind == "flat" else (5, 6, 4, 3)
    x = (10 + 3 * torch.randn(shape)).to(dtype)
    if kind != "flat":
        x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(shape)
    norm: nn.Module = {
        "plain": lambda: nn.BatchNorm2d(6),
        "act": lambda: BatchNormAct2d(6, act_layer=nn.SiLU),
        "flat": lambda: nn.BatchNorm1d(6),
        "cumulative": lambda: nn.BatchNorm2d(6, momentum=None),
        "bare": lambda: nn.BatchNorm2d(6, affine=False),
    }[kind]()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    one, whole = copy.deepcopy(norm).train(), x.clone().requires_grad_()
    expected = one(whole)
    torch.autograd.backward((expected * weight).sum())
    assert whole.grad is not None
    results, gradients, models = shared(norm, x, weight, shares)
    exact = dtype == torch.float32
    near = {"atol": 2e-5, "rtol": 1e-4} if exact else {"atol": 0.05, "rtol": 0.05}
    for rows, result, gradient in zip(shares, results, gradients, strict=True):
        if rows:
            torch.testing.assert_close(result, expected[rows].detach(), **near)
            torch.testing.assert_close(gradient, whole.grad[rows], **near)
        else:
            assert len(result) == 1, "the sample that stands in for none"
            assert not gradient.any()
    for name, parameter in one.named_parameters():
        parts = [dict(model.named_parameters())[name].grad for model in models]
        total = torch.stack([part for part in parts if part is not None]).sum(0)
        assert parameter.grad is not None
        torch.testing.assert_close(
            total, parameter.grad, **(near if exact else {"atol": 0.1, "rtol": 0.02})
        )
    for model in models:
        assert type(model) is type(norm), "as it was, once training is over"
        for name, buffer in one.named_buffers():
            torch.testing.assert_close(dict(model.named_buffers())[name], buffer)
            assert torch.equal(
                dict(model.named_buffers())[name], dict(models[0].named_buffers())[name]
            ), "the same on every process, to the last bit"


def test_frozen_ones_stay_as_they_are() -> None:
    class Half(nn.Sequential):
        def train(self, mode: bool = True) -> Half:
            super().train(mode)
            self[0].eval()
            return self

    model = Half(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    with across_processes(model) as norms:
        assert norms == [model[1]]
        assert type(model[0]) is nn.BatchNorm2d
    x = torch.randn(2, 3, 4, 4)
    assert np.isfinite(model.eval()(x).detach().numpy()).all()
