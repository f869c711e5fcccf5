"""What the operations of the API do."""

from __future__ import annotations

import asyncio
import base64
import hmac
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from fastapi import Request
from starlette.responses import JSONResponse, Response

from magnostic.deploy.photograph import Input
from magnostic.deploy.predictor import Row
from magnostic.deploy.server import answers, problems, upload
from magnostic.deploy.server.batcher import Batcher
from magnostic.deploy.server.metrics import Metrics
from magnostic.deploy.server.models import Models
from magnostic.deploy.server.problems import Problem
from magnostic.deploy.server.settings import Settings
from magnostic.deploy.server.upload import Upload
from magnostic.explain import Explainer, heat_png, on_photograph, within

#: Ids of patients in a form, where nothing tells a text from a list or an object.
PATIENTS: Final = re.compile(r'^[^\[\]{}"\\\x00-\x1f]*$')
#: Characters of them all.
LONGEST: Final = 8000
#: Nearest training images that are told.
_NEAREST: Final = 6
#: Of the overlay's longer side, pixels.
_OVERLAY: Final = 512


class Queue:
    """Photographs that are waiting or being worked on, over all requests."""

    def __init__(self, most: int) -> None:
        self.most, self.length = most, 0
        self.stopping = False

    def check(self, photographs: int = 1) -> None:
        """Raise Problem 503 where so many can't be taken in."""
        if self.stopping or self.length + photographs > max(self.most, photographs):
            raise Problem(
                503, "busy", "the queue is full; try again later", headers={"Retry-After": "1"}
            )

    @contextmanager
    def taking(self, photographs: int) -> Iterator[None]:
        """Take so many in, or raise Problem 503."""
        self.check(photographs)
        self.length += photographs
        try:
            yield
        finally:
            self.length -= photographs


class Api:
    """The operations on one model.

    Args:
        models, settings: of the server.
        batcher, queue, metrics: what its requests share.
    """

    def __init__(
        self, models: Models, settings: Settings, batcher: Batcher, queue: Queue, metrics: Metrics
    ) -> None:
        self.models, self.settings = models, settings
        self.batcher, self.queue, self.metrics = batcher, queue, metrics
        self.rules = models.predictor.rules

    async def predict(self, request: Request) -> Response:
        """Predict photographs: class, calibrated probabilities, set, review flag."""
        self.queue.check()
        form = await upload.read(request, self.settings, "images", ("patients",))
        files = form.files
        if not files:
            raise Problem(422, "field", "images: no photograph was sent")
        patients = _ids(form.texts.get("patients", []), len(files))
        with self.queue.taking(len(files)):
            rows = await asyncio.gather(*map(self._row, files))
        results = [
            answers.result(file.name, patient, row, self.rules)
            for file, patient, row in zip(files, patients, rows, strict=True)
        ]
        kinds = [problems.kind(row["error"]) for row in rows if row["error"] is not None]
        for code, _ in kinds:
            self.metrics.rejected.labels(code).inc()
        if len(kinds) == len(rows):
            detail = rows[0]["error"] if len(rows) == 1 else "not one photograph could be read"
            raise Problem(kinds[0][1], kinds[0][0], detail, results=results)
        known = [{**r, "patient_id": p} for r, p in zip(rows, patients, strict=True)]
        return JSONResponse({
            "model": self.models.predictor.about.digest,
            "results": results,
            "patients": answers.patients(known, self.rules),
        })  # fmt: skip

    async def _row(self, file: Upload) -> Row:
        if file.error is not None:
            return {"error": file.error, "review": True, "reasons": "error"}
        return await self.batcher.row(file.data)

    async def explain(self, request: Request) -> Response:
        """Explain one photograph: where relevance lies, and the nearest training images."""
        explainer = self.models.explainer
        if explainer is None:
            raise Problem(404, "no-explanations", self.models.reason or problems.MEANINGS[404])
        self.queue.check()
        form = await upload.read(request, self.settings, "image", ("target",))
        targets = form.texts.get("target", [])
        if len(form.files) != 1 or len(targets) > 1:
            raise Problem(422, "field", "send one image, and at most one target")
        if targets and targets[0] not in self.models.predictor.about.classes:
            known = ", ".join(self.models.predictor.about.classes)
            raise Problem(422, "field", f"target: not a class of this model; it has {known}")
        (file,) = form.files
        with self.queue.taking(1):
            entry = file.error or await self.batcher.decoded(file.data)
            if isinstance(entry, str):
                code, status = problems.kind(entry)
                self.metrics.rejected.labels(code).inc()
                raise Problem(status, code, entry)
            target = targets[0] if targets else None
            told = await self.batcher.run(lambda: _explained(explainer, entry, target))
        return JSONResponse({"name": file.name, **told})

    async def patients(self, images: list[Any]) -> dict[str, Any]:
        """Decisions for patients from what was said of their photographs."""
        classes = self.rules.classes
        rows = [answers.row_of(image.model_dump(by_alias=True), classes) for image in images]
        return {"patients": answers.patients(rows, self.rules)}

    def check_key(self, given: str | None) -> None:
        """Raise Problem 401 where a key is asked for and another one was given."""
        wanted = self.settings.api_key
        if wanted is None:
            return
        if not hmac.compare_digest((given or "").encode(), wanted.encode()):
            raise Problem(
                401, "key", "the API key is missing or wrong; send Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip


def _ids(texts: list[str], photographs: int) -> list[str | None]:
    """Each photograph's patient. Raises Problem 422 for what is no list of ids."""
    joined = texts[0] if texts else ""
    if len(texts) > 1 or len(joined) > LONGEST or not PATIENTS.fullmatch(joined):
        raise Problem(422, "field", "patients: send one text of ids with commas between them")
    ids = [i.strip() or None for i in joined.split(",")] if joined else []
    if len(ids) > photographs:
        raise Problem(422, "field", "patients: more ids than photographs")
    return ids + [None] * (photographs - len(ids))


def _explained(explainer: Explainer, entry: Input, target: str | None) -> dict[str, Any]:
    found = explainer.explain(entry.pixels, target)
    size = within(entry.width, entry.height, _OVERLAY)
    relevance = on_photograph(found.relevance, *size, explainer.about.fit)
    nearest = []
    for neighbour in explainer.nearest(entry.pixels, _NEAREST):
        thumbnail = explainer.thumbnail(neighbour)
        nearest.append({
            "image_id": neighbour.image_id,
            "label": neighbour.label,
            "slide_id": neighbour.slide_id,
            "magnification": neighbour.magnification,
            "distance": neighbour.distance if math.isfinite(neighbour.distance) else None,
            "thumbnail": None if thumbnail is None else answers.png(thumbnail),
        })  # fmt: skip
    return {
        "method": found.method,
        "target": found.target,
        "probability": found.probability,
        "relevance": base64.b64encode(heat_png(relevance)).decode(),
        "nearest": nearest,
    }
