"""The command line as a user types it, in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from magnostic.cli import main


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, standard output and standard error of a command."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        code = caught.value.code
        return (code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return run
