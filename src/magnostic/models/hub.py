"""Weight files from a model hub: its local cache, else a download, else a quick clear error."""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import huggingface_hub
import torch
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError

from magnostic.errors import WeightsError

#: Names under which timm's hub repositories keep a state dict, safest first.
WEIGHT_FILES: Final = ("model.safetensors", "pytorch_model.bin")
WAYS_OUT: Final = (
    "without a network use model.weights package:efficientnet-lite0 with model.backbone "
    "tf_efficientnet_lite0, or a local file (model.weights PATH.safetensors), or train from "
    "random weights (model.weights none)"
)
_TIMEOUT = 5.0


def cached(repository: str, names: Sequence[str] = WEIGHT_FILES) -> Path | None:
    """The first of these files that the hub's local cache holds."""
    for name in names:
        found = huggingface_hub.try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            return Path(found)
    return None


def download(repository: str, names: Sequence[str], what: str) -> Path:
    """Path of the first of these files in a hub repository; WeightsError if it can't be had."""
    found = cached(repository, names)
    if found is not None:
        return found
    _require(constants.ENDPOINT, f"{what} could not be had from {repository}")
    for name in names:
        try:
            # The newest revision is wanted; tensors alone are read, their SHA-256 is kept.
            return Path(huggingface_hub.hf_hub_download(repository, name))  # nosec B615
        except EntryNotFoundError:
            continue
        except GatedRepoError:
            raise WeightsError(
                f"{what}: {repository} gives its files to who has accepted its terms; accept them "
                f"at {constants.ENDPOINT}/{repository}, then log in (hf auth login, or HF_TOKEN)"
            ) from None
        except Exception as error:  # the hub's client raises errors of several libraries
            raise WeightsError(_unreachable(what, repository, error)) from None
    raise WeightsError(f"{what}: {repository} has no file {' or '.join(names)}; give a local file")


def download_url(url: str, what: str) -> Path:
    """Path of a downloaded file in torch's cache; WeightsError if it can't be had."""
    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(urllib.parse.urlparse(url).path).name
    if not target.is_file():
        _require(url, f"{what} could not be had from {url}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(target))
        except Exception as error:
            raise WeightsError(_unreachable(what, url, error)) from None
    return target


def _require(url: str, problem: str) -> None:
    """Fail at once where the host can't be reached, instead of after a minute of retries."""
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"{problem} (HF_HUB_OFFLINE is set); {WAYS_OUT}")
    parts = urllib.parse.urlparse(url)
    if urllib.request.getproxies() or not parts.hostname:
        return  # a proxy decides what is reachable
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname, port), timeout=_TIMEOUT).close()
    except OSError:
        raise WeightsError(f"{problem} (no connection to {parts.hostname}); {WAYS_OUT}") from None


def _unreachable(what: str, where: str, error: Exception) -> str:
    return f"{what} could not be had from {where} ({type(error).__name__}); {WAYS_OUT}"
