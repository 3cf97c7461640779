"""Jobs for GPU nodes that run a campaign: files to submit, and to change first where their comments say so."""

from pathlib import Path
from typing import Literal

Job = Literal["slurm", "kubernetes", "skypilot", "ray"]
"""What submits it."""

FOLDER = Path(__file__).parent / "jobs"
FILES: dict[Job, str] = {
    "slurm": "slurm.sh",
    "kubernetes": "kubernetes.yaml",
    "skypilot": "skypilot.yaml",
    "ray": "ray.sh",
}
_PLAN = "h100-first"
"""The plan that the files name."""


def job(kind: Job, plan: str) -> str:
    """Return the text of a job that runs `plan`, a name or path that the node will know."""
    return (FOLDER / FILES[kind]).read_text(encoding="utf-8").replace(_PLAN, plan)
