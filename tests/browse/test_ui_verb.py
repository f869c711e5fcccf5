"""``magnostic ui``: bad input, addresses, and how it ends."""

from __future__ import annotations

import builtins
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from magnostic import web
from magnostic.cli import main
from magnostic.errors import BadInput


def _call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main(["ui", *map(str, arguments)])
    return ended.value.code, capsys.readouterr().err


def test_bad_folders_and_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, says in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([], "no folder was given"),
        ([tmp_path, "--data", tmp_path / "none"], "no such file or folder"),
        ([tmp_path, "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        ([tmp_path, "--host", "192.0.2.1"], "192.0.2.1"),  # kept for documentation: nobody's
    ):
        code, error = _call(capsys, *arguments, *([] if "--port" in arguments else ["--port", 0]))
        assert code == 2, arguments
        assert error.startswith("error: ")
        assert says in error
        assert len(error.strip().splitlines()) == 1


def test_a_port_in_use_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = _call(capsys, tmp_path, "--port", port)
    assert code == 2
    assert f"port {port} of 127.0.0.1 is in use" in error
    assert "--port" in error


def test_folders_without_a_run_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magnostic.serving.Server.run", lambda *_, **__: None)
    code, error = _call(capsys, tmp_path, "--port", 0)
    assert code == 0
    assert f"no run or study in {tmp_path}; give another folder, or make one by" in error


def test_a_missing_library_names_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    code, error = _call(capsys, tmp_path)
    assert code == 2
    assert "magnostic[serve]" in error


def test_addresses_of_every_family() -> None:
    with web.listen("127.0.0.1", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        port = bound.getsockname()[1]
        assert web.address(bound, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        with pytest.raises(BadInput, match="in use"):
            web.listen("127.0.0.1", port)
    try:
        with web.listen("::1", 0) as bound:
            assert web.address(bound, "::1").startswith("http://[::1]:")
    except BadInput:
        pytest.skip("this machine has no IPv6")


def test_an_interrupt_ends_it_cleanly_and_it_needs_no_torch(site: Path) -> None:
    """SIGTERM ends the server of the tests in Chromium, which looks at its exit code."""
    code = (
        "import sys; from magnostic.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", code, "ui", str(site), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = line.split()[2]
        with urllib.request.urlopen(address) as answer:
            assert b"recipe-good" in answer.read()
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=20)
    assert server.returncode == 0
    assert said == ""
