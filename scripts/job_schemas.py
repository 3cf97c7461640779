"""Record what SkyPilot and Ray accept, for the tests of harness/jobs: both are too heavy to install for that alone.

In an environment of its own: pip install skypilot 'ray[default]', then python scripts/job_schemas.py.
"""

import json
from pathlib import Path

import ray
import sky
from ray.dashboard.modules.job.cli import submit
from sky.utils import schemas

OUT = Path(__file__).resolve().parents[1] / "tests" / "golden" / "jobs"


def main() -> None:
    """Write tests/golden/jobs/skypilot.json and ray.json."""
    skypilot = {
        "version": sky.__version__,
        "task": schemas.get_task_schema(),
        "resources": schemas.get_resources_schema(),
        "storage": schemas.get_storage_schema(),
    }
    options = {name: not getattr(one, "is_flag", False) for one in submit.params for name in one.opts}
    options.pop("entrypoint")
    submits = {"version": ray.__version__, "takes_a_value": options}
    for name, data in (("skypilot", skypilot), ("ray", submits)):
        (OUT / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
