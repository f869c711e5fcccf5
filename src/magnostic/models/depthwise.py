"""Depthwise convolutions whose gradients are computed by kernels that are fast on a CPU.

In bf16, two of oneDNN's kernels (torch 2.14) are tens of times slower than the forward pass: the
gradient of the input at a stride of two, and that of kernels wider than three. Both are the same
numbers as other convolutions give, which are fast (docs/speed.md has figures):

- the gradient of the input is the convolution, at stride one, of the output's gradient with zeros
  put between its values, by the kernel turned half round;
- the gradient of a wide kernel is put together from those of 3 x 3 windows of it.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional

_CL: Final = torch.channels_last
_WINDOW: Final = 3


class Depthwise(nn.Conv2d):
    """A depthwise convolution made of another, whose parameters it takes over.

    On the CPU in bf16, gradients are computed as the module's text says; elsewhere it is the plain
    convolution. ``of`` must be :func:`slow`.
    """

    def __init__(self, of: nn.Conv2d) -> None:
        super().__init__(
            of.in_channels,
            of.out_channels,
            of.kernel_size,  # type: ignore[arg-type]
            of.stride,  # type: ignore[arg-type]
            of.padding,  # type: ignore[arg-type]
            groups=of.groups,
            bias=of.bias is not None,
            device="meta",
        )
        self.weight, self.bias = of.weight, of.bias
        self.same = isinstance(of, Conv2dSame)
        self.training = of.training

    def forward(self, x: Tensor) -> Tensor:
        if self.same:
            x = pad_same(x, list(self.kernel_size), list(self.stride))
        if not (torch.is_grad_enabled() and x.device.type == "cpu" and _in_bf16(x)):
            plain: Tensor = self._conv_forward(x, self.weight, self.bias)
            return plain
        x, weight = x.to(torch.bfloat16), self.weight.to(torch.bfloat16)
        result: Tensor = Gradients.apply(x, weight, self.stride, self.padding)
        return result if self.bias is None else result + self.bias.to(x.dtype)[:, None, None]


def _in_bf16(x: Tensor) -> bool:
    if torch.is_autocast_enabled("cpu"):
        return bool(torch.get_autocast_dtype("cpu") == torch.bfloat16)
    return x.dtype == torch.bfloat16


def slow(module: nn.Module) -> bool:
    """Whether this is a depthwise convolution of which a gradient is slow on a CPU."""
    if type(module) not in (nn.Conv2d, Conv2dSame):
        return False
    assert isinstance(module, nn.Conv2d)
    k, channels = max(module.kernel_size), module.in_channels
    depthwise = module.groups == channels == module.out_channels and channels > 1
    plain = module.dilation == (1, 1) and module.padding_mode == "zeros"
    if not (depthwise and plain and module.kernel_size == (k, k)) or isinstance(
        module.padding, str
    ):
        return False
    return k >= _WINDOW and max(module.padding) < k and (k > _WINDOW or max(module.stride) > 1)


def with_fast_gradients(network: nn.Module) -> nn.Module:
    """The same network, its :func:`slow` convolutions replaced; names and values stay."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if slow(child):
                assert isinstance(child, nn.Conv2d)
                setattr(parent, name, Depthwise(child))
    return network


class Gradients(torch.autograd.Function):
    """Convolution of [N, C, H, W] by [C, 1, k, k], one channel with one kernel."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        of_input, of_weight, *_ = ctx.needs_input_grad
        return (
            _of_input(gradient, x, weight, ctx.stride, ctx.padding) if of_input else None,
            _of_weight(gradient, x, weight, ctx.stride, ctx.padding) if of_weight else None,
            None,
            None,
        )


def _of_input(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    if stride == (1, 1):
        return _plain(gradient, x, weight, stride, padding, (True, False))
    size = [length + k - 1 for length, k in zip(x.shape[2:], weight.shape[2:], strict=True)]
    spread = torch.empty((*x.shape[:2], *size), dtype=x.dtype, memory_format=_CL).zero_()
    places = [
        slice(k - 1 - p, k - 1 - p + s * (n - 1) + 1, s)
        for k, p, s, n in zip(weight.shape[2:], padding, stride, gradient.shape[2:], strict=True)
    ]
    spread[:, :, places[0], places[1]] = gradient
    return functional.conv2d(spread, weight.flip(2, 3), groups=len(weight))


def _of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    k = weight.shape[2]
    if k <= _WINDOW:
        return _plain(gradient, x, weight, stride, padding, (False, True))
    x = functional.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    height, width = (s * (n - 1) + _WINDOW for s, n in zip(stride, gradient.shape[2:], strict=True))
    window = torch.empty_like(
        weight[:, :, :_WINDOW, :_WINDOW], memory_format=torch.contiguous_format
    )
    result = torch.empty_like(weight)
    starts = [min(start, k - _WINDOW) for start in range(0, k, _WINDOW)]
    for i in starts:
        for j in starts:
            part = x[:, :, i : i + height, j : j + width].contiguous(memory_format=_CL)
            result[:, :, i : i + _WINDOW, j : j + _WINDOW] = _plain(
                gradient, part, window, stride, (0, 0), (False, True)
            )
    return result


def _plain(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    wanted: tuple[bool, bool],
) -> Tensor:
    """torch's own gradient of the input or of the weights."""
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        list(stride),
        list(padding),
        [1, 1],
        False,
        [0, 0],
        len(weight),
        [*wanted, False],
    )
    return found[0] if wanted[0] else found[1]
