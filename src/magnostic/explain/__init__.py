"""What a stored model looks at: relevance of every pixel, and whether that can be believed.

    explainer = Explainer.load(Path("runs/first"))
    explanation = explainer.explain(pixels)

Research use only.
"""

from magnostic.deploy.distance import Neighbour
from magnostic.explain.explainer import Explainer, Explanation
from magnostic.explain.picture import heat_png, on_photograph, within

__all__ = ["Explainer", "Explanation", "Neighbour", "heat_png", "on_photograph", "within"]
