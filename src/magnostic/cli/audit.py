"""``magnostic audit``: the coded checks MG001 to MG009."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from magnostic.cli import options


def audit(
    target: Path,
    *,
    data: options.DataPaths = (),
    format: options.Format = "auto",  # noqa: A002
    on_bad: options.OnBad = "stop",
    column: options.Columns = (),
    label_map: options.LabelMap = None,
    rescan: options.Rescan = False,
    strict: Annotated[bool, Parameter(negative="")] = False,
    reproduce: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Check a data set, a split or a run for what makes results wrong or flattering.

    Parameters
    ----------
    target
        A data set (as for index), a folder with a split.parquet, or a run folder.
    data
        The photographs behind a split or run: adds the checks that need their pixels' hashes.
        Beside a data set: more of them, to be merged with it.
    strict
        Exit with code 1 if any check finds an issue.
    reproduce
        Also load the run's models and compute its predictions anew, bit for bit (needs --data).
    """
    from magnostic import audit as checks
    from magnostic.cli.findings import print_findings
    from magnostic.errors import BadInput

    is_run = (target / "run.json").is_file()
    is_split = (target / "split.parquet").is_file()
    sets = data if is_run or is_split else (target, *data)
    images = options.read(sets, format, on_bad, column, label_map, rescan=rescan) if sets else None
    if is_run:
        findings = checks.audit_run(target, images)
    elif images is None:
        raise BadInput(f"{target}: a split is checked against its images; give --data DATA")
    elif is_split:
        findings = checks.audit_split(target, images)
    else:
        findings = checks.audit_images(images)
    print_findings(findings)
    if reproduce:
        if images is None or not is_run:
            raise BadInput("--reproduce needs a run and its photographs; give RUN --data DATA")
        from magnostic.train.reproduce import reproduce_run

        for line in reproduce_run(target, images):
            print(line)
    if strict and any(f.status == "issue" for f in findings):
        sys.exit(1)
