"""How many cores there are to work with."""

from __future__ import annotations

import os
from pathlib import Path

from magnostic.errors import BadInput


def cores(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Whole cores of the affinity mask and of the control group's share of time (``cpu.max``)."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = usable or 1
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return count if quota == "max" else max(1, min(count, int(quota) // int(period)))
    except (OSError, ValueError):
        return count  # no control groups, or of the first version


def check_workers(workers: int) -> None:
    """Raise BadInput for a number of threads that is none (``--workers``; 0: one a core)."""
    if workers < 0:
        raise BadInput(f"--workers {workers}: give 0 (one a core) or more")
