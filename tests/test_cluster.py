"""Where to compute: what is allowed, and what is asked of nodes and said where they lack it."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from magnostic import cluster
from magnostic.errors import BadInput, MissingExtra, RunFailed

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("on", ["ray", "ray://head:10001", "head.example:6379", "10.0.0.1:6379"])
def test_places(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: object())
    assert cluster.place(on, 2, 0.5) == cluster.Place(on, 2, 0.5)
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"magnostic\[cluster\]"):
        cluster.place(on)


@pytest.mark.parametrize(
    ("on", "cpus", "gpus", "says"),
    [
        ("Ray", 0, None, r"choose local, ray, ray://HOST:PORT or HOST:PORT$"),
        ("slurm", 0, None, "choose local"),
        ("http://head:1", 0, None, "choose"),
        ("head:0", 0, None, "choose"),
        ("head:99999", 0, None, "choose"),
        ("ray", -1, None, "--cpus -1"),
        ("ray", 0, -1.0, "--gpus -1"),
        ("ray", 0, 1.5, "--gpus 1.5"),
        ("ray", 0, float("nan"), "--gpus nan"),
        ("local", 2, None, "give --on"),
    ],
)
def test_what_is_no_place(on: str, cpus: int, gpus: float | None, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        cluster.place(on, cpus, gpus)


def test_jobs_of_slurm_take_whole_gpus() -> None:
    assert cluster.place("slurm", gpus=2.0, slurm=True).gpus == 2
    with pytest.raises(BadInput, match=r"--gpus 0\.5: jobs of SLURM take whole GPUs"):
        cluster.place("slurm", gpus=0.5, slurm=True)


def _ray(*nodes: dict[str, float]) -> Any:
    alive = [{"Alive": True, "Resources": node} for node in nodes]
    return SimpleNamespace(nodes=lambda: [*alive, {"Alive": False, "Resources": {"CPU": 99.0}}])


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "share"),
    [
        ([{"CPU": 8}], 0, None, (1, 0)),
        ([{"CPU": 8}], 4, None, (4, 0)),
        ([{"CPU": 16, "GPU": 4}], 0, None, (4, 1)),
        ([{"CPU": 16, "GPU": 4}], 0, 0.5, (2, 0.5)),
        ([{"CPU": 16, "GPU": 4}], 0, 0, (1, 0)),
        ([{"CPU": 64}, {"CPU": 8, "GPU": 1}], 0, None, (8, 1)),  # no more than the GPU's own node
    ],
)
def test_shares(
    nodes: list[dict[str, float]], cpus: int, gpus: float | None, share: tuple[float, float]
) -> None:
    found = cluster.share(_ray(*nodes), cluster.Place("ray", cpus, gpus))
    assert (found["num_cpus"], found["num_gpus"]) == share


@pytest.mark.parametrize(("cpus", "gpus"), [(9, None), (0, 1.0), (99, None)])
def test_a_share_that_no_node_has_is_refused(cpus: int, gpus: float | None) -> None:
    with pytest.raises(BadInput, match=r"no node of the cluster has.*16 cores, 0 GPUs in all"):
        cluster.share(_ray({"CPU": 8}, {"CPU": 8}), cluster.Place("ray", cpus, gpus))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="extra [cluster] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        for on in (address, f"ray://{address}"):
            with pytest.raises(RunFailed, match=rf"no Ray answers at {on}.*--on"):
                cluster.connected(on).__enter__()
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(RunFailed, match="RAY_ADDRESS"):
            cluster.connected("ray").__enter__()


def test_a_cluster_that_asks_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="extra [cluster] is not installed")

    def refuse(**_: object) -> None:
        raise ray.exceptions.AuthenticationError("No authentication token was found")

    monkeypatch.setattr(ray, "init", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RunFailed, match=r"no Ray answers .*token was found.*RAY_AUTH_TOKEN"):
            cluster.connected(address).__enter__()


def test_what_is_no_fault_of_the_cluster_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="extra [cluster] is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with pytest.raises(BrokenPipeError), cluster.connected("ray"):
        raise BrokenPipeError
    with pytest.raises(RunFailed, match="Ray: ConnectionResetError"), cluster.connected("ray"):
        raise ConnectionResetError


@pytest.mark.slow
def test_a_ray_that_is_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="extra [cluster] is not installed")
    monkeypatch.setenv("RAY_ADDRESS", "local")

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as name:
            monkeypatch.setenv("RAY_TMPDIR", name)
            with cluster.connected("ray") as ray:
                assert os.listdir(name)  # noqa: PTH208
                assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42
                with pytest.raises(KeyboardInterrupt):
                    os.kill(os.getpid(), signal.SIGTERM)
            assert not ray.is_initialized()
            assert not os.listdir(name)  # noqa: PTH208
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
def test_every_node_is_asked_what_it_sees(
    ray_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.connected(ray_address) as ray:
        cluster.require_shared(ray, [tmp_path], tmp_path)
        assert not list(tmp_path.iterdir())
        with pytest.raises(BadInput, match=r"node .* does not see .*/absent; .*shared"):
            cluster.require_shared(ray, [tmp_path / "absent"])
        monkeypatch.setattr(cluster, "write_text", lambda *_: None)  # as on another file system
        with pytest.raises(BadInput, match=rf"does not see {tmp_path};"):
            cluster.require_shared(ray, [], tmp_path)
        monkeypatch.setattr(cluster, "__version__", "0.0.0")
        with pytest.raises(BadInput, match=r"has magnostic .*, not 0\.0\.0; install the same"):
            cluster.require_shared(ray, [])
        divided = ray.remote(lambda: 1 // 0).remote()
        said = pytest.raises(RunFailed, match="Ray: integer division or modulo by zero")
        with said, cluster.connected(ray_address):
            ray.get(divided)


@pytest.mark.parametrize(
    "verb", [("study", "sample", "--data", "."), ("predict", ".", ".", "-o", "o.csv")]
)
def test_exit_codes(verb: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, error = call(*verb, "--on", "there")
    assert code == 2
    assert "--on there: choose local, ray" in error
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    code, _, error = call(*verb, "--on", "ray")
    assert code == 2
    assert "magnostic[cluster]" in error
