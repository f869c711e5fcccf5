"""YAML that people wrote or sent, read within limits: few lines of it can stand for billions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from magnostic.errors import BadInput

#: Bytes of a file, and values in it once every alias is replaced by what it stands for. The longest
#: study that comes along has 8 KB and some hundred.
MOST_BYTES: Final = 2**20
MOST_VALUES: Final = 50_000


def load(path: Path, error: type[BadInput] = BadInput) -> Any:
    """What the file holds, of plain types alone; ``error`` names file, line and next step."""
    return _read(path, error, construct=True)[1]


def loads(text: str, where: str, error: type[BadInput] = BadInput) -> Any:
    """What a text holds, as :func:`load`; ``where`` it came from, for the error."""
    return _parsed(text, where, error, construct=True)[1]


def compose(path: Path, error: type[BadInput] = BadInput) -> yaml.Node | None:
    """The file's nodes, values as they are written; None where it is empty."""
    return _read(path, error, construct=False)[0]


def _read(path: Path, error: type[BadInput], *, construct: bool) -> tuple[yaml.Node | None, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise error(f"{path}: longer than {MOST_BYTES:,} bytes; is it the right file?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = getattr(fault, "strerror", None) or "not UTF-8"
        raise error(f"{path}: cannot be read as text ({reason}); mend it") from None
    return _parsed(text, path, error, construct=construct)


def _parsed(
    text: str, where: Path | str, error: type[BadInput], *, construct: bool
) -> tuple[yaml.Node | None, Any]:
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None, None
            if _values(root, {}) > MOST_VALUES:
                raise error(f"{where}: its aliases (*name) stand for too much; write it out")
            return root, loader.construct_document(root) if construct else None
        finally:
            loader.dispose()
    except RecursionError:
        raise error(f"{where}: nested too deeply, or an alias within itself; mend it") from None
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise error(f"{where}{line}: not valid YAML; mend the file") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
        raise error(f"{where}: holds a value that is none ({fault}); mend the file") from None


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; RecursionError where it stands within itself."""
    number = known.get(id(node))
    if number is None:
        known[id(node)] = -1  # under way
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        number = 1 + sum(_values(child, known) for child in children)
        known[id(node)] = number
    elif number < 0:
        raise RecursionError
    return number
