"""The learning rate of each step: from ``lr`` at the first to ``lr_end`` at the last.

The paper says "begins at 0.0003, gradually decreasing to 1e-5" and names no schedule.
"""

from __future__ import annotations

import math

from magnostic.recipe import Dense, Finetune


def learning_rate(step: int, steps: int, train: Finetune | Dense) -> float:
    """Learning rate of ``step`` (0-based) of ``steps``; exactly ``lr`` first, ``lr_end`` last."""
    if train.schedule == "constant":
        return train.lr
    if step >= steps - 1 and steps > 1:
        return train.lr_end
    done = step / max(steps - 1, 1)
    if train.schedule == "linear":
        return train.lr + (train.lr_end - train.lr) * done
    if train.schedule == "exponential":
        return train.lr * math.pow(train.lr_end / train.lr, done)
    return train.lr_end + (train.lr - train.lr_end) * (1 + math.cos(math.pi * done)) / 2
