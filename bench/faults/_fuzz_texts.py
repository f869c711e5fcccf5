"""Texts and tables spoilt in many ways: recipes, manifests, label maps, studies, files of runs.

Each is the same on every machine for the same seed, number and whole files.
"""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: What no field expects.
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e-300, 1e308, float("nan"), float("inf"), 10**9,
    2**31, 2**63, 10**30, "", " ", "x", "none", "nan", "40X", "DC", "benign",
    "é\u0000\u202e", "a\nb",
    "../../../etc/passwd", "/etc/passwd", "C:\\x", "=1+cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "{{7*7}}", "%s%n", "x" * 100_000, [], {}, [[]], [None], ["a", "a"], {"a": {"b": []}}, {"": 0},
    [1] * 1000,
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """One input.

    Attributes:
        kind: of what was spoilt, a key of :data:`WHOLE`.
        how: the mutation.
        name: of the file.
        data: its content.
        whole: whether it is as it should be and must be taken.
    """

    kind: str
    how: str
    name: str
    data: bytes
    whole: bool = False


@dataclass(frozen=True)
class Files:
    """Whole files by kind, each a folder of ``root``."""

    root: Path

    def of(self, kind: str) -> list[Path]:
        """Files of one kind, sorted."""
        folder, pattern = WHOLE[kind]
        return sorted(p for p in (self.root / folder).glob(pattern) if p.is_file())


#: Kind -> folder below the root and files in it. ``run`` and ``tuned`` are runs.
WHOLE: dict[str, tuple[str, str]] = {
    "recipe": ("recipes", "*.yaml"),
    "study": ("studies", "*.yaml"),
    "label map": ("maps", "*.yaml"),
    "manifest": ("manifests", "*.csv"),
    "predictions made elsewhere": ("outside", "*.csv"),
    "fold file": ("folds", "dsfold*.txt"),
    "images table": ("tables", "images.parquet"),
    "run: model.json": ("run", "final/model.json"),
    "run: export.json": ("exported", "export.json"),
    "run: safetensors": ("run", "final/*.safetensors"),
    "run: run.json": ("run", "run.json"),
    "run: data.json": ("run", "data.json"),
    "run: metrics.json": ("run", "metrics.json"),
    "run: calibration.json": ("run", "calibration.json"),
    "run: fitted_on.json": ("run", "patient/r0f0/fitted_on.json"),
    "run: audit.json": ("run", "audit.json"),
    "run: split.json": ("run", "split.json"),
    "run: recipe.yaml": ("run", "recipe.yaml"),
    "run: history.jsonl": ("tuned", "patient/r0f0/history.jsonl"),
    "run: child": ("run", "patient/r0f1/*.json"),
    "run: predictions.parquet": ("run", "predictions.parquet"),
    "run: split.parquet": ("run", "**/split.parquet"),
    "run: reference.parquet": ("run", "final/reference.parquet"),
    "study: study.json": ("carried", "study.json"),
    "checkpoint": ("checkpoint", "state.json"),
    "checkpoint: tensors": ("checkpoint", "*.safetensors"),
    "progress of predict": ("progress", ".out.csv.partial"),
}


