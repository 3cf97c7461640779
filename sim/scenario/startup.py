"""From the wish for a replica to its first answer: the stages of a start, and how long each takes."""

from pydantic import Field

from sim.scenario.base import Block, PositiveSeconds
from sim.scenario.duration import Duration


class Startup(Block):
    """Stages in their order; what is left out is the catalogue's (sim/catalog/startup.yaml).

    A new node takes provision, boot and image; a replica on a node that is there takes process, weights, compile and
    warm. Weights read from the store share its link fairly; those read again on the same node come from its own disk.
    """

    preset: str = "default"
    """Catalogue id of a set of stage times."""
    measured: str | None = None
    """Path of a startup.json that `trilemma startup` saved: its starts give process, compile and warm, in turn."""
    provision: Duration | None = None
    """From the request to a running instance."""
    boot: Duration | None = None
    """From a running instance to a node that takes containers."""
    image: Duration | None = None
    """Pulling the container image, once a node."""
    process: Duration | None = None
    """From the start of the process to the engine: Python, imports."""
    compile: Duration | None = None
    """torch.compile and CUDA graphs."""
    warm: Duration | None = None
    """Profiling, KV cache, warm-up."""
    store_gb_per_s: PositiveSeconds | None = None
    """Link from the weight store to the whole fleet, 1e9 bytes a second, shared fairly by all that load at once."""
    node_gb_per_s: PositiveSeconds | None = None
    """Most that one replica can take from the store."""
    disk_gb_per_s: PositiveSeconds | None = None
    """Reading weights that the node has already."""
    cold: bool = Field(default=False)
    """The fleet starts at 0 s from nothing; otherwise it is ready then."""
    cold_nodes: bool = True
    """With `cold`: nodes are asked for and booted too; false: they are there, and only engines start, as in a restart
    with another model."""
