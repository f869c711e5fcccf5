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


def threads() -> int:
    """Of this process, to compute with: what ``OMP_NUM_THREADS`` says, else one a core.

    Neither a core that the process is kept from nor one beyond its container's quota counts:
    threads that take turns on a core wait for each other at every step.
    """
    return _asked_for(os.environ.get("OMP_NUM_THREADS", "")) or cores()


def _asked_for(text: str) -> int | None:
    """The number in OpenMP's form, of whose nested levels (``4,2``) the first; None: not one."""
    first = text.split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


def check_workers(workers: int) -> None:
    """Raise BadInput for a number of threads that is none (``--workers``; 0: one a core)."""
    if workers < 0:
        raise BadInput(f"--workers {workers}: give 0 (one a core) or more")
