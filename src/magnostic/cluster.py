"""Ray: joined or started, its nodes checked for the folders that all share. Extra ``[cluster]``.

What runs on a node needs this package in this version, and sees the same paths as the caller: run
folders, data and the folder that the command was given in lie on a file system that all share.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from magnostic import __version__
from magnostic.data.summary import counted
from magnostic.errors import BadInput, MissingExtra, RunFailed
from magnostic.files import write_text
from magnostic.processors import cores
from magnostic.progress import say

LOCAL: Final = "local"
RAY: Final = "ray"
SLURM: Final = "slurm"
_ADDRESS: Final = re.compile(r"(?:ray://)?(?P<host>[^\s/:]+):(?P<port>\d{1,5})")
#: What processes on the nodes take over from the caller's environment.
_PASSED: Final = ("MAGNOSTIC_CACHE", "HF_HUB_OFFLINE", "HF_HOME")
#: Bytes for what is passed between processes of a Ray that is started here.
_STORE: Final = 200 * 2**20
#: Seconds for an address to answer, and for a node to say what it sees.
_ANSWER: Final = 5.0
_LOOK: Final = 120.0


@dataclass(frozen=True)
class Place:
    """Where to compute.

    Attributes:
        on: ``local``, ``ray``, an address of Ray, or ``slurm``.
        cpus: cores of each process; 0: one, or a GPU's even share of the cluster's (SLURM: four).
        gpus: of each process; None: one where the cluster has some (SLURM: none).
    """

    on: str = LOCAL
    cpus: int = 0
    gpus: float | None = None


def place(on: str, cpus: int = 0, gpus: float | None = None, *, slurm: bool = False) -> Place:
    """Check what was asked for.

    Args:
        slurm: whether that is known, too.

    Raises BadInput with what is allowed, or MissingExtra where Ray is asked for and absent.
    """
    others = [SLURM] if slurm else []
    address = _ADDRESS.fullmatch(on)
    if on not in (LOCAL, RAY, *others) and not (address and 0 < int(address["port"]) < 65536):
        known = [LOCAL, RAY, "ray://HOST:PORT", "HOST:PORT", *others]
        raise BadInput(f"--on {on}: choose {', '.join(known[:-1])} or {known[-1]}")
    if cpus < 0:
        raise BadInput(f"--cpus {cpus}: give 0 (a fair share) or more")
    if gpus is not None and (not 0 <= gpus < 1e3 or (gpus > 1 and gpus % 1)):
        raise BadInput(f"--gpus {gpus:g}: give 0, a part of one, or a whole number")
    if on == SLURM and gpus is not None and gpus % 1:
        raise BadInput(f"--gpus {gpus:g}: jobs of SLURM take whole GPUs; give 0, 1 or more")
    if on == LOCAL and (cpus or gpus is not None):
        raise BadInput("--cpus and --gpus are for a cluster; give --on, too")
    if on not in (LOCAL, *others) and find_spec("ray") is None:
        raise MissingExtra("cluster", "ray")
    return Place(on, cpus, gpus)


@contextlib.contextmanager
def connected(on: str) -> Iterator[Any]:
    """Yield the module ``ray``, connected; what was started or joined here is left afterwards.

    Args:
        on: ``ray`` joins the cluster that ``RAY_ADDRESS`` names or that runs on this machine, and
            starts one with all cores of this machine where there is none (or ``RAY_ADDRESS`` is
            ``local``); else an address.

    Raises MissingExtra, or RunFailed where nothing answers or the cluster is lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its own words, not the nodes'
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingExtra("cluster", error.name or "ray") from None
    with contextlib.ExitStack() as stack:
        if not ray.is_initialized():
            stack.callback(_end_at_sigterm_as_before())  # joining puts Ray's own way in its place
            _join(ray, on, stack)
            stack.callback(ray.shutdown)
        try:
            yield ray
        except (ray.exceptions.RayError, ConnectionError) as error:
            if isinstance(error, BrokenPipeError):  # whoever reads what is printed has gone
                raise
            raise RunFailed(
                f"Ray: {reason(error)}; the same command goes on where it stopped "
                "(predict: with --resume)"
            ) from None


def _join(ray: Any, on: str, stack: contextlib.ExitStack) -> None:
    as_before = _end_at_sigterm_as_before()
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    named = os.environ.get("RAY_ADDRESS", "") if on == RAY else on
    if named == LOCAL or not _joined(ray, named, "RAY_ADDRESS" if on == RAY else "--on", quiet):
        say(f"starting Ray on this machine, {counted(cores(), 'core')}")
        # Sockets lie below, whose paths must be short; the folder made there is ours alone.
        usual = "/tmp"  # nosec B108
        short = os.environ.get("RAY_TMPDIR") or min(tempfile.gettempdir(), usual, key=len)
        folder = tempfile.TemporaryDirectory(prefix="ray-", dir=short, ignore_cleanup_errors=True)
        ray.init(
            address="local", num_cpus=cores(), include_dashboard=False,
            object_store_memory=_STORE, _temp_dir=stack.enter_context(folder), **quiet,
        )  # fmt: skip
    as_before()


