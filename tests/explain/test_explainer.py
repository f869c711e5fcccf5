"""A stored run explained from Python."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from magnostic.data.fit import fit_image
from magnostic.deploy import artefact, load
from magnostic.deploy.artefact import Member
from magnostic.errors import BadInput, MissingExtra
from magnostic.explain import Explainer
from magnostic.models import heads
from magnostic.models.classifier import Classifier
from magnostic.models.encoders import Handcrafted, Network

Photographs = list[np.ndarray]


@pytest.fixture(scope="module")
def photographs(tiny_breakhis: Path) -> Photographs:
    paths = sorted(tiny_breakhis.rglob("*.png"))[::9]
    return [fit_image(Image.open(p), 32, "squeeze") for p in paths]


@pytest.fixture(scope="module")
def explainer(tiny_run: Path) -> Explainer:
    return Explainer.load(tiny_run)


def test_auto_takes_gradcam_for_a_convolutional_probe(
    explainer: Explainer, tiny_run: Path, photographs: Photographs
) -> None:
    assert explainer.method == "gradcam"
    rows = load(tiny_run, engine="torch").batch(np.stack(photographs))
    for pixels, row in zip(photographs, rows, strict=True):
        found = explainer.explain(pixels)
        assert found.target == row["y_pred"]
        assert found.relevance.shape == (32, 32)
        assert found.relevance.dtype == np.float32
        assert found.relevance.min() >= 0
        assert found.relevance.max() in (0, 1)
        other = next(c for c in explainer.about.classes if c != found.target)
        assert explainer.explain(pixels, other).target == other


def test_threads_give_the_same(explainer: Explainer, photographs: Photographs) -> None:
    alone = [explainer.explain(p).relevance for p in photographs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: explainer.explain(p).relevance, photographs))
    np.testing.assert_array_equal(alone, together)


def test_several_networks_are_averaged(tiny_run: Path, photographs: Photographs) -> None:
    folders = sorted(p.parent for p in (tiny_run / "patient").glob("*/model.json"))[:2]
    members, singles = [], []
    for folder in folders:
        about, found = artefact.load_members(folder)
        members += found
        singles.append(Explainer.load(folder))
    both = Explainer(about, members, [None, None])
    assert len(both.networks.groups) == 1  # they share a frozen encoder
    pixels, target = photographs[0], about.classes[2]
    maps = [one.explain(pixels, target).relevance for one in singles]
    mean = np.mean(maps, axis=0)
    together = both.explain(pixels, target)
    np.testing.assert_allclose(together.relevance, mean / mean.max(), atol=1e-5)
    each = [one.explain(pixels, target).probability for one in singles]
    assert together.probability == pytest.approx(np.mean(each), rel=1e-4)


def test_nearest_in_the_unit_of_the_predictor(
    explainer: Explainer, tiny_run: Path, photographs: Photographs
) -> None:
    rows = load(tiny_run, engine="torch").batch(np.stack(photographs))
    for pixels, row in zip(photographs, rows, strict=True):
        found = explainer.nearest(pixels, 3)
        assert len(found) == 3
        assert found[0].distance == pytest.approx(row["distance"], rel=2e-2, abs=2e-3)
        distances = [n.distance for n in found]
        assert distances == sorted(distances)
        assert found[0].label in explainer.about.classes
        assert found[0].slide_id is not None
    features = explainer.engine.compute(photographs[0][None]).features[0][0]
    assert explainer.nearest(features, 3) == explainer.nearest(photographs[0], 3)


def _other_head(tiny_run: Path, head: heads.Head) -> Member:
    """The run's encoder under another head."""
    (member,) = artefact.load_members(tiny_run)[1]
    spec = replace(member.spec, head=head.description())
    return Member(member.folder, Classifier(member.model.encoder, head).eval(), spec)


