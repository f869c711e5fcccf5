"""``magnostic serve`` as a process: malformed uploads, memory, and its end."""

from __future__ import annotations

import io
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
LIMIT = 300_000


class Process:
    """``magnostic serve RUN`` on a free port."""

    def __init__(self, run: Path, *options: str) -> None:
        command = [sys.executable, "-m", "magnostic", "serve", str(run), "--port", "0",
                   "--engine", "torch", *options]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        self.popen = subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.popen.stdout is not None
        self.address = self.popen.stdout.readline().split()[0].rstrip("/")
        self.host, port = self.address.removeprefix("http://").split(":")
        self.port = int(port)

    def resident(self) -> float:
        """MiB."""
        statm = Path(f"/proc/{self.popen.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(scope="module")
def process(tiny_run: Path) -> Iterator[Process]:
    found = Process(tiny_run, "--max-bytes", str(LIMIT))
    yield found
    found.popen.kill()
    found.popen.wait()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *before: bytes, data: bytes) -> bytes:
    """A PNG file of these chunks, which need not be a right one."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), *before, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


Made = Callable[[np.random.Generator], bytes]
BOMB = zlib.compress(b"\0" * (6000 * 18001), 9)  # 108 MB of rows in 105 kB
LONG_TEXT = b"Comment\0\0" + zlib.compress(b"a" * 70_000_000, 9)


def rgb(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(noise(rng, 40, 50, 3))


def cut(kind: str) -> Made:
    def made(rng: np.random.Generator) -> bytes:
        whole = saved(rgb(rng), kind)
        return whole[: int(rng.integers(0, 0.9 * len(whole)))]

    return made


def flipped(rng: np.random.Generator) -> bytes:
    whole = bytearray(saved(rgb(rng), "PNG"))
    whole[int(rng.integers(60, len(whole) - 20))] ^= 0x55
    return bytes(whole)


def followed(kind: str, more: bytes) -> Made:
    return lambda rng: saved(rgb(rng), kind) + more


FILES: dict[str, Made] = {
    "bomb": lambda _: png(6000, 6000, data=BOMB),
    "claimed size": lambda rng: png(int(rng.integers(6000, 2**31)), 60_000, data=b"x"),
    "text bomb": lambda _: png(9, 9, chunk(b"zTXt", LONG_TEXT), data=zlib.compress(b"\0" * 252)),
    "oversize": lambda rng: rng.bytes(LIMIT + 1),
    "text": lambda rng: b"a photograph " * int(rng.integers(1, 50)),
    "noise": lambda rng: rng.bytes(int(rng.integers(1, 5000))),
    "empty": lambda _: b"",
    "elf": lambda rng: b"\x7fELF\x02\x01\x01" + rng.bytes(200),
    "svg": lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "eps": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n",
    "pdf before png": lambda rng: b"%PDF-1.7\n" + saved(rgb(rng), "PNG"),
    "html before jpeg": lambda rng: b"<html><script>/*" + saved(rgb(rng), "JPEG"),
    "zip after png": followed("PNG", b"PK\x03\x04 archive"),
    "script after jpeg": followed("JPEG", b"<?php system('id'); ?>"),
    "jar after bmp": followed("BMP", b"PK\x03\x04 META-INF"),
    "script after gif": lambda _: saved(Image.new("P", (9, 9)), "GIF") + b"*/=alert(1);",
    "cmyk": lambda rng: saved(rgb(rng).convert("CMYK"), "JPEG"),
    "sixteen bits": lambda rng: saved(Image.fromarray(noise(rng, 9, 9).astype(np.uint16)), "PNG"),
    "grey": lambda rng: saved(Image.fromarray(noise(rng, 9, 9)), "PNG"),
    "transparent": lambda rng: saved(Image.fromarray(noise(rng, 9, 9, 4)), "PNG"),
    "animated": lambda rng: saved(rgb(rng), "GIF", save_all=True, append_images=[rgb(rng)]),
    "many pages": lambda rng: saved(rgb(rng), "TIFF", save_all=True, append_images=[rgb(rng)]),
    "cut png": cut("PNG"),
    "cut jpeg": cut("JPEG"),
    "cut webp": cut("WEBP"),
    "cut tiff": cut("TIFF"),
    "flipped": flipped,
}
NAMES = ("../../etc/passwd", "/etc/passwd", "a/b.png", "..", "n" * 3000)


def forms(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Requests that are no whole form: header Content-Type, body."""
    kind = "multipart/form-data; boundary=b"
    head = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    photograph = saved(rgb(rng), "PNG")
    whole = head + photograph + b"\r\n--b--\r\n"
    yield kind, whole[: int(rng.integers(0, len(whole) - 5))]
    yield "multipart/form-data; boundary=other", whole
    yield "multipart/form-data", whole
    yield "multipart/form-data; boundary=" + "b" * 300, whole
    yield "image/png", photograph
    yield "application/x-www-form-urlencoded", b"images=" + rng.bytes(50)
    yield kind, whole.replace(b'name="images"', b'name="imagez"')
    yield kind, whole.replace(b"form-data", b"attachment")
    yield kind, b"--b\r\n" + b"X: y\r\n" * 200 + b"\r\n" + photograph


