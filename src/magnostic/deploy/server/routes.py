"""The operations of the API as the OpenAPI describes them."""

# Annotations stay objects here: FastAPI looks at those that functions close over.

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from magnostic.deploy.server import answers, problems, schema
from magnostic.deploy.server.api import LONGEST, PATIENTS, Api
from magnostic.deploy.server.problems import Problem, declared

_REFUSALS: Final = (400, 401, 403, 408, 413, 415, 422, 500, 503)
_PATIENTS: Final = {
    "type": "string",
    "pattern": PATIENTS.pattern,
    "maxLength": LONGEST,
    "description": "Ids of patients in the order of the photographs, with commas between them; "
    "none between two commas: not known. There may be fewer than photographs, and not more.",
}


def _api(request: Request) -> Api:
    """What the application works with.

    FastAPI keeps the functions of every application that there was in caches of its own: they must
    not hold a model.
    """
    found: Api = request.app.state.api
    return found


async def _predict(request: Request) -> Response:
    return await _api(request).predict(request)


async def _explain(request: Request) -> Response:
    return await _api(request).explain(request)


def install(app: FastAPI, api: Api) -> None:
    """Put the operations into the application."""
    app.state.api = api
    bearer = HTTPBearer(auto_error=False, description="The API key of this server.")
    Given = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]

    def key(request: Request, given: Given) -> None:
        _api(request).check_key(None if given is None else given.credentials)

    needs_key = [Depends(key)] if api.settings.api_key is not None else []
    router = APIRouter(dependencies=needs_key)
    settings, classes = api.settings, api.models.predictor.about.classes
    refusals = declared(*(s for s in _REFUSALS if s != 401 or needs_key))

    photographs = "8-bit RGB photographs in PNG, JPEG, TIFF, BMP or WebP."
    router.post(
        "/v1/predict", tags=["predict"],
        responses={200: {"model": schema.PredictAnswer}, **refusals},
        openapi_extra=schema.form(
            "images", settings.max_files, photographs, {"patients": _PATIENTS}
        ),
        summary="Predict photographs",
        description="Answers stand in the order of the photographs, each with its prediction or "
        "its error. Where not one can be read the status is that of the first one's error.",
    )(_predict)  # fmt: skip
    target = {"type": "string", "enum": list(classes), "description": "Class to explain; by "
              "default the one predicted."}  # fmt: skip
    router.post(
        "/v1/explain", tags=["explain"],
        responses={200: {"model": schema.ExplainAnswer}, **refusals, **declared(404)},
        openapi_extra=schema.form(
            "image", 1, photographs.replace("photographs", "photograph"), {"target": target}
        ),
        summary="Explain one photograph",
        description="Relevance of every place for one class, and the nearest training images.",
    )(_explain)  # fmt: skip

    question: Any = schema.patients_question(tuple(classes))

    async def of_patients(request: Request, body: question) -> dict[str, Any]:
        return await _api(request).patients(body.images)

    router.post(
        "/v1/patients", tags=["predict"], response_model=schema.PatientsAnswer,
        responses={s: r for s, r in refusals.items() if s != 415},
        summary="Decide for patients",
        description="From what /v1/predict said of their photographs, in one or many requests; "
        "the same decisions as /v1/predict gives with patients.",
    )(of_patients)  # fmt: skip

    @router.get(
        "/v1/model", tags=["model"], response_model=schema.ModelAnswer,
        summary="Describe the model",
        responses={s: r for s, r in refusals.items() if s in (401, 403, 500)},
    )  # fmt: skip
    async def model(request: Request) -> dict[str, Any]:
        return answers.model(_api(request).models, settings)

    @router.get(
        "/metrics", tags=["operation"], summary="Counters for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}},
                  "description": "Prometheus's text format."},
            **{s: r for s, r in refusals.items() if s in (401, 403, 500)},
        },
    )  # fmt: skip
    async def metrics(request: Request) -> Response:
        told = _api(request).metrics.text()
        return Response(told, media_type="text/plain; version=0.0.4; charset=utf-8")

    app.include_router(router)

    @app.get(
        "/healthz", tags=["operation"], response_model=schema.Alive, summary="Is the process alive",
        responses=declared(403, 500),
    )  # fmt: skip
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(
        "/readyz", tags=["operation"], response_model=schema.Ready,
        summary="Are photographs taken", responses=declared(403, 500, 503),
    )  # fmt: skip
    async def readyz(request: Request) -> dict[str, str]:
        api = _api(request)
        if api.queue.stopping or not api.batcher.alive or api.queue.length >= api.queue.most:
            raise Problem(503, "busy", problems.MEANINGS[503], headers={"Retry-After": "1"})
        return {"status": "ready"}
