"""What a study does with its runs: skips, goes on, refuses, and keeps its record true."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from magnostic.data import Images
from magnostic.errors import BadInput, LeakError, RunFailed
from magnostic.study import execute as execute_module
from magnostic.study import schema
from magnostic.study.execute import Outcome, Record, execute
from magnostic.study.expand import Entry, expand
from magnostic.study.place import Placed, digest

WriteStudy = Callable[[str], Path]
Runs = list[tuple[str, bool]]

THREE = """
name: three
title: Three rows
rows:
  - {recipe: quick.yaml, label: first}
  - {recipe: quick.yaml, label: the same, published: [table2-resnet50-subtype]}
  - {recipe: quick.yaml, label: other, grid: {train.c: [1.0]}}
"""


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Study folders whose report was asked for."""
    asked: list[Path] = []
    monkeypatch.setattr("magnostic.report.study.write_study", asked.append)
    return asked


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Names of the run folders that were carried out, and whether each had been begun before."""
    done: Runs = []

    def fake(_recipe: object, _images: object, out: Path, *, resume: bool, patience: float) -> Path:
        assert not patience
        assert resume
        done.append((out.name, out.exists()))
        out.mkdir(parents=True, exist_ok=True)
        (out / "run.json").write_text("{}")
        (out / "report.html").write_text("")
        return out

    monkeypatch.setattr(execute_module, "run", fake)
    monkeypatch.setattr(execute_module.memory, "free", lambda: None)  # a second each with torch
    return done


def carry_out(
    path: Path, images: Images, out: Path, only: str = "", *overrides: str
) -> list[Record]:
    study, beside = schema.load(path)
    study = study.model_copy(update={"overrides": overrides})
    return execute(study, expand(study, beside), images, out, only)


def told(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "study.json").read_text())
    return content


def statuses(records: Sequence[Record]) -> list[str]:
    return [record.status for record in records]


def test_a_study_for_real(write_study: WriteStudy, tiny: Images, tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = THREE + "  - {recipe: quick.yaml, label: no such, set: {data: {magnifications: [7]}}}\n"
    text += "  - {recipe: quick.yaml, label: no weights, set: {model: {weights: nowhere.pth}}}\n"
    path = write_study(text)
    records = carry_out(path, tiny, out)
    assert statuses(records) == ["done", "done", "done", "refused", "failed"]
    content = told(out)
    assert (content["version"], content["name"], content["title"]) == (1, "three", "Three rows")
    first, same, other, refused, failed = content["entries"]
    assert first["path"] == same["path"] != other["path"]
    assert first["path"].startswith("runs/quick-first-")
    assert same["published"] == ["table2-resnet50-subtype"]
    assert other["settings"] == {"train.c": 1.0}
    assert (first["task"], first["recipe"], first["seed"]) == ("subtype", "quick.yaml", 0)
    assert "magnifications [7]" in refused["reason"]
    assert "nowhere.pth" in failed["reason"]
    for entry in (first, other):
        assert (out / entry["path"] / "predictions.parquet").is_file()
    assert (out / "report.html").is_file()
    assert schema.load(out / "study.yaml")[0] == schema.load(path)[0]
    times = {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*")}
    carry_out(path, tiny, out)
    assert {p: p.stat().st_mtime_ns for p in (out / "runs").rglob("*")} == times

    missing = out / other["path"] / "report.html"
    before = missing.read_bytes()
    missing.unlink()
    carry_out(path, tiny, out)
    assert missing.read_bytes() == before
    model = out / other["path"] / "final" / "model.json"
    assert model.stat().st_mtime_ns == times[model], "written without training"


def test_what_is_done_is_skipped_and_what_changed_is_not(
    write_study: WriteStudy, tiny: Images, tmp_path: Path, runs: Runs, reports: list[Path]
) -> None:
    path, out = write_study(THREE), tmp_path / "out"
    carry_out(path, tiny, out)
    assert len(runs) == 2
    assert len(reports) == 1
    carry_out(path, tiny, out)
    assert len(runs) == 2, "nothing anew"
    quick = tmp_path / "quick.yaml"
    quick.write_text(quick.read_text() + "description: other words\n")
    path.write_text(THREE.replace("first", "renamed"))
    carry_out(path, tiny, out)
    assert len(runs) == 2, "names and prose change no run"
    carry_out(path, tiny, out, "", "--train.batch_size", "8")
    assert len(runs) == 4
    fewer = Images(tiny.table.iloc[:-2].reset_index(drop=True))
    carry_out(path, fewer, out)
    assert len(runs) == 6, "other data"


def test_only_some_runs(
    write_study: WriteStudy, tiny: Images, tmp_path: Path, runs: Runs, reports: list[Path]
) -> None:
    path, out = write_study(THREE), tmp_path / "out"
    assert statuses(carry_out(path, tiny, out, "OTHER")) == ["planned", "planned", "done"]
    assert len(runs) == len(reports) == 1
    assert [e["status"] for e in told(out)["entries"]] == ["planned", "planned", "done"]
    with pytest.raises(BadInput, match=r"--only 'nothing'.*quick-first"):
        carry_out(path, tiny, out, "nothing")


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (RunFailed("the loss"), "failed", "the loss"),
        (LeakError("both sides"), "failed", "both sides"),
        (OSError(28, "No space left"), "failed", "No space left"),
        (ZeroDivisionError("a fault"), "failed", "ZeroDivisionError: a fault"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_a_failed_run_does_not_stop_the_others(
    error: Exception,
    status: str,
    reason: str,
    write_study: WriteStudy,
    tiny: Images,
    tmp_path: Path,
    reports: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = execute_module.run

    def fail(recipe: Any, images: Images, out: Path, **more: Any) -> Path:
        if "first" in out.name:
            raise error
        return works(recipe, images, out, **more)

    monkeypatch.setattr(execute_module, "run", fail)
    path, out = (
        write_study(THREE.replace("label: the same", "set: {task: label}")),
        tmp_path / "out",
    )
    records = carry_out(path, tiny, out)
    assert statuses(records) == [status, "done", "done"]
    assert reason in records[0].reason
    assert len(reports) == 1
    kept = carry_out(path, tiny, out, "other")
    assert (kept[0].status, kept[0].reason) == (status, records[0].reason), "not tried again"
    monkeypatch.setattr(execute_module, "run", works)
    assert statuses(carry_out(path, tiny, out)) == ["done"] * 3


def test_an_interrupted_study_leaves_a_true_record(
    write_study: WriteStudy,
    tiny: Images,
    tmp_path: Path,
    runs: Runs,
    reports: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = execute_module.run

    def stop(recipe: Any, images: Images, out: Path, **more: Any) -> Path:
        if "other" in out.name:
            assert [e["status"] for e in told(tmp_path / "out")["entries"]][2] == "running"
            raise KeyboardInterrupt
        return works(recipe, images, out, **more)

    monkeypatch.setattr(execute_module, "run", stop)
    path, out = write_study(THREE), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        carry_out(path, tiny, out)
    assert [e["status"] for e in told(out)["entries"]] == ["done", "done", "planned"]
    assert "again" in told(out)["entries"][2]["reason"]
    assert not reports
    monkeypatch.setattr(execute_module, "run", works)
    assert statuses(carry_out(path, tiny, out)) == ["done"] * 3
    assert len(runs) == 2


@pytest.mark.usefixtures("reports")
def test_a_fault_of_the_engine_leaves_a_true_record(
    write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    def lost(todo: Sequence[Placed], *_: object) -> Generator[tuple[Placed, Outcome], None, None]:
        yield todo[0], ("running", "")
        assert [e["status"] for e in told(out)["entries"]] == ["running", "running", "planned"]
        raise ZeroDivisionError

    path, out = write_study(THREE), tmp_path / "out"
    study, beside = schema.load(path)
    with pytest.raises(ZeroDivisionError):
        execute(study, expand(study, beside), tiny, out, engine=lost)
    assert [e["status"] for e in told(out)["entries"]] == ["planned"] * 3


@pytest.mark.usefixtures("reports", "runs")
@pytest.mark.parametrize("entries", [[{}], [1], {"a": 1}, 3, [{"path": 1, "key": "a"}]])
def test_a_record_that_was_changed(
    entries: object, write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    path, out = write_study(THREE), tmp_path / "out"
    out.mkdir()
    (out / "study.json").write_text(json.dumps({"name": "three", "entries": entries}))
    with pytest.raises(BadInput, match=r"study\.json: not as this version .*choose another --out"):
        carry_out(path, tiny, out)


@pytest.mark.usefixtures("reports")
def test_a_run_whose_end_was_lost_goes_on(
    write_study: WriteStudy, tiny: Images, tmp_path: Path, runs: Runs
) -> None:
    path, out = write_study("rows: [{recipe: quick.yaml}]"), tmp_path / "out"
    (record,) = carry_out(path, tiny, out)
    folder = out / record.path
    (folder / "run.json").unlink()
    carry_out(path, tiny, out)
    assert runs[-1] == (folder.name, True)


@pytest.mark.usefixtures("runs", "reports")
def test_folders_that_are_not_this_studys(
    write_study: WriteStudy, tiny: Images, tmp_path: Path
) -> None:
    path, out = write_study(THREE), tmp_path / "out"
    out.write_text("")
    with pytest.raises(BadInput, match="is a file"):
        carry_out(path, tiny, out)
    out.unlink()
    out.mkdir()
    (out / ".study.json.x").write_text("left behind by a crash")
    carry_out(path, tiny, out)
    path.write_text(THREE.replace("name: three", "name: four"))
    with pytest.raises(BadInput, match=r"holds study 'three'"):
        carry_out(path, tiny, out)
    (out / "study.json").unlink()
    with pytest.raises(BadInput, match="holds no study"):
        carry_out(path, tiny, out)


def test_files_that_a_recipe_names_count_by_content(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.pth", tmp_path / "two.pth"

    def of(path: Path) -> str:
        study, beside = schema.load(write_study("rows: [{recipe: quick.yaml}]"))
        study = study.model_copy(update={"overrides": ("--model.weights", str(path))})
        entries: list[Entry] = expand(study, beside)
        return digest(entries[0].recipe, "data")

    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert of(one) == of(two) != of(tmp_path / "three.pth")
