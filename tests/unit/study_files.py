"""Studies small enough to sweep within a second or two."""

from tests.unit.small_fleet import scenario

SCENARIO = scenario({}, slo={"ttft_ms": 100, "tpot_ms": 20}, run={"replications": 3})
STUDY = """
schema_version: 1
name: small
scenario: small.yaml
designs:
  - {name: h100, set: {fleet.0.gpu: h100-sxm-80gb}}
  - {name: a100, set: {fleet.0.gpu: a100-sxm-80gb}}
grid:
  fleet.0.replicas: [1, 2]
  workload.arrivals.request_rate: [20, 40]
baseline: {name: h100}
"""


def write(folder, study=STUDY):
    """Write the scenario and a study; return the study's path."""
    (folder / "small.yaml").write_text(SCENARIO.model_dump_json(exclude_defaults=True))  # JSON is YAML
    (folder / "study.yaml").write_text(study)
    return folder / "study.yaml"
