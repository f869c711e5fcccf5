"""Files of a run are served from inside it only: paths, links, kinds of file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from magnostic.browse import files, find
from magnostic.browse.app import make_app
from magnostic.browse.browser import Browser
from magnostic.files import write_json, write_text


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run beside a secret, with links to it."""
    write_text(tmp_path / "secret.txt", "the secret")
    write_text(tmp_path / "secrets/key.txt", "the secret")
    run = tmp_path / "runs/one"
    write_json(run / "run.json", {"children": []})
    write_text(run / "tables/a.csv", 'x,y\n1,<script>alert("x")</script>\n')
    write_text(run / "page.html", "<script>alert(1)</script>")
    write_text(run / ".hidden.txt", "the secret")
    write_text(run / "model.safetensors", "weights")
    (run / "link.txt").symlink_to(tmp_path / "secret.txt")
    (run / "near.txt").symlink_to(run / "run.json")
    (run / "folder").symlink_to(tmp_path / "secrets")
    os.mkfifo(run / "pipe.txt")
    (run / "a.txt").mkdir()
    return run


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt", "../../secret.txt", "tables/../../../secret.txt", "/etc/passwd",
        "//etc/passwd", "tables//a.csv", "./run.json", "tables/./a.csv", "..", ".", "",
        "..\\secret.txt", "tables\\a.csv", "run.json\0.txt", ".hidden.txt", "link.txt", "near.txt",
        "folder/key.txt", "pipe.txt", "a.txt", "model.safetensors", "nothing.txt", "tables",
        "run.json/x.txt",
    ],
)  # fmt: skip
def test_nothing_but_files_of_the_run_is_given(run: Path, name: str) -> None:
    with pytest.raises(files.Refused):
        files.inside(run, name)


def test_files_of_the_run_are_given_and_listed(run: Path) -> None:
    assert files.inside(run, "tables/a.csv") == run / "tables/a.csv"
    assert [f.name for f in files.listed(run)] == ["page.html", "run.json"]
    assert [f.name for f in files.listed(run, "tables")] == ["tables/a.csv"]
    assert files.listed(run, "folder") == []


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "..%2F..%2Fsecret.txt",
        "%2e%2e%2f%2e%2e%2fsecret.txt", "tables/..%2f..%2f..%2fsecret.txt", "..%5csecret.txt",
        "%2fetc%2fpasswd", "/etc/passwd", "link.txt", "folder/key.txt", ".hidden.txt",
        "run.json%00.txt", "..%c0%afsecret.txt", "....//secret.txt", "model.safetensors",
    ],
)  # fmt: skip
def test_addresses_lead_nowhere_else(run: Path, path: str) -> None:
    client = TestClient(make_app(Browser(find.check([run.parent]))))
    for save in ("", "?save=true"):
        answer = client.get(f"/run/runs~one/files/{path}{save}")
        assert answer.status_code == 404
        assert "secret" not in answer.text.replace("secret.txt", "")


def test_files_of_a_run_get_no_script_and_no_origin(run: Path) -> None:
    client = TestClient(make_app(Browser(find.check([run.parent]))))
    answer = client.get("/run/runs~one/files/page.html")
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "default-src 'none'" in policy
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    table = client.get("/run/runs~one/files/tables/a.csv")
    assert "<script>alert" not in table.text
    assert "&lt;script&gt;" in table.text
    saved = client.get("/run/runs~one/files/page.html?save=true")
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.headers["content-type"] == "application/octet-stream"


def test_long_files_are_shown_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a.csv", "n,m\n" + "".join(f"{n},1\n" for n in range(100)))
    assert len(files.rows(tmp_path / "a.csv")[0]) == 101
    monkeypatch.setattr(files, "MOST_ROWS", 10)
    found, cut = files.rows(tmp_path / "a.csv")
    assert (len(found), cut) == (11, True)
    monkeypatch.setattr(files, "MOST_BYTES", 9)
    found, cut = files.rows(tmp_path / "a.csv")
    assert (found, cut) == ([["n", "m"], ["0", "1"]], True)
