"""What a run was computed with: versions and device."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any, Final

import magnostic
from magnostic.train import device, ranks

_LIBRARIES: Final = (
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "scikit-learn",
    "numpy",
    "pandas",
)


def environment(precision: device.Precision) -> dict[str, Any]:
    """Versions and device; nothing that names the machine or the time."""
    return {
        "magnostic": magnostic.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        **device.describe(precision),
        **({"processes": ranks.current().size} if ranks.current().size > 1 else {}),
    }