def spoilt(seed: int, number: int, files: Files) -> Text:
    """The text of this number."""
    rng = random.Random(f"{seed} text {number}")
    kinds = [kind for kind in WHOLE if files.of(kind)]
    kind = kinds[number % len(kinds)]
    path = rng.choice(files.of(kind))
    data = path.read_bytes()
    table = {".json": _JSON, ".yaml": _YAML, ".csv": _CSV, ".parquet": _PARQUET,
             ".safetensors": _TENSORS}.get(path.suffix, {})  # fmt: skip
    if path.suffix in (".partial", ".jsonl"):
        table = _JSON_LINES
    # Most are spoilt in the words of their format, the others as any bytes are.
    ways = table if table and rng.random() < 0.75 else _BYTES
    how = rng.choice(list(ways))
    if rng.random() < 0.03:
        how, made = "unchanged", data
    else:
        made = ways[how](rng, data)
    root = files.root / WHOLE[kind][0]
    return Text(kind, how, str(path.relative_to(root)), made, how == "unchanged")


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _bits(rng: random.Random, data: bytes) -> bytes:
    made = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 3, 20))):
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def _inserted(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    odd = (b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"'", b"\\", b"{", b"]", b",",
           b";",
           b"\t", b": ", b"- ", b"\xed\xa0\x80", b"\xe2\x80\xae", b"1e999", b"[" * 20_000,
           b'{"a":' * 20_000, b"- " * 5000, b"x" * 300_000)  # fmt: skip
    return data[:at] + rng.choice(odd) + data[at:]


def _hole(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 5, 50, 500)) :]


def _lines(rng: random.Random, data: bytes) -> bytes:
    """Lines removed, repeated or exchanged."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(3):
            case 0 if len(lines) > 1:
                del lines[one]
            case 1:
                lines.insert(one, lines[other])
            case _:
                lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _encoded(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-8-sig", "utf-32", "cp037")), "replace")


def _other(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\n", b"null", b"[]", b"{}", b"0", b'""', b"---", b"a: b", b"PAR1",
                       b"PAR1PAR1", bytes(100), rng.randbytes(300), data + data,
                       data[::-1]))  # fmt: skip


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Places of a tree of dictionaries and lists."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += _nodes(value[key], (*path, key))
    elif isinstance(value, list):
        for n in range(min(len(value), 6)):
            found += _nodes(value[n], (*path, n))
    return found


def _changed(rng: random.Random, value: Any) -> Any:
    """One to three places of a tree changed."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = _nodes(value)
        if not places:
            return rng.choice(_ODD)
        *above, last = rng.choice(places)
        holder = value
        for key in above:
            holder = holder[key]
        match rng.randrange(8):
            case 0:
                del holder[last]
            case 1 if isinstance(holder, dict):
                holder[f"{last}_"] = holder.pop(last)
            case 2 if isinstance(holder, dict):
                holder[rng.choice(("extra", "", "path", "version", "__class__"))] = rng.choice(_ODD)
            case 3:
                holder[last] = _near(rng, holder[last])
            case 4:
                source = value
                for key in rng.choice(places):
                    source = source[key] if _has(source, key) else source
                holder[last] = json.loads(json.dumps(source))  # another part of the tree
            case _:
                holder[last] = rng.choice(_ODD)
    return value


def _has(holder: Any, key: Any) -> bool:
    if isinstance(holder, dict):
        return key in holder
    return isinstance(holder, list) and isinstance(key, int) and key < len(holder)


