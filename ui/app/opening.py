"""What the server asks itself before anybody has come: the first answers of the page that opens first."""

from ui.app.bar import scene_of
from ui.app.designs import design, own_kind
from ui.app.jobs import evaluation, task, workshop
from ui.app.planning import planned


def begin() -> None:
    """Start the workers, and let them simulate the embedded default."""
    scene = scene_of("")
    coarse, refined = (design(scene, own_kind(scene), scene.bar.replicas, coarse=one) for one in (True, False))
    workshop().ask("opening", "own", [evaluation(coarse), task(planned, coarse), evaluation(refined)])
