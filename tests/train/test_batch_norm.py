"""Batch normalization over processes is that of the whole batch in one; threads stand for them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.modules import _functions as functions

from magnostic.train import ranks
from magnostic.train.batch_norm import OnGpu, across_processes


class Threads:
    """Collective operations among threads, as those of a group of processes."""

    device = torch.device("cpu")

    def __init__(self, size: int) -> None:
        self._barrier = threading.Barrier(size)
        self._given: list[Any] = [None] * size
        self._own = threading.local()

    def begin(self, rank: int) -> None:
        self._own.rank = rank

    def of_every_process(self, values: Tensor) -> Tensor:
        self._barrier.wait(20)
        self._given[self._own.rank] = values.clone()
        self._barrier.wait(20)
        return torch.stack(self._given)

    def sum_of_batch(self, values: Tensor) -> Tensor:
        return self.of_every_process(values).sum(0)


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

    torch.manual_seed(0)
    model = Half(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    before = copy.deepcopy(model.state_dict())
    x = 5 + torch.randn(2, 3, 4, 4)
    group = Threads(1)
    group.begin(0)
    with pytest.MonkeyPatch.context() as patch, across_processes(model) as norms:
        patch.setattr(ranks, "current", lambda: group)
        assert norms == [model[1]]
        assert type(model[0]) is nn.BatchNorm2d
        torch.autograd.backward(model(x).square().sum())
    changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert changed == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert model[0].weight.grad is not None


class Gpus:
    """What torch's SyncBatchNorm needs of GPUs and NCCL, on the CPU; it notes what is sent."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[torch.dtype, torch.Size]] = []
        patch.setattr(torch._C, "_get_privateuse1_backend_name", lambda: "cpu")
        for name, value in {"is_initialized": True, "get_world_size": 2}.items():
            patch.setattr(torch.distributed, name, lambda *_, value=value: value)
        patch.setattr(torch.distributed, "group", SimpleNamespace(WORLD=self))
        patch.setattr(functions.dist, "all_gather_single", self.gather)
        patch.setattr(torch.distributed, "all_reduce", self.reduce)
        float32 = {"dtype": torch.float32}
        patch.setattr(torch, "batch_norm_stats", lambda x, _: torch.ones(2, x.shape[1], **float32))
        patch.setattr(
            torch, "batch_norm_gather_stats_with_counts", lambda _, mean, *__: (mean[0], mean[0])
        )
        patch.setattr(torch, "batch_norm_elemt", lambda x, *_: x.clone())
        patch.setattr(
            torch,
            "batch_norm_backward_reduce",
            lambda _, x, *__: torch.ones(4, x.shape[1], **float32).unbind(),
        )
        patch.setattr(torch, "batch_norm_backward_elemt", lambda gradient, *_: gradient)

    def _get_backend_name(self) -> str:
        return "nccl"

    def gather(self, found: Tensor, own: Tensor, *_: object, **__: object) -> None:
        self.sent.append((own.dtype, own.shape))
        found.fill_(1)  # the other process has samples

    def reduce(self, own: Tensor, *_: object, **__: object) -> None:
        self.sent.append((own.dtype, own.shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_gpus_a_process_without_a_share_sends_what_the_others_send(dtype: torch.dtype) -> None:
    """Of another type it would be waited for in vain, or read as other numbers."""
    sent = []
    for silent in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            gpus = Gpus(patch)
            group = Threads(1)
            group.device = torch.device("cuda")
            patch.setattr(ranks, "current", lambda group=group: group)
            model = nn.Sequential(nn.BatchNorm2d(3))
            x = torch.randn(1, 3, 2, 2).to(dtype).requires_grad_()
            with across_processes(model) as norms:
                assert type(norms[0]) is OnGpu
                norms[0].silent = silent
                result = model(x)
                assert (result.dtype, result.shape) == (dtype, x.shape)
                torch.autograd.backward(result.sum() * (not silent))
            sent.append(gpus.sent)
    assert sent[0] == sent[1] == [(torch.float32, (7,)), (torch.float32, (6,))]
