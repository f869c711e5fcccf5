"""The JSON that is sent and taken, as the OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

Share = Annotated[float, Field(ge=0, le=1)]


class ErrorAnswer(BaseModel):
    """Why there is no prediction of one photograph."""

    code: str = Field(description="One word for programs, such as truncated or not-rgb.")
    detail: str = Field(description="What is wrong and what to do, in words.")


class Prediction(BaseModel):
    """What the model says of one photograph: a row of `magnostic predict`."""

    predicted: str = Field(description="Class with the highest probability.")
    confidence: Share = Field(description="Its calibrated probability.")
    probabilities: dict[str, Share] = Field(description="Calibrated probability of each class.")
    set: list[str] | None = Field(
        description="Conformal set at the level of the model: holds the true class with that "
        "probability, where new photographs are like those it was fitted on; null: not fitted."
    )
    answered: bool | None = Field(
        description="Whether the confidence suffices for an answer; null: not certifiable."
    )
    review: bool = Field(description="Whether somebody should look.")
    reasons: list[str] = Field(
        description="Why: abstained (too unsure), set (several classes possible), small (fewer "
        "pixels than the network takes), blank, blurred, far (unlike the training images)."
    )
    width: int = Field(ge=1, description="Of the photograph, pixels.")
    height: int = Field(ge=1, description="Of the photograph, pixels.")
    contrast: float = Field(description="Standard deviation of luma of the input, grey levels.")
    sharpness: float = Field(description="Share of fine detail in the input.")
    distance: float | None = Field(
        description="To the nearest training image in the model's feature space; above 1 it is "
        "farther than 99 of 100 training images are from other patients'; null: none were kept."
    )
    points: dict[str, bool] = Field(
        description="Whether the photograph counts as positive at each operating point."
    )


class Result(BaseModel):
    """One photograph's answer: a prediction or an error."""

    name: str = Field(description="Of the file as it was sent.")
    patient_id: str | None = Field(description="As it was sent.")
    error: ErrorAnswer | None = Field(description="Null where there is a prediction.")
    prediction: Prediction | None = Field(description="Null where there is an error.")


class PatientSummary(BaseModel):
    """Decisions for one patient."""

    patient_id: str = Field(description="As it was sent.")
    images: int = Field(description="Photographs predicted.")
    unread: int = Field(description="Photographs with an error instead.")
    to_review: int = Field(description="Photographs that somebody should look at.")
    by_mean_probability: str | None = Field(
        description="Class with the highest mean of the probabilities as predicted; null without "
        "a prediction."
    )
    by_majority: str | None = Field(description="Class predicted for most photographs.")
    mean: dict[str, Share] | None = Field(description="The mean of each class.")
    votes: dict[str, int] = Field(description="Photographs predicted as each class.")


class PredictAnswer(BaseModel):
    """Answers to all photographs of a request, in order."""

    model: str = Field(description="Digest of the model and its rules.")
    results: list[Result] = Field(description="One for each photograph, in order.")
    patients: list[PatientSummary] = Field(
        description="By patient_id; empty where none was sent."
    )  # fmt: skip


class PatientsAnswer(BaseModel):
    """Decisions for patients."""

    patients: list[PatientSummary] = Field(description="Sorted by patient_id.")


class NeighbourAnswer(BaseModel):
    """A training image that the model sees as similar."""

    image_id: str = Field(description="In the training set.")
    label: str = Field(description="Its class.")
    slide_id: str | None = Field(description="Its slide, where known.")
    magnification: int | None = Field(description="Its magnification, where known.")
    distance: float | None = Field(description="As in a prediction; null without a unit.")
    thumbnail: str | None = Field(
        description="PNG of 64 x 64 pixels in base64, where the run kept thumbnails."
    )


class ExplainAnswer(BaseModel):
    """What a prediction rests on."""

    name: str = Field(description="Of the file as it was sent.")
    method: str = Field(description="gradcam, attention or occlusion.")
    target: str = Field(description="The class that is explained.")
    probability: Share = Field(description="Of that class as predicted, before calibration.")
    relevance: str = Field(
        description="PNG with transparency in base64, to be laid over the whole photograph: the "
        "more opaque, the more relevant within this photograph."
    )
    nearest: list[NeighbourAnswer] = Field(
        description="Nearest training images, nearest first; empty where the run kept none."
    )


class ProblemAnswer(BaseModel):
    """Every answer from 400 on."""

    code: str = Field(description="One word for programs.")
    detail: str = Field(description="What is wrong and what to do, in words.")
    results: list[Result] | None = Field(
        description="Where not one photograph could be read: the error of each, in order."
    )


