"""Exported models say what the run's model says, or are not written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from magnostic import recipe_file as recipes
from magnostic.data import Images
from magnostic.deploy import convert, engines, load, parity, ready
from magnostic.deploy import export as deploy_export
from magnostic.deploy.artefact import load_members
from magnostic.deploy.decisions import Rules
from magnostic.deploy.export import export
from magnostic.deploy.graph import Graph
from magnostic.deploy.photograph import Input, read
from magnostic.errors import BadInput, MissingExtra, RunFailed, WeightsError
from magnostic.files import read_json
from magnostic.train.run import run as train

CONF = Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="module")
def pixels(tiny_images: Images) -> np.ndarray:
    found = [read(path, 32, "squeeze") for path in tiny_images.table["path"]]
    return np.stack([entry.pixels for entry in found if isinstance(entry, Input)])


@pytest.mark.parametrize(
    ("to", "fixture"),
    [
        ("torchscript", "tiny_run"),
        ("torchscript", "tuned_run"),
        ("openvino", "tuned_run"),
        ("onnx", "tiny_run"),
        pytest.param("onnx", "tuned_run", marks=pytest.mark.slow),
    ],
)
def test_exported_predicts_as_the_run(
    to: Any, fixture: str, tiny_images: Images, pixels: np.ndarray, tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    pytest.importorskip({"onnx": "onnxscript"}.get(to, "openvino"))
    run = request.getfixturevalue(fixture)
    told = export(run, tmp_path / "out", to, pixels=pixels)
    assert told["parity"]["largest"] <= 1e-4
    assert told["parity"]["features"] < 1e-3
    exported = load(tmp_path / "out")
    assert to in exported.engine.name
    about, members = load_members(run)
    raw, features = parity.eager(members, pixels)
    paths = tiny_images.table["path"].tolist()
    table = exported.predict(paths)
    stated = Rules.of(about.calibration, about.classes).calibrated(raw)
    found = table[[f"p_{c}" for c in about.classes]].to_numpy()
    np.testing.assert_allclose(found, stated, atol=1e-4)
    order = [features[sorted(set(told["sources"])).index(k)] for k in told["sources"]]
    far = [r.distance(f) for r, f in zip(exported.references, order, strict=True) if r]
    np.testing.assert_allclose(table["distance"], np.mean(far, axis=0), atol=1e-3)
    for size in (1, 7, 32):
        computed = exported.compute(pixels[:size])
        np.testing.assert_allclose(computed.raw, raw[:size], atol=1e-4)
        assert computed.features[0].shape == (size, features[0].shape[1])


@pytest.mark.parametrize("head", ["rbf-svm", "random-forest", "knn"])
def test_every_head(head: str, tiny_images: Images, tmp_path: Path) -> None:
    recipe = recipes.load(
        CONF / "probe-lite0.yaml",
        ["--model.backbone=test_resnet", "--preprocess.size=32", "--split.protocols=patient",
         "--split.folds=1", f"--train.head={head}", "--balance.method=none"],
    )  # fmt: skip
    run = train(recipe, tiny_images, tmp_path / "run")
    told = export(run, tmp_path / "out", "torchscript")
    assert told["parity"]["same_class"] == 1


@pytest.mark.parametrize(
    ("to", "precision"),
    [pytest.param("onnx", "int8", marks=pytest.mark.slow), ("openvino", "bf16")],
)
def test_reduced_precision(
    to: Any, precision: Any, tuned_run: Path, pixels: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip({"onnx": "onnxscript"}.get(to, "openvino"))
    told = export(tuned_run, tmp_path / "out", to, precision=precision, pixels=pixels)
    assert told["parity"]["mean"] <= 1e-2
    assert precision in load(tmp_path / "out").engine.name


def test_a_broken_export_is_refused(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = convert.convert

    def broken(graph: Graph, *rest: Any) -> Path:
        graph.heads[0].weight.data[0] += 0.01
        try:
            return made(graph, *rest)
        finally:
            graph.heads[0].weight.data[0] -= 0.01

    monkeypatch.setattr(convert, "convert", broken)
    with pytest.raises(RunFailed, match="differs from the run's"):
        export(tiny_run, tmp_path / "out", "torchscript")
    assert not list(tmp_path.iterdir())


def test_a_graph_of_one_batch_size_is_refused(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Graph.forward

    def fixed(self: Graph, images: Any) -> Any:
        stated, *rest = forward(self, images)
        return stated * 2 / images.shape[0], *rest  # right for the traced batch of two alone

    monkeypatch.setattr(Graph, "forward", fixed)
    with pytest.raises(RunFailed, match="differs from the run's"):
        export(tiny_run, tmp_path / "out", "torchscript")
    assert not list(tmp_path.iterdir())


def test_what_is_refused_before_anything_is_made(
    tiny_run: Path, tiny_images: Images, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="openvino has fp32, bf16"):
        export(tiny_run, tmp_path / "out", "openvino", precision="int8")
    with pytest.raises(BadInput, match="photographs to scale it by"):
        export(tiny_run, tmp_path / "out", "onnx", precision="int8")
    coloured = recipes.load(
        CONF / "probe-lite0.yaml",
        ["--model.backbone=test_resnet", "--preprocess.size=32", "--split.protocols=patient",
         "--split.folds=1", "--preprocess.colour=reinhard"],
    )  # fmt: skip
    run = train(coloured, tiny_images, tmp_path / "run")
    with pytest.raises(BadInput, match="reinhard describes each photograph"):
        export(run, tmp_path / "out", "torchscript")
    stored = load(run, engine="torch")
    assert len(stored.predict(tiny_images.table["path"].tolist()[:3])) == 3


def test_a_changed_file_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    export(tiny_run, tmp_path / "out", "torchscript")
    with pytest.raises(BadInput, match="has its own engine"):
        load(tmp_path / "out", engine="onnx")
    model = tmp_path / "out" / "model.pt"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="not the file that was exported"):
        load(tmp_path / "out")


def test_engines_by_name(
    tiny_run: Path, tiny_images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    paths = tiny_images.table["path"].tolist()
    named = load(tiny_run, engine="openvino")
    assert "openvino" in named.engine.name
    _, members = load_members(tiny_run)
    raw, _ = parity.eager(members, np.stack([read(p, 32, "squeeze").pixels for p in paths]))
    stated = named.rules.calibrated(raw)
    found = named.predict(paths)[[f"p_{c}" for c in named.about.classes]].to_numpy()
    np.testing.assert_allclose(found, stated, atol=1e-4)
    monkeypatch.setattr("magnostic.train.device.precision", lambda _: "fp32")
    assert "openvino" in load(tiny_run).engine.name
    monkeypatch.setattr(ready, "_installed", lambda _: False)
    assert "torch" in load(tiny_run).engine.name
    with pytest.raises(MissingExtra, match=r"magnostic\[export\]"):
        load(tiny_run, engine="openvino")


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("", 64)])
def test_engines_have_the_threads_that_are_asked_for(
    asked: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr("magnostic.processors.cores", lambda: 64)
    found: list[int] = []

    def session(_: str, options: Any, **__: object) -> Any:
        found.append(options.intra_op_num_threads)
        return SimpleNamespace(get_outputs=list)

    def compile_model(_: str, __: str, settings: dict[str, Any]) -> Any:
        found.append(settings["INFERENCE_NUM_THREADS"])
        return SimpleNamespace(outputs=[])

    monkeypatch.setattr(pytest.importorskip("onnxruntime"), "InferenceSession", session)
    core = SimpleNamespace(compile_model=compile_model)
    monkeypatch.setattr(pytest.importorskip("openvino"), "Core", lambda: core)
    for engine in (engines.OnnxEngine, engines.OpenvinoEngine):
        engine(tmp_path / "model", [0])
    assert found == [threads, threads]


def test_a_graph_of_other_outputs_is_named(tmp_path: Path) -> None:
    engine = engines.Exported("made up", tmp_path / "model.onnx", [0])
    engine.run = lambda _: {}  # type: ignore[method-assign]
    with pytest.raises(WeightsError, match=rf"^{tmp_path / 'model.onnx'}: not as .*features_0"):
        engine.compute(np.zeros((1, 8, 8, 3), np.uint8))


def test_made_up_pictures_are_always_the_same() -> None:
    first, second = parity.pictures((20, 30)), parity.pictures((20, 30))
    assert first.shape == (40, 20, 30, 3)
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
def test_parity_on_every_real_photograph(
    breakhis_sample: Path, tmp_path: Path, tiny_images: Images
) -> None:
    """The graph of a packaged Lite0, the ImageNet weights included, on all genuine photographs."""
    pytest.importorskip("onnxscript")
    from magnostic.data.scan import find_images

    recipe = recipes.load(
        CONF / "probe-lite0.yaml",
        ["--model.weights=package:efficientnet-lite0", "--preprocess.size=224",
         "--split.protocols=patient", "--split.folds=1"],
    )  # fmt: skip
    run = train(recipe, tiny_images, tmp_path / "run")
    found = [read(path, 224, "squeeze") for path in find_images(breakhis_sample)]
    real = np.stack([entry.pixels for entry in found if isinstance(entry, Input)])
    told = export(run, tmp_path / "out", "onnx", pixels=real)
    assert told["parity"]["images"] >= 187
    assert told["parity"]["batches"] == (1, 7, 32)
    assert told["parity"]["largest"] <= 1e-4
    assert read_json(tmp_path / "out" / "export.json")["parity"]["same_class"] == 1


def test_every_batch_size_is_tried_on_few_photographs(tiny_run: Path, pixels: np.ndarray) -> None:
    about, members = load_members(tiny_run)
    rules = Rules.of(about.calibration, about.classes)
    seen: set[int] = set()

    def outputs(some: np.ndarray) -> list[np.ndarray]:
        seen.add(len(some))
        raw, features = parity.eager(members, some)
        return [rules.calibrated(raw), raw, *features]

    found = parity.compare(members, rules, pixels[:2], "two", outputs)
    assert seen >= {1, 7, 32}
    assert found.images == 2
    found.require("fp32")
    with pytest.raises(RunFailed, match=r"features by 0\.01"):
        replace(found, features=0.01).require("fp32")
    replace(found, features=0.01).require("bf16")


def test_exported_batches_are_whole(tiny_run: Path, pixels: np.ndarray, tmp_path: Path) -> None:
    export(tiny_run, tmp_path / "out", "torchscript")
    engine = load(tmp_path / "out").engine
    run, seen = engine.run, []
    engine.run = lambda some: (seen.append(len(some)), run(some))[1]  # type: ignore[attr-defined]
    whole = engine.compute(pixels[:40]).raw
    parts = [engine.compute(pixels[a:b]).raw for a, b in ((0, 5), (5, 33), (33, 40))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert set(seen) == {32}


def test_int8_is_not_checked_on_what_scaled_it(
    tuned_run: Path, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, np.ndarray] = {}

    def converted(*arguments: Any) -> Path:
        given["scaled"] = arguments[-1]
        return Path("model.onnx")

    def compared(*arguments: Any) -> None:
        given["checked"] = arguments[2]
        raise RunFailed("far enough")

    monkeypatch.setattr(convert, "convert", converted)
    monkeypatch.setattr(ready, "of_export", lambda *_: None)
    monkeypatch.setattr(parity, "compare", compared)
    with pytest.raises(RunFailed, match="far enough"):
        export(tuned_run, tmp_path / "out", "onnx", precision="int8", pixels=pixels[:9])
    np.testing.assert_array_equal(given["scaled"], pixels[:9:2])
    np.testing.assert_array_equal(given["checked"], pixels[1:9:2])
    with pytest.raises(BadInput, match="two photographs at least"):
        export(tuned_run, tmp_path / "out", "onnx", precision="int8", pixels=pixels[:1])


def test_the_cache_is_mended_or_done_without(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("magnostic.train.device.precision", lambda _: "fp32")
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path / "cache"))
    assert "openvino" in load(tiny_run).engine.name
    (made,) = (tmp_path / "cache" / "engines").iterdir()
    model, write = made / "model.xml", deploy_export.write
    shutil.copytree(made, tmp_path / "copy")
    model.write_bytes(model.read_bytes()[:-5])
    written: list[Path] = []

    def late(about: Any, members: Any, folder: Path, to: Any) -> None:
        """Another process makes the same meanwhile."""
        shutil.copytree(tmp_path / "copy", folder)
        written.append(folder)
        write(about, members, folder, to)

    monkeypatch.setattr(deploy_export, "write", late)
    assert "openvino" in load(tiny_run).engine.name
    assert written == [made]
    assert model.read_bytes() == (tmp_path / "copy" / "model.xml").read_bytes()
    assert [p.name for p in made.parent.iterdir()] == [made.name]
    assert "openvino" in load(tiny_run).engine.name
    assert written == [made]  # it is found
    monkeypatch.undo()
    monkeypatch.setattr("magnostic.train.device.precision", lambda _: "fp32")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAGNOSTIC_CACHE", str(tmp_path / "file"))
    assert "torch" in load(tiny_run).engine.name
