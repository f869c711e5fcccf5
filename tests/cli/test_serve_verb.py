"""``magnostic serve`` refused before anything is loaded."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]


def test_bad_input(
    call: Call, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnostic.deploy.server.load_models", lambda *_, **__: pytest.fail("load"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, says in (
            (("--port", port), f"port {port} of 127.0.0.1 is in use"),
            (("--port", "70000"), "--port 70000: give one from 0"),
            (("--host", "no.such.host.invalid"), "--host no.such.host.invalid"),
            (("--api-key-file", tmp_path / "none"), "cannot be read"),
        ):
            code, _, said = call("serve", tiny_run, *arguments)
            assert code == 2
            assert says in said