def _near(rng: random.Random, value: Any) -> Any:
    """A value of the same type."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return rng.choice((-value, value + 1, value * 1000, value * 10**9, value / 7, 0))
    if isinstance(value, str):
        return rng.choice((value + "x", value.upper(), "", value[:1], f"../{value}", value * 50))
    return value[:-1] if isinstance(value, list) else {}


def _json(rng: random.Random, data: bytes) -> bytes:
    return json.dumps(_changed(rng, json.loads(data)), indent=2).encode()


def _json_twice(rng: random.Random, data: bytes) -> bytes:
    """A key that stands twice."""
    value = json.loads(data)
    key = rng.choice(list(value)) if isinstance(value, dict) and value else "version"
    return (
        data.rstrip().removesuffix(b"}") + f', "{key}": {rng.choice((0, "null", "[]"))}}}'.encode()
    )


def _json_line(rng: random.Random, data: bytes) -> bytes:
    lines = data.splitlines()
    place = rng.randrange(len(lines))
    lines[place] = json.dumps(_changed(rng, json.loads(lines[place]))).encode()
    return b"\n".join(lines) + b"\n"


def _yaml(rng: random.Random, data: bytes) -> bytes:
    import yaml

    return yaml.safe_dump(_changed(rng, yaml.safe_load(data)), allow_unicode=True).encode()


def _yaml_bomb(rng: random.Random, data: bytes) -> bytes:
    """Few lines that name one another until they are billions."""
    deep = rng.choice((8, 30))
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, deep)]
    place = rng.choice(("description", "seed", "model", "train", "args", "rows", "set", "base"))
    text = "\n".join(bomb) + f"\n{place}: *a{deep - 1}\n"
    return text.encode() + (data if rng.random() < 0.5 else b"")


def _yaml_odd(rng: random.Random, data: bytes) -> bytes:
    """What YAML can say besides: tags, anchors, merges, dates, keys of any kind."""
    odd = ("!!python/object/apply:os.system ['true']", "!!binary aGk=", "&a [*a]", "2001-01-01",
           ".nan",
           ".inf", "0x10", "1_000", "012", "1:30:00", "~", "yes", "!!set {a, b}", "!!omap [a: 1]",
           "? {a: b}\n: c", "<<: {seed: 3}", "<<: [1, 2]", "|\n  text", "!x y", "*nothing", "@a",
           "`b`",
           "2001-99-99", "2001-12-14t21:59:43.10-99:00", "!!int x", "!!float ''", "!!timestamp x",
           "{" * 3000, "[" * 3000, "? " * 3000, "- " * 3000)  # fmt: skip
    lines = data.decode().splitlines()
    place = rng.randrange(len(lines))
    chosen = rng.choice(odd)
    key, colon, _ = lines[place].partition(":")
    lines[place] = f"{key}: {chosen}" if colon and rng.random() < 0.7 else chosen
    return "\n".join(lines).encode()


def _csv_cells(rng: random.Random, data: bytes) -> bytes:
    lines = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 3, 10))):
        row = rng.choice(lines)
        odd = str(rng.choice(_ODD))
        place = rng.randrange(len(row))
        row[place] = rng.choice((odd, f'"{odd}"', '"', "", row[place].upper(), row[place] + "x",
                                 "../" * 8 + "etc/passwd", "-1", "1e400", "0x1F", "∞"))  # fmt: skip
    return "\n".join(",".join(row) for row in lines).encode()


def _csv_columns(rng: random.Random, data: bytes) -> bytes:
    rows = [line.split(",") for line in data.decode().splitlines()]
    place = rng.randrange(len(rows[0]))
    match rng.randrange(5):
        case 0:
            rows = [row[:place] + row[place + 1 :] for row in rows]
        case 1:
            rows = [[*row, row[place]] for row in rows]
        case 2:
            rows[0][place] = str(rng.choice(_ODD))
        case 3:
            rows = [row * 2000 for row in rows[:3]]
        case _:
            rows = [[*row, *[""] * rng.randrange(3)] for row in rows]
    return (
        rng.choice((",", ",", ";", "\t", "|")).join(["\n".join(",".join(r) for r in rows)]).encode()
    )


def _parquet(rng: random.Random, data: bytes) -> bytes:
    """A readable table with other columns, types or values."""
    table = pq.read_table(io.BytesIO(data))
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(table.num_columns)
        name = table.column_names[place]
        column = table.column(place)
        match rng.randrange(9):
            case 0 if table.num_columns > 1:
                table = table.remove_column(place)
            case 1:
                table = table.rename_columns(
                    [f"{n}_" if n == name else n for n in table.column_names]
                )
            case 2:
                table = table.append_column(name, column)
            case 3:
                table = table.set_column(place, name, pa.nulls(len(table)))
            case 4:
                odd = rng.choice((b"x", True, 1.5, -1, 2**40, float("nan"), "x", [1, 2], {"a": 1}))
                table = table.set_column(place, name, pa.array([odd] * len(table)))
            case 5:
                values = column.to_pylist()
                values[rng.randrange(len(values))] = rng.choice((None, values[0]))
                table = table.set_column(place, name, pa.array(values, column.type))
            case 6:
                table = table.slice(0, rng.choice((0, 1)))
            case 7:
                table = pa.concat_tables([table, table])
            case _:
                meta = {b"magnostic": rng.choice((b"", b"[]", b"{", b'{"skipped": 3}', b"\xff",
                        b'{"skipped": [{}]}', b'{"relabelled": [{"x": 1}]}'))}  # fmt: skip
                table = table.replace_schema_metadata(meta)
        if not len(table) or len(set(table.column_names)) < table.num_columns:
            break
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _footer(rng: random.Random, data: bytes) -> bytes:
    """The end of a Parquet file, which says where all else is."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        made[-rng.randrange(1, min(len(made), 600))] = rng.randrange(256)
    if rng.random() < 0.3:
        struct.pack_into("<I", made, len(made) - 8, rng.choice((0, 1, 2**31, 2**32 - 1, len(made))))
    return bytes(made)


