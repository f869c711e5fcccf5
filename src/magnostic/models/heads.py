"""What stands on the features: from float [N, D] to one logit a class, float [N, C].

Every head keeps all that it learnt in parameters and buffers, so that safetensors holds it and no
pickle is needed; its description, plain JSON, is enough to build it again before they are loaded.
Kernel and nearest-neighbour heads contain the features of training photographs themselves, also
where ``keep_reference`` is ``none``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

#: Logit of a class without a training image: its probability is 0 to float32's precision.
ABSENT: Final = -200.0
#: Shares are raised to this before their logarithm is taken.
_LEAST_SHARE: Final = 1e-12


class Head(nn.Module):
    """Base of the heads that are more than one ``nn.Linear``.

    Computes in the precision of the features, float32 or (after ``.double()``) float64.
    """

    kind: str
    in_features: int
    classes: int

    def description(self) -> dict[str, Any]:
        """Kind and shapes, as JSON."""
        raise NotImplementedError


class Standardized(Head):
    """Features are first brought to mean 0 and deviation 1 of the training part.

    Buffers ``shift`` and ``scale``, float32 [D]: (features - shift) / scale.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.in_features = in_features
        self.register_buffer("shift", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))

    def standardize_by(self, features: NDArray[np.float32]) -> None:
        """Take mean and population deviation of features [N, D]."""
        shift, scale = standardization(features)
        self.shift.copy_(torch.from_numpy(shift))
        self.scale.copy_(torch.from_numpy(scale))

    def standardized(self, features: Tensor) -> Tensor:
        """[N, D] -> [N, D]."""
        return (features - self.shift) / self.scale


