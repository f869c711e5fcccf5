"""A stored run ready to explain: relevance of every pixel, nearest training images."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from magnostic.data.fit import sides
from magnostic.deploy import artefact, distance, engines
from magnostic.deploy.artefact import About, Member
from magnostic.deploy.distance import Neighbour, Reference
from magnostic.errors import BadInput, MissingExtra, WeightsError, did_you_mean
from magnostic.explain import attention, gradcam, occlusion
from magnostic.explain.networks import Group, Networks, Pixels
from magnostic.models.encoders import Encoder, Network
from magnostic.stored import as_written

Method = Literal["gradcam", "attention", "occlusion"]
METHODS: Final = ("auto", *get_args(Method))
#: Heads that the gradient goes through.
_DIFFERENTIABLE: Final = ("linear", "dense", "kernel")


@dataclass(frozen=True)
class Explanation:
    """What a class's prediction rests on.

    Attributes:
        method: ``gradcam``, ``attention`` or ``occlusion``.
        target: name of the class.
        relevance: float32 [H, W] of the network's input, in [0, 1]: 1 is the most relevant pixel of
            this photograph, so that two photographs cannot be compared; all 0 where nothing speaks
            for the class.
        probability: of the class as predicted, before the temperature, computed in float32.
    """

    method: str
    target: str
    relevance: NDArray[np.float32]
    probability: float


class Explainer:
    """Explains what one stored model predicts; safe to use from several threads.

    Args:
        about: what the model says of itself.
        members: its networks, which nothing else may compute with at the same time.
        references: training images in feature space for each network, or None.
        method: one of :data:`METHODS`; ``auto``: Grad-CAM for convolutional networks with a head
            that gradients go through, attention for transformers, else occlusion.

    Raises:
        BadInput: a method that does not fit the model.
        MissingExtra: without captum, but for ``attention``.
    """

    def __init__(
        self,
        about: About,
        members: Sequence[Member],
        references: Sequence[Reference | None],
        method: str = "auto",
    ) -> None:
        self.about = about
        self.references = tuple(references)
        self.networks = Networks(members)
        self.method = _method(members[0], method, self.networks)
        if self.method != "attention":
            _require_captum()
        #: What predicts with the same networks, in the precision of the run; not to be called while
        #: another thread explains.
        self.engine = engines.TorchEngine(members)
        self._lock = threading.Lock()

    @classmethod
    def load(cls, run: Path, *, method: str = "auto") -> Explainer:
        """The explainer of a run, or of one model of it (``RUN/final``).

        Raises:
            BadInput: no finished run, an exported model, or a method that does not fit.
            WeightsError: files that do not fit.
            MissingExtra: without captum, but for ``attention``.
        """
        if artefact.is_export(run):
            raise BadInput(
                f"{run}: is an exported model, which holds no layers to look into; give the run "
                "that it was made from"
            )
        with as_written(run, WeightsError):
            about, members = artefact.load_members(run)
            return cls(about, members, [distance.read(m.folder) for m in members], method)

    def explain(self, pixels: Pixels, target: str | None = None) -> Explanation:
        """Relevance of each pixel for one class.

        The map of a model of several networks is the mean of theirs, each (but for occlusion, whose
        unit is the probability's) first divided by its maximum.

        Args:
            pixels: uint8 [H, W, 3] of the network's input size
                (:func:`magnostic.data.fit.fit_image`), before any change of colour.
            target: name of the class; by default the one predicted.

        Raises BadInput for another shape or type, or an unknown class.
        """
        self._check(pixels)
        with self._lock:
            seen = self.networks.seen(pixels)
            found = self._probabilities([image[None] for image in seen])[0]
            index = int(found.argmax()) if target is None else self.class_index(target)
            relevance = scaled(self._relevance(seen, index)).astype(np.float32)
        return Explanation(self.method, self.about.classes[index], relevance, float(found[index]))

    def seen(self, pixels: Pixels) -> list[Pixels]:
        """A photograph as each group of :attr:`networks` is given it, uint8 [H, W, 3]."""
        self._check(pixels)
        return self.networks.seen(pixels)

    def probability(self, images: Sequence[Pixels], target: str) -> NDArray[np.float64]:
        """Probability of a class as predicted, float64 [N].

        Args:
            images: for each group of :attr:`networks` uint8 [N, H, W, 3], after its colour.
        """
        with self._lock:
            found: NDArray[np.float64] = self._probabilities(images)[:, self.class_index(target)]
        return found

    def nearest(
        self, photograph: Pixels | NDArray[np.floating] | Sequence[NDArray[np.floating]], k: int = 5
    ) -> list[Neighbour]:
        """The k nearest training images, nearest first; [] where the run kept none.

        Where several networks are averaged, each knows other training images; a distance is the
        mean over the networks that know an image.

        Args:
            photograph: pixels as for :meth:`explain`; or features [D], for several networks one
                for each.
        """
        if isinstance(photograph, np.ndarray) and photograph.dtype == np.uint8:
            pixels = np.asarray(photograph, np.uint8)
            self._check(pixels)
            with self._lock:
                features = [f[0] for f in self.engine.compute(pixels[None]).features]
        elif isinstance(photograph, np.ndarray):
            features = [photograph]
        else:
            features = list(photograph)
        known = [
            (reference, np.asarray(vector, np.float32)[None])
            for reference, vector in zip(self.references, features, strict=True)
            if reference is not None
        ]
        if len(known) == 1:
            return known[0][0].nearest(known[0][1], k)[0]
        return _merged([r.nearest(v, len(r))[0] for r, v in known], k)

    @property
    def comparable(self) -> bool:
        """Whether the training images that are known can be recognized by their pixels."""
        return all(reference is None or reference.comparable for reference in self.references)

    def thumbnail(self, neighbour: Neighbour) -> NDArray[np.uint8] | None:
        """The training image itself, uint8 [64, 64, 3], where the run kept it."""
        for reference in self.references:
            found = None if reference is None else reference.thumbnail(neighbour.image_id)
            if found is not None:
                return found
        return None

    def _relevance(self, seen: Sequence[Pixels], target: int) -> NDArray[np.float64]:
        networks = self.networks
        if self.method == "occlusion":
            maps = []
            for group, image in zip(networks.groups, seen, strict=True):

                def probability(some: Pixels, group: Group = group) -> NDArray[np.float64]:
                    return networks.probabilities(group, some)[:, target]

                maps.append(occlusion.relevance(probability, image, networks.batch_size))
            return networks.average(maps)
        compute = gradcam.relevance if self.method == "gradcam" else attention.relevance
        total = np.zeros(sides(self.about.size))
        for group, image in zip(networks.groups, seen, strict=True):
            images = networks.tensor(image)
            for member in group.members:
                model = _with_encoder(member, group.members[0].model.encoder)
                total += scaled(compute(model, images, target))
        return total / networks.count

    def _probabilities(self, images: Sequence[Pixels]) -> NDArray[np.float64]:
        groups = self.networks.groups
        each = [self.networks.probabilities(g, i) for g, i in zip(groups, images, strict=True)]
        return self.networks.average(each)

    def class_index(self, target: str) -> int:
        """Place of a class in the probabilities; BadInput for one that the model does not have."""
        require_class(target, self.about.classes)
        return self.about.classes.index(target)

    def _check(self, pixels: Any) -> None:
        shape = (*sides(self.about.size), 3)
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != shape:
            given = (
                f"{pixels.dtype} {pixels.shape}"
                if isinstance(pixels, np.ndarray)
                else type(pixels).__name__
            )
            raise BadInput(f"explain: {given}; give uint8 {shape} (magnostic.data.fit.fit_image)")


def require_class(target: str, classes: Sequence[str]) -> None:
    """Raise BadInput for a class that a model does not have."""
    if target not in classes:
        raise BadInput(
            f"--target {target}: not a class of this model{did_you_mean(target, classes)}; it has "
            f"{', '.join(classes)}"
        )


def scaled(relevance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divided by its maximum, if that is above 0."""
    most = float(relevance.max())
    return relevance / most if most > 0 else np.zeros_like(relevance)


def _require_captum() -> None:
    """Raise MissingExtra where captum, which Grad-CAM and occlusion need, is not installed."""
    try:
        import captum.attr
    except ImportError:
        raise MissingExtra("explain", "captum") from None
    del captum


def _method(member: Member, wanted: str, networks: Networks) -> str:
    """The method that ``wanted`` means for this kind of network."""
    if wanted not in METHODS:
        raise BadInput(f"--method {wanted}: choose one of {', '.join(METHODS)}")
    encoder = member.model.encoder
    differentiable = member.spec.head.get("kind") in _DIFFERENTIABLE
    if wanted == "occlusion":
        return wanted
    why = f"the gradient does not go through its head ({member.spec.head.get('kind')})"
    if differentiable and attention.fits(encoder):
        if wanted in ("auto", "attention"):
            return "attention"
        why = "a transformer has no convolutional maps; use attention"
    elif differentiable and wanted != "attention" and _has_maps(encoder, networks):
        return "gradcam"
    elif wanted == "auto":
        return "occlusion"
    elif differentiable:
        why = (
            "its blocks do not attend over all patches in a way that is known"
            if wanted == "attention"
            else "its features are no maps"
        )
    raise BadInput(
        f"--method {wanted}: does not fit {member.spec.backbone} ({why}); use auto or occlusion"
    )


@torch.inference_mode()
def _has_maps(encoder: Encoder, networks: Networks) -> bool:
    """Whether what is pooled has height and width; found by a blank input."""
    if not isinstance(encoder, Network):
        return False
    if encoder.features == "multi-level":
        return True
    size = networks.groups[0].members[0].spec.size
    blank = torch.zeros((1, *sides(size), 3), dtype=torch.uint8, device=networks.device)
    found = encoder.encode(encoder.normalize(blank))
    return isinstance(found, torch.Tensor) and found.ndim == 4


def _with_encoder(member: Member, encoder: Encoder) -> Any:
    """The network with the encoder that its group shares, which lies on the device."""
    from magnostic.models.classifier import Classifier

    if member.model.encoder is encoder:
        return member.model
    return Classifier(encoder, member.model.head).eval()


def _merged(lists: Sequence[Sequence[Neighbour]], k: int) -> list[Neighbour]:
    """One list of several networks' whole lists."""
    by_id: dict[str, list[Neighbour]] = {}
    for found in lists:
        for neighbour in found:
            by_id.setdefault(neighbour.image_id, []).append(neighbour)
    means = [
        Neighbour(
            n[0].image_id, n[0].label, n[0].slide_id, n[0].magnification,
            float(np.mean([one.distance for one in n])), n[0].pixel_hash,
        )
        for n in by_id.values()
    ]  # fmt: skip
    return sorted(means, key=lambda n: n.distance)[:k]
