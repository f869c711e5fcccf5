"""Fixtures shared by all tests: where the genuine photographs and the official folds lie."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from magnostic.taxonomy import TUMOUR_TYPES

if TYPE_CHECKING:
    from magnostic.data import Images

# A loaded machine is not a fault of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

SHARED = Path(os.environ.get("MAGNOSTIC_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def breakhis_sample() -> Path:
    """The root of the genuine BreakHis sample; the test skips where it is absent."""
    root = SHARED / "breakhis-sample" / "BreaKHis_v1"
    if not root.is_dir():
        pytest.skip(f"no genuine BreakHis sample at {root} (set MAGNOSTIC_SHARED to its parent)")
    return root


@pytest.fixture(scope="session")
def fold_files() -> Path:
    """The folder of dsfold1..5.txt; the test skips where it is absent."""
    folder = SHARED / "breakhis-folds"
    if not (folder / "dsfold1.txt").is_file():
        pytest.skip(f"no official fold files at {folder} (set MAGNOSTIC_SHARED to its parent)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's pixel cache, and never wait for a hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGNOSTIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@contextmanager
def _empty_figures() -> Iterator[None]:
    def save(_: Figure, target: Any, **more: Any) -> None:
        if more["format"] == "svg":
            target.write(b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        else:
            Path(target).write_bytes(b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


@pytest.fixture(scope="module", autouse=True)
def figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Figures are drawn and laid out, but their files are empty but in modules that ask for them.

    The files take most of the time of a report, and a tiny run is little else than its report.
    """
    if request.node.get_closest_marker("whole_figures"):
        yield
    else:
        with _empty_figures():
            yield


@pytest.fixture
def empty_figures() -> Iterator[None]:
    """For a test that looks at no figure, in a module that asks for whole ones."""
    with _empty_figures():
        yield


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without their report, for tests of anything else."""
    monkeypatch.setattr("magnostic.train.run.write_report", lambda _: None)


@pytest.fixture(scope="session")
def tiny_breakhis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in BreakHis's layout: 8 types x 3 slides x 2 photographs of 40x32 px.

    Each type has a colour of its own, blurred by noise and by the slide, so that it can be learnt.
    """
    root = tmp_path_factory.mktemp("tiny") / "BreaKHis_v1"
    rng = np.random.default_rng(0)
    for kind, tumour in enumerate(TUMOUR_TYPES):
        hue = 255 * np.array([kind & 1, kind >> 1 & 1, kind >> 2 & 1])
        for slide in range(3):
            number = f"{kind + 1}00{slide}"
            stem = f"SOB_{tumour.letter}_{tumour.code}"
            folder = root / "histology_slides" / "breast" / tumour.malignancy / "SOB"
            folder = folder / tumour.folder / f"{stem}_14-{number}"
            shift = rng.normal(0, 15, 3)
            for magnification in (40, 400):
                noise = rng.normal(0, 40, (32, 40, 3))
                pixels = np.clip(hue * 0.6 + 50 + shift + noise, 0, 255).astype(np.uint8)
                path = folder / f"{magnification}X" / f"{stem}-14-{number}-{magnification}-001.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return root


@pytest.fixture(scope="session")
def tiny_images(tiny_breakhis: Path) -> Images:
    from magnostic.data import read_images

    return read_images(tiny_breakhis)


@pytest.fixture(scope="session")
def tiny_run(tiny_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run: a frozen random network of 32 px, a head for each of two folds, a refitted one."""
    from magnostic import recipe_file as recipes
    from magnostic.train.run import run

    recipe = recipes.load(
        Path(__file__).parent / "conf" / "probe-lite0.yaml",
        ["--model.backbone=test_resnet", "--preprocess.size=32", "--split.protocols=patient",
         "--train.batch_size=8"],
    )  # fmt: skip
    return run(recipe, tiny_images, tmp_path_factory.mktemp("tiny_run") / "run")


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A Ray of one node with two cores; the test skips without extra [cluster]."""
    pytest.importorskip("ray", reason="extra [cluster] is not installed")
    from ray.cluster_utils import Cluster

    # Sockets lie below, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as name:
        node = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
            cluster = Cluster(True, head_node_args={**node, "temp_dir": name})
            yield cluster.address
            cluster.shutdown()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, standard output and standard error of a command."""

    from magnostic.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        code = caught.value.code
        return (code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return run