def test_occlusion_for_heads_without_gradients(tiny_run: Path, photographs: Photographs) -> None:
    about, (member,) = artefact.load_members(tiny_run)
    head = heads.Neighbours(member.model.encoder.width, 6, len(about.classes), 3)
    with torch.no_grad():
        known = torch.from_numpy(np.stack(photographs[:6]))
        head.known.copy_(head.standardized(member.model.encoder(known)))
        head.labels.copy_(torch.tensor([0, 0, 0, 4, 4, 4]))
    changed = _other_head(tiny_run, head)
    explainer = Explainer(about, [changed], [None])
    assert explainer.method == "occlusion"
    found = explainer.explain(photographs[0])
    assert found.relevance.shape == (32, 32)
    assert explainer.nearest(photographs[0]) == []
    with pytest.raises(BadInput, match=r"gradcam: does not fit .*neighbours"):
        Explainer(about, [changed], [None], "gradcam")


def test_occlusion_of_handcrafted_features(tiny_run: Path, photographs: Photographs) -> None:
    pytest.importorskip("mahotas")
    about, (member,) = artefact.load_members(tiny_run)
    torch.manual_seed(0)
    head = torch.nn.Linear(Handcrafted.width, len(about.classes))
    spec = replace(member.spec, backbone="handcrafted", head=heads.describe(head))
    model = Classifier(Handcrafted(), head).eval()
    explainer = Explainer(about, [Member(member.folder, model, spec)], [None])
    assert explainer.method == "occlusion"
    assert explainer.explain(photographs[0]).relevance.max() == 1


def test_auto_takes_attention_for_a_transformer(
    tiny_run: Path, photographs: Photographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, (member,) = artefact.load_members(tiny_run)
    torch.manual_seed(0)
    vit = timm.create_model("test_vit", num_classes=0, img_size=32)
    encoder = Network(vit, [0.5] * 3, [0.25] * 3)
    head = torch.nn.Linear(encoder.width, len(about.classes))
    spec = replace(member.spec, backbone="test_vit", head=heads.describe(head))
    changed = Member(member.folder, Classifier(encoder, head).eval(), spec)
    monkeypatch.setitem(sys.modules, "captum.attr", None)  # which attention does not need
    explainer = Explainer(about, [changed], [None])
    assert explainer.method == "attention"
    found = explainer.explain(photographs[0])
    assert found.relevance.shape == (32, 32)
    assert (found.relevance.min() >= 0, found.relevance.max()) == (True, 1)
    with pytest.raises(BadInput, match="no convolutional maps; use attention"):
        Explainer(about, [changed], [None], "gradcam")


def test_grayscale_is_seen_as_predicted(tiny_run: Path, photographs: Photographs) -> None:
    about, (member,) = artefact.load_members(tiny_run)
    grey = {"method": "grayscale", "reference": None, "target": []}
    changed = replace(member, spec=replace(member.spec, colour=grey))
    explainer = Explainer(about, [changed], [None])
    (seen,) = explainer.seen(photographs[0])
    assert (seen[..., 0] == seen[..., 2]).all()
    turned = np.ascontiguousarray(photographs[0][..., ::1])
    raw = explainer.engine.compute(turned[None]).raw[0]
    target = about.classes[int(raw.argmax())]
    assert explainer.explain(turned).target == target
    assert explainer.explain(turned).probability == pytest.approx(raw.max(), abs=2e-2)


def test_what_cannot_be_explained(
    explainer: Explainer, tiny_run: Path, photographs: Photographs, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="give uint8"):
        explainer.explain(np.zeros((31, 32, 3), np.uint8))
    with pytest.raises(BadInput, match="did you mean 'DC'"):
        explainer.explain(photographs[0], "DCC")
    with pytest.raises(BadInput, match="choose one of auto"):
        Explainer.load(tiny_run, method="lime")
    with pytest.raises(BadInput, match=r"attention: does not fit test_resnet"):
        Explainer.load(tiny_run, method="attention")
    with pytest.raises(BadInput, match="no finished run"):
        Explainer.load(tmp_path)
    (tmp_path / "export.json").write_text(json.dumps({}))
    with pytest.raises(BadInput, match="exported model"):
        Explainer.load(tmp_path)


def test_without_captum(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    for method in ("auto", "occlusion"):
        with pytest.raises(MissingExtra, match=r"magnostic\[explain\]"):
            Explainer.load(tiny_run, method=method)