class ClassAnswer(BaseModel):
    """A class of the model."""

    code: str = Field(description="As it stands in predictions.")
    name: str = Field(description="For people.")
    malignancy: str | None = Field(description="benign or malignant, where the class says so.")


class Limits(BaseModel):
    """What a request may hold."""

    max_bytes: int = Field(description="Of one photograph's file.")
    max_body: int = Field(description="Of one request, bytes.")
    max_pixels: int = Field(description="Of one photograph.")
    max_files: int = Field(description="Of one request.")


class ExplainAbility(BaseModel):
    """Whether the model can be explained."""

    available: bool = Field(description="Whether /v1/explain answers.")
    method: str | None = Field(description="gradcam, attention or occlusion.")
    reason: str | None = Field(description="Why it does not answer.")


class ModelAnswer(BaseModel):
    """The model that answers."""

    name: str = Field(description="Of its recipe.")
    digest: str = Field(description="Tells two models or sets of rules apart.")
    version: str = Field(description="Of magnostic.")
    task: str = Field(description="binary, subtype or label.")
    classes: list[ClassAnswer] = Field(description="In the order of probabilities.")
    input_height: int = Field(description="Of the network's input, pixels.")
    input_width: int = Field(description="Of the network's input, pixels.")
    fit: str = Field(description="How a photograph becomes an input: squeeze, crop or pad.")
    engine: str = Field(description="What computes.")
    batch_size: int = Field(description="Photographs that are computed at once.")
    calibrated: bool = Field(description="Whether temperature, sets and thresholds were fitted.")
    temperature: float = Field(description="1 where none was fitted.")
    level: float = Field(description="Probability that a conformal set promises.")
    certifiable: bool = Field(description="Whether there were enough patients for that promise.")
    vacuous: bool = Field(
        description="Whether the promise is kept by sets of all classes alone, which say nothing."
    )
    far: float = Field(description="Distance beyond which a photograph is far.")
    points: dict[str, float] = Field(description="Operating points: name and threshold.")
    columns: list[str] = Field(description="Of the table that `magnostic predict` writes.")
    limits: Limits = Field(description="What a request may hold.")
    explain: ExplainAbility = Field(description="Whether the model can be explained.")
    research_use_only: Literal[True] = Field(description="Nothing here is a medical device.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = Field(description="Always alive.")


class Ready(BaseModel):
    """Photographs are taken."""

    status: Literal["ready"] = Field(description="Always ready; 503 where it is not.")


_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def patients_question(classes: tuple[str, ...]) -> type[BaseModel]:
    """The body of ``POST /v1/patients`` for a model of these classes."""
    shares: Any = {
        f"p_{n}": (Share, Field(alias=name, description=f"Calibrated probability of {name}."))
        for n, name in enumerate(classes)
    }
    probabilities = create_model(
        "Probabilities", __config__=_STRICT, __doc__="One for each class of the model.", **shares
    )
    image: Any = {
        "patient_id": (
            str, Field(min_length=1, max_length=128, description="Of the photograph's patient.")
        ),
        "review": (bool, Field(description="As in the prediction; true where there is none.")),
        "predicted": (
            Literal[classes] | None, Field(description="As in the prediction; null without one.")
        ),
        "probabilities": (
            probabilities | None,
            Field(
                description="As in the prediction, divided here by their sum (where that is 0: "
                "equal ones); null: the photograph could not be read."
            ),
        ),
    }  # fmt: skip
    of_patient = create_model(
        "PatientImage", __config__=_STRICT, __doc__="What was said of one photograph.", **image
    )
    images: Any = {
        "images": (
            list[of_patient],  # type: ignore[valid-type]
            Field(min_length=1, max_length=20_000, description="Of any number of patients."),
        )
    }
    return create_model(
        "PatientsQuestion", __config__=_STRICT, __doc__="Photographs of patients.", **images
    )


def form(
    files: str, limit: int, about: str, texts: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The request body of a multipart form, for ``openapi_extra``.

    Args:
        files: field of the photographs; ``limit`` of them at most, 1: a single one.
        about: what the field says of itself.
        texts: schema of each other field.
    """
    one = {"type": "string", "format": "binary"}
    field: dict[str, Any] = (
        {**one, "description": about} if limit == 1 else
        {"type": "array", "items": one, "minItems": 1, "maxItems": limit, "description": about}
    )  # fmt: skip
    schema = {
        "type": "object",
        "properties": {files: field, **(texts or {})},
        "required": [files],
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }
