"""The API against the predictor itself, and against forms and keys that are wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from magnostic.deploy.patients import Patients
from magnostic.deploy.server import Models, Settings, create_app
from magnostic.deploy.server.guard import HEADERS
from magnostic.errors import BadInput

LOCAL = "http://127.0.0.1"
Same = Callable[[dict[str, Any], dict[str, Any]], None]


def parts(paths: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (path.name, path.read_bytes())) for path in paths]


def test_answers_are_the_predictors_rows(
    client: TestClient, models: Models, photographs: list[Path], same: Same
) -> None:
    some = photographs[::3]
    rows = list(models.predictor.stream(some))
    answer = client.post("/v1/predict", files=parts(some))
    assert answer.status_code == 200
    told = answer.json()
    assert told["model"] == models.predictor.about.digest
    assert [r["name"] for r in told["results"]] == [p.name for p in some]
    assert told["patients"] == []
    for result, row in zip(told["results"], rows, strict=True):
        assert result["error"] is None
        same(result["prediction"], row)


def test_bad_photographs_stand_among_good_ones(
    client: TestClient,
    models: Models,
    photographs: list[Path],
    bad_files: dict[Path, str],
    same: Same,
) -> None:
    there = {path: says for path, says in bad_files.items() if path.is_file()}
    mixed = [photographs[0], *there, photographs[1]]
    answer = client.post("/v1/predict", files=parts(mixed))
    assert answer.status_code == 200
    first, *middle, last = answer.json()["results"]
    for result, path in ((first, photographs[0]), (last, photographs[1])):
        (row,) = models.predictor.stream([path])
        same(result["prediction"], row)
    for result, (path, says) in zip(middle, there.items(), strict=True):
        assert result["prediction"] is None
        assert result["name"] == path.name
        assert says in result["error"]["detail"]
        assert str(path.parent) not in result["error"]["detail"]


@pytest.mark.parametrize(
    "name, status, code",
    [
        ("large.png", 413, "too-large"),
        ("huge.png", 413, "too-large"),
        ("text.png", 415, "not-an-image"),
        ("cmyk.jpg", 415, "not-rgb"),
        ("sixteen.png", 415, "not-rgb"),
        ("animated.gif", 415, "animated"),
        ("truncated.png", 422, "truncated"),
        ("empty.png", 422, "empty"),
    ],
)
def test_where_nothing_can_be_read_the_status_says_why(
    client: TestClient, bad_files: dict[Path, str], name: str, status: int, code: str
) -> None:
    (path,) = [p for p in bad_files if p.name == name]
    answer = client.post("/v1/predict", files=parts([path]))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["results"][0]["error"]["code"] == code
    explained = client.post("/v1/explain", files={"image": (name, path.read_bytes())})
    assert (explained.status_code, explained.json()["code"]) == (status, code)


def test_patients_are_decided_as_offline(
    client: TestClient, models: Models, photographs: list[Path]
) -> None:
    some, ids = photographs[:9], ["b", "b", "", "a", "a", "a", "b"]
    sums = Patients(models.predictor.rules)
    known = [*ids, "", ""]
    for row, patient in zip(models.predictor.stream(some), known, strict=True):
        sums.add({**row, "patient_id": patient or None})
    answer = client.post("/v1/predict", files=parts(some), data={"patients": ",".join(ids)}).json()
    assert [r["patient_id"] for r in answer["results"]] == [i or None for i in known]
    for told, wanted in zip(answer["patients"], sums.table(), strict=True):
        for name in ("patient_id", "images", "unread", "to_review", "by_mean_probability",
                     "by_majority"):  # fmt: skip
            assert told[name] == wanted[name]
        for c in models.predictor.about.classes:
            assert told["mean"][c] == pytest.approx(wanted[f"mean_p_{c}"], abs=1e-12)
            assert told["votes"][c] == wanted[f"votes_{c}"]
    # The same from what was said of them, in another request.
    again = client.post("/v1/patients", json={"images": [
        {"patient_id": r["patient_id"], "review": r["prediction"]["review"],
         "predicted": r["prediction"]["predicted"],
         "probabilities": r["prediction"]["probabilities"]}
        for r in answer["results"] if r["patient_id"]
    ]}).json()["patients"]  # fmt: skip
    for one, other in zip(again, answer["patients"], strict=True):
        assert {k: v for k, v in one.items() if k != "mean"} == {
            k: v for k, v in other.items() if k != "mean"
        }
        assert one["mean"] == pytest.approx(other["mean"], abs=1e-6)


def test_explanation_covers_the_photograph_and_names_neighbours(
    client: TestClient, models: Models, photographs: list[Path]
) -> None:
    path = photographs[4]
    classes = models.predictor.about.classes
    answer = client.post(
        "/v1/explain", files={"image": (path.name, path.read_bytes())}, data={"target": classes[2]}
    )
    assert answer.status_code == 200
    told = answer.json()
    assert told["target"] == classes[2]
    assert models.explainer is not None
    assert told["method"] == models.explainer.method
    overlay = Image.open(io.BytesIO(base64.b64decode(told["relevance"])))
    assert (overlay.mode, overlay.size) == ("RGBA", Image.open(path).size)
    first = told["nearest"][0]  # every photograph trained the model that is for use
    assert first["image_id"] in path.name
    assert first["distance"] == pytest.approx(0, abs=1e-3)
    distances = [n["distance"] for n in told["nearest"]]
    assert distances == sorted(distances)


def test_explained_without_a_target_is_the_class_predicted(
    client: TestClient, photographs: list[Path]
) -> None:
    file = (photographs[7].name, photographs[7].read_bytes())
    predicted = client.post("/v1/predict", files={"images": file}).json()["results"][0]
    assert (
        client.post("/v1/explain", files={"image": file}).json()["target"]
        == (predicted["prediction"]["predicted"])
    )


def test_a_model_without_explanations_says_why(models: Models, photographs: list[Path]) -> None:
    plain = Models(models.predictor, None, "an exported model holds no layers to look into")
    with TestClient(create_app(plain, Settings()), base_url=LOCAL) as client:
        told = client.get("/v1/model").json()["explain"]
        assert told == {"available": False, "method": None, "reason": plain.reason}
        answer = client.post("/v1/explain", files={"image": photographs[0].read_bytes()})
        assert (answer.status_code, answer.json()["detail"]) == (404, plain.reason)


def form(*chunks: bytes) -> dict[str, Any]:
    head = {"Content-Type": "multipart/form-data; boundary=b"}
    return {"content": b"".join(chunks), "headers": head}


def part(name: str, content: bytes = b"x", filename: bytes = b"") -> bytes:
    named = b'; filename="%s"' % filename if filename else b""
    told = b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), named)
    return b"--b\r\n" + told + b"\r\n\r\n" + content + b"\r\n"


END = b"--b--\r\n"


@pytest.mark.parametrize(
    "request_, status",
    [
        ({"json": {"images": 1}}, 415),
        ({"content": b"--b", "headers": {"Content-Type": "multipart/form-data"}}, 415),
        (form(b"no boundary at all"), 400),
        (form(part("images")), 400),  # cut off: no last boundary
        (form(b"--b\r\n\r\nnameless\r\n", END), 400),
        (form(b"--b\r\nContent-Disposition: form-data; name=images\r\nX: ", b"y" * 99_999), 400),
        (form(END), 422),
        (form(part("image"), END), 422),
        (form(part("patients", b"a"), END), 422),
        (form(part("images"), part("patients", b"\xff\xfe"), END), 422),
        (form(part("images"), part("patients", b"a" * 9000), END), 422),
        (form(part("images"), part("patients", b"a" * 40_000), END), 422),
        (form(part("images"), part("patients", b"a,b"), END), 422),
        (form(part("images"), part("patients", b"{}"), END), 422),
        (form(part("images"), part("patients"), part("patients"), END), 422),
        (form(part("images", filename=b"../../etc/passwd"), END), 422),
        (form(part("images", filename=b"folder/x.png"), END), 422),
        (form(part("images", filename=b"a\x00b.png"), END), 422),
        (form(part("images", filename=b"\xff.png"), END), 422),
        (form(*[part("images")] * 65, END), 422),
    ],
)
def test_forms_that_are_wrong(client: TestClient, request_: dict[str, Any], status: int) -> None:
    answer = client.post("/v1/predict", **request_)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "detail", "results"}


def test_names_are_labels_alone(client: TestClient, photographs: list[Path]) -> None:
    name = "Grüße; rm -rf '\"<b>.png"
    file = (name, photographs[0].read_bytes())
    answer = client.post("/v1/predict", files={"images": file})
    assert answer.status_code == 200
    assert answer.json()["results"][0]["name"].endswith("<b>.png")


def test_limits_of_bytes_and_pixels(models: Models, photographs: list[Path]) -> None:
    whole = photographs[0].read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    wide = io.BytesIO()
    Image.new("RGB", (64, 41)).save(wide, "PNG")
    limits = Settings(max_bytes=len(whole) + 200, max_pixels=64 * 40)
    with TestClient(create_app(models, limits), base_url=LOCAL) as client:
        files = [("images", ("a", whole)), ("images", ("b", buffer.getvalue())),
                 ("images", ("c", wide.getvalue()))]  # fmt: skip
        good, heavy, large = client.post("/v1/predict", files=files).json()["results"]
        assert good["error"] is None
        assert heavy["error"]["detail"] == f"too large: more than {len(whole) + 200} bytes"
        assert large["error"]["detail"].startswith("too large: 64x41 pixels")
        kind = {"Content-Type": "multipart/form-data; boundary=b"}
        for much in (b"-" * (limits.max_body + 1), (b"-" * 4096 for _ in range(99))):
            refused = client.post("/v1/predict", content=much, headers=kind)
            assert refused.status_code == 413


def test_key(models: Models, photographs: list[Path]) -> None:
    file = {"images": (photographs[0].name, photographs[0].read_bytes())}
    with TestClient(create_app(models, Settings(api_key="secret")), base_url=LOCAL) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
            for path in ("/v1/model", "/metrics"):
                assert client.get(path, headers=headers).status_code == 401
            answer = client.post("/v1/predict", files=file, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "key")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/", "/docs", "/healthz", "/readyz", "/openapi.json", "/static/page.css"):
            assert client.get(path).status_code == 200
        right = {"Authorization": "Bearer secret"}
        assert client.get("/v1/model", headers=right).status_code == 200
        assert client.post("/v1/predict", files=file, headers=right).status_code == 200


def test_pages_of_other_sites_are_kept_out(client: TestClient, photographs: list[Path]) -> None:
    file = {"images": (photographs[0].name, photographs[0].read_bytes())}
    elsewhere = {"Origin": "http://evil.example"}
    assert client.post("/v1/predict", files=file, headers=elsewhere).status_code == 403
    assert client.get("/", headers={"Host": "LOCALHOST:80"}).status_code == 200
    for origin in ("null", "http://[", LOCAL + ".evil.example"):
        answer = client.post("/v1/predict", files=file, headers={"Origin": origin})
        assert answer.status_code == 403
    own = {"Origin": LOCAL}
    assert client.post("/v1/predict", files=file, headers=own).status_code == 200
    for host in ("evil.example", "", "127.0.0.1.evil.example:80", "[", "[::1]x"):
        assert client.get("/v1/model", headers={"Host": host}).status_code == 403
    for host in ("localhost:8000", "127.0.0.1", "[::1]:99"):
        assert client.get("/v1/model", headers={"Host": host}).status_code == 200


def test_every_answer_carries_its_headers(client: TestClient) -> None:
    for path in ("/", "/static/page.js", "/v1/model", "/nowhere", "/openapi.json"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
    assert client.get("/v1/model").headers["Cache-Control"] == "no-store"


def test_nothing_comes_from_outside() -> None:
    from magnostic.deploy.server.app import STATIC

    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("://${", ""), file
    assert not {"style=", "onclick=", "<script>"} & set((STATIC / "index.html").read_text().split())


def test_model_and_counters(client: TestClient, models: Models, photographs: list[Path]) -> None:
    told = client.get("/v1/model").json()
    about = models.predictor.about
    assert [c["code"] for c in told["classes"]] == list(about.classes)
    assert told["classes"][0]["name"] == "adenosis"
    assert told["columns"] == models.predictor.columns
    assert told["limits"]["max_files"] == 64

    def counted(line: str) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(found.rsplit(" ", 1)[1]) for found in lines if found.startswith(line))

    refused = 'magnostic_rejected_total{reason="not-an-image"}'
    before, bad_before = counted("magnostic_photographs_total"), counted(refused)
    client.post("/v1/predict", files=[*parts(photographs[:3]), ("images", ("t", b"text"))])
    assert counted("magnostic_photographs_total") == before + 3
    assert counted(refused) == bad_before + 1
    assert counted("magnostic_queue_length") == 0
    assert counted('magnostic_requests_total{method="POST",path="/v1/predict",status="200"}') >= 1


def test_a_fault_tells_no_more_than_that(
    models: Models, photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("a secret of /some/folder")

    app = create_app(models, Settings())
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        monkeypatch.setattr(models.predictor.engine, "compute", broken)
        answer = client.post("/v1/predict", files={"images": photographs[0].read_bytes()})
        assert (answer.status_code, answer.json()["code"]) == (500, "fault")
        assert "secret" not in answer.text
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        monkeypatch.undo()
        again = client.post("/v1/predict", files={"images": photographs[0].read_bytes()})
        assert again.status_code == 200


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"max_bytes": 3}, {"max_pixels": 0}, {"api_key": " "}]
)
def test_settings_that_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Settings(**wrong)
