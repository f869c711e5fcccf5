"""Fetching from servers that misbehave: the right file or a clear error, each time.

    python bench/faults/fetch.py [--json FILE]

Every kind is served on loopback, with a data set of 16 photographs of noise; afterwards the same
server behaves, and the right file must come of what the fault has left. Exit code 1 if any kind
ends wrongly.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _fetch_kinds import KINDS, Kind  # noqa: E402
from _fetch_run import Outcome, run  # noqa: E402
from _fetch_server import Server, certificate, serving, tls_of  # noqa: E402
from _table import Row, finish  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE")
    json_path = parser.parse_args().json
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        scratch = Path(name)
        pem = certificate(scratch)
        plain = stack.enter_context(serving())
        secure = stack.enter_context(serving(tls_of(pem))) if pem else None
        outcomes = []
        for number, kind in enumerate(KINDS):
            server = secure if kind.tls else plain
            if server is None:
                print(f"{kind.name}: passed over, there is no openssl to make a certificate with")
                continue
            outcomes.append(_one(kind, server, scratch / str(number), pem))
    right = sum(not outcome.wrong for outcome in outcomes)
    files = sum(outcome.kind.says is None for outcome in outcomes)
    rows = [
        Row("kinds of misbehaviour", len(outcomes), "", "at least 20", len(outcomes) >= 20),
        Row("of which the right file must come", files, ""),
        Row("ended as they must", right, "", "all", right == len(outcomes)),
    ]
    finish("faults/fetch", rows, json_path)
    sys.exit(right < len(outcomes))


def _one(kind: Kind, server: Server, folder: Path, pem: Path | None) -> Outcome:
    with contextlib.redirect_stderr(io.StringIO()):  # what is told on the way
        outcome = run(kind, server, folder, pem)
    verdict = f"WRONG ({outcome.wrong})" if outcome.wrong else "file" if not kind.says else "error"
    told = outcome.told.replace(server.url, "SERVER").replace(str(folder), "DIR")
    print(f"{kind.name} | {verdict} | {told}", flush=True)
    return outcome


if __name__ == "__main__":
    main()
