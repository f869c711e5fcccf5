"""``magnostic serve``: a stored model behind HTTP, with a page to use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from magnostic.cli import options

if TYPE_CHECKING:
    from magnostic.deploy.server.settings import Settings

_VARIABLE = "MAGNOSTIC_API_KEY"


def serve(
    run: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: Path | None = None,
    max_bytes: int = 16 * 2**20,
    max_pixels: int = 25_000_000,
    engine: options.Engine = "auto",
    level: options.Level = 0.9,
) -> None:
    """Serve a run or an exported model: an API and a page in the browser.

    The page stands at /, the API's reference at /docs. Only this machine reaches the server unless
    --host says otherwise; give it an API key then. SIGTERM or Ctrl-C ends it once what is in flight
    is answered. Research use only.

    Parameters
    ----------
    run
        A run folder, one of its models (RUN/final), or the folder of an exported model.
    host
        Address to listen on; 0.0.0.0: all of this machine.
    port
        0: one that is free.
    api_key_file
        File with the key that clients must send as `Authorization: Bearer KEY`; by default the
        variable MAGNOSTIC_API_KEY, where it is set.
    max_bytes
        Of one photograph's file.
    max_pixels
        Of one photograph; looked up before it is decoded.
    """
    from magnostic import web
    from magnostic.errors import MissingExtra
    from magnostic.progress import say

    try:
        import fastapi
        import prometheus_client
        import python_multipart
        import uvicorn
    except ImportError as error:
        raise MissingExtra("serve", str(error.name)) from None
    del fastapi, prometheus_client, python_multipart, uvicorn
    from magnostic.deploy.server import Settings, create_app, load_models
    from magnostic.deploy.server.listen import serve as answer

    settings = Settings(
        host=host, port=port, api_key=_key(api_key_file), max_bytes=max_bytes, max_pixels=max_pixels
    )
    with web.listen(host, port) as listener:  # before the networks are loaded, which takes longer
        models = load_models(run, engine=engine, level=level)
        say(f"model {models.predictor.about.name}, engine {models.predictor.engine.name}")
        if models.explainer is None:
            say(f"no explanations: {models.reason}")
        _warn(settings)
        app = create_app(models, settings)
        answer(app, listener, host, lambda url: print(f"{url} (Ctrl-C ends)", flush=True))


def _key(path: Path | None) -> str | None:
    from magnostic.errors import BadInput

    if path is None:
        return os.environ.get(_VARIABLE)
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--api-key-file {path}: cannot be read ({error})") from None
    if not key:
        raise BadInput(f"--api-key-file {path}: is empty; write a key into it")
    return key


def _warn(settings: Settings) -> None:
    from magnostic.progress import say

    if settings.loopback:
        return
    if settings.api_key is None:
        say(
            f"warning: {settings.host} can be reached by other machines, and there is no API key: "
            f"give --api-key-file or set {_VARIABLE}"
        )
    say(
        "warning: what is sent is not encrypted; put a server that speaks HTTPS before this one "
        "where others share the network"
    )
