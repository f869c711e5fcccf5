"""Commands bound against what they call, without running them: unknown verbs and options fail."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cyclopts import CycloptsError
from pydantic import BaseModel

from magnostic.cli import app
from magnostic.errors import MagnosticError
from magnostic.recipe import Dense, Finetune, Probe, Recipe

REPOSITORY: Final = Path(__file__).resolve().parents[2]
#: Programs that pages call and that nothing here can bind.
OTHERS: Final = {
    "bash", "cat", "cd", "cp", "curl", "docker", "echo", "export", "find", "git", "grep", "head",
    "ls", "mkdir", "mv", "ray", "rm", "sbatch", "scancel", "sleep", "source", "squeue", "ssh",
    "tail", ".", "kill", "wait", "unset", "set", "test", "true", "nvidia-smi", "sort", "wc",
}  # fmt: skip
#: Programs that start another one, whose name or file follows their own options.
STARTERS: Final = {"accelerate", "env", "nice", "srun", "timeout", "torchrun"}
_INLINE: Final = re.compile(r"(?<!`)`(magnostic\s+[a-z][^`]*)`(?!`)", re.DOTALL)


def command(words: Sequence[str], folder: Path) -> list[str]:
    """What is wrong with a command, ``folder`` being where it would be given."""
    name = words[0]
    if name in STARTERS:
        return _started(words, folder)
    if name == "magnostic" or name.endswith("/magnostic"):
        return _magnostic(list(words[1:]), folder)
    if name == "pip" or list(words[:3]) == ["python", "-m", "pip"]:
        return _pip(words)
    if name in ("python", "python3"):
        return _python(words[1:], folder)
    if name == "make":
        return _make([w for w in words[1:] if "=" not in w and not w.startswith("-")])
    return [] if name in OTHERS else [f"nothing is known about the command {name!r}"]


def inline(prose: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line, command, what is wrong) of every `` `magnostic …` `` in running text.

    Running text leaves out what is required and uses names as placeholders, so only verbs and
    options are looked at.
    """
    for found in _INLINE.finditer(prose):
        text = " ".join(found[1].split())
        if "{" in text:  # several commands in one
            continue
        line = prose.count("\n", 0, found.start()) + 1
        yield line, text, _loosely(shlex.split(text.replace("[", "").replace("]", ""))[1:])


def _magnostic(words: list[str], folder: Path) -> list[str]:
    if words in (["--help"], ["--version"]) or words[1:] == ["--help"]:
        return _loosely([w for w in words if not w.startswith("--")])
    try:
        verb, bound, *_ = app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return [f"magnostic {words[0] if words else ''}: {error}"]
    given = bound.arguments
    for name in ("images", "slides"):
        for value in given.get(name, ()):
            if str(value).startswith("-") and str(value) != "-":
                return [f"magnostic {words[0]}: no such option {value}"]
    if verb.__name__ in ("train", "study"):
        return _carried_out(verb.__name__, given, folder)
    return []


def _carried_out(verb: str, given: dict[str, Any], folder: Path) -> list[str]:
    """Recipes and studies are read with what was overridden, so that wrong fields are found."""
    from magnostic import recipe_file
    from magnostic.study import expand, schema

    path = Path(given[verb if verb == "study" else "recipe"])
    beside = folder / path
    path = beside if beside.is_file() else path
    overrides = list(given.get("overrides", ()))
    try:
        if verb == "train":
            recipe_file.load(path, overrides)
        else:
            study, where = schema.load(path)
            given_too = {"overrides": (*study.overrides, *overrides)}
            expand.expand(study.model_copy(update=given_too), where)
    except MagnosticError as error:
        return [f"magnostic {verb}: {error}"]
    return []


def _loosely(words: list[str]) -> list[str]:
    known = {name for names in app for name in ([names] if isinstance(names, str) else names)}
    verb = words[0] if words else ""
    if verb not in known:
        return [f"magnostic has no verb {verb!r}"]
    if verb.startswith("-"):
        return []
    arguments = app[verb].assemble_argument_collection()
    options = {name for argument in arguments for name in argument.names}
    wrong = []
    for word in words[1:]:
        option = word.partition("=")[0]
        if not option.startswith("-") or option in ("-", "--help") or option in options:
            continue
        field = option.removeprefix("--").replace("-", "_")
        if verb in ("train", "study") and _is_field(field.split("."), Recipe):
            continue
        wrong.append(f"magnostic {verb}: no such option {option}")
    return wrong


def _is_field(path: Sequence[str], model: type[BaseModel]) -> bool:
    name, *rest = path
    if name == "train" and model is Recipe:
        return len(rest) == 1 and any(rest[0] in m.model_fields for m in (Finetune, Dense, Probe))
    if name not in model.model_fields:
        return False
    inner = model.model_fields[name].annotation
    is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
    return _is_field(rest, inner) if rest and is_section else not rest  # type: ignore[arg-type]


def _pip(words: Sequence[str]) -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    asked = [x for w in words for found in re.findall(r"^(?:magnostic|\.)\[(.*?)\]", w)
             for x in found.split(",")]  # fmt: skip
    return [f"pip: magnostic has no extra {x.strip()!r}" for x in asked if x.strip() not in extras]


def _python(words: Sequence[str], folder: Path) -> list[str]:
    if words[:2] == ["-m", "magnostic"]:
        return _magnostic(list(words[2:]), folder)
    if words[:1] == ["-m"] or words[:1] == ["-c"] or not words:
        return []
    script = next((p for p in (folder / words[0], REPOSITORY / words[0]) if p.is_file()), None)
    if script is None:
        return [f"python: there is no {words[0]}"]
    source = script.read_text(encoding="utf-8")
    options = [w.partition("=")[0] for w in words[1:] if w.startswith("--")]
    return [f"{words[0]}: no such option {o}" for o in options if f'"{o}"' not in source]


def _make(targets: Sequence[str]) -> list[str]:
    rules = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return [f"make: there is no target {t}" for t in targets
            if not re.search(rf"^{re.escape(t)}:", rules, re.MULTILINE)]  # fmt: skip


def _started(words: Sequence[str], folder: Path) -> list[str]:
    checks: list[tuple[str, Callable[[Sequence[str]], Sequence[str]]]] = [
        ("magnostic", lambda rest: ["magnostic", *rest]),
        ("-m", lambda rest: ["python", "-m", *rest]),
        ("python", lambda rest: ["python", *rest]),
    ]
    for n, word in enumerate(words[1:], start=1):
        for name, made in checks:
            if word == name or (name == "magnostic" and word.endswith("/magnostic")):
                return command(made(words[n + 1 :]), folder)
        if word.endswith(".py"):
            return command(["python", *words[n:]], folder)
    return [f"{words[0]}: starts nothing that is known"]
