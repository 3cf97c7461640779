"""`trilemma plan`: the cheapest fleets that keep a scenario's SLO."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.scenario.load import Loaded, load
from sim.scenario.writing import to_yaml
from sim.shipped import find_scenario
from sim.study import plan_words as words
from sim.study.plan import Fleet, Plan
from sim.study.plan import plan as find
from sim.study.plan_none import why_none
from ui.commands.simulating import simulating
from ui.console_plan import print_plan
from ui.files import check_json, write_atomically, write_json
from ui.vllm_serve import serve_command

NO_PLAN = 3
"""Exit code, that of an SLO that is missed."""

_NUMBERS = ("offered_rate", "p99_ttft_ms", "p99_tpot_ms", "usd_per_hour", "usd_per_1k_good_requests")


def plan(
    name: str,
    sets: Sequence[str],
    variant: str | None,
    *,
    gpus: Sequence[str],
    markets: Sequence[str],
    sizes: Sequence[int],
    most: int,
    confidence: float,
    json_to: str | None,
    out: Path | None,
    workers: int | None,
    quiet: bool,
) -> int:
    """Find the plan, print it and write its scenario files; return the exit code.

    Raises:
        InputError: the user's mistake, in one sentence.
    """
    _check(most, confidence, sizes)
    check_json(json_to)
    source = find_scenario(name)
    folder = _folder(out or default_folder(load(source, sets, variant)))
    with simulating(workers, quiet=quiet) as simulate:
        found = find(
            source,
            sets,
            variant,
            simulate,
            gpus=gpus,
            sizes=sizes,
            markets=markets,
            most=most,
            confidence=confidence,
        )
    commands = {one.kind.name: _command(one) for one in found.fleets}
    files = write_scenarios(found, commands, folder)
    if json_to is not None:
        write_json(json_to, to_json(found, commands, files))
    if json_to != "-":
        print_plan(found, commands, files)
    return 0 if found.fleets else NO_PLAN


def default_folder(loaded: Loaded) -> Path:
    """Return runs/plan-<name>-<seed>-<first 8 hex digits of the scenario's SHA-256>."""
    scenario = loaded.scenario
    return Path("runs") / f"plan-{scenario.name}-{scenario.run.seed}-{loaded.sha256[:8]}"


def write_scenarios(found: Plan, commands: Mapping[str, str], folder: Path) -> list[Path]:
    """Write a scenario file for each fleet, in their order; `trilemma run` gives the plan's numbers.

    Raises:
        InputError: the place cannot be written.
    """
    files = []
    for rank, one in enumerate(found.fleets, start=1):
        design = one.evaluation.design
        loaded = load(design.source, design.settings, design.variant)
        path = folder / f"{rank}-{one.replicas}x{one.kind.gpus}-{one.kind.gpu}-{one.offer.market}.yaml"
        comment = f"{words.name(one)}, a plan for {found.loaded.source.name}\n{commands[one.kind.name]}"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_yaml(loaded, comment), "--out")
        files.append(path)
    return files


def to_json(found: Plan, commands: Mapping[str, str], files: Sequence[Path]) -> dict[str, Any]:
    """The plan as JSON data: all that is printed, with intervals as numbers."""
    return {
        "scenario": str(found.loaded.source),
        "confidence": found.confidence,
        "headline": words.headline(found) if found.fleets else None,
        "headline_without_reclaims": words.headline_without_reclaims(found) if found.fleets else None,
        "fleets": [
            _fleet(one) | {"vllm_serve": commands[one.kind.name], "scenario_file": str(path)}
            for one, path in zip(found.fleets, files, strict=True)
        ],
        "moves": [asdict(move) | {"sentence": move.sentence} for move in words.moves(found)] if found.fleets else [],
        "bottleneck": words.bottleneck(found) if found.fleets else None,
        "notes": words.notes(found),
        "why_none": [] if found.fleets else why_none(found),
        "missed_with_reclaims": [_fleet(one) for one in found.missed],
        "dearer": [
            {
                "replica": one.kind.name,
                "market": one.offer.market,
                "at_least_replicas": one.at_least,
                "at_least_usd_per_hour": one.usd_per_hour,
            }
            for one in found.beaten
        ],
        "too_slow": [{"replica": kind.name, "most_good": min(kind.alone.good)} for kind in found.hopeless],
        "not_enough": [{"replica": kind.name, "replicas": found.most} for kind, _ in found.too_small],
        "unfit": [asdict(one) for one in found.unfit],
        "unpriced": {market: list(gpus) for market, gpus in found.unpriced},
        "simulations": found.simulations,
    }


def _fleet(one: Fleet) -> dict[str, Any]:
    return {
        "fleet": words.name(one),
        "gpu": one.kind.gpu,
        "tensor_parallel_size": one.kind.tensor_parallel_size,
        "gpus_per_replica": one.kind.gpus,
        "market": one.offer.market,
        "replicas": one.replicas,
        "needed": one.needed,
        "list_usd_per_hour": one.usd_per_hour,
        "shares": [asdict(share) for share in one.shares],
        "values": {key: one.evaluation.summary["values"][key] for key in _NUMBERS},
        "scenario_sha256": one.evaluation.sha256,
    }


def _check(most: int, confidence: float, sizes: Sequence[int]) -> None:
    if most < 1 or most > 10_000:
        raise InputError(f"--max-replicas {most}: expected 1 to 10000")
    if not 0.5 <= confidence < 1:
        raise InputError(f"--confidence {confidence:g}: expected a share from 0.5 to below 1, for example 0.95")
    for size in sizes:
        if size < 1:
            raise InputError(f"--tp {size}: expected at least 1")


def _folder(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: found a file, expected a folder or a free name")
    return out


def _command(one: Fleet) -> str:
    """The line that starts a replica, or why there is none."""
    try:
        design = one.evaluation.design
        loaded = load(design.source, design.settings, design.variant)
        return serve_command(loaded.scenario, loaded.base_dir)
    except InputError as error:
        return f"no vllm serve line: {error}"
