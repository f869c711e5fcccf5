import json

import pandas as pd
import pytest

from magnostic import tables
from magnostic.audit import TITLES, Finding, audit_run, audit_split, read_audit, write_audit
from magnostic.audit.findings import per_protocol, per_scope
from magnostic.errors import BadInput, TableError
from magnostic.evaluate.predictions import Predictions
from magnostic.files import write_json
from magnostic.splits.table import PARTS_COLUMNS, Folds

ALL = ["MG001", "MG002", "MG002", "MG003", "MG004", "MG005", "MG006", "MG007", "MG008",
       "MG009"]  # fmt: skip


def status(findings: list[Finding]) -> dict[tuple[str, str], str]:
    return {(f.code, f.scope): f.status for f in findings}


def test_a_clean_child(images, make_parts, write_run) -> None:
    folder = write_run(make_parts("accession"))
    findings = audit_run(folder, images)
    assert [f.code for f in findings] == ALL
    assert {f.status for f in findings} == {"passed"}
    assert {f.scope for f in findings} == {"images", "accession/r0f0"}
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").unlink()
    assert audit_run(folder, images, run) == findings


def test_a_child_alone_says_what_it_cannot_tell(make_parts, write_run) -> None:
    found = status(audit_run(write_run(make_parts("accession"))))
    scope = "accession/r0f0"
    assert [found[code, scope] for code in ("MG001", "MG002", "MG004", "MG005")] == ["tip"] * 4
    assert [found[code, scope] for code in ("MG006", "MG007", "MG008", "MG009")] == ["passed"] * 4


def test_a_planted_leak_is_found_from_the_tables_not_from_a_flag(
    images, make_parts, write_run
) -> None:
    folder = write_run(make_parts(i12="train"), selection=["i15"], statistics=["i00", "i15"])
    run = json.loads((folder / "run.json").read_text())
    write_json(folder / "run.json", run | {"leaks": False, "status": "passed"})
    found = status(audit_run(folder, images))
    scope = "patient/r0f0"
    assert {c for (c, s), is_ in found.items() if is_ == "issue" and s == scope} == {
        "MG001", "MG004", "MG006", "MG008"}  # fmt: skip


@pytest.fixture
def parent(make_parts, write_run, tmp_path):
    """Two folds that test each image once, the second with a patient on both sides."""
    first = make_parts(fold=0, folds=2)
    swap = {f"i{i:02d}": "test" for i in range(11)} | {f"i{i:02d}": "train" for i in range(12, 16)}
    second = make_parts(fold=1, folds=2, **swap)
    second.table.loc[11, "part"] = "val"  # p5: i10 in test, i11 in val
    children = []
    for fold, parts in enumerate((first, second)):
        path = f"patient/r0f{fold}"
        write_run(parts, place=f"run/{path}")
        children.append({"path": path, "protocol": "patient", "repeat": 0, "fold": fold})
    folder = tmp_path / "run"
    tables = [Predictions.read(folder / c["path"] / "predictions.parquet").table for c in children]
    Predictions(pd.concat(tables, ignore_index=True)).write(folder / "predictions.parquet")
    write_json(folder / "run.json", {"kind": "parent", "task": "binary", "children": children})
    return folder


@pytest.mark.parametrize("with_images", [True, False])
def test_a_parent_has_one_finding_a_code_and_protocol(parent, images, with_images) -> None:
    findings = audit_run(parent, images if with_images else None)
    assert {f.scope for f in findings} == {"images", "patient"}
    assert len({(f.code, f.scope) for f in findings}) == len(findings)
    (mg001,) = [f for f in findings if f.code == "MG001"]
    assert (mg001.status, mg001.ids) == ("issue", ("p5",))
    assert mg001.message.startswith("In 1 of 2 folds, e.g. patient/r0f1: 1 of 6 patients")
    assert status(findings)["MG003", "images"] == "passed"


def test_slides_with_two_labels_are_seen_in_the_predictions(make_parts, write_run) -> None:
    folder = write_run(make_parts())
    predictions = Predictions.read(folder / "predictions.parquet").table
    predictions["slide_id"] = "one"
    Predictions(predictions).write(folder / "predictions.parquet")
    (mg003,) = [f for f in audit_run(folder) if f.code == "MG003"]
    assert mg003.status == "issue"


def test_a_split_alone(images, make_parts, tmp_path) -> None:
    make_parts(i12="train").write(tmp_path / "parts")
    found = status(audit_split(tmp_path / "parts", images))
    assert found["MG001", "patient"] == "issue"
    table = images.table[["image_id"]].assign(protocol="accession", repeat=0)
    table["fold"] = [row // 8 for row in range(16)]
    Folds(table, {"folds": 2}).write(tmp_path / "folds")
    findings = audit_split(tmp_path / "folds", images)
    assert {f.status for f in findings} == {"passed"}
    with pytest.raises(TableError, match="no such file"):
        audit_split(tmp_path, images)
    broken = make_parts()
    broken.table.loc[0, "part"] = "tset"
    tables.write(broken.table, PARTS_COLUMNS, tmp_path / "split.parquet", "parts", {})
    with pytest.raises(TableError, match=r"split\.json: no such file; it belongs to"):
        audit_split(tmp_path, images)
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(TableError, match="has part 'tset'"):
        audit_split(tmp_path, images)


def test_findings_are_written_and_read(tmp_path) -> None:
    findings = [Finding("MG001", "issue", "patient", "Leak.", ("p1",)),
                Finding("MG002", "passed", "images", "Fine.")]  # fmt: skip
    write_audit(tmp_path, findings)
    assert read_audit(tmp_path) == findings
    stored = json.loads((tmp_path / "audit.json").read_text())["findings"][0]
    assert set(stored) == {"code", "title", "status", "scope", "message", "ids"}
    assert stored["title"] == TITLES["MG001"]


def test_the_worst_of_each_scope_and_protocol() -> None:
    a = Finding("MG002", "passed", "random/r0f0", "")
    b = Finding("MG002", "issue", "random/r0f0", "Bad.", ("x",))
    c = Finding("MG002", "issue", "random/r0f1", "Bad too.", ("y",))
    d = Finding("MG002", "passed", "random/r0f2", "")
    assert per_scope([a, b]) == [b]
    (merged,) = per_protocol([a, b, c, d])
    assert merged == Finding(
        "MG002", "issue", "random", "In 2 of 3 folds, e.g. random/r0f0: Bad.", ("x", "y")
    )


def test_no_run(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"run\.json: no such file; it belongs to a finished run"):
        audit_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(BadInput, match="not valid JSON"):
        audit_run(tmp_path)
    with pytest.raises(BadInput, match=r"audit.json: no such file; run magnostic audit"):
        read_audit(tmp_path)
    (tmp_path / "audit.json").write_text("[]")
    with pytest.raises(BadInput, match="not an audit's findings"):
        read_audit(tmp_path)
