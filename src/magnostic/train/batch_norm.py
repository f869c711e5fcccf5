"""Batch normalization by the statistics of the whole batch, of which each process has a share.

On GPUs this is torch's SyncBatchNorm. It does not run on the CPU, where the same is done here with
torch's own kernels: the statistics of all shares are combined (Chan, Golub and LeVeque, 1979), and
so are the two sums over a batch that the gradient needs. Every process ends with the same running
statistics.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from magnostic.train import ranks


class WholeBatch(_BatchNorm):
    """What both devices share.

    Attributes:
        silent: the share is one sample that stands in for none, and does not count.
    """

    silent: bool

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        if not self.training:
            result = self._alone(input)
        elif not self.silent:
            result = self.whole(input)
        else:  # joins in what the processes exchange, in both directions, with nothing
            none = self.whole(input[:0].float())  # statistics of the others are float32, too
            result = torch.cat([none.to(input.dtype), self._alone(input)])
        for name in ("drop", "act"):  # timm's, in one module with the normalization
            if hasattr(self, name):
                result = getattr(self, name)(result)
        return result

    def whole(self, x: Tensor) -> Tensor:
        """By the statistics of all shares, of which x, [n, C, ...], is one; n may be 0.

        Every process calls it, and calls backward, as often as the others. Running statistics are
        brought up to date.
        """
        raise NotImplementedError

    def _alone(self, x: Tensor) -> Tensor:
        """By the running statistics, or by its own where none are kept."""
        own = self.running_mean is None
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, own, 0.0, self.eps
        )

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        pass


class OnCpu(WholeBatch):
    """With torch's kernels for the CPU, and statistics combined here."""

    def whole(self, x: Tensor) -> Tensor:
        factor = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if factor is None:
                factor = 1.0 / float(self.num_batches_tracked)
        result: Tensor = _OnCpu.apply(
            x, self.weight, self.bias, self.running_mean, self.running_var, factor or 0.0, self.eps
        )
        return result


class OnGpu(WholeBatch, nn.SyncBatchNorm):
    """As torch does it, which sends what it has of a share in that share's own type."""

    def whole(self, x: Tensor) -> Tensor:
        return nn.SyncBatchNorm.forward(self, x)


@contextlib.contextmanager
def across_processes(model: nn.Module) -> Iterator[list[WholeBatch]]:
    """Inside, each batch normalization of the model that is trained is of the whole batch.

    Frozen ones, which stay in evaluation mode, are as they were.
    """
    model.train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [type(norm) for norm in norms]
    kind = OnGpu if ranks.current().device.type == "cuda" else OnCpu
    for norm in norms:
        # Changed in place: names, weights, statistics and what refers to the module all stay.
        norm.__class__ = kind
        norm.silent = False  # type: ignore[assignment]
        if kind is OnGpu:
            norm.process_group = None  # type: ignore[assignment]
    try:
        yield [norm for norm in norms if isinstance(norm, WholeBatch)]
    finally:
        for norm, was in zip(norms, before, strict=True):
            norm.__class__ = was


class _OnCpu(torch.autograd.Function):
    """x: [n, C, ...] on the CPU, n may be 0; statistics float32 [C], updated in place."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        factor: float,
        eps: float,
    ) -> Tensor:
        channels = x.shape[1]
        own = torch.zeros(2 * channels + 1, dtype=torch.float64)
        own[-1] = x.numel() // channels
        if x.numel():
            over = [0, *range(2, x.dim())]
            var, mean = torch.var_mean(x.to(torch.float32), over, correction=0)
            own[:channels], own[channels:-1] = mean, var
        every = ranks.current().of_every_process(own)
        count = every[:, -1:]
        total = float(count.sum())
        means, variances = every[:, :channels], every[:, channels:-1]
        whole_mean = (count * means).sum(0) / total
        whole_var = (count * (variances + (means - whole_mean).square())).sum(0) / total
        if running_mean is not None and running_var is not None:
            unbiased = whole_var * (total / max(total - 1, 1))
            running_mean.copy_(factor * whole_mean + (1 - factor) * running_mean.double())
            running_var.copy_(factor * unbiased + (1 - factor) * running_var.double())
        mean, var = whole_mean.float(), whole_var.float()
        ctx.save_for_backward(x, weight, mean, var)
        ctx.total, ctx.eps = total, eps
        return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        kind, channels = x.dtype, x.shape[1]
        scale = torch.ones(channels) if weight is None else weight.detach().float()
        x, gradient = x.to(torch.float32), gradient.to(torch.float32)
        if x.numel():
            # As if the statistics were given: also its sums are those that the batch's need.
            given, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                gradient, x, scale, mean, var, None, None, False, ctx.eps, [True, True, True]
            )
        else:
            given, of_weight, of_bias = gradient, torch.zeros(channels), torch.zeros(channels)
        sums = ranks.current().sum_of_batch(torch.cat([of_weight, of_bias]))
        shared_weight, shared_bias = (sums / ctx.total).split(channels)
        inverse = (var + ctx.eps).rsqrt()
        slope = scale * inverse * inverse * shared_weight
        shift = scale * inverse * shared_bias - slope * mean
        shape = [1, channels, *[1] * (x.dim() - 2)]
        given = given.addcmul(x, slope.view(shape), value=-1).sub_(shift.view(shape))
        plain = weight is None
        return (
            given.to(kind),
            None if plain else of_weight,
            None if plain else of_bias,
            *[None] * 4,
        )
