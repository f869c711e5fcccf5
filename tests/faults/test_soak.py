"""The soak's verdict; and that a server which has ended leaves no model behind."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from magnostic.deploy.server import Settings, create_app, load_models

sys.path.insert(0, str(Path(__file__).parents[2] / "bench" / "faults"))

import soak


def cycles(slope: float, handles: int = 0, threads: int = 0) -> list[soak.Counted]:
    """Twelve cycles: a warm-up that grows, then so much a cycle, and more at the end."""
    return [
        soak.Counted(
            1000 + 50 * min(n, 3) + slope * n, 10 + handles * (n > 9), 4 + threads * (n > 9), 0
        )
        for n in range(12)
    ]


@pytest.mark.parametrize(
    "found, missed",
    [
        (cycles(0.0), []),
        (cycles(0.5), []),
        (cycles(2.0), ["memory, slope"]),
        (cycles(0.0, handles=1), ["handles, growth"]),
        (cycles(0.0, threads=2), ["threads, growth"]),
    ],
)
def test_what_grows_after_the_warm_up_is_told(found: list[soak.Counted], missed: list[str]) -> None:
    assert [row.name for row in soak.verdict(found) if row.met is False] == missed


def test_what_is_counted_is_of_this_process() -> None:
    before = soak.counted()
    with Path(__file__).open():
        assert soak.counted().handles == before.handles + 1
    assert before.memory > 50
    assert before.threads >= 1


def test_a_server_is_asked_and_leaves_no_thread_behind(tiny_run: Path, tiny_breakhis: Path) -> None:
    photographs = sorted(tiny_breakhis.rglob("*.png"))[:2]
    soak.serve(tiny_run, photographs)
    before = soak.counted()
    soak.serve(tiny_run, photographs)
    after = soak.counted()
    assert (after.threads, after.handles) == (before.threads, before.handles)


def test_an_ended_server_leaves_no_model_behind(tiny_run: Path) -> None:
    """FastAPI keeps the functions of every application that there was in caches of its own."""
    models = load_models(tiny_run, engine="torch")
    left = weakref.ref(models.predictor)
    app = create_app(models, Settings(api_key="k"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        headers = {"Authorization": "Bearer k"}
        for path in ("/v1/model", "/metrics", "/readyz"):
            assert client.get(path, headers=headers).status_code == 200
        assert client.post("/v1/patients", json={"images": []}, headers=headers).status_code < 500
    del client, app, models
    gc.collect()
    assert left() is None
