"""The hub's loading code against a server on loopback, and with none to reach."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from magnostic.errors import WeightsError
from magnostic.models import catalogue, foundation, hub, weights


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a loopback server offers it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "served"), **more)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "served").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_is_downloaded_once(files: tuple[Path, str]) -> None:
    folder, address = files
    (folder / "weights.pth").write_bytes(b"content")
    url = f"{address}/weights.pth"
    assert hub.download_url(url, "weights").read_bytes() == b"content"
    (folder / "weights.pth").unlink()
    assert hub.download_url(url, "weights").read_bytes() == b"content"


def test_a_missing_file_is_a_clear_error_and_leaves_nothing(files: tuple[Path, str]) -> None:
    url = f"{files[1]}/absent.pth"
    with pytest.raises(WeightsError, match=r"weights could not be had.*HTTPError"):
        hub.download_url(url, "weights")
    assert not (Path(torch.hub.get_dir()) / "checkpoints" / "absent.pth").exists()


def test_no_connection_fails_at_once(files: tuple[Path, str]) -> None:
    port = int(files[1].rsplit(":", 1)[1])
    with pytest.raises(WeightsError, match=r"no connection to 127\.0\.0\.1"):
        hub.download_url(f"http://127.0.0.1:{1 if port != 1 else 2}/weights.pth", "weights")


def test_the_cache_is_asked_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "model.safetensors"
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda _, name: str(kept) if name == kept.name else None,
    )
    assert hub.download("owner/name", hub.WEIGHT_FILES, "weights") == kept


class Hub(http.server.SimpleHTTPRequestHandler):
    """Answers as the hub does: repositories under their names, one revision each."""

    folder: Path
    gated: str = ""

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        repository, _, name = self.path.removeprefix("/").partition("/resolve/main/")
        file = self.folder / repository / name
        refused = repository == self.gated
        body = file.read_bytes() if file.is_file() and not refused else b""
        self.send_response(200 if body else 401 if refused else 404)
        if not body:
            self.send_header("X-Error-Code", "GatedRepo" if refused else "EntryNotFound")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{name}-{len(body)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def repositories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder from which a hub on loopback serves ``owner/name/FILE``, with an empty cache."""
    handler = type("Here", (Hub,), {"folder": tmp_path / "hub", "gated": "owner/gated"})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_XET": True,
    }.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    yield tmp_path / "hub"
    server.shutdown()
    thread.join()
    server.server_close()


def publish(folder: Path, state: dict[str, torch.Tensor], **config: object) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(
        {k: t.contiguous() for k, t in state.items()}, folder / "model.safetensors"
    )


TINY = "vit_tiny_patch16_224"
STATISTICS = {"mean": [0.7, 0.6, 0.5], "std": [0.2, 0.3, 0.4]}


def test_options_of_the_hub_and_of_the_recipe_build_one_network(repositories: Path) -> None:
    """As with UNI2-h: some options stand in config.json, layers can't and stand in the recipe."""
    stored = {"depth": 2, "reg_tokens": 4, "num_classes": 0}
    given = {"mlp_layer": "SwiGLUPacked", "act_layer": "silu", "init_values": 1e-5}
    torch.manual_seed(0)
    network = weights.build(TINY, None, {"depth": 2, "reg_tokens": 4, "img_size": 64, **given})
    publish(
        repositories / "owner" / "name",
        network.state_dict(),
        architecture=TINY,
        model_args=stored,
        pretrained_cfg={"input_size": [3, 64, 64], "fixed_input_size": True, **STATISTICS},
    )
    assert not weights.at_hand("hf_hub:owner/name")
    source = weights.resolve("hf_hub:owner/name", TINY)
    assert weights.at_hand("hf_hub:owner/name")
    assert (source.mean, source.std) == ((0.7, 0.6, 0.5), (0.2, 0.3, 0.4))
    assert source.args == {"depth": 2, "reg_tokens": 4, "img_size": 64}
    assert weights.merged_args(source, {"depth": 3}) == {**source.args, "depth": 3}
    again = weights.build(TINY, source, given)
    assert all(torch.equal(network.state_dict()[k], t) for k, t in again.state_dict().items())
    weights.build(TINY, None, weights.merged_args(source, given)).load_state_dict(
        again.state_dict()
    )
    with pytest.raises(WeightsError, match=r"partial load|have no place|does not fit"):
        weights.build(TINY, source)
    with pytest.raises(WeightsError, match=f"set model.backbone {TINY}"):
        weights.resolve("hf_hub:owner/name", "resnet18")


def test_a_listed_models_statistics_are_its_authors(
    repositories: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a mirror's config.json holds timm's default."""
    listed = next(m for m in foundation.MODELS if m.name == "lunit-dino")
    state = weights.build(listed.backbone, None, {"depth": 1}).state_dict()
    publish(
        repositories / listed.repository,
        state,
        architecture=listed.backbone,
        model_args={"depth": 1},
        mean=[0.5, 0.5, 0.5],
        std=[0.5, 0.5, 0.5],
    )
    source = weights.resolve(f"hf_hub:{listed.repository}", listed.backbone)
    assert (source.mean, source.std) == (listed.mean, listed.std)
    weights.build(listed.backbone, source)
    (entry,) = catalogue.catalogue("lunit-dino")
    assert entry.at_hand
    assert entry.recipe == "foundation-lunit-dino"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    weights.resolve(f"hf_hub:{listed.repository}", listed.backbone)  # from the cache


def test_gated_weights_say_where_to_accept_their_terms(repositories: Path) -> None:
    publish(repositories / "owner" / "gated", {"x": torch.zeros(1)}, architecture=TINY)
    with pytest.raises(WeightsError, match=r"accept them at http.*/owner/gated.*HF_TOKEN"):
        weights.resolve("hf_hub:owner/gated", TINY)


def test_weights_in_another_format_are_named_as_such(repositories: Path) -> None:
    publish(repositories / "owner" / "other", {"x": torch.zeros(1)}, architectures=["ViTModel"])
    with pytest.raises(WeightsError, match="not in timm's format"):
        weights.resolve("hf_hub:owner/other", TINY)


def test_handcrafted_features_are_listed_beside_the_networks() -> None:
    (entry,) = catalogue.catalogue("handcrafted")
    assert (entry.backbone, entry.weights, entry.input_size) == ("handcrafted", "none", None)
    assert entry.at_hand
    assert entry in catalogue.catalogue()
    assert entry not in catalogue.catalogue("resnet50")
