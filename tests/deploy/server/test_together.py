"""Many clients at once, slow ones, too many: on a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from magnostic.deploy.engines import Computed
from magnostic.deploy.predictor import Predictor
from magnostic.deploy.server import Models, Settings
from magnostic.deploy.server.batcher import Batcher

Serving = Callable[[Settings], contextlib.AbstractContextManager[str]]
CLIENTS, REQUESTS = 64, 300


def test_many_clients_get_their_own_answers(
    address: str, models: Models, photographs: list[Path], same: Callable[..., None]
) -> None:
    rows = list(models.predictor.stream(photographs))
    contents = [path.read_bytes() for path in photographs]
    turns, told = iter(range(REQUESTS)), []

    async def one(client: httpx2.AsyncClient) -> None:
        for turn in turns:
            some = [(turn + k) % len(photographs) for k in range(1 + turn % 3)]
            files = [("images", (f"{turn}-{n}.png", contents[n])) for n in some]
            told.append((turn, some, await client.post("/v1/predict", files=files)))

    async def everyone() -> None:
        limits = httpx2.Limits(max_connections=CLIENTS)
        async with httpx2.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            await asyncio.gather(*(one(client) for _ in range(CLIENTS)))
            counted = (await client.get("/metrics")).text
        sizes = [line for line in counted.splitlines() if line.startswith("magnostic_batch_size_")]
        batches = float(next(s for s in sizes if "_count" in s).split()[1])
        photographs_ = float(next(s for s in sizes if "_sum" in s).split()[1])
        assert photographs_ / batches > 4  # of 8 that the engine takes at once

    asyncio.run(everyone())
    assert sorted(turn for turn, _, _ in told) == list(range(REQUESTS))
    for turn, some, answer in told:
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [r["name"] for r in results] == [f"{turn}-{n}.png" for n in some]
        for result, n in zip(results, some, strict=True):
            same(result["prediction"], rows[n])


def begun(address: str, length: int | None) -> socket.socket:
    """A connection that has sent the head of a request."""
    host, port = address.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=10)
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    head = ["POST /v1/predict HTTP/1.1", f"Host: {host}", size,
            "Content-Type: multipart/form-data; boundary=b", "", ""]  # fmt: skip
    found.sendall("\r\n".join(head).encode())
    return found


def status(connection: socket.socket) -> int:
    with connection:
        head = connection.recv(65536)
        return int(head.split(b" ")[1])


def test_slow_bodies_are_given_up(serving: Serving) -> None:
    with serving(Settings(stall_seconds=0.2, body_seconds=0.6)) as address:
        stalled = begun(address, 1000)
        assert status(stalled) == 408
        dripping = begun(address, 100_000)
        dripping.sendall(b"--b\r\n")
        until = time.monotonic() + 5
        with contextlib.suppress(OSError):
            while time.monotonic() < until:
                time.sleep(0.05)
                dripping.sendall(b"x")
                dripping.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if dripping.recv(1, socket.MSG_PEEK):
                        break
                dripping.setblocking(True)
        dripping.setblocking(True)
        assert status(dripping) == 408
        assert time.monotonic() < until


def test_oversize_with_and_without_a_length(serving: Serving) -> None:
    limits = Settings(max_bytes=4096)
    with serving(limits) as address:
        assert status(begun(address, 10**12)) == 413  # answered before any of it is sent
        chunked = begun(address, None)
        piece = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        chunked.sendall(b"7\r\n--b\r\nX:\r\n")
        for _ in range(1 + limits.max_body // 65536):
            chunked.sendall(piece)
        chunked.sendall(b"0\r\n\r\n")
        assert status(chunked) in (400, 413)
        large = (
            b"--b\r\nContent-Disposition: form-data; name=images\r\n\r\n" + b"x" * limits.max_body
        )
        counted = begun(address, None)
        for start in range(0, len(large), 65536):
            some = large[start : start + 65536]
            counted.sendall(b"%x\r\n" % len(some) + some + b"\r\n")
        counted.sendall(b"0\r\n\r\n")
        assert status(counted) == 413


def test_a_connection_that_says_nothing_is_closed(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnostic.deploy.server.listen._FIRST", 0.2)
    with serving(Settings()) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as silent:
            silent.sendall(b"GET /healthz HT")  # and no more
            assert silent.recv(10) == b""
        assert httpx2.get(f"{address}/healthz").status_code == 200


def test_a_full_queue_says_when_to_come_again(
    models: Models, serving: Serving, photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave, engine = threading.Event(), models.predictor.engine
    compute = engine.compute

    def slow(pixels: np.ndarray) -> Computed:
        leave.wait(20)
        return compute(pixels)

    with serving(Settings(max_queue=2)) as address:
        monkeypatch.setattr(engine, "compute", slow)
        told: list[Any] = []
        file = {"images": photographs[0].read_bytes()}
        ask = lambda: told.append(httpx2.post(f"{address}/v1/predict", files=file))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while "magnostic_queue_length 2.0" not in httpx2.get(f"{address}/metrics").text:
            assert time.monotonic() < until
        assert httpx2.get(f"{address}/readyz").status_code == 503
        refused = httpx2.post(f"{address}/v1/predict", files=file)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        leave.set()
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in told] == [200, 200]
        assert httpx2.get(f"{address}/readyz").status_code == 200


def test_a_batch_waits_for_what_is_being_decoded(
    predictor: Predictor, photographs: list[Path]
) -> None:
    sizes: list[int] = []
    batcher = Batcher(
        predictor, max_pixels=10**6, linger=0.0, computed=lambda n, _: sizes.append(n)
    )

    async def ask() -> list[Any]:
        batcher.start()
        some = [path.read_bytes() for path in photographs[:20]]
        return await asyncio.gather(*map(batcher.row, some), batcher.row(b"text"))

    *rows, bad = asyncio.run(ask())
    batcher.close()
    assert not batcher.alive
    assert bad["error"].startswith("not an image")
    assert [r["y_pred"] for r in rows] == [r["y_pred"] for r in predictor.stream(photographs[:20])]
    assert sum(sizes) == 20
    assert max(sizes) == predictor.engine.batch_size == 8
