"""Pieces of the training loop that a whole run does not reach."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from magnostic.errors import BadInput, DiskFull, RunFailed
from magnostic.preprocess.balance import as_they_are, equal_shares
from magnostic.recipe import Augment, Finetune
from magnostic.train import checkpoint
from magnostic.train import finetune as loop
from magnostic.train.checkpoint import Progress
from magnostic.train.finetune import Job, batch_parts, finetune, order
from magnostic.train.inputs import Vectors
from magnostic.train.ranks import Agreed, Group
from magnostic.train.stopping import stopping


@given(st.integers(1, 300), st.integers(1, 40))
def test_batches_cover_every_sample_once_and_none_is_a_single_one(count: int, size: int) -> None:
    parts = batch_parts(count, size)
    sizes = [len(part) for part in parts]
    assert np.concatenate(parts).tolist() == list(range(count))
    assert all(0 < s <= size + 1 for s in sizes)
    if size > 1 and count > 1:
        assert min(sizes) > 1


def test_order_is_a_permutation_of_its_own_for_each_epoch() -> None:
    assert sorted(order(0, 3, 50)) == list(range(50))
    assert list(order(0, 3, 50)) == list(order(0, 3, 50))
    assert list(order(0, 3, 50)) != list(order(0, 4, 50)) != list(order(1, 4, 50))


def test_a_weighted_sampler_draws_classes_equally_often() -> None:
    y = np.array([0] * 90 + [1] * 10)
    shares = equal_shares(y)
    assert shares.sum() == pytest.approx(1)
    drawn = np.concatenate([order(0, epoch, len(y), shares) for epoch in range(100)])
    assert y[drawn].mean() == pytest.approx(0.5, abs=0.02)
    assert list(order(0, 3, len(y), shares)) == list(order(0, 3, len(y), shares))


def trained(value: float) -> tuple[nn.Linear, torch.optim.Adam]:
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, value)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return layer, optimizer


def test_a_checkpoint_is_restored_whole(tmp_path: Path) -> None:
    layer, optimizer = trained(1.0)
    best = {k: v + 1 for k, v in layer.state_dict().items()}
    progress = Progress(3, 2, -0.5, [{"epoch": 3}])
    checkpoint.save(tmp_path, layer, best, optimizer, progress, "this", {"scale": 2.0})
    again, other = trained(5.0)
    found = checkpoint.restore(tmp_path, again, other, "this")
    assert found is not None
    assert found[0] == progress
    assert torch.equal(found[1]["weight"], best["weight"])
    assert found[2] == {"scale": 2.0}
    assert torch.equal(again.weight, layer.weight)
    for model, stepper in ((layer, optimizer), (again, other)):
        model(torch.ones(1, 2)).sum().backward()
        stepper.step()
    assert torch.equal(again.weight, layer.weight), "moments are restored too"


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD])
def test_fused_steps_go_on_in_channels_last(
    kind: type[torch.optim.Optimizer], tmp_path: Path
) -> None:
    """Fused kernels go through memory as it lies: moments must lie as their weights do."""
    options = {"lr": 0.1, "fused": True} | ({"momentum": 0.9} if kind is torch.optim.SGD else {})
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def start(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        layer = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return layer, kind(layer.parameters(), **options)  # type: ignore[arg-type]

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        (model(images).square() * torch.arange(5.0)[:, None, None]).mean().backward()
        optimizer.step()

    model, optimizer = start(0)
    step(model, optimizer)
    checkpoint.save(tmp_path, model, {}, optimizer, Progress(1), "this", {})
    again, other = start(1)
    checkpoint.restore(tmp_path, again, other, "this")
    for _ in range(3):
        step(model, optimizer)
        step(again, other)
    assert torch.equal(again.weight, model.weight)


def test_a_checkpoint_of_another_split_touches_nothing(tmp_path: Path) -> None:
    layer, optimizer = trained(1.0)
    checkpoint.save(tmp_path, layer, {}, optimizer, Progress(1), "that", {})
    again, other = trained(5.0)
    before = again.weight.clone()
    assert checkpoint.restore(tmp_path, again, other, "this") is None
    assert torch.equal(again.weight, before)


def test_an_older_checkpoint_stays_until_the_next_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, optimizer = trained(1.0)
    checkpoint.save(tmp_path, layer, {}, optimizer, Progress(1), "this", {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(RunFailed, match=r"the disk is full: .* needed .* free; free space"):
        checkpoint.save(tmp_path, layer, {}, optimizer, Progress(2), "this", {})
    monkeypatch.undo()
    found = checkpoint.restore(tmp_path, *trained(5.0), "this")
    assert found is not None
    assert found[0].epoch == 1


def _job() -> Job:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(23, 6)).astype(np.float32)
    return Job(
        inputs=Vectors(vectors),
        y=(vectors[:, 0] > 0).astype(np.intp),
        train=as_they_are(np.arange(17)),
        val=as_they_are(np.arange(17, 23)),
        class_weights=None,
        sampling=None,
        recipe=Finetune(epochs=3, batch_size=4, lr=0.05),
        augment=Augment(),
        precision="fp32",
        seed=3,
        identity="this",
    )


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2))


def _history(folder: Path) -> list[dict[str, float]]:
    lines = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", [1, 3, 4, 5, 12])
def test_a_signal_within_an_epoch_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, when: int
) -> None:
    whole = finetune(_network(), _job(), tmp_path / "whole")
    steps: list[int] = []
    rate = loop.learning_rate

    def counted(*given: object) -> float:
        steps.append(len(steps))
        if len(steps) == when:
            os.kill(os.getpid(), number)
        return rate(*given)  # type: ignore[arg-type]

    def ours(*_: object) -> None:
        raise KeyboardInterrupt

    before = {n: signal.signal(n, ours) for n in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(loop, "learning_rate", counted)
    try:
        with pytest.raises(KeyboardInterrupt):
            finetune(_network(), _job(), tmp_path / "cut")
        assert signal.getsignal(number) is ours
        assert len(steps) == when  # 4 steps an epoch
        torch.manual_seed(99)
        resumed = finetune(_network(), _job(), tmp_path / "cut")
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    assert len(steps) == 12
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert _history(tmp_path / "cut") == _history(tmp_path / "whole")


def test_a_signal_within_validation_costs_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetune(_network(), _job(), tmp_path / "whole")
    validate, calls = loop._validate, []

    def interrupted(*given: object) -> object:
        calls.append(given)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGUSR2)
        return validate(*given)  # type: ignore[arg-type]

    before = signal.signal(signal.SIGUSR2, signal.default_int_handler)
    monkeypatch.setattr(loop, "_validate", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            finetune(_network(), _job(), tmp_path / "cut")
        progress = json.loads((tmp_path / "cut/checkpoint/state.json").read_text())["progress"]
        assert (progress["epoch"], progress["step"]) == (1, 4)
        resumed = finetune(_network(), _job(), tmp_path / "cut")
    finally:
        signal.signal(signal.SIGUSR2, before)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert _history(tmp_path / "cut") == _history(tmp_path / "whole")


def test_a_signal_after_the_last_look_is_obeyed_all_the_same() -> None:
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stopping():
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_is_obeyed_though_what_came_after_it_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A study would otherwise note a failed run and start the next one."""
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stopping():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGUSR1)
            raise DiskFull("checkpoint: the disk is full")
        assert signal.getsignal(signal.SIGUSR1) is signal.default_int_handler
        assert "while stopping: checkpoint: the disk is full" in capsys.readouterr().err
        with pytest.raises(DiskFull), stopping():
            raise DiskFull("nobody asked to stop")
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_processes_that_drew_unlike_numbers_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[torch.Tensor] = []

    def alike(_: Group, state: torch.Tensor) -> bool:
        compared.append(state)
        return len(compared) < 2

    monkeypatch.setattr(Group, "alike", alike)
    with pytest.raises(Agreed, match=r"unlike random numbers in epoch 2.*model\.args"):
        finetune(_network(), _job(), tmp_path)
    assert torch.equal(compared[-1], torch.get_rng_state())


