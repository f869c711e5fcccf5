"""magnostic: breast-tumour classification in H&E photographs at any magnification.

Research use only: nothing here is a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magnostic.deploy import load as load

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``magnostic.load``, imported when it is asked for, so that ``--help`` answers at once."""
    if name == "load":
        from magnostic.deploy import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
