"""Bad input: one line that names the file or field and the next step, exit code 2, no traceback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from magnostic import cli
from magnostic.cli import main
from magnostic.files import write_json

Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process; exit code and standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        code = caught.value.code
        return (code if isinstance(code, int) else 1), capsys.readouterr().err

    return run


@pytest.fixture
def tree(tiny_breakhis: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_breakhis, tmp_path / "BreaKHis_v1")


def expect(result: tuple[int, str], *says: str, lines: int = 1) -> None:
    code, said = result
    assert code == 2
    assert "Traceback" not in said
    # What is decoded for the cache is announced before anything else can be wrong.
    error = re.sub(r"\Adecoding \d+ photographs .*\n", "", said)
    assert error.startswith("error: ")
    for text in says:
        assert text in error
    assert len(error.strip().splitlines()) == lines


def test_an_empty_folder(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    expect(call("index", tmp_path / "empty"), "empty")
    expect(call("index", tmp_path / "nowhere"), "nowhere")


def test_a_truncated_and_a_text_file_are_listed(call: Call, tree: Path) -> None:
    first, second = sorted(tree.rglob("*.png"))[:2]
    first.write_bytes(first.read_bytes()[:900])
    second.write_text("not a picture")
    expect(call("index", tree), first.name, second.name, "--on-bad skip", "text", lines=3)


def test_a_manifest(call: Call, tree: Path, tmp_path: Path) -> None:
    photo = next(tree.rglob("*.png"))
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"file,label\n{photo},A\n")
    expect(call("index", manifest), "m.csv", "'path'", "--column path=")
    manifest.write_text(f"path,label,tumour_type\n{photo},A,DX\n")
    expect(call("index", manifest), "DX", "row", lines=2)
    manifest.write_text(f"path,label\n{photo},A\n{photo},A\n")
    expect(call("index", manifest), "m.csv", "row")
    expect(call("index", manifest, "--column", "path"), "ours=theirs")


def train(call: Call, data: Path, out: Path, *more: object) -> tuple[int, str]:
    return call("train", "probe-lite0", "--data", data, "--out", out, *more)


def test_a_recipe_with_a_misspelt_field(call: Call, tree: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\nmodell: {backbone: resnet18}\n")
    arguments = ("--data", tree, "--out", tmp_path / "run")
    expect(call("train", recipe, *arguments), "r.yaml", "'modell'", "did you mean 'model'")
    expect(train(call, tree, tmp_path / "run", "--split.fold", "3"), "did you mean 'folds'")


def test_one_trainable_class(call: Call, tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "histology_slides" / "breast" / "malignant")
    result = train(call, tree, tmp_path / "run", "--task", "binary")
    expect(result, "only one class (benign)", "two classes")
    assert not (tmp_path / "run").exists()


def test_a_protocol_that_the_data_cannot_bear(call: Call, tree: Path, tmp_path: Path) -> None:
    for folder in sorted(tree.rglob("SOB_*_14-*")):
        if not folder.name.endswith("0"):  # one slide of each type stays
            shutil.rmtree(folder)
    out = tmp_path / "run"
    expect(train(call, tree, out, "--split.protocols=patient", "--split.folds=9"), "patient")
    strict = ("--split.protocols=patient", "--split.folds=2", "--split.strict=true")
    expect(train(call, tree, out, *strict), "no training image of")


def test_weights_that_cannot_be_had_offline(call: Call, tree: Path, tmp_path: Path) -> None:
    more = ("--model.backbone", "resnet50", "--model.weights", "tv_in1k")
    expect(
        train(call, tree, tmp_path / "run", *more),
        "timm/resnet50.tv_in1k",
        "package:efficientnet-lite0",
        "model.weights none",
    )
    assert not (tmp_path / "run").exists()


def test_a_reference_photograph_that_cannot_be_used(call: Call, tree: Path, tmp_path: Path) -> None:
    out, text, blank = tmp_path / "run", tmp_path / "text.png", tmp_path / "blank.png"
    text.write_text("not a picture")
    Image.new("RGB", (40, 32), "white").save(blank)

    def with_reference(path: Path) -> tuple[int, str]:
        colour = ("--preprocess.colour=macenko", f"--preprocess.reference={path}")
        return train(call, tree, out, "--preprocess.size=32", *colour)

    nowhere = tmp_path / "nowhere.png"
    expect(with_reference(nowhere), f"preprocess.reference {nowhere}: missing", "give train")
    expect(with_reference(tmp_path), f"preprocess.reference {tmp_path}: ", "give train")
    expect(with_reference(text), f"preprocess.reference {text}: ", "give train")
    expect(with_reference(blank), "preprocess.reference blank.png: too pale", "another photograph")
    assert not out.exists()


def test_a_run_folder_in_use(call: Call, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    expect(train(call, tree, tmp_path / "run"), "--resume")
    expect(train(call, tree, tmp_path / "run", "--resume"), "another recipe")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_report_and_audit_of_what_is_no_run(call: Call, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    expect(call("report", tmp_path / "run"), "run")
    expect(call("report", tmp_path / "nowhere"), "nowhere")
    expect(call("audit", tmp_path / "nowhere"), "nowhere")
    expect(call("models", "resnet5O"), "did you mean 'resnet50'")
    expect(call("phantom", tree), "empty")


def test_a_missing_or_unknown_option(call: Call) -> None:
    code, error = call("train", "probe-lite0")
    assert code == 2
    assert "--data" in error
    assert "Traceback" not in error


def test_predictions_made_elsewhere(call: Call, tree: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("image_id,y_pred\nnowhere,A\n")
    expect(call("report", theirs), "theirs.csv", "--images")
    expect(call("report", theirs, "--images", tree), "theirs.csv, row 2", "'nowhere'")
    assert not (tmp_path / "theirs-report").exists()
    expect(call("report", tree, "--task", "binary"), "--task", "predictions")
    expect(call("report", tmp_path / "no.csv", "--images", tree), "no.csv", "no such file")


def test_some_runs_of_a_study_on_shifted_photographs(
    call: Call, tree: Path, tmp_path: Path
) -> None:
    entry = {"key": "a", "label": "A row", "group": "G", "path": "runs/a", "status": "planned"}
    write_json(tmp_path / "study" / "study.json", {"entries": [entry]})
    (tmp_path / "run").mkdir()
    robustness = ("robustness", "--data", tree, "--only")
    expect(call(*robustness, "x", tmp_path / "run"), "--only x", "is one run")
    expect(call(*robustness, "other", tmp_path / "study"), "'other'", "fits no run")
    expect(call(*robustness, "ROW", tmp_path / "study"), "no run of this study is done")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138), (signal.SIGUSR2, 140)]
)
def test_a_signal_cleans_up_as_an_interruption_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    cleaned: list[bool] = []

    def verb(_: object) -> None:
        try:
            os.kill(os.getpid(), number)
            while True:
                pass
        finally:
            cleaned.append(True)

    monkeypatch.setattr(cli, "app", verb)
    with pytest.raises(SystemExit) as ended:
        main(["explain"])
    assert (ended.value.code, cleaned) == (code, [True])
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)]
)
def test_a_signal_while_a_module_is_imported(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Importing runs ``exec``, after which ``python -m`` would end by SIGINT."""
    (tmp_path / "as_magnostic.py").write_text(
        "import os, signal, sys, magnostic.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"cli.app = lambda _: exec('os.kill(os.getpid(), {int(number)}); [*range(10**6)]')\n"
        "cli.main(['train'])\n"
    )
    command = [sys.executable, "-m", "as_magnostic"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        code,
        "interrupted; the same command with --resume goes on from here\n",
    )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(28, "No space left on device", "out.csv"), "out.csv: the disk is full"),
        (MemoryError("Unable to allocate 9 GiB"), "out of memory (Unable to allocate 9 GiB)"),
    ],
)
def test_a_machine_that_is_too_small_is_a_failed_run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    told: str,
) -> None:
    def verb(_: object) -> None:
        raise fault

    monkeypatch.setattr(cli, "app", verb)
    with pytest.raises(SystemExit) as ended:
        main(["predict"])
    assert ended.value.code == 1
    assert f"error: {told}" in capsys.readouterr().err


def test_a_place_that_runs_through_a_file(call: Call, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("x")
    out = tmp_path / "file.txt" / "run"
    expect(call("train", "probe-lite0", "--data", tree, "--out", out), "file.txt")
