"""Nothing that is read from a file can run as code: a search of the source for what would."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import magnostic

SOURCE = sorted(Path(magnostic.__file__).parent.rglob("*.py"))
#: Modules whose files hold code, or that run it.
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}
#: Calls by the end of their name; the keyword, with its value, that makes each harmless.
CALLS: dict[str, tuple[str, object] | None] = {
    "torch.load": ("weights_only", True),
    "torch.save": None,
    "jit.load": None,
    "yaml.load": None,
    "yaml.unsafe_load": None,
    "yaml.full_load": None,
    "pandas.read_pickle": None,
    "pd.read_pickle": None,
    "shutil.unpack_archive": None,
    "eval": None,
    "exec": None,
}
#: Where one of them stands all the same, and why.
ALLOWED = {
    ("deploy/engines.py", "jit.load"): "an exported program, loaded where a user names it",
    ("train/ranks.py", "torch.load"): "what process 0 of the same job has sent, never a file",
    ("train/ranks.py", "torch.save"): "its other end",
}


def found(tree: ast.AST) -> Iterator[str]:
    """What in a module could let a file run as code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in MODULES:
                yield str(node.module)
        elif isinstance(node, ast.Call):
            yield from _call(node)


def _call(node: ast.Call) -> Iterator[str]:
    called = ast.unparse(node.func)
    given = {k.arg: getattr(k.value, "value", ...) for k in node.keywords}
    if given.get("allow_pickle", False) is not False:
        yield f"{called}(allow_pickle)"
    if called.split(".")[-1] in ("extractall", "extract"):
        yield called
    for name, harmless in CALLS.items():
        if called != name and not ("." in name and called.endswith(f".{name}")):
            continue
        if harmless is None or given.get(harmless[0]) != harmless[1]:
            yield name


def test_no_file_is_read_in_a_way_that_runs_code() -> None:
    assert len(SOURCE) > 200
    package = Path(magnostic.__file__).parent
    unsafe = [
        (path.relative_to(package).as_posix(), what)
        for path in SOURCE
        for what in found(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert set(unsafe) == set(ALLOWED)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "yaml.load(text)",
        "archive.extractall(folder)",
        "eval(text)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert list(found(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["torch.load(path, weights_only=True)", "np.load(path)", "yaml.safe_load(text)"]
)
def test_the_search_lets_pass(code: str) -> None:
    assert not list(found(ast.parse(code)))
