"""One tiny run behind the application, in this process and on loopback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from magnostic.data import Images
from magnostic.deploy.server import Models, Settings, create_app, load_models

sys.path.insert(0, str(Path(__file__).parents[3] / "bench" / "faults"))

from _answering import answering

LOCAL = "http://127.0.0.1"


@pytest.fixture(scope="session")
def models(tiny_run: Path) -> Models:
    return load_models(tiny_run, engine="torch")


@pytest.fixture(scope="session")
def photographs(tiny_images: Images) -> list[Path]:
    return [Path(path) for path in tiny_images.table["path"]]


@pytest.fixture(scope="session")
def same(models: Models) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Asserts that a prediction of the API is a row of the predictor, to the last digit."""
    rules = models.predictor.rules
    plain = ("confidence", "answered", "review", "width", "height", "contrast", "sharpness",
             "distance")  # fmt: skip

    def check(said: dict[str, Any], row: dict[str, Any]) -> None:
        assert said["predicted"] == row["y_pred"]
        assert {name: said[name] for name in plain} == {name: row[name] for name in plain}
        assert said["probabilities"] == {c: row[f"p_{c}"] for c in rules.classes}
        assert (None if said["set"] is None else "|".join(said["set"])) == row["set"]
        assert ("|".join(said["reasons"]) or None) == row["reasons"]
        assert said["points"] == {n: row[f"{rules.positive_name}_{n}"] for n in rules.points}

    return check


@pytest.fixture(scope="session")
def client(models: Models) -> Iterator[TestClient]:
    with TestClient(create_app(models, Settings()), base_url=LOCAL) as found:
        yield found


@pytest.fixture(scope="session")
def running() -> Callable[[ASGIApp], contextlib.AbstractContextManager[str]]:
    """A function that runs an application on loopback."""
    return answering


@pytest.fixture(scope="session")
def serving(models: Models) -> Callable[[Settings], contextlib.AbstractContextManager[str]]:
    """A function that runs a server with these settings on loopback."""
    return lambda settings: answering(create_app(models, settings))


@pytest.fixture(scope="session")
def address(
    serving: Callable[[Settings], contextlib.AbstractContextManager[str]],
) -> Iterator[str]:
    """A server with the usual settings on loopback."""
    with serving(Settings()) as found:
        yield found
