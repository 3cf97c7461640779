"""Stages of a start: from the scenario, from a measurement, from the catalogue."""

import json
from statistics import median

import pytest
import simpy

from sim.deployment import deploy
from sim.errors import InputError
from sim.fleet.startup import StartTimes
from sim.scenario.startup import Startup
from sim.streams import stream
from sim.units import NS_PER_S
from tests.unit.small_fleet import scenario
from tests.unit.under_fire import fire, stages

WEIGHTS = 2 * 6_910_365_696
"""Bytes of DeepSeek-LLM-7B: its parameters (model card), two bytes each."""
STARTS = [
    {
        "process_s": 3.0,
        "weights_s": 4.0,
        "model_s": 5.0,
        "compile_s": 7.0,
        "graph_capture_s": 2.0,
        "healthy_s": 20.0,
    },
    {
        "process_s": 4.0,
        "weights_s": 4.0,
        "model_s": None,
        "compile_s": None,
        "graph_capture_s": 1.5,
        "healthy_s": 12.0,
    },
]
"""As a cold and a warm start of `trilemma startup`: the second one's log says less."""


def times(folder, **spec) -> StartTimes:
    case = scenario({})
    return StartTimes(simpy.Environment(), Startup(**spec), deploy(case, folder), folder, stream(0, 0, "startup"))


def save(folder, content) -> str:
    (folder / "startup.json").write_text(json.dumps(content))
    return "startup.json"


def seconds(draw, count: int) -> list[float]:
    return [draw() / NS_PER_S for _ in range(count)]


def test_what_is_left_out_is_the_catalogues(tmp_path):
    """Of the default preset: medians of 20 s to provision, 169 s for the image; sigma 0.2."""
    drawn = times(tmp_path, boot={"kind": "fixed", "s": 5.0})
    assert seconds(drawn.boot, 2) == [5.0, 5.0]
    assert median(seconds(drawn.provision, 4000)) == pytest.approx(20, rel=0.02)
    assert median(seconds(drawn.image, 4000)) == pytest.approx(169, rel=0.02)


def test_weights_are_two_bytes_a_parameter_and_a_disk_reads_them_alone(tmp_path):
    drawn = times(tmp_path, disk_gb_per_s=2.0)
    assert drawn.weights == [WEIGHTS]
    assert drawn.from_disk(0) == WEIGHTS // 2


def test_measured_starts_are_taken_in_turn_and_the_rest_of_healthy_is_warm_up(tmp_path):
    """Cold: 20 - 3 - 5 - (7 + 2) = 3 s. Warm: 12 - 4 - 4 (weights, for want of the model) - 1.5 = 2.5 s."""
    drawn = times(tmp_path, measured=save(tmp_path, {"starts": STARTS}))
    assert seconds(drawn.process, 5) == [3, 4, 3, 4, 3]
    assert seconds(drawn.compile, 3) == [9, 1.5, 9]
    assert seconds(drawn.warm, 3) == [3, 2.5, 3]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        ({"starts": []}, "found no start"),
        ({"runs": []}, "found other content"),
        ({"starts": [{"process_s": "long"}]}, "found other content"),
    ],
)
def test_a_bad_measurement_is_one_sentence(tmp_path, content, fault):
    path = "startup.json" if content is None else save(tmp_path, content)
    with pytest.raises(InputError, match=f"startup.measured: .*startup.json: .*{fault}"):
        times(tmp_path, measured=path)


def test_a_start_is_its_stages_in_turn(tmp_path):
    """A cold fleet: 1 + 2 + 3 s for the node, 4 s of process, 2 s of weights, 5 + 6 s; nothing is random."""
    starts = stages(provision=1, boot=2, image=3, process=4, compile=5, warm=6)
    link = {"cold": True, "store_gb_per_s": WEIGHTS / 1e9, "node_gb_per_s": WEIGHTS / 2e9}
    late = {"num_prompts": 15, "arrivals": {"kind": "constant", "request_rate": 0.5}}
    seen = fire(late, fleet=[{"pool": "a", "gpu": "h100-sxm-80gb"}], startup=starts | link)
    assert [(state.name, at) for at, state in seen.life()] == [
        ("REQUESTED", 0),
        ("BOOTING", 1),
        ("IMAGE", 3),
        ("STARTING", 6),
        ("LOADING", 10),
        ("COMPILING", 12),
        ("WARMING", 17),
        ("READY", 23),
    ]
    assert seen.one.leases.start_ns.tolist() == [NS_PER_S], "the instance is paid for from when it runs"
