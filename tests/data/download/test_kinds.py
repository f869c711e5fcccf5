"""Every kind of misbehaviour ends with the right file or a clear error; a second try repairs."""

from __future__ import annotations

from pathlib import Path

import _fetch_kinds
import _fetch_run
import pytest


@pytest.mark.parametrize("kind", _fetch_kinds.KINDS, ids=lambda kind: kind.name)
def test_kind(kind: _fetch_kinds.Kind, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue("secure" if kind.tls else "server")
    pem = request.getfixturevalue("pem") if kind.tls else None
    outcome = _fetch_run.run(kind, server, tmp_path / "data", pem)
    assert outcome.wrong == "", outcome.told


def test_each_kind_has_its_own_name() -> None:
    names = [kind.name for kind in _fetch_kinds.KINDS]
    assert len(names) == len(set(names)) >= 20
