"""The command line: one small file a verb, each of which parses, calls and prints.

Heavy imports stand inside the verbs' functions, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App, Parameter

import magnostic
from magnostic.errors import BadInput, MagnosticError
from magnostic.files import FULL, full
from magnostic.train import stopping


def _default(value: object) -> str | None:
    """A default as help shows it; none where it only says that nothing was given."""
    return None if value is None or value is False or value in ("", ()) else str(value)


app = App(
    name="magnostic",
    default_parameter=Parameter(show_default=_default),
    suppress_keyboard_interrupt=False,
    help=(
        "Train, judge honestly and explain classifiers of breast tumours in H&E photographs, "
        "at any magnification. Research use only."
    ),
    version=magnostic.__version__,
    help_epilogue=(
        "Start with: magnostic demo (no data needed), or magnostic index DATA, then "
        "magnostic train probe-lite0 --data DATA --out runs/first"
    ),
)
_VERBS = {
    "fetch": "Fetch BreakHis, checked name by name; goes on where it was interrupted.",
    "index": "Read a data set and print what it holds, beside the paper's Table I.",
    "audit": "Check a data set, a split or a run for what makes results wrong or flattering.",
    "train": "Carry out a recipe: model, predictions, audit and report in one run folder.",
    "study": "Carry out many recipes, go on where it stopped, and report on all of them.",
    "compare": "Say which of two or more runs is better on the same images, and how sure that is.",
    "predict": "Predict photographs with a run: class, probabilities, set, review flag.",
    "slide": "Predict whole slides or large images: tiles, heat maps, QuPath.",
    "explain": "Show what a run's predictions rest on: overlays, nearest cases, faithfulness.",
    "export": "Write a run's model for ONNX Runtime, OpenVINO or TorchScript, checked.",
    "serve": "Serve a run by HTTP: an API, and a page to drop photographs on.",
    "robustness": "Test a run's models on shifted photographs: stain, light, blur, JPEG, zoom.",
    "report": "Write the report of a run again.",
    "card": "Write the model card of a run again.",
    "ui": "Look at runs in a browser: list, reports, comparisons, errors with photographs.",
    "cache": "List or remove what is kept for later runs: decoded photographs, features.",
    "phantom": "Write synthetic photographs in the BreakHis tree.",
    "demo": "The main job on the phantom, with nothing to download.",
    "recipes": "List the recipes and studies that go by name, and what each is.",
    "models": "List backbones, their weights, and which need no network.",
    "doctor": "Say what is installed and which device and precision are used.",
}
#: Verbs that several processes under torchrun carry out.
_BY_SEVERAL = ("train", "study")
for _verb, _help in _VERBS.items():
    app.command(f"magnostic.cli.{_verb}:{_verb}", name=_verb, help=_help)


def _goes_on(verb: str) -> str:
    if verb in ("train", "predict", "slide"):
        return "the same command with --resume goes on from here"
    if verb in ("study", "fetch"):
        return "the same command goes on from here"
    if verb == "robustness":
        return "the same command passes over the runs that are done"
    return "nothing was written; give the same command again"


class _Interrupted(KeyboardInterrupt):
    """Not KeyboardInterrupt itself: where that leaves an ``exec`` (dataclasses have some), Python
    ends by SIGINT in the end, whatever exit code is asked for."""


@contextlib.contextmanager
def _tidy_end() -> Iterator[list[int]]:
    """SIGTERM and a scheduler's SIGUSR1 or SIGUSR2 end what is inside as Ctrl-C does.

    Yields the signals that came.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        raise _Interrupted

    main_thread = threading.current_thread() is threading.main_thread()
    usual = (signal.SIG_DFL, signal.default_int_handler)
    ours = {
        n: handler
        for n in stopping.numbers()
        if main_thread and (handler := signal.getsignal(n)) in usual
    }
    for number in ours:
        signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in ours.items():
            if signal.getsignal(number) is end:  # a job of several processes ignores them from here
                signal.signal(number, handler)


@contextlib.contextmanager
def _processes(verb: str) -> Iterator[None]:
    """Of several processes that torchrun has started, be the one that leads; others stay inside."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        yield
        return
    if verb not in _BY_SEVERAL:
        if os.environ["RANK"] != "0":
            sys.exit(2)  # said once
        raise BadInput(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}: only magnostic "
            f"{' and '.join(_BY_SEVERAL)} can be carried out by several processes; start "
            f"magnostic {verb} without torchrun"
        )
    from magnostic.train import torchrun

    with torchrun.joined():
        yield


def main(arguments: list[str] | None = None) -> None:
    """Entry point.

    Exit code 0: done; 1: a run failed; 2: bad input; 130, 138, 140, 143: ended by SIGINT, SIGUSR1,
    SIGUSR2, SIGTERM.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    came: list[int] = []
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with _tidy_end() as came, _processes(given[0] if given else ""):
            app(arguments)
    except MagnosticError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"interrupted; {_goes_on(given[0] if given else '')}", file=sys.stderr)
        sys.exit(128 + (came[0] if came else signal.SIGINT))
    except BrokenPipeError:  # the reader of a pipe (head, less) has gone
        sys.stderr.close()
        sys.exit(0)
    except MemoryError as error:
        print(f"error: out of memory ({error}); free some, then try again", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno in FULL:
            told = full(Path(error.filename or "."))
            print(f"error: {told}", file=sys.stderr)
            sys.exit(1)
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        print(f"error: {where}{reason}; mend that or name another place", file=sys.stderr)
        # A place that runs through a file was mistyped; any other fault is the machine's.
        sys.exit(2 if isinstance(error, FileExistsError | NotADirectoryError) else 1)
