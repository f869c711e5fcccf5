"""A stored model behind HTTP on the machine's own address, and a page to use it with.

    app = create_app(load_models(Path("runs/first")), Settings())

Research use only.
"""

from magnostic.deploy.server.app import create_app
from magnostic.deploy.server.models import Models, load_models
from magnostic.deploy.server.settings import Settings

__all__ = ["Models", "Settings", "create_app", "load_models"]