def _joined(ray: Any, named: str, option: str, quiet: dict[str, Any]) -> bool:
    """Whether a cluster was joined; False where none was named and none runs here."""
    try:
        address = _ADDRESS.fullmatch(named)
        if address:  # Ray itself would try for most of a minute
            where = address["host"], int(address["port"])
            socket.create_connection(where, timeout=_ANSWER).close()
        with warnings.catch_warnings(action="ignore"):  # what is raised says the same
            ray.init(address=named or "auto", **quiet)
    except (
        OSError, RuntimeError, ValueError, ray.exceptions.RayError,
        SystemExit,  # Ray's own way
    ) as error:  # fmt: skip
        if not named and isinstance(error, ConnectionError):
            return False
        raise RunFailed(
            f"no Ray answers at {named or 'this machine'} ({reason(error)}); start it "
            f"(ray start --head), mend {option}, or, where the cluster asks for a token, set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here"
        ) from None
    return True


def _end_at_sigterm_as_before() -> Callable[[], None]:
    """Puts the present way to end at SIGTERM in place again."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = signal.getsignal(signal.SIGTERM)

    def again() -> None:
        signal.signal(signal.SIGTERM, before)

    return again


def reason(error: BaseException) -> str:
    """What Ray says went wrong, in one line: the error of the task, without its traceback."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if isinstance(cause, OSError) and cause.strerror:
        lines = [cause.strerror]
    return lines[-1] if lines else type(cause).__name__


def share(ray: Any, place: Place) -> dict[str, float]:
    """``num_cpus`` and ``num_gpus`` of one process.

    Raises BadInput where no node has as many, since such a process would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    total = {name: sum(n.get(name, 0.0) for n in nodes) for name in ("CPU", "GPU")}
    gpus = min(1.0, total["GPU"]) if place.gpus is None else place.gpus
    even = max(1, int(total["CPU"] * gpus // total["GPU"])) if gpus and total["GPU"] else 1
    largest = max((n.get("CPU", 0.0) for n in nodes if n.get("GPU", 0.0) >= gpus), default=0.0)
    cpus = place.cpus or max(1, min(even, int(largest)))
    if cpus > largest:
        raise BadInput(
            f"no node of the cluster has {cpus} cores"
            + (f" and {gpus:g} GPUs" if gpus else "")
            + f" (it has {total['CPU']:g} cores, {total['GPU']:g} GPUs in all); give smaller "
            "--cpus or --gpus"
        )
    return {"num_cpus": cpus, "num_gpus": gpus}


def environment() -> dict[str, str]:
    """What tasks set in their own process by :func:`enter`."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "PWD": str(Path.cwd())}


def enter(passed: dict[str, str], cpus: float) -> None:
    """Make a worker's process like the caller's, with as many threads as it has cores."""
    os.environ.update(passed)
    os.chdir(passed["PWD"])  # data and recipes may be named from there
    os.environ["OMP_NUM_THREADS"] = str(max(1, int(cpus)))


def require_shared(ray: Any, paths: Sequence[Path], folder: Path | None = None) -> None:
    """Ask every node whether it has this package and sees what it will need.

    Args:
        paths: of the data and whatever else is read; the working folder is asked for, too.
        folder: is written to, so that every node must see there what is written here.

    Raises BadInput naming the node and what it lacks.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    wanted = [str(path.absolute()) for path in (Path.cwd(), *paths)]
    token = None if folder is None else folder.absolute() / f".{uuid.uuid4().hex}"

    def lacking(wanted: list[str], version: str) -> str | None:
        try:
            import magnostic
        except ImportError as error:
            return f"has no magnostic ({error}); install it there"
        if magnostic.__version__ != version:
            return f"has magnostic {magnostic.__version__}, not {version}; install the same there"
        return next((path for path in wanted if not os.path.exists(path)), None)  # noqa: PTH110

    try:
        if token is not None:
            write_text(token, "here")
            wanted.append(str(token))
        task = ray.remote(lacking)
        asked = []
        for node in (node for node in ray.nodes() if node["Alive"]):
            where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            there = task.options(num_cpus=0, max_retries=0, scheduling_strategy=where)
            name = f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
            asked.append((name, there.remote(wanted, __version__)))
        for name, answer in asked:
            found = ray.get(answer, timeout=_LOOK)
            if found is not None and not found.startswith("/"):
                raise BadInput(f"node {name} {found}")
            if found is not None:
                what = folder if token is not None and found == str(token) else found
                raise BadInput(
                    f"node {name} does not see {what}; every node must see data, run folders and "
                    "the working folder at the same paths, on a shared file system"
                )
    finally:
        if token is not None:
            token.unlink(missing_ok=True)
