"""The blocks of one page, one after the other in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docs_check import bind, shell, sources
from docs_check.blocks import SHELL, SHOWN, Block, Wrong, blocks, prose
from docs_check.given import GENUINE, Stock

#: Seconds that a block may take.
LIMIT: Final = 240.0
_ABSENT: Final = "the genuine sample is not here"


@dataclass(frozen=True)
class Outcome:
    """What became of a block.

    Attributes:
        did: ``run``, ``served``, ``parsed``, ``written`` or ``inline``.
        reason: why it was not run.
        wrong: what is wrong with it; empty for nothing.
    """

    where: str
    did: str
    reason: str = ""
    wrong: str = ""
    seconds: float = 0.0


def check(page: Path, folder: Path, stock: Stock, *, run: bool = True) -> list[Outcome]:
    """All blocks and all commands in running text of a page.

    Args:
        page: a Markdown file below the repository.
        folder: new; the page's own ``work`` folder and what lies beside it are made there.
        run: False to bind only.
    """
    name = page.relative_to(bind.REPOSITORY)
    text = page.read_text(encoding="utf-8")
    try:
        found = blocks(name, text)
    except Wrong as error:
        return [Outcome(str(name), "parsed", wrong=str(error))]
    work = _workplace(folder, stock)
    outcomes = [_block(b, work, stock, run) for b in found if _checked(b)]
    for line, command, wrong in bind.inline(prose(text)):
        outcomes.append(Outcome(f"{name}:{line}", "inline", command, "\n".join(wrong)))
    return outcomes


def bound(block: Block, work: Path) -> list[str]:
    """What is wrong with a block before it is run."""
    if block.directive.file:
        wants_yaml = block.language == "yaml" and block.directive.yaml != "other"
        return sources.yaml_text(block) if wants_yaml else []
    if block.language == "python":
        return sources.python(block)
    if block.language == "yaml":
        return sources.yaml_text(block)
    return [w for c in shell.commands(_script(block), block.where) for w in bind.command(c, work)]


def differs(shown: tuple[str, ...], printed: str) -> str:
    """The first line shown on the page that the command did not print; empty for none.

    Figures may differ from one machine to another and are not compared, nor are rules of tables
    and the width of columns. ``…`` and ``...`` stand for any number of lines.
    """
    lines = iter(_plain(printed))
    for line in filter(None, map(_plainly, shown)):
        if line in ("…", "..."):
            continue
        if not any(line == other for other in lines):
            return line
    return ""


def _checked(block: Block) -> bool:
    return block.language not in SHOWN or bool(block.directive.file)


def _block(block: Block, work: Path, stock: Stock, run: bool) -> Outcome:
    started = time.monotonic()
    said = block.directive
    try:
        wrong = bound(block, work)
        if wrong:
            return Outcome(block.where, "parsed", wrong="\n".join(wrong))
        if said.file:
            target = work / said.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text + "\n", encoding="utf-8")
            return Outcome(block.where, "written")
        reason = said.skip or _unable(block, stock)
        if block.language == "yaml" or reason or not run:
            return Outcome(block.where, "parsed", reason or ("" if run else "nothing is run"))
        for name in said.given:
            stock.put(name, work)
        told = _served(block, work, stock) if said.serve else _run(block, work, stock)
    except Wrong as error:
        told = str(error)
    did = "served" if said.serve else "run"
    return Outcome(block.where, did, wrong=told, seconds=time.monotonic() - started)


def _unable(block: Block, stock: Stock) -> str:
    genuine = "breakhis-sample" in block.text or GENUINE & set(block.directive.given)
    return _ABSENT if genuine and not stock.sample.is_dir() else ""


def _script(block: Block) -> str:
    return shell.session(block.text).script if block.language == "console" else block.text


def _run(block: Block, work: Path, stock: Stock) -> str:
    if block.language in SHELL:
        words = ["bash", "-euo", "pipefail", "-c", _script(block)]
    else:
        words = [sys.executable, "-c", block.text]
    process = _start(words, work, stock)
    try:
        printed, complained = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"took more than {LIMIT:g} s"
    if process.returncode != block.directive.fails:
        told = f"ended with {process.returncode}, expected {block.directive.fails}"
        return f"{told}\n{printed[-2000:]}\n{complained[-2000:]}"
    if block.language == "console":
        # The error output comes first here; a terminal would mix the two.
        line = differs(shell.session(block.text).shown, f"{complained}\n{printed}")
        line = line and differs(shell.session(block.text).shown, f"{printed}\n{complained}")
        if line:
            return f"the page shows a line that was not printed:\n  {line}\nprinted:\n{printed}"
    return ""


def _served(block: Block, work: Path, stock: Stock) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = f"{_script(block).rstrip()} --port {port}"
    process = _start(["bash", "-euo", "pipefail", "-c", script], work, stock)
    end = time.monotonic() + LIMIT
    try:
        while time.monotonic() < end:
            if process.poll() is not None:
                _, complained = process.communicate()
                return f"ended with {process.returncode} before it answered\n{complained[-2000:]}"
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer,
            ):
                return "" if answer.status == 200 else f"answered {answer.status}"
            time.sleep(0.3)
        return f"did not answer within {LIMIT:g} s"
    finally:
        _end(process)


def _start(words: list[str], work: Path, stock: Stock) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=work, env=stock.environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> None:
    """Ends what the block started, all of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=20)
            return


def _workplace(folder: Path, stock: Stock) -> Path:
    """A folder like a clone's root: the repository's own files, and the data beside it."""
    work = folder / "work"
    work.mkdir(parents=True)
    for name in ("bench", "recipes", "studies", "Makefile", "pyproject.toml", "tests"):
        (work / name).symlink_to(bind.REPOSITORY / name)
    (work / ".venv" / "bin").mkdir(parents=True)
    (work / ".venv" / "bin" / "activate").write_text("")
    if stock.sample.is_dir():
        (folder / "shared").symlink_to(stock.sample.parents[1])
    return work


def programs(folder: Path) -> Path:
    """A folder of programs for PATH: magnostic and python are this one's, pip does nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    python = shutil.which(sys.executable) or sys.executable
    texts = {
        "magnostic": f'exec "{python}" -m magnostic "$@"',
        "python": f'exec "{python}" "$@"',
        "pip": "exit 0  # what is installed is installed already",
    }
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def _plain(text: str) -> list[str]:
    return [line for line in map(_plainly, text.splitlines()) if line]


def _plainly(line: str) -> str:
    line = re.sub(r"[─━┏┓┡┩└┘├┤┬┴┼╇┳┴│┃|]", " ", line)
    return " ".join(re.sub(r"\d+(?:[.,]\d+)*", "0", line).split())
