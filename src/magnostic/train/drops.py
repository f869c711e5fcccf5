"""Dropout and stochastic depth of a batch, whatever number of processes it is shared by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from magnostic.errors import RecipeError
from magnostic.recipe import Finetune, Recipe

#: timm's options for what is drawn, or scaled, within a fused kernel or by the share alone.
_OF_A_SHARE: Final = ("attn_drop_rate", "patch_drop_rate", "drop_block_rate")


def require_shared(recipe: Recipe, processes: int) -> None:
    """Raise RecipeError for dropout that several processes would not do as one does."""
    asked = [name for name in _OF_A_SHARE if recipe.model.args.get(name)]
    if asked and processes > 1 and isinstance(recipe.train, Finetune):
        raise RecipeError(
            f"model.args: {', '.join(asked)}: {processes} processes would not drop what one drops; "
            "leave it out, or train with one process"
        )


class WholeBatchDrops(TorchFunctionMode):
    """Inside, what is dropped is drawn for the whole batch, and each process takes its samples'.

    The random numbers are those that one process would draw, if all start from the same seed. It
    covers ``functional.dropout`` and ``Tensor.bernoulli_``, by which timm drops paths.
    """

    def __init__(self, total: int, mine: NDArray[np.intp]) -> None:
        """
        Args:
            total: samples of the whole batch.
            mine: intp [n], n > 0: those of this process.
        """
        super().__init__()
        self._total, self._mine = total, mine

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is Tensor.bernoulli_:
            return args[0].copy_(self._taken(args[0], lambda t: t.bernoulli_(*args[1:], **kwargs)))
        return func(*args, **kwargs)

    def _dropout(
        self,
        input: Tensor,  # noqa: A002
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Tensor:
        if not training or p == 0:
            return functional.dropout(input, p, training, inplace)
        mask = self._taken(input, lambda t: functional.dropout(t.fill_(1), p))
        return input.mul_(mask) if inplace else input * mask

    def _taken(self, like: Tensor, drawn: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows of this process. A sample may have several (the windows that it is cut into)."""
        each = len(like) // len(self._mine)
        with torch.no_grad():
            whole = drawn(like.new_empty((self._total * each, *like.shape[1:])))
        rows = (self._mine[:, None] * each + np.arange(each)).ravel()
        return whole[torch.from_numpy(rows).to(whole.device)]