def test_room_for_checkpoints_is_asked_for_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, optimizer = trained(1.0)  # three weights: 12 bytes, their moments 24
    monkeypatch.setattr("magnostic.train.checkpoint.free", lambda _: 95)
    with pytest.raises(
        DiskFull, match=r"needs 96 bytes for its checkpoints, and 95 bytes are free"
    ):
        checkpoint.require_room(tmp_path, layer, optimizer)
    (tmp_path / "epoch0001.model.safetensors").write_bytes(b"x")
    checkpoint.require_room(tmp_path, layer, optimizer)


def test_a_checkpoint_that_cannot_be_read_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, optimizer = trained(1.0)
    checkpoint.save(tmp_path, layer, {}, optimizer, Progress(1), "this", {})

    def broken(path: Path, _: str) -> object:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr("safetensors.safe_open", broken)
    with pytest.raises(RunFailed, match=r"epoch0001\.model.*cannot be read \(Input/output error\)"):
        checkpoint.restore(tmp_path, *trained(5.0), "this")


def test_a_second_signal_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(*_: object) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("went on")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(loop, "learning_rate", twice)
    try:
        with pytest.raises(KeyboardInterrupt):
            finetune(_network(), _job(), tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.parametrize("file", ["state.json", "epoch0001.model.safetensors"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str) -> None:
    layer, optimizer = trained(1.0)
    checkpoint.save(tmp_path, layer, {}, optimizer, Progress(1), "this", {})
    path = tmp_path / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match=f"{tmp_path}"):
        checkpoint.restore(tmp_path, *trained(5.0), "this")
