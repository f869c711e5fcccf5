"""Fetching once from a server that misbehaves, and once more from the same, which then behaves."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import _fetch_archives as archives
from _fetch_kinds import Kind, full, good
from _fetch_server import Server

from magnostic.data.download import Patience, Wanted, fetch_breakhis
from magnostic.data.download.archive import Limits
from magnostic.data.download.names import TOP
from magnostic.errors import MagnosticError

FOLDS = {"dsfold1.txt": b"a.png|40|1|train\r\n"}


@dataclass(frozen=True)
class Outcome:
    """What came of a kind.

    Attributes:
        wrong: what is not as it must be; empty where all is.
        told: the error's message, or a few words on the file.
        requests: that the server saw.
    """

    kind: Kind
    wrong: str
    told: str
    requests: int


def wanted() -> Wanted:
    limits = Limits(members=500, member=2**24, unpacked=2**26, ratio=20, allowance=2**20)
    return Wanted(archives.places(), FOLDS, limits, archive=4_000_000, unpacked=1.1)


def patience(*, hurry: bool = False) -> Patience:
    """No waits between attempts; where the server is slow, next to none within them either."""
    if hurry:
        limits = Patience(silence=0.25, answer=0.4, window=0.2, least=1000, attempts=2, step=1000)
    else:
        limits = Patience(silence=10, attempts=3, step=1000)
    return replace(limits, sleep=lambda _: None)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def expected() -> dict[str, bytes]:
    return {str(archives.places()[name]): png for name, png in archives.photographs().items()}


@contextlib.contextmanager
def fault(kind: Kind) -> Iterator[None]:
    """The disk as the kind says."""
    patches = {
        "full": ("magnostic.data.download.transfer.write", full),
        "full later": ("magnostic.data.download.archive._copier", lambda *_: full),
        "small": (
            "magnostic.data.download.disk.shutil.disk_usage",
            lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 2**26, 2**26),
        ),
    }
    if not kind.disk:
        yield
        return
    target, replacement = patches[kind.disk]
    with mock.patch(target, replacement):
        yield


@contextlib.contextmanager
def environment(pem: Path | None) -> Iterator[None]:
    """No proxy between us and loopback; the server's certificate trusted where one is given."""
    more = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    if pem is not None:
        more["SSL_CERT_FILE"] = str(pem)
    with mock.patch.dict(os.environ, more):
        yield


def run(kind: Kind, server: Server, folder: Path, pem: Path | None = None) -> Outcome:
    """Carry a kind out; ``pem`` is the certificate of a server with TLS."""
    url = f"{server.url}/BreaKHis_v1.tar.gz"
    server.behave(kind.serve)
    error: MagnosticError | None = None
    with environment(pem if kind.trusted else None), fault(kind):
        try:
            fetch_breakhis(
                folder, url=url, wanted=wanted(), patience=patience(hurry=kind.slow), **kind.options
            )
        except MagnosticError as caught:
            error = caught
    requests = len(server.asked)
    wrong = _judge(kind, folder, error)
    told = str(error) if error else f"right file after {requests} request(s)"
    if not wrong:
        wrong = _afterwards(server, url, folder, pem)
    return Outcome(kind, wrong, told, requests)


def _judge(kind: Kind, folder: Path, error: MagnosticError | None) -> str:
    root = folder / TOP
    if kind.says is None:
        if error is not None:
            return "an error in place of the right file"
        return "" if tree(root) == expected() else "not the right files"
    if error is None:
        return "no error"
    if error.exit_code != 1:
        return f"exit code {error.exit_code}"
    if not re.search(kind.says, str(error)) or "\n" in str(error):
        return "the error doesn't say why"
    left = {p.name for p in folder.iterdir()} - {f"{TOP}.tar.gz.part", f"{TOP}.tar.gz.part.json"}
    return f"left behind: {', '.join(sorted(left))}" if left else ""


def _afterwards(server: Server, url: str, folder: Path, pem: Path | None) -> str:
    """The same folder, and a server that behaves: the right file, whatever was left."""
    server.behave(good(archives.right()))
    with environment(pem):
        fetch_breakhis(folder, url=url, wanted=wanted(), patience=patience())
    if tree(folder / TOP) != expected():
        return "a good server afterwards: not the right files"
    left = {p.name for p in folder.iterdir()} - {TOP, "folds", "ATTRIBUTION.txt"}
    return f"left in the end: {', '.join(sorted(left))}" if left else ""