class Dense(Standardized):
    """Fully connected layers: Linear, ReLU, Dropout for each hidden width, then Linear."""

    kind = "dense"

    def __init__(
        self, in_features: int, hidden: Sequence[int], classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__(in_features)
        self.hidden, self.classes, self.dropout = tuple(hidden), classes, dropout
        layers: list[nn.Module] = []
        width = in_features
        for next_width in self.hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
            width = next_width
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def description(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "in_features": self.in_features,
            "hidden": list(self.hidden),
            "classes": self.classes,
            "dropout": self.dropout,
        }

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(self.standardized(features))
        return logits


class Kernel(Standardized):
    """One-against-the-rest SVMs with a Gaussian kernel, which share their support vectors.

    logit_c = sum_m dual[m, c] exp(-gamma |x - support_m|^2) + bias_c, where x is standardized.

    Buffers: ``support`` [M, D], ``dual`` [M, C], ``bias`` [C], ``gamma`` [].
    """

    kind = "kernel"
    support: Tensor
    dual: Tensor
    bias: Tensor
    gamma: Tensor

    def __init__(self, in_features: int, support: int, classes: int) -> None:
        super().__init__(in_features)
        self.classes = classes
        self.register_buffer("support", torch.zeros(support, in_features))
        self.register_buffer("dual", torch.zeros(support, classes))
        self.register_buffer("bias", torch.full((classes,), ABSENT))
        self.register_buffer("gamma", torch.tensor(1.0))

    def description(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "in_features": self.in_features,
            "support": len(self.support),
            "classes": self.classes,
        }

    def forward(self, features: Tensor) -> Tensor:
        x = self.standardized(features)
        squared = (x * x).sum(1, keepdim=True) + (self.support * self.support).sum(1)
        squared = (squared - 2 * x @ self.support.T).clamp(min=0)
        return torch.exp(-self.gamma * squared) @ self.dual + self.bias


class Forest(Head):
    """Decision trees, whose leaves' class shares are averaged; logits are their logarithms.

    Nodes of all trees lie one after another. A leaf is its own child on both sides, so that
    ``depth`` steps bring every image to a leaf of every tree.

    Buffers, of P nodes and T trees: ``roots`` int32 [T]; ``feature``, ``left``, ``right`` int32
    [P]: go left where features[:, feature] <= threshold; ``threshold`` [P]; ``share`` [P, C];
    ``present`` bool [C]: classes with training images.
    """

    kind = "forest"
    roots: Tensor
    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    share: Tensor
    present: Tensor

    def __init__(self, in_features: int, classes: int, trees: int, nodes: int, depth: int) -> None:
        super().__init__()
        self.in_features, self.classes, self.depth = in_features, classes, depth
        self.register_buffer("roots", torch.zeros(trees, dtype=torch.int32))
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(nodes, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(nodes))
        self.register_buffer("share", torch.zeros(nodes, classes))
        self.register_buffer("present", torch.zeros(classes, dtype=torch.bool))

    def description(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "in_features": self.in_features,
            "classes": self.classes,
            "trees": len(self.roots),
            "nodes": len(self.feature),
            "depth": self.depth,
        }

    def forward(self, features: Tensor) -> Tensor:
        node = self.roots.long().expand(features.shape[0], -1)
        for _ in range(self.depth):
            value = features.gather(1, self.feature[node].long())
            goes_left = value <= self.threshold[node]
            node = torch.where(goes_left, self.left[node], self.right[node]).long()
        total = features.new_zeros(features.shape[0], self.classes)
        for tree in range(node.shape[1]):  # one at a time: [N, T, C] would not fit for many images
            total = total + self.share[node[:, tree]]
        return _logarithm(total / node.shape[1], self.present)


class Neighbours(Standardized):
    """The k nearest training images by Euclidean distance; logits are logarithms of their shares.

    Of equally near images the earlier one in the training part counts.

    Buffers: ``known`` [M, D], standardized; ``labels`` int64 [M].
    """

    kind = "neighbours"
    known: Tensor
    labels: Tensor

    def __init__(self, in_features: int, known: int, classes: int, k: int) -> None:
        super().__init__(in_features)
        if k > known:
            raise ValueError(f"{k} neighbours of {known} images")
        self.classes, self.k = classes, k
        self.register_buffer("known", torch.zeros(known, in_features))
        self.register_buffer("labels", torch.zeros(known, dtype=torch.int64))

    def description(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "in_features": self.in_features,
            "known": len(self.known),
            "classes": self.classes,
            "k": self.k,
        }

    def forward(self, features: Tensor) -> Tensor:
        # Differences, not products: equal images must have equal distances to the last bit.
        mode = "donot_use_mm_for_euclid_dist"
        distance = torch.cdist(self.standardized(features), self.known, compute_mode=mode)
        nearest = distance.sort(dim=1, stable=True).indices[:, : self.k]
        votes = nn.functional.one_hot(self.labels, self.classes).to(features.dtype)
        return _logarithm(votes[nearest].mean(dim=1), votes.any(dim=0))


def dense(
    in_features: int,
    hidden: Sequence[int],
    classes: int,
    dropout: float,
    features: NDArray[np.float32],
) -> Dense:
    """A :class:`Dense` head drawn from torch's random state, standardizing by these features."""
    head = Dense(in_features, hidden, classes, dropout)
    head.standardize_by(features)
    return head


def standardization(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and population deviation of each column of [N, D], summed in float64: float32 [D] each.

    A column that does not vary beyond the rounding of float32 has deviation 1.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    deviation[deviation <= 1e-7 * np.abs(mean)] = 1
    # In float32 the deviation of denormal features could become 0.
    scale = np.maximum(deviation, np.finfo(np.float32).tiny).astype(np.float32)
    return mean.astype(np.float32), scale


def describe(head: nn.Module) -> dict[str, Any]:
    """Description of a :class:`Head` or an ``nn.Linear``, from which :func:`build` makes it."""
    if isinstance(head, nn.Linear):
        return {"kind": "linear", "in_features": head.in_features, "classes": head.out_features}
    if isinstance(head, Head):
        return head.description()
    raise TypeError(f"{type(head).__name__} is not a head")


def build(description: Mapping[str, Any]) -> nn.Module:
    """The head of a description, with the right shapes and no content yet.

    Raises KeyError, TypeError or ValueError for a description that is none of these heads'.
    """
    arguments = dict(description)
    kind = arguments.pop("kind")
    if kind not in _KINDS:
        raise ValueError(f"unknown head {kind!r}")
    return _KINDS[kind](**arguments)


def _linear(in_features: int, classes: int) -> nn.Linear:
    return nn.Linear(in_features, classes)


_KINDS: Final[Mapping[str, Callable[..., nn.Module]]] = {
    "linear": _linear,
    "dense": Dense,
    "kernel": Kernel,
    "forest": Forest,
    "neighbours": Neighbours,
}


def _logarithm(share: Tensor, present: Tensor) -> Tensor:
    logits = share.clamp(min=_LEAST_SHARE).log()
    return logits.masked_fill(~present, ABSENT)
