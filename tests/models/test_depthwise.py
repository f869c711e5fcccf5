"""Depthwise convolutions: the same values and gradients as torch's own, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional

from magnostic.models import weights
from magnostic.models.depthwise import Depthwise, Gradients, slow, with_fast_gradients
from magnostic.models.encoders import Network

SHAPES = st.tuples(st.sampled_from([3, 5, 7]), st.integers(1, 3), st.integers(0, 3))


def gradients(result: Tensor, upstream: Tensor, *of: Tensor) -> list[Tensor]:
    return [result, *torch.autograd.grad(result, of, upstream)]


@settings(max_examples=60)
@given(SHAPES, st.integers(7, 14), st.integers(7, 14))
def test_gradients_are_those_of_torch(shape: tuple[int, int, int], height: int, width: int) -> None:
    k, stride, padding = shape
    assume(padding < k)
    torch.manual_seed(0)
    x = torch.randn(2, 4, height, width, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 1, k, k, dtype=torch.float64, requires_grad=True)
    plain = functional.conv2d(x, weight, None, stride, padding, groups=4)
    ours = Gradients.apply(x, weight, (stride, stride), (padding, padding))
    upstream = torch.randn_like(plain)
    expected = gradients(plain, upstream, x, weight)
    for a, b in zip(expected, gradients(ours, upstream, x, weight), strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize("same", [False, True])
def test_the_module_takes_over_all_that_the_other_had(same: bool) -> None:
    torch.manual_seed(0)
    plain = (Conv2dSame if same else nn.Conv2d)(4, 4, 5, 2, 2, groups=4)
    ours = Depthwise(copy.deepcopy(plain))
    assert ours.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(2, 4, 12, 9).bfloat16().float().requires_grad_()
    found = []
    for module in (plain, ours):
        with torch.autocast("cpu", torch.bfloat16):
            result = module(x)
        assert result.dtype == torch.bfloat16
        found.append(gradients(result, torch.ones_like(result), x, *module.parameters()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("frozen", ["input", "weight"])
def test_only_the_gradient_that_is_wanted(frozen: str) -> None:
    ours = Depthwise(nn.Conv2d(4, 4, 5, 2, 2, groups=4, bias=False)).bfloat16()
    ours.weight.requires_grad_(frozen != "weight")
    x = torch.randn(1, 4, 9, 9, dtype=torch.bfloat16, requires_grad=frozen != "input")
    ours(x).sum().backward()
    assert (x.grad is None) == (frozen == "input")
    assert (ours.weight.grad is None) == (frozen == "weight")


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 3, groups=4),  # fast as it is
        nn.Conv2d(4, 8, 5, groups=4),
        nn.Conv2d(4, 4, 5, groups=2),
        nn.Conv2d(1, 1, 5),
        nn.Conv2d(4, 4, 5, groups=4, dilation=2),
        nn.Conv2d(4, 4, 5, groups=4, padding="same"),
        nn.Conv2d(4, 4, 5, groups=4, padding_mode="reflect"),
        nn.Conv2d(4, 4, (5, 3), groups=4),
        nn.Linear(4, 4),
    ],
    ids=str,
)
def test_everything_else_stays_as_it_is(other: nn.Module) -> None:
    assert not slow(other)
    whole = nn.Sequential(other)
    assert with_fast_gradients(whole)[0] is other  # type: ignore[index]


def test_a_network_in_bf16_trains_as_before() -> None:
    """Lite0: gradients of every weight differ from float32's no more than torch's own do."""
    torch.manual_seed(0)
    plain = weights.build("tf_efficientnet_lite0", None).to(memory_format=torch.channels_last)
    ours = Network(copy.deepcopy(plain), (0.5,) * 3, (0.5,) * 3).backbone
    assert sum(isinstance(m, Depthwise) for m in ours.modules()) == 11
    assert ours.state_dict().keys() == plain.state_dict().keys()
    x = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)

    def of(network: nn.Module, enabled: bool) -> list[Tensor]:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            features = network(x).float()
        functional.mse_loss(features, torch.ones_like(features)).backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    exact, again = of(plain, False), of(ours, False)
    for a, b in zip(exact, again, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-5)

    def error(found: list[Tensor]) -> float:
        off = sum(float((a - b).square().sum()) for a, b in zip(exact, found, strict=True))
        return (off / sum(float(a.square().sum()) for a in exact)) ** 0.5

    assert error(of(ours, True)) < 1.2 * error(of(plain, True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prediction_is_torchs_own(dtype: torch.dtype) -> None:
    module = nn.Conv2d(4, 4, 5, 2, 2, groups=4).eval().to(dtype)
    ours = Depthwise(copy.deepcopy(module))
    assert not ours.training
    x = torch.randn(2, 4, 9, 9, dtype=dtype)
    with torch.inference_mode():
        assert torch.equal(ours(x), module(x))
