"""Fetching from servers that behave: going on, what is there already, other sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import _fetch_archives as archives
import _fetch_kinds as kinds
import _fetch_run
import pytest

from magnostic.data.download import ATTRIBUTION, Fetched, fetch_breakhis
from magnostic.data.download.patience import Patience
from magnostic.errors import BadInput, FetchError

RIGHT = archives.right()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def fetch(folder: Path, server: Any, **options: Any) -> Fetched:
    given = {"url": f"{server.url}/a.tar.gz", "patience": _fetch_run.patience()} | options
    return fetch_breakhis(folder, wanted=_fetch_run.wanted(), **given)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_tree_the_folds_and_the_attribution(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    found = fetch(folder, server)
    assert (found.photographs, found.was_there, found.others) == (16, False, ())
    assert _fetch_run.tree(found.root) == _fetch_run.expected()
    assert _fetch_run.tree(found.folds) == _fetch_run.FOLDS
    assert (folder / "ATTRIBUTION.txt").read_text(encoding="utf-8") == ATTRIBUTION
    assert names(folder) == {"BreaKHis_v1", "folds", "ATTRIBUTION.txt"}
    assert server.asked[0].headers["user-agent"].startswith("magnostic/")


def test_what_is_there_and_right_is_not_fetched_again(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    fetch(folder, server)
    (folder / "folds" / "dsfold1.txt").write_text("spoilt")
    (folder / "BreaKHis_v1.tar.gz.part").write_bytes(b"left by a call that was killed")
    assert fetch(folder, server).was_there
    assert len(server.asked) == 1
    assert _fetch_run.tree(folder / "folds") == _fetch_run.FOLDS
    assert names(folder) == {"BreaKHis_v1", "folds", "ATTRIBUTION.txt"}


def test_a_tree_that_is_not_whole_is_left_alone(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    root = fetch(folder, server).root
    photo = next(root.rglob("*.png"))
    photo.write_bytes(photo.read_bytes()[:-1])
    with pytest.raises(BadInput, match=rf"1 of 16 photographs.*{photo.name}.*move this folder"):
        fetch(folder, server)
    assert photo.exists()


def test_a_killed_fetch_goes_on(server: Any, folder: Path) -> None:
    server.behave(kinds.silent)
    code = (
        "import sys; from pathlib import Path; from magnostic.data.download import fetch_breakhis;"
        "fetch_breakhis(Path(sys.argv[1]), url=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(folder), f"{server.url}/a.tar.gz"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    part = folder / "BreaKHis_v1.tar.gz.part"
    until = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size >= kinds.HALF - 2**13):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    (folder / ".BreaKHis_v1.unpacking" / "junk").mkdir(parents=True)
    server.behave(lambda request: request.file(RIGHT))
    found = fetch(folder, server)
    assert [request.start for request in server.asked] == [have]
    assert _fetch_run.tree(found.root) == _fetch_run.expected()
    assert names(folder) == {"BreaKHis_v1", "folds", "ATTRIBUTION.txt"}


def test_an_interrupted_unpacking_asks_the_server_no_more(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    server.behave(kinds.good(RIGHT))
    with monkeypatch.context() as patch:
        patch.setattr("magnostic.data.download.archive._copier", lambda *_: stop)
        with pytest.raises(KeyboardInterrupt):
            fetch(folder, server)
    assert names(folder) == {"BreaKHis_v1.tar.gz.part", "BreaKHis_v1.tar.gz.part.json"}
    fetch(folder, server)
    assert len(server.asked) == 1


def test_the_range_asked_for_and_its_condition(server: Any, folder: Path) -> None:
    def serve(request: Any) -> None:
        until = kinds.HALF if request.number == 1 else None
        request.file(
            RIGHT, until=until, ETag='W/"x"', Last_Modified="Sat, 01 Jan 2022 00:00:00 GMT"
        )

    server.behave(serve)
    fetch(folder, server)
    assert server.asked[1].headers["range"] == f"bytes={kinds.HALF}-"
    assert server.asked[1].headers["if-range"] == "Sat, 01 Jan 2022 00:00:00 GMT"


def test_waits_double_and_follow_retry_after(server: Any, folder: Path) -> None:
    answers = ["500 A", "502 B", "503 C", "429 D", "200 OK"]

    def serve(request: Any) -> None:
        line = answers[request.number - 1]
        if line == "200 OK":
            request.file(RIGHT)
        else:
            more = {"Retry_After": 7} if line == "503 C" else {}
            kinds.status(line, **more)(request)

    waits: list[float] = []
    server.behave(serve)
    fetch(folder, server, patience=Patience(silence=1, first_wait=2, sleep=waits.append))
    assert waits == [2, 4, 7, 16]


def test_a_checksum_in_either_case(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    fetch(folder, server, sha256=hashlib.sha256(RIGHT).hexdigest().upper())


def test_an_archive_that_lies_there_is_used_and_stays(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    folder.mkdir()
    archive = folder / "BreaKHis_v1.tar.gz"
    archive.write_bytes(archives.flipped())
    with pytest.raises(BadInput, match=r"BreaKHis_v1\.tar\.gz: .*damaged.*Remove this file"):
        fetch(folder, server)
    archive.write_bytes(RIGHT)
    fetch(folder, server)
    assert server.asked == []
    assert archive.read_bytes() == RIGHT


def test_the_archive_is_kept_where_asked_for(server: Any, folder: Path) -> None:
    server.behave(kinds.good(RIGHT))
    fetch(folder, server, keep_archive=True)
    assert (folder / "BreaKHis_v1.tar.gz").read_bytes() == RIGHT
    assert names(folder) == {"BreaKHis_v1", "folds", "ATTRIBUTION.txt", "BreaKHis_v1.tar.gz"}


def test_other_files_are_told(server: Any, folder: Path) -> None:
    more = [archives.file("BreaKHis_v1/README.txt"), archives.file("BreaKHis_v1/._a.png")]
    server.behave(kinds.good(archives.pack([*archives.entries(), *more])))
    found = fetch(folder, server)
    assert found.others == ("BreaKHis_v1/README.txt", "BreaKHis_v1/._a.png")
    assert _fetch_run.tree(found.root) == _fetch_run.expected()


def test_folds_from_an_archive(server: Any, folder: Path) -> None:
    name, content = next(iter(_fetch_run.FOLDS.items()))

    def serve(data: bytes) -> Any:
        return lambda r: r.file(data if "folds" in r.path else RIGHT)

    folds = f"{server.url}/folds.tar.gz"
    for wrong in ([], [archives.file(f"mkfold/{name}", content.replace(b"train", b"test"))]):
        server.behave(serve(archives.pack(wrong)))
        with pytest.raises(FetchError, match="Leave --folds-url out"):
            fetch(folder, server, folds_url=folds)
        assert names(folder) == {"BreaKHis_v1"}
    member = archives.file(f"mkfold/{name}", content.replace(b"\r\n", b"\n"))
    server.behave(serve(archives.pack([archives.file("mkfold/mkfold.py"), member])))
    fetch(folder, server, folds_url=folds)
    assert [r.path for r in server.asked] == ["/folds.tar.gz"]
    assert _fetch_run.tree(folder / "folds") == _fetch_run.FOLDS


def test_one_at_a_time(server: Any, folder: Path) -> None:
    def again(request: Any) -> None:
        with pytest.raises(BadInput, match=f"in use by process {os.getpid()} "):
            fetch(folder, server)
        request.file(RIGHT)

    server.behave(again)
    fetch(folder, server)


def kaggle(monkeypatch: pytest.MonkeyPatch, download: Any) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))


def test_the_copy_on_kaggle(
    server: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.behave(kinds.good(RIGHT))
    copy = tmp_path / "kaggle" / "BreaKHis_v1"
    shutil.copytree(fetch(tmp_path / "first", server).root, copy / "BreaKHis_v1")
    (copy / "Folds.csv").write_text("fold,mag")
    asked = []

    def download(handle: str) -> str:
        asked.append(handle)
        return str(copy.parent)

    kaggle(monkeypatch, download)
    found = fetch(folder, server, source="kagglehub", url=None)
    assert asked == ["ambarish/breakhis"]
    assert _fetch_run.tree(found.root) == _fetch_run.expected()
    assert found.others == ("BreaKHis_v1/Folds.csv",)

    next(copy.rglob("*.png")).unlink()
    with pytest.raises(FetchError, match=r"1 of 16 photographs are missing.*--source ufpr"):
        fetch(tmp_path / "third", server, source="kagglehub", url=None)
    assert names(tmp_path / "third") == set()


def test_kaggle_without_its_package_or_its_server(
    server: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(BadInput, match="pip install kagglehub"):
        fetch(folder, server, source="kagglehub", url=None)

    def fails(_: str) -> str:
        raise RuntimeError("403 Client Error\nand more")

    kaggle(monkeypatch, fails)
    with pytest.raises(FetchError, match="ambarish/breakhis: 403 Client Error; see to"):
        fetch(folder, server, source="kagglehub", url=None)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"url": "ftp://host/a"}, "--url"),
        ({"url": "file:///etc/passwd"}, "--url"),
        ({"url": "host/a.tar.gz"}, "--url"),
        ({"url": "https://"}, "--url"),
        ({"url": "http://host:x/a"}, "--url"),
        ({"url": "http://[::1/a"}, "--url"),
        ({"url": "http://host/a b"}, "--url"),
        ({"url": "http://host/\r\nX: y"}, "--url"),
        ({"url": "http://me:secret@host/a"}, "name or password"),
        ({"folds_url": "folds.tar.gz"}, "--folds-url"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"source": "kagglehub"}, "leave them out"),
    ],
)
def test_bad_input(server: Any, folder: Path, option: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        fetch(folder, server, **option)
    assert not folder.exists()


def test_a_file_in_place_of_the_folder(server: Any, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(BadInput, match="name a folder"):
        fetch(tmp_path / "data", server)
