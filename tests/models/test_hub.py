"""The hub's loading code against a server on loopback, and with none to reach."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from magnostic.errors import WeightsError
from magnostic.models import hub


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a loopback server offers it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"), **more)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "served").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_is_downloaded_once(files: tuple[Path, str]) -> None:
    folder, address = files
    (folder / "weights.pth").write_bytes(b"content")
    url = f"{address}/weights.pth"
    assert hub.download_url(url, "weights").read_bytes() == b"content"
    (folder / "weights.pth").unlink()
    assert hub.download_url(url, "weights").read_bytes() == b"content"


def test_a_missing_file_is_a_clear_error_and_leaves_nothing(files: tuple[Path, str]) -> None:
    url = f"{files[1]}/absent.pth"
    with pytest.raises(WeightsError, match=r"weights could not be had.*HTTPError"):
        hub.download_url(url, "weights")
    assert not (Path(torch.hub.get_dir()) / "checkpoints" / "absent.pth").exists()


def test_no_connection_fails_at_once(files: tuple[Path, str]) -> None:
    port = int(files[1].rsplit(":", 1)[1])
    with pytest.raises(WeightsError, match=r"no connection to 127\.0\.0\.1"):
        hub.download_url(f"http://127.0.0.1:{1 if port != 1 else 2}/weights.pth", "weights")


def test_the_cache_is_asked_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "model.safetensors"
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda _, name: str(kept) if name == kept.name else None,
    )
    assert hub.download("owner/name", hub.WEIGHT_FILES, "weights") == kept
