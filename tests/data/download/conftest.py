"""The servers and archives of ``bench/faults``, which are also what these tests are made of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "bench" / "faults"))

import _fetch_server


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    with _fetch_server.serving() as found:
        yield found


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = _fetch_server.certificate(tmp_path_factory.mktemp("tls"))
    if found is None:
        pytest.skip("no openssl to make a certificate with")
    return found


@pytest.fixture(scope="session")
def secure(pem: Path) -> Iterator[Any]:
    with _fetch_server.serving(_fetch_server.tls_of(pem)) as found:
        yield found


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands between the tests and loopback."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
