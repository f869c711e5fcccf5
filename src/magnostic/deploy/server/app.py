"""The application: API, page, limits, and what lives as long as the server does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import numpy as np
from fastapi import FastAPI
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import magnostic
from magnostic.data.fit import sides
from magnostic.data.strict import strict_decoding
from magnostic.deploy.server import problems, routes
from magnostic.deploy.server.api import Api, Queue
from magnostic.deploy.server.batcher import Batcher
from magnostic.deploy.server.guard import Guard, Held, counted
from magnostic.deploy.server.metrics import Metrics
from magnostic.deploy.server.models import Models
from magnostic.deploy.server.settings import Settings

STATIC: Final = Path(__file__).parent / "static"
_ABOUT: Final = (
    "Predicts and explains photographs of H&E-stained breast tumours by one stored model. "
    "Research use only: nothing here is a medical device."
)


def create_app(models: Models, settings: Settings) -> ASGIApp:
    """The server of these models as an ASGI application."""
    queue, held = Queue(settings.max_queue), Held()
    metrics = Metrics(lambda: queue.length, lambda: held.size)
    batcher = Batcher(
        models.predictor,
        max_pixels=settings.max_pixels,
        linger=settings.linger_seconds,
        computed=metrics.batch,
    )

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        with strict_decoding():
            batcher.start()
            await batcher.run(lambda: _warm(models))
            try:
                yield
            finally:
                queue.stopping = True
                batcher.close()

    app = FastAPI(
        title="magnostic", version=magnostic.__version__, description=_ABOUT, lifespan=life,
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    problems.install(app)
    routes.install(app, Api(models, settings, batcher, queue, metrics))
    _pages(app)
    paths = {"/", "/docs", *app.openapi()["paths"], "/openapi.json"}
    return Guard(app, settings, metrics, held, counted(paths))


def _pages(app: FastAPI) -> None:
    """The page, its files, and the reference of the API."""
    app.mount("/static", StaticFiles(directory=STATIC))

    def page(name: str) -> Callable[[], Awaitable[FileResponse]]:
        async def send() -> FileResponse:
            return FileResponse(STATIC / name, headers={"Cache-Control": "no-cache"})

        return send

    app.get("/", include_in_schema=False)(page("index.html"))
    app.get("/docs", include_in_schema=False)(page("reference.html"))


def _warm(models: Models) -> None:
    """The first batch takes longer than all others."""
    height, width = sides(models.predictor.about.size)
    models.predictor.compute(np.zeros((1, height, width, 3), dtype=np.uint8))
