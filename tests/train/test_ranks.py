"""Shares of several processes: together they are the whole, each image once."""

from __future__ import annotations

import io
import pickle
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from magnostic.data import Images
from magnostic.data.pixels import open_pixels
from magnostic.data.store import Store
from magnostic.errors import BadInput, RunFailed
from magnostic.preprocess import augment
from magnostic.recipe import Augment
from magnostic.train import ranks, stopping
from magnostic.train.ranks import Group


@given(st.integers(0, 60), st.integers(1, 9))
def test_shares_of_a_batch_are_the_batch(count: int, size: int) -> None:
    batch = np.random.default_rng(count).permutation(count)
    shares = [Group(rank, size).share(batch) for rank in range(size)]
    assert sorted(np.concatenate(shares)) == list(range(count))
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


class Wires:
    """What ranks send to process 0, in one process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.sent: dict[int, list[Tensor]] = defaultdict(list)
        self.rank = 0
        patch.setattr(ranks.dist, "send", self.send)
        patch.setattr(ranks.dist, "recv", self.recv)

    def send(self, values: Tensor, to: int, group: Any) -> None:
        del group
        assert to == 0
        self.sent[self.rank].append(values.clone())

    def recv(self, values: Tensor, rank: int, group: Any) -> None:
        del group
        values.copy_(self.sent[rank].pop())


@given(count=st.integers(0, 40), batch=st.integers(1, 9), size=st.integers(1, 9))
def test_each_image_is_gathered_exactly_once(count: int, batch: int, size: int) -> None:
    """Any number of images and processes: fewer images than processes, and none at all."""
    starts = range(0, count, batch)
    computed = np.zeros(count, dtype=int)
    with pytest.MonkeyPatch.context() as patch:
        wires = Wires(patch)
        for rank in [*range(1, size), 0]:  # who sends does not wait here
            group = Group(rank, size)
            own = np.full((count, 2), np.nan, dtype=np.float32)
            for start in group.of(rank, starts):
                here = np.arange(start, min(start + batch, count))
                own[here] = here[:, None]
                computed[here] += 1
            wires.rank = rank
            group.gathered(own, starts, count)
        assert not any(wires.sent.values()), "nothing is left over"
    assert (computed == 1).all()
    assert (own == np.arange(count)[:, None]).all()


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 100))
def test_random_changes_do_not_depend_on_the_number_of_processes(
    count: int, size: int, seed: int
) -> None:
    settings = Augment(flips=True, colour=0.5, stain=0.5)
    images = torch.randint(0, 256, (count, 4, 4, 3), dtype=torch.uint8)
    whole = augment.jitter(images, settings, torch.Generator().manual_seed(seed))
    found = torch.empty_like(whole)
    for rank in range(size):
        mine = Group(rank, size).share(np.arange(count))
        drawn = augment.draw(count, settings, torch.Generator().manual_seed(seed))
        found[torch.from_numpy(mine)] = augment.change(images[mine], drawn.take(mine))
    assert torch.equal(found, whole)


def test_a_process_that_was_left_behind_ends_the_command() -> None:
    group = Group(0, 2)
    with pytest.raises(RunFailed, match="disk"), group.together():
        raise RunFailed("disk full")
    with pytest.raises(KeyboardInterrupt), group.together():
        pytest.fail("the other process waits for what failed, and would never answer")
    assert group.fault is not None


def test_a_failure_that_all_agree_on_leaves_them_together() -> None:
    group = Group(0, 2)
    with pytest.raises(RunFailed, match="finite"), group.together():
        raise ranks.Agreed("the loss is no longer finite")
    with group.together():
        pass
    assert group.fault is None


def test_a_lost_connection_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a study notes the run as planned and stops, instead of failing all that follow."""
    monkeypatch.setattr(ranks, "_NOTICED", 0.01)
    error = RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
    group = Group(0, 2)
    group.faulty.set()
    with pytest.raises(KeyboardInterrupt), group.together():
        raise error
    group = Group(0, 2)
    told = r"lost their connection .*closed by peer.*--resume"
    with pytest.raises(RunFailed, match=told), group.together():
        raise error  # nobody was lost
    assert group.fault is not None
    with pytest.raises(KeyboardInterrupt), group.together():
        pytest.fail("the others are in the middle of what failed")


def test_a_fault_of_another_kind_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="CUDA error"), Group(0, 2).together():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("unlike", [0, 1])
@pytest.mark.parametrize("size", [2, 5])
def test_all_processes_see_whether_they_are_alike(size: int, unlike: int) -> None:
    states = [torch.arange(9, dtype=torch.uint8) for _ in range(size)]
    states[-1][3] += unlike
    given: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Group, "sum", lambda _, values: given.append(values) or values)
        for rank, state in enumerate(states):
            Group(rank, size).alike(state)
        whole = torch.stack(given).sum(0)
        patch.setattr(Group, "sum", lambda *_: whole)
        found = {Group(rank, size).alike(state) for rank, state in enumerate(states)}
    assert found == {not unlike}


def test_processes_that_have_not_joined_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="torchrun --nproc-per-node"):
        ranks.require_connected()


def test_no_signal_that_process_0_notes_kills_another() -> None:
    assert {signal.Signals(number).name for number in stopping.numbers()} == set(stopping.NAMES)


def test_photographs_are_opened_again_by_another_process(
    tiny_images: Images, tmp_path: Path
) -> None:
    pixels = open_pixels(tiny_images.table, 16, "squeeze", tmp_path)
    buffer = io.BytesIO()
    torch.save(pixels.array, buffer)
    assert buffer.tell() < pixels.array[:].nbytes, "names, not photographs"
    buffer.seek(0)
    again = torch.load(buffer, weights_only=False)
    assert np.array_equal(again[:], pixels.array[:])
    for path in Store.of(16, "squeeze", tmp_path).folder.iterdir():
        path.unlink()
    with pytest.raises(RunFailed, match="all its machines share"):
        pickle.loads(pickle.dumps(pixels.array))
