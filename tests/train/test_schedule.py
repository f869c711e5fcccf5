"""The learning rate, from the paper's 3e-4 to 1e-5."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnostic.recipe import Finetune
from magnostic.train.schedule import learning_rate

SCHEDULES = ("cosine", "linear", "exponential")


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(steps=st.integers(2, 5000))
def test_from_lr_to_lr_end_without_rising(schedule: str, steps: int) -> None:
    train = Finetune.model_validate({"schedule": schedule})
    assert learning_rate(0, steps, train) == pytest.approx(3e-4, rel=1e-12)
    assert learning_rate(steps - 1, steps, train) == 1e-5
    some = [learning_rate(s, steps, train) for s in range(0, steps, max(1, steps // 50))]
    assert all(a >= b for a, b in itertools.pairwise(some))


def test_constant_and_a_single_step() -> None:
    assert learning_rate(9, 10, Finetune(schedule="constant")) == 3e-4
    assert learning_rate(0, 1, Finetune()) == 3e-4
