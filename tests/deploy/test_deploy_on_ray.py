"""Prediction by Ray Data: the file of rows is the local one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from magnostic import cluster
from magnostic.deploy import Predictor, on_ray
from magnostic.deploy.output import Row, journal_of
from magnostic.deploy.sources import Item
from magnostic.deploy.to_file import predict_to_file
from magnostic.errors import BadInput, RunFailed

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_rows_are_the_local_ones_in_order(
    ray_address: str,
    call: Call,
    tiny_run: Path,
    tiny_breakhis: Path,
    bad_files: dict[Path, str],
    tmp_path: Path,
) -> None:
    bad = [path for path in bad_files if path.suffix]
    photographs = [*bad[:4], tiny_breakhis, *bad[4:], tiny_breakhis, bad[0]]
    words = ("predict", tiny_run, *photographs, "-o")
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert call(*words, here)[0] == 0
    deadly, ended = str(photographs[-1]), tmp_path / "ended"

    class Mortal(on_ray._Predict):
        """One of whose processes ends, over some photographs that are then predicted one by one."""

        def _predicted(self, items: Sequence[Item]) -> Iterable[Row]:
            if not ended.exists() and any(item.path == deadly for item in items):
                ended.touch()
                os._exit(1)
            return super()._predicted(items)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_ray, "_Predict", Mortal)
        code, out, error = call(*words, there, "--on", ray_address, "--cpus", "1")
    assert ended.exists()
    assert code == 0, error
    assert f"{2 * 48 + len(bad) + 1} photographs, {len(bad) + 1} could not be read" in out
    assert "2 processes of Ray predict 8 photographs at a time" in error
    assert there.read_bytes() == here.read_bytes()

    cut = tmp_path / "cut.parquet"  # one that was interrupted, here, goes on there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("magnostic.deploy.output.Journal.finish", _interrupt)
        assert call(*words, cut)[0] == 130
    journal = journal_of(cut)
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:31]))
    with pytest.MonkeyPatch.context() as patch:  # as at ray://, where Ray Data can't run here
        patch.setattr("magnostic.deploy.on_ray._is_far", lambda: True)
        code, out, error = call(*words, cut, "--on", ray_address, "--resume")
    assert code == 0, error
    assert "(30 of them before)" in out
    assert cut.read_bytes() == here.read_bytes()

    refused = tmp_path / "refused.csv"
    code, _, error = call(*words, refused, "--on", ray_address, "--cpus", "3")
    assert code == 2
    assert "no node of the cluster has 3 cores" in error
    assert not journal_of(refused).exists(), "nothing was begun"


class Ended(BaseException):
    """A process has."""


class Cluster:
    """Begins a process anew whenever one ends, as Ray does; ``ended`` counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ledger = on_ray._Ledger()
        self._ledger = SimpleNamespace(
            begin=SimpleNamespace(remote=ledger.begin), finish=SimpleNamespace(remote=ledger.finish)
        )
        self.ended = 0
        monkeypatch.setattr(pytest.importorskip("ray"), "get", lambda answer: answer)
        monkeypatch.setattr(cluster, "enter", lambda *_: None)

    def answer(self, told: Sequence[tuple[int, str]]) -> list[Row]:
        batch = {"item": [json.dumps((n, path, ())) for n, path in told]}
        while self.ended < 99:
            try:
                process = on_ray._Predict(
                    on_ray._Model(Path(), "auto", 0.9), {}, 1, self._ledger, 2
                )
                return list(map(json.loads, process(batch)["row"]))
            except Ended:
                self.ended += 1
        pytest.fail("for ever")


def test_photographs_are_told_from_one_that_ends_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []

    def stream(items: Sequence[Item], **_: object) -> Iterator[Row]:
        given.append([item.path for item in items])
        for item in items:
            if item.path == "deadly":
                raise Ended
            yield {"path": item.path, "error": None}

    monkeypatch.setattr(on_ray, "load", lambda *_, **__: SimpleNamespace(stream=stream))
    ray = Cluster(monkeypatch)
    told = [(8, "a"), (9, "deadly"), (10, "b"), (11, "deadly")]
    rows = ray.answer(told)
    assert [row["path"] for row in rows] == ["a", "deadly", "b", "deadly"]
    assert [row["error"] is None for row in rows] == [True, False, True, False]
    assert rows[1]["error"].startswith("ended its process: ")
    assert (rows[1]["review"], rows[1]["reasons"]) == (True, "error")
    assert ray.ended == 1 + 2 * on_ray._ALONE, "twice alone each"
    given.clear()
    ray.answer([(16, "c"), (17, "d")])
    assert given == [["c", "d"]], "others still together"


def test_a_model_that_ends_processes_is_not_loaded_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object, **__: object) -> None:
        raise Ended

    monkeypatch.setattr(on_ray, "load", load)
    ray = Cluster(monkeypatch)
    with pytest.raises(RunFailed, match="whichever process loads the model ends"):
        ray.answer([(0, "a")])
    assert ray.ended == 2 + on_ray._LOADS


def test_a_lost_prediction_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    given = pytest.importorskip("ray.exceptions")

    def answers(_: object) -> Iterator[list[str]]:
        yield ['{"path": "a"}', '{"path": "b"}']
        raise given.RaySystemError("gone")

    monkeypatch.setattr(on_ray._Work, "answers", answers)
    ray = SimpleNamespace(exceptions=given, cluster_resources=lambda: {"CPU": 2.0})
    share = {"num_cpus": 1.0, "num_gpus": 0.0}
    rows = on_ray._rows(ray, [Item("x")] * 9, on_ray._Model(Path(), "auto", 0.9), 8, share)
    assert [next(rows)["path"], next(rows)["path"]] == ["a", "b"]
    with pytest.raises(RunFailed, match=r"^Ray: .*gone; 2 of 9 rows .* with --resume goes on"):
        next(rows)


def test_rows_of_other_engines_are_not_mixed(
    predictor: Predictor, tiny_breakhis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remote(_: object) -> Any:
        given = SimpleNamespace(remote=lambda *_: "torch (another, fp32)")
        return SimpleNamespace(options=lambda **_: given)

    ray = SimpleNamespace(remote=remote, get=lambda told: told)
    monkeypatch.setattr(cluster, "connected", lambda _: nullcontext(ray))
    monkeypatch.setattr(cluster, "require_shared", lambda *_: None)
    items = [Item(str(path)) for path in sorted(tiny_breakhis.rglob("*.png"))[:2]]

    def engine(gpus: float) -> str:
        share = {"num_cpus": 1.0, "num_gpus": gpus}
        monkeypatch.setattr(cluster, "share", lambda *_: share)
        place = cluster.Place("ray")
        with on_ray.stream(place, Path("run"), "torch", 0.9, predictor, items) as (name, _):
            return name

    if "cuda" not in predictor.engine.name:  # nodes without a GPU would compute in another way
        assert engine(0) == predictor.engine.name
    assert engine(1) == "torch (another, fp32)"
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(predictor, items, out, stream=_interrupt)
    with pytest.raises(BadInput, match="of another model, other options"):
        predict_to_file(predictor, items, out, resume=True, engine=engine(1))
    assert predict_to_file(predictor, items, out, resume=True, engine=engine(0)).images == 2


def _interrupt(*_: object) -> Any:
    raise KeyboardInterrupt
