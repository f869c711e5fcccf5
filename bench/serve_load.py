"""``magnostic serve`` under load, beside offline prediction of the same files.

A server process on loopback with the run of ``--run``, or one trained first (``probe-lite0``
on the genuine sample, or on the phantom where that is missing). 64 clients in this process, each
with one connection, send 2,000 photographs in all, one a request; every answer is compared with the
row of offline prediction, figure by figure. Server and clients share the cores; so that the ratio
says what serving costs, offline prediction (``magnostic predict`` from files to CSV, a process of
its own) is measured before and after, and the mean of the two is what is compared with.

Memory: resident memory of the server when it has started, after the load, and a few seconds later.

    python bench/serve_load.py
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _models import photographs
from _table import Row, finish

from magnostic.progress import say

CLIENTS, REQUESTS, OFFLINE = 64, 2000, 1000
SHARE, BOUNDARY = 0.8, b"bench-of-magnostic"
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Told:
    """What came back: index of the photograph, seconds, status, body."""

    answers: list[tuple[int, float, int, bytes]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def request(path: Path, host: str) -> bytes:
    """The whole request of one photograph."""
    body = (
        b"--%s\r\nContent-Disposition: form-data; name=\"images\"; filename=\"%s\"\r\n"
        b"Content-Type: image/png\r\n\r\n%s\r\n--%s--\r\n"
        % (BOUNDARY, path.name.encode(), path.read_bytes(), BOUNDARY)
    )  # fmt: skip
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=%s\r\n\r\n"
        % (host.encode(), len(body), BOUNDARY)
    )  # fmt: skip
    return head + body


async def client(host: str, requests: list[bytes], turns: Any, told: Told) -> None:
    """One connection that sends the next photograph when it has the answer to the last one."""
    name, port = host.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(name, int(port))
    for turn in turns:
        place = turn % len(requests)
        started = time.perf_counter()
        try:
            writer.write(requests[place])
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
            told.errors.append(repr(error))
            return
        seconds = time.perf_counter() - started
        told.answers.append((place, seconds, int(head.split(b" ", 2)[1]), body))
    writer.close()


async def load(host: str, requests: list[bytes], count: int) -> tuple[Told, float]:
    """All clients at once, and how long they took."""
    told, turns = Told(), iter(range(count))  # shared: whoever is free takes the next one
    started = time.perf_counter()
    await asyncio.gather(*(client(host, requests, turns, told) for _ in range(CLIENTS)))
    return told, time.perf_counter() - started


def wrong(told: Told, paths: list[Path], rows: list[dict[str, Any]]) -> int:
    """Answers that are not those of offline prediction."""
    return sum(
        status != 200 or not _same(json.loads(body)["results"], paths[place].name, rows[place])
        for place, _, status, body in told.answers
    )


def _same(results: list[dict[str, Any]], name: str, row: dict[str, Any]) -> bool:
    said = results[0]["prediction"]
    plain = ("width", "height", "contrast", "sharpness", "distance", "confidence", "answered",
             "review")  # fmt: skip
    return (
        len(results) == 1
        and results[0]["name"] == name
        and said["predicted"] == row["y_pred"]
        and all(said[key] == row[key] for key in plain)
        and all(p == row[f"p_{c}"] for c, p in said["probabilities"].items())
        and (None if said["set"] is None else "|".join(said["set"])) == row["set"]
        and ("|".join(said["reasons"]) or None) == row["reasons"]
        and all(v in (row.get(f"malignant_{k}"), None) for k, v in said["points"].items())
    )


def offline(run: Path, paths: list[Path], count: int, out: Path) -> float:
    """Photographs a second of ``magnostic predict``, without loading the model."""
    listed = out.with_suffix(".txt")
    listed.write_text("\n".join(map(str, itertools.islice(itertools.cycle(paths), count))))
    command = [sys.executable, __file__, "--offline", str(listed), "--run", str(run)]
    done = subprocess.run([*command, "--out", str(out)], check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1])


def measure_offline(run: Path, listed: Path, out: Path) -> None:
    from magnostic.deploy import load as load_model
    from magnostic.deploy.sources import Item
    from magnostic.deploy.to_file import predict_to_file

    predictor = load_model(run)
    items = [Item(line) for line in listed.read_text().splitlines()]
    for _ in predictor.stream(items[:64]):  # the first batches take longer
        pass
    out.unlink(missing_ok=True)
    started = time.perf_counter()
    predict_to_file(predictor, items, out)
    print(len(items) / (time.perf_counter() - started))


class Server:
    """``magnostic serve`` in a process of its own."""

    def __init__(self, run: Path) -> None:
        command = [sys.executable, "-m", "magnostic", "serve", str(run), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.host = self.process.stdout.readline().split()[0].split("//")[1].strip("/")

    def resident(self) -> float:
        """MiB."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * PAGE / 2**20

    def batch_size(self) -> float:
        """Mean over all batches so far."""
        with urllib.request.urlopen(f"http://{self.host}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        count, total = (
            float(
                next(x for x in lines if x.startswith(f"magnostic_batch_size_{what} ")).split()[1]
            )
            for what in ("count", "sum")
        )
        return total / count

    def stop(self) -> int:
        """Exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def trained(folder: Path) -> Path:
    """A run on the photographs at hand."""
    from magnostic.cli import main as magnostic

    shared = Path(os.environ.get("MAGNOSTIC_SHARED", Path(__file__).parents[2] / "shared"))
    data = shared / "breakhis-sample" / "BreaKHis_v1"
    if not data.is_dir():
        data = folder / "phantom"
        _command(magnostic, ["phantom", str(data)])
    run = folder / "run"
    _command(magnostic, ["train", "probe-lite0", "--data", str(data), "--out", str(run)])
    return run


def _command(magnostic: Any, arguments: list[str]) -> None:
    try:
        magnostic(arguments)
    except SystemExit as ended:
        if ended.code:
            raise


def measure(run: Path, folder: Path, count: int) -> list[Row]:
    paths = photographs(folder)
    before = offline(run, paths, OFFLINE, folder / "before.json")
    rows = json.loads((folder / "before.json").read_text())[: len(paths)]
    assert len(rows) == len(paths)
    say("offline prediction is measured; starting the server")
    server = Server(run)
    try:
        requests = [request(path, server.host) for path in paths]
        asyncio.run(load(server.host, requests, 2 * CLIENTS))  # the first batches take longer
        at_start = server.resident()
        say("the load begins")
        told, seconds = asyncio.run(load(server.host, requests, count))
        at_end, sizes = server.resident(), server.batch_size()
        say("the load is over")
        time.sleep(5)
        later = server.resident()
    finally:
        code = server.stop()
    after = offline(run, paths, OFFLINE, folder / "after.json")
    rate, plain = len(told.answers) / seconds, (before + after) / 2
    times = 1000 * np.array([seconds for _, seconds, _, _ in told.answers])
    lost = count - len(told.answers)
    bad = wrong(told, paths, rows)
    for error in told.errors[:3]:
        print(error)
    return [
        Row("offline prediction, before", before, "photographs/s"),
        Row("offline prediction, after", after, "photographs/s"),
        Row(f"served, {CLIENTS} clients, {count} requests", rate, "photographs/s"),
        Row("share of offline prediction", rate / plain, "", f"at least {SHARE}",
            rate / plain >= SHARE),
        Row("photographs of a batch, mean", sizes, ""),
        Row("requests without an answer", lost, "", "0", lost == 0),
        Row("answers unlike offline prediction", bad, "", "0", bad == 0),
        Row("median time of a request", float(np.percentile(times, 50)), "ms"),
        Row("99th percentile", float(np.percentile(times, 99)), "ms"),
        Row("memory of the server before the load", at_start, "MiB"),
        Row("memory after it", at_end, "MiB"),
        Row("memory five seconds later", later, "MiB", "at most as before the load + 64 MiB",
            later <= at_start + 64),
        Row("exit code after SIGTERM", code, "", "0", code == 0),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--run", type=Path, help="a run on the photographs; trained without it")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--offline", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.offline:
        measure_offline(given.run, given.offline, given.out)
        return
    with tempfile.TemporaryDirectory() as place:
        run = given.run or trained(Path(place))
        rows = measure(run, Path(place), given.requests)
    finish("serve_load", rows, given.json)


if __name__ == "__main__":
    main()
