"""Every verb as a user types it, on the tiny tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import magnostic
from magnostic import recipe_file
from magnostic.cli import main
from magnostic.data import Images, phantom
from magnostic.study import schema


def call(*arguments: object) -> int:
    """Exit code of the command line, run in this process."""
    with pytest.raises(SystemExit) as caught:
        main([str(a) for a in arguments])
    return caught.value.code if isinstance(caught.value.code, int) else 0


VERBS = (
    *("index", "audit", "train", "study", "report", "card", "compare", "robustness"),
    *("cache", "phantom", "demo", "recipes", "models", "doctor"),
)


def test_help_names_every_verb_and_answers_without_torch() -> None:
    code = "import sys; from magnostic.cli import main\ntry: main(['--help'])\n"
    code += "finally: assert not {'torch', 'sklearn', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f" {verb} " in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(verb, "--help") == 0
    assert f"magnostic {verb}" in capsys.readouterr().out


def test_index_writes_a_table_that_the_others_take(
    tiny_breakhis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "images.parquet"
    assert call("index", tiny_breakhis, "-o", table) == 0
    printed = capsys.readouterr().out
    assert re.search(r"\b48\b", printed)
    assert len(Images.read(table)) == 48
    assert call("audit", table, "--strict") == 0
    assert "0 issues" in capsys.readouterr().out


def test_train_audit_report(
    tiny_breakhis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    small = ["--preprocess.size", "32", "--split.folds=3", "--evaluate.resamples=50"]
    small += ["--split.protocols", "random,patient"]
    assert call("train", "probe-lite0", *small, "--data", tiny_breakhis, "--out", run) == 0
    out = capsys.readouterr().out
    assert "random" in out
    assert "patient" in out
    assert str(run / "report.html") in out
    assert call("audit", run, "--data", tiny_breakhis, "--reproduce") == 0
    assert capsys.readouterr().out.count("identical") == 6
    assert call("audit", run, "--strict") == 1, "the random protocol mixes patients: MG001"
    again = tmp_path / "again"
    assert call("report", run, "--out", again) == 0
    assert (again / "report.html").read_bytes() == (run / "report.html").read_bytes()
    assert list((again / "figures").glob("*.pdf"))
    assert len(pd.read_csv(next((again / "tables").glob("*.csv"))))
    capsys.readouterr()
    assert call("card", run, "-o", tmp_path / "card.md") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'card.md'}\n"
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert card == (run / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f'digest == "{magnostic.load(run).about.digest}"' in card
    assert "The folder of the run is enough" in card
    assert call("card", run / "patient" / "r0f0") == 0, "a child, whose figures have no intervals"
    of_child = (run / "patient" / "r0f0" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "reads its encoder from the run" in of_child
    assert call("card", tmp_path / "nowhere") == 2


def test_a_manifest_with_names_and_labels_of_its_own(tiny_breakhis: Path, tmp_path: Path) -> None:
    files = sorted(tiny_breakhis.rglob("*.png"))
    rows = [f"{f},{'odd' if i // 2 % 2 else 'even'},p{i // 2}" for i, f in enumerate(files)]
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(["file,grade,person", *rows]))
    columns = ["--column", "path=file", "--column", "label=grade", "--column", "patient=person"]
    more = ["--task", "label", "--split.protocols=patient", "--split.folds=2"]
    more += ["--preprocess.size", "32", "--evaluate.resamples=20"]
    out = tmp_path / "run"
    assert call("train", "probe-lite0", *more, "--data", manifest, *columns, "--out", out) == 0
    assert "even" in (out / "report.html").read_text()


def test_bad_files_can_be_left_out_and_are_reported(tiny_breakhis: Path, tmp_path: Path) -> None:
    import shutil

    tree = shutil.copytree(tiny_breakhis, tmp_path / "BreaKHis_v1")
    bad = next(tree.rglob("*.png"))
    bad.write_text("text")
    more = ["--data.on-bad", "skip", "--split.protocols=random", "--split.folds=2"]
    more += ["--preprocess.size", "32", "--evaluate.resamples=20"]
    out = tmp_path / "run"
    assert call("train", "probe-lite0", *more, "--data", tree, "--out", out) == 0
    report = (out / "report.html").read_text()
    assert bad.name in report
    assert str(tmp_path) not in report


def test_recipes_and_studies_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("recipes") == 0
    printed = capsys.readouterr().out
    for name in (*recipe_file.shipped(), *schema.shipped()):
        assert re.search(rf"^  {re.escape(name)}  +\S", printed, re.MULTILINE)
    assert call("recipes", "table*") == 0
    printed = capsys.readouterr().out
    assert "Table III of Nishio" in printed
    assert "probe-lite0" not in printed
    assert call("recipes", "nishio2042-resnet50-binary") == 2
    assert "did you mean 'nishio2024-resnet50-binary'" in capsys.readouterr().err


def test_help_shows_defaults_that_say_something(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("study", "--help") == 0
    printed = capsys.readouterr().out
    assert "[default: auto]" in printed
    assert printed.count("[default:") == 3, "of --format, --on and --cpus"
    assert call("demo", "--help") == 0
    assert "[default: 0]" in capsys.readouterr().out


def test_doctor_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("doctor") == 0
    assert "package:efficientnet-lite0: installed" in capsys.readouterr().out
    assert call("models", "--at-hand") == 0
    assert "package:efficientnet-lite0" in capsys.readouterr().out


def test_the_demo_makes_a_phantom_and_reports_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verb on a smaller phantom; `.ci/run` checks the figures of the whole one."""
    whole = phantom.write_phantom

    def small(root: Path, *, seed: int, **_: int) -> Path:
        return whole(root, seed=seed, patients_per_type=2, fields_per_magnification=1, workers=1)

    monkeypatch.setattr(phantom, "write_phantom", small)
    monkeypatch.setattr("magnostic.data.phantom.write.MAGNIFICATIONS", (100, 400))
    assert call("demo", "--out", str(tmp_path / "demo")) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    assert "SYNTHETIC" in (tmp_path / "demo" / "run" / "report.html").read_text()
    assert call("demo", "--out", str(tmp_path / "demo")) == 2, "a folder in use is refused"
