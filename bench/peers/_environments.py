"""An environment of its own for every peer, made once below the cache and used again.

torch and torchvision are what all have in common: they lie in an environment that the others see
through a ``.pth`` file, of the version that magnostic is measured with. A peer that asks for an
older torch is installed without its pins of the two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

#: What torch needs is the same for all of them.
TORCH = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "torchvision")]


class NotInstalledError(Exception):
    """The environment cannot be had; the message is the reason."""


@dataclass(frozen=True)
class Environment:
    """What is installed.

    Attributes:
        packages: requirements, pinned.
        unpinned: one more, whose own pins of torch are passed over: it is installed alone, then
            all its other requirements.
    """

    name: str
    packages: tuple[str, ...]
    unpinned: str = ""

    def python(self, place: Path) -> Path:
        """The interpreter, after installing what is missing; NotInstalledError with the reason."""
        base = place / "torch"
        _once(base, TORCH, lambda: _pip(base, TORCH))
        here = place / self.name
        wanted = [*TORCH, *self.packages, self.unpinned]
        _once(here, wanted, lambda: self._install(here, base))
        return here / "bin" / "python"

    def _install(self, here: Path, base: Path) -> None:
        shared = sysconfig.get_path("purelib", vars={"base": str(base)})
        own = Path(sysconfig.get_path("purelib", vars={"base": str(here)}))
        (own / "torch_environment.pth").write_text(f"{shared}\n", encoding="utf-8")
        if self.packages:
            _pip(here, self.packages)
        if self.unpinned:
            _pip(here, ["--no-deps", self.unpinned])
            _pip(here, _requirements(here, self.unpinned))


def _once(here: Path, wanted: list[str], install: Callable[[], None]) -> None:
    """Make the environment unless the mark of the same requirements is there."""
    mark = here / "installed.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == wanted:
        return
    print(f"installing {here.name}: {' '.join(filter(None, wanted))}", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(here)])
    install()
    mark.write_text(json.dumps(wanted) + "\n", encoding="utf-8")


def _pip(here: Path, arguments: Sequence[str]) -> None:
    limits = here / "constraints.txt"
    limits.write_text("\n".join(TORCH) + "\n", encoding="utf-8")
    python = str(here / "bin" / "python")
    _run([python, "-m", "pip", "install", "-q", "-c", str(limits), *arguments])


def _requirements(here: Path, package: str) -> list[str]:
    """What a package asks for beside torch, without its extras."""
    code = (
        "import importlib.metadata as m, sys, pip._vendor.packaging.requirements as r\n"
        "for line in m.requires(sys.argv[1]) or []:\n"
        "    need = r.Requirement(line)\n"
        "    if need.name not in ('torch', 'torchvision') and (\n"
        "        not need.marker or need.marker.evaluate({'extra': ''})\n"
        "    ):\n"
        "        print(f'{need.name}{need.specifier}')\n"
    )
    name = package.partition("==")[0]
    done = _run([str(here / "bin" / "python"), "-c", code, name])
    return done.splitlines()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, text=True, capture_output=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1] if lines else (done.stderr.splitlines() or ["no message"])[-1]
        raise NotInstalledError(reason.removeprefix("ERROR: "))
    return done.stdout
