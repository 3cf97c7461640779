"""What a run came from: versions and hashes, so that anyone can make it again."""

import hashlib
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from sim import catalog
from sim.deployment import Deployment


def provenance(scenario_sha256: str, deployments: Sequence[Deployment], warnings: Sequence[str]) -> dict[str, str]:
    """Describe a run made now. `warnings` go into its report, one a line."""
    return {
        "date": datetime.now().strftime("%Y%m%d-%H%M%S"),
        "trilemma_version": version("trilemma"),
        "commit": _commit(),
        "scenario_sha256": scenario_sha256,
        "catalogue_sha256": catalog.catalogue_sha256(),
        "step_time": "; ".join(sorted({one.step_time.label for one in deployments})),
        "step_cost_sha256": _cost_sha256(deployments),
        "warnings": "\n".join(warnings),
    }


def _commit() -> str:
    """Commit of the checkout that the code runs from; "" for an installed package."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _cost_sha256(deployments: Sequence[Deployment]) -> str:
    """Hash of every pool's step times, whatever they were made from."""
    digest = hashlib.sha256()
    for one in deployments:
        for part in one.cost:
            digest.update(repr(part).encode() if isinstance(part, int) else part.tobytes())
    return digest.hexdigest()
