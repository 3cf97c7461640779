"""Claims on replicas."""

from collections.abc import Mapping

from sim.audit.influence import Answerer

ANSWERS: Mapping[str, Answerer] = {}
