"""A study as a job array of SLURM: a run each, and one job after all of them for the report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from magnostic.cluster import Place

#: Seconds before its end at which a job is told to store a checkpoint.
_WARNING = 120
_CPUS = 4

_SCRIPT = """\
#!/usr/bin/env bash
# Submits study {name}: {runs} runs as a job array, then a job that carries out what is left and
# writes the report. Every node needs this package and these paths, on a shared file system. Both
# jobs belong on nodes of one kind: what a recipe leaves to the device (auto) names the run folders.
# Add to both what your cluster asks for: --account, --partition, --mem.
#
# index  run
{index}
set -euo pipefail
cd {here}
mkdir -p {logs}

array=$(sbatch --parsable <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={job}
#SBATCH --array=1-{runs}
{resources}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@{warning}
#SBATCH --output={logs}/%A_%a.log
{threads}
code=0
srun {command} --task "$SLURM_ARRAY_TASK_ID" || code=$?
# 138: told to stop before its time was up; it goes on from its checkpoint in a new job.
if [ "$code" = 138 ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
JOB
)

sbatch --dependency=afterany:"${{array%%;*}}" <<'JOB'
#!/usr/bin/env bash
#SBATCH --job-name={job}-report
{resources}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@{warning}
#SBATCH --output={logs}/report_%j.log
{threads}
code=0
srun {command} || code=$?
if [ "$code" = 138 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
JOB
"""
#: From 22.05 on srun does not take the cores over from sbatch.
_THREADS = """\
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK"""


def script(name: str, keys: Sequence[str], asked: Sequence[str], out: Path, place: Place) -> str:
    """A bash script that submits both jobs.

    Args:
        name: of the study.
        keys: of its runs, in the order of the array.
        asked: the words after ``magnostic study`` that say which study on which data.
        out: the study's folder.
        place: cores of each run (0: four) and whole GPUs (None: none).
    """
    words = [sys.executable, "-m", "magnostic", "study", *asked, f"--out={out}"]
    resources = [
        "--ntasks=1",
        f"--cpus-per-task={place.cpus or _CPUS}",
        *([f"--gpus-per-task={place.gpus:g}"] if place.gpus else []),
        "--time=24:00:00",
    ]
    return _SCRIPT.format(
        name=name,
        job=f"magnostic-{name}",
        runs=len(keys),
        index="\n".join(f"# {number:>5}  {key}" for number, key in enumerate(keys, start=1)),
        resources="\n".join(f"#SBATCH {option}" for option in resources),
        here=shlex.quote(str(Path.cwd())),
        logs=shlex.quote(str(out / "slurm")),
        warning=_WARNING,
        threads=_THREADS,
        command=shlex.join(words),
    )
