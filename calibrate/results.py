"""End-to-end results as points to fit: runs that `trilemma measure` saved, and plain `vllm bench serve` JSON."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from calibrate import realrun
from calibrate.points import Bench, Point, Prediction
from sim.calibration import Metric, Residuals
from sim.errors import InputError
from sim.report.bench import BenchResult
from sim.scenario.load import Loaded
from sim.scenario.scenario import Scenario
from sim.scenario.sentences import sentence
from sim.scenario.steptime import Roofline
from sim.scenario.workload import ClosedLoop, Constant, Gamma, Poisson, Synthetic, Trace
from sim.steptime.efficiency import Efficiency
from sim.units import NS_PER_MS
from sim.workload.draw import draw

LENGTHS_DIFFER = 0.05
"""Share by which the tokens that were sent may differ from the scenario's."""
CONFIGURATION = "configuration"
"""Groups repeats of the same configuration: they are held out together."""


@dataclass(frozen=True, slots=True)
class Result:
    """One measured result and what served it."""

    path: Path
    point: Point
    version: str | None
    """Of vLLM; None where the result does not say."""
    date: str
    replication: int


class Served(Bench):
    """Serves a result's own requests; factors by size that steps have left over stay as they are."""

    def __init__(self, result: Result, residuals: Residuals | None = None) -> None:
        """Resolve the result's scenario.

        Raises:
            InputError: it cannot be built.
        """
        super().__init__(result.point)
        scenario = result.point.loaded.scenario
        if result.replication:
            self._requests = draw(scenario, scenario.run.seed, result.replication, result.point.loaded.base_dir)
        self._residuals = residuals

    def predict(self, efficiency: Efficiency, residuals: Residuals | None = None) -> Prediction:
        """Serve the requests."""
        return super().predict(efficiency, residuals or self._residuals)


def read(path: Path, scenario: Loaded | None) -> Result:
    """Read a measured run (a directory) or a bench result (a file, of which `scenario` says what was served).

    Raises:
        InputError: it cannot be read, or a bench result comes without its scenario.
    """
    if path.is_dir():
        return _from_run(path)
    if scenario is None:
        raise InputError(f"{path}: expected --scenario FILE beside a bench result, which says how it was served")
    return _from_bench(path, scenario)


def _from_run(path: Path) -> Result:
    run = realrun.read(path)
    try:
        scenario = Scenario.model_validate(run.scenario)
    except ValidationError as error:
        raise InputError(sentence(error, str(path / "scenario.json"))) from None
    seed, replication = int(run.server.get("seed", scenario.run.seed)), int(run.server.get("replication", 0))
    engine = scenario.engine.model_copy(update=_blocks(run.server))  # as many KV blocks as the server had
    run_block = scenario.run.model_copy(update={"seed": seed})
    scenario = scenario.model_copy(update={"run": run_block, "engine": engine})
    loaded = _loaded(scenario, path / "scenario.json")
    rows = np.flatnonzero(run.ok)
    if not len(rows):
        raise InputError(f"{path}: found no request that ended well, expected a run to calibrate from")
    drawn = draw(scenario, seed, replication, loaded.base_dir)
    _check_lengths(path, int(drawn.prompt_tokens[run.ok].sum()), int(run.prompt_tokens[rows].sum()))
    sent, first, last = (column[rows] / NS_PER_MS for column in (run.sent_ns, run.first_token_ns, run.last_token_ns))
    several = run.output_tokens[rows] > 1
    measured: dict[Metric, float] = {
        "ttft": float((first - sent).mean()),
        "e2el": float((last - sent).mean()),
        "request_throughput": len(rows) * 1000 / float(last.max() - sent.min()),
    }
    if several.any():
        measured["tpot"] = float(((last - first)[several] / (run.output_tokens[rows][several] - 1)).mean())
    return Result(
        path=path,
        point=Point(_words(scenario, path.name), loaded, measured, {CONFIGURATION: _configuration(scenario)}),
        version=str(run.server["vllm_version"]) if run.server.get("vllm_version") else None,
        date=str(run.server.get("started_utc", "undated"))[:10],
        replication=replication,
    )


def _blocks(server: Mapping[str, object]) -> dict[str, object]:
    found = {"num_gpu_blocks_override": server.get("num_gpu_blocks"), "block_size": server.get("block_size")}
    return found if all(isinstance(value, int) and value >= 2 for value in found.values()) else {}


