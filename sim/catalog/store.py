"""The catalogue's files: read once, when first asked for."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

FILES = (
    "accuracy.yaml",
    "devices.yaml",
    "discounts.yaml",
    "failures.yaml",
    "gpus.yaml",
    "links.yaml",
    "models.yaml",
    "nodes.yaml",
    "prices.yaml",
    "spot.yaml",
    "startup.yaml",
)


@cache
def _bytes(name: str) -> bytes:
    return files("sim.catalog").joinpath(name).read_bytes()


@cache
def entries(name: str) -> dict[str, dict[str, Any]]:
    """The entries of one catalogue file by id, in its order."""
    import yaml  # noqa: PLC0415  # only when the catalogue is read, so that importing it stays fast

    loaded: dict[str, dict[str, Any]] = yaml.load(_bytes(name), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return loaded


def sha256() -> str:
    """Hash of all files, for the provenance of a run."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(_bytes(name))
    return digest.hexdigest()