def _tensor_header(rng: random.Random, data: bytes) -> bytes:
    length = struct.unpack_from("<Q", data)[0]
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    match rng.randrange(4):
        case 0:
            told = json.dumps(_changed(rng, header)).encode()
        case 1:  # two names for the same bytes, or bytes beyond the end
            name = rng.choice([n for n in header if n != "__metadata__"])
            begin, end = header[name]["data_offsets"]
            header[name]["data_offsets"] = rng.choice(([0, end], [begin, end + 10**9], [end, begin],
                                                       [begin, begin], [-1, end]))  # fmt: skip
            told = json.dumps(header).encode()
        case 2:
            name = rng.choice([n for n in header if n != "__metadata__"])
            shape = header[name]["shape"]
            odd = ([2**40, 2**40], [0], [], [-1], shape[::-1], [1, *shape])
            header[name]["shape"] = rng.choice(odd)
            told = json.dumps(header).encode()
        case _:
            name = rng.choice([n for n in header if n != "__metadata__"])
            header[name]["dtype"] = rng.choice(("F64", "BF16", "I8", "BOOL", "F8_E4M3", "X", "U64"))
            told = json.dumps(header).encode()
    stated = rng.choice((len(told), len(told), len(told), 0, 2**63, 2**40, len(told) + 7))
    return struct.pack("<Q", stated) + told + rest


def _tensor_values(rng: random.Random, data: bytes) -> bytes:
    """Weights that are not numbers, or vast ones."""
    length = struct.unpack_from("<Q", data)[0]
    made = bytearray(data)
    filling = struct.pack("<f", rng.choice((float("nan"), float("inf"), 3e38, -3e38, 0.0)))
    start = 8 + length + rng.randrange(max(1, len(made) - 8 - length - 4)) // 4 * 4
    count = min(rng.choice((1, 50, 10**6)), (len(made) - start) // 4)
    made[start : start + 4 * count] = filling * count
    return bytes(made)


Ways = dict[str, Callable[[random.Random, bytes], bytes]]
_BYTES: Ways = {
    "cut off": _cut, "bits flipped": _bits, "inserted": _inserted, "hole": _hole, "lines": _lines,
    "encoded otherwise": _encoded, "something else": _other,
}  # fmt: skip
_JSON: Ways = {"fields": _json, "more fields": _json, "values": _json, "key twice": _json_twice}
_JSON_LINES: Ways = {"fields": _json_line, "values": _json_line}
_YAML: Ways = {"fields": _yaml, "values": _yaml, "words of YAML": _yaml_odd, "bomb": _yaml_bomb}
_CSV: Ways = {"cells": _csv_cells, "values": _csv_cells, "columns": _csv_columns}
_PARQUET: Ways = {"columns": _parquet, "values": _parquet, "footer": _footer}
_TENSORS: Ways = {"header": _tensor_header, "fields": _tensor_header, "values": _tensor_values}