def _from_bench(path: Path, served: Loaded) -> Result:
    result = _bench(path)
    scenario = _as_sent(path, result, served)
    measured = _means(path, result)
    loaded = _loaded(scenario, served.source)
    drawn = draw(scenario, scenario.run.seed, 0, loaded.base_dir)
    if result.completed == len(drawn):
        _check_lengths(path, int(drawn.prompt_tokens.sum()), result.total_input_tokens)
        _check_lengths(path, int(drawn.output_tokens.sum()), result.total_output_tokens)
    date = f"{result.date[:4]}-{result.date[4:6]}-{result.date[6:8]}"
    sent = (result.request_rate, result.max_concurrency, result.num_prompts, f"{result.total_input_tokens:.2g}")
    groups = {CONFIGURATION: " ".join(str(part) for part in sent)}
    return Result(path, Point(_words(scenario, path.stem), loaded, measured, groups), None, date, 0)


def _bench(path: Path) -> BenchResult:
    try:
        return BenchResult.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: expected the result of vllm bench serve, found {where}: {first['msg']}") from None


def _as_sent(path: Path, result: BenchResult, served: Loaded) -> Scenario:
    """The scenario with the rate, concurrency and number of requests of the result, or its very requests."""
    scenario = served.scenario
    listed = result.input_lens and result.output_lens and result.start_times and result.errors
    if listed and result.max_concurrency is None:
        workload: Trace | Synthetic = Trace(kind="trace", path=str(path.resolve()), format="vllm-bench")
        return scenario.model_copy(update={"workload": workload})
    if not isinstance(scenario.workload, Synthetic):
        raise InputError(f"{served.source}: workload: expected kind synthetic beside {path}, which lists no requests")
    if result.request_rate == 0 or result.max_concurrency == 0 or result.num_prompts < 1:
        raise InputError(f"{path}: found no load (request_rate, max_concurrency or num_prompts is 0), expected one")
    update: dict[str, object] = {"num_prompts": result.num_prompts}
    if result.max_concurrency is not None:
        update["arrivals"] = ClosedLoop(kind="closed_loop", concurrency=result.max_concurrency)
    elif result.request_rate != "inf":
        burstiness = result.burstiness or 1.0
        update["arrivals"] = Gamma(kind="gamma", request_rate=result.request_rate, burstiness=burstiness)
    return scenario.model_copy(update={"workload": scenario.workload.model_copy(update=update)})


def _means(path: Path, result: BenchResult) -> dict[Metric, float]:
    extra = result.model_extra or {}
    measured: dict[Metric, float] = {}
    names: tuple[Metric, ...] = ("ttft", "tpot", "e2el")
    for name in names:
        value = extra.get(f"mean_{name}_ms")
        if isinstance(value, int | float) and value > 0:
            measured[name] = float(value)
    if result.request_throughput:
        measured["request_throughput"] = result.request_throughput
    if result.ttfts and result.latencies and result.output_lens:
        measured |= _from_lists(result.ttfts, result.latencies, result.output_lens)
    if "ttft" not in measured or "tpot" not in measured:
        raise InputError(f"{path}: found no mean_ttft_ms and mean_tpot_ms, expected what vllm bench serve reports")
    return measured


def _from_lists(ttfts: Sequence[float], latencies: Sequence[float], output_lens: Sequence[int]) -> dict[Metric, float]:
    """Means from single requests: published columns of TPOT differ in what they divide by."""
    first, last, tokens = np.array(ttfts), np.array(latencies), np.array(output_lens)
    several = (tokens > 1) & (last > 0)
    if not several.any():
        return {}
    tpot = (last - first)[several] / (tokens[several] - 1)
    return {"tpot": 1000 * float(tpot.mean()), "e2el": 1000 * float(last[last > 0].mean())}


def _loaded(scenario: Scenario, source: Path) -> Loaded:
    """As if it had been read from `source`, with the roofline to be fitted."""
    scenario = scenario.model_copy(update={"step_time": Roofline(kind="roofline")})
    text = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    return Loaded(scenario, source, (), hashlib.sha256(text.encode()).hexdigest())


def _configuration(scenario: Scenario) -> str:
    """The same for repeats: everything but seed and replications."""
    text = json.dumps(scenario.model_dump(mode="json", exclude={"run", "name", "description"}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_lengths(path: Path, drawn: int, sent: int) -> None:
    if abs(drawn - sent) > LENGTHS_DIFFER * sent:
        raise InputError(
            f"{path}: found {sent:,} tokens, but its scenario draws {drawn:,}: expected the scenario that was measured"
        )


def _words(scenario: Scenario, name: str = "") -> str:
    """A configuration in a few words: which result or scenario, and what is sent how fast."""
    words = [name or scenario.name, f"TP{scenario.fleet[0].tensor_parallel_size}"]
    workload = scenario.workload
    if isinstance(workload, Synthetic):
        arrivals = workload.arrivals
        if isinstance(arrivals, ClosedLoop):
            words.append(f"{arrivals.concurrency} at once")
        elif isinstance(arrivals, Poisson | Gamma | Constant):
            words.append(f"{arrivals.request_rate:g} req/s")
    return " ".join(words)