def test_500_malformed_uploads(process: Process) -> None:
    rng = np.random.default_rng(0)
    sent: dict[str, int] = {}
    with httpx2.Client(base_url=process.address, timeout=30) as client:

        def assert_refused(what: str, answer: httpx2.Response) -> None:
            assert 400 <= answer.status_code < 500, (what, answer.status_code, answer.text)
            assert set(answer.json()) == {"code", "detail", "results"}
            sent[what] = sent.get(what, 0) + 1

        def all_kinds(times: int) -> None:
            for _ in range(times):
                for what, made in FILES.items():
                    files = {"images": (f"{what}.png", made(rng))}
                    assert_refused(what, client.post("/v1/predict", files=files))
                for name in NAMES:
                    files = {"images": (name, saved(rgb(rng), "PNG"))}
                    assert_refused(name[:20], client.post("/v1/predict", files=files))
                for kind, body in forms(rng):
                    told = client.post("/v1/predict", content=body, headers={"Content-Type": kind})
                    assert_refused(kind[:30], told)

        all_kinds(3)
        head = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n"
        for _ in range(10):  # who leaves in the middle
            with socket.create_connection((process.host, process.port)) as gone:
                gone.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b")
        time.sleep(3)
        before = process.resident()
        all_kinds(10)
        assert sum(sent.values()) >= 500, sent
        metrics = client.get("/metrics").text
        assert 'magnostic_rejected_total{reason="more-than-an-image"}' in metrics
        assert "magnostic_held_bytes 0.0" in metrics
        assert "magnostic_queue_length 0.0" in metrics
        until = time.monotonic() + 10
        while process.resident() > before + 32 and time.monotonic() < until:
            time.sleep(0.2)
        assert process.resident() <= before + 32  # MiB
        good = client.post("/v1/predict", files={"images": saved(rgb(rng), "PNG")})
        assert good.status_code == 200


def in_flight(process: Process, number: int) -> tuple[bytes, int]:
    """End the process while half of a request has arrived: the answer to it, and the exit code."""
    body = (b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
            + saved(rgb(np.random.default_rng(1)), "PNG") + b"\r\n--b--\r\n")  # fmt: skip
    head = (b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" % len(body))  # fmt: skip
    with socket.create_connection((process.host, process.port), timeout=30) as connection:
        connection.sendall(head + body[:100])
        time.sleep(0.3)
        process.popen.send_signal(number)
        until = time.monotonic() + 10
        while time.monotonic() < until:  # nobody else is let in
            try:
                socket.create_connection((process.host, process.port)).close()
            except OSError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("still listening")
        connection.sendall(body[100:])
        told = b""
        while some := connection.recv(65536):
            told += some
    return told, process.popen.wait(30)


def test_sigterm_finishes_what_is_in_flight(process: Process) -> None:
    told, code = in_flight(process, signal.SIGTERM)
    assert told.startswith(b"HTTP/1.1 200")
    assert b'"prediction":{' in told
    assert code == 0
    assert process.popen.stderr is not None
    said = process.popen.stderr.read()
    assert "Traceback" not in said
    assert "warning" not in said


def test_other_addresses_are_warned_of_and_sigint_ends_it(tiny_run: Path) -> None:
    process = Process(tiny_run, "--host", "0.0.0.0")
    told, code = in_flight(process, signal.SIGINT)
    assert (told[:12], code) == (b"HTTP/1.1 200", 0)
    assert process.popen.stderr is not None
    assert "there is no API key" in process.popen.stderr.read()
