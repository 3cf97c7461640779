"""Why there is no plan, or why a candidate is none, in sentences, and what would help."""

import math

from sim.study.candidates import Kind
from sim.study.plan import Plan
from sim.study.plan_words import fleet, missing, name


def why_none(plan: Plan) -> list[str]:
    """Why no fleet keeps the SLO, and what would help."""
    found = []
    if plan.hopeless:
        found += _hopeless(plan)
    for kind, one in plan.too_small:
        found.append(
            f"{fleet(plan.most, kind)} are not enough: {missing(plan, one)}. More replicas (--max-replicas) or less "
            "load would help."
        )
    for missed in plan.missed:
        found.append(f"{name(missed)} misses the SLO when its nodes are taken back; more over_provision would help.")
    if not (plan.hopeless or plan.too_small or plan.missed):
        what = "fits the model" if plan.unfit else "has a price"
        found.append(f"None of the GPUs asked for {what}.")
    return found


def too_slow(plan: Plan, kind: Kind) -> str:
    """Why a kind is given up before it is simulated."""
    most = f"{kind.name}: at most {100 * min(kind.alone.good):.1f} % of the requests can be good, however many replicas"
    if not all(kind.alone.needed_ms):
        return f"{most}: {100 * kind.alone.rejected:.1f} % exceed max_model_len."
    return f"{most}; {_too_tight(plan, kind)}."


def cannot_be(plan: Plan) -> list[str]:
    """Candidates that do not fit, or have no price."""
    small = [f"{one.tensor_parallel_size} x {one.gpu}" for one in plan.unfit if "does not fit" in one.sentence]
    found = [f"Too small for the model: {', '.join(small)}."] if small else []
    found += [one.sentence for one in plan.unfit if "does not fit" not in one.sentence]
    found += [
        f"No price {market.replace('_', ' ')}, in the scenario or the catalogue: {', '.join(gpus)}."
        for market, gpus in plan.unpriced
    ]
    return found


def _hopeless(plan: Plan) -> list[str]:
    best = max(plan.hopeless, key=lambda kind: min(kind.alone.good))
    shut_out = [aim for aim, needed in zip(plan.aims, best.alone.needed_ms, strict=True) if not needed]
    if shut_out:
        rejected = best.alone.rejected
        return [
            f"{100 * rejected:.1f} % of the requests exceed max_model_len with prompt + max_tokens and are rejected: "
            f"no fleet can make {shut_out[0].percentile:g} % of them good. A slo.percentile of at most "
            f"{math.floor(1000 * (1 - rejected)) / 10:g} or a model with a longer context would help."
        ]
    return [
        f"Even idle replicas are too slow. On {best.name}, which come closest, {_too_tight(plan, best)}; "
        f"{100 * min(best.alone.good):.1f} % of the requests can be good. Higher limits, faster GPUs or a larger "
        "tensor_parallel_size would help; more replicas would not."
    ]


def _too_tight(plan: Plan, kind: Kind) -> str:
    """Which limits of the SLO an idle replica cannot keep."""
    words = {"ttft": "prefill alone takes", "tpot": "one decode step takes"}
    told = []
    for aim, needed in zip(plan.aims, kind.alone.needed_ms, strict=True):
        whose = f" of class {aim.name}" if len(plan.aims) > 1 else ""
        tight = {key: ms for key, ms in needed.items() if ms > aim.limits_ms[key]}
        told += [
            f"{words.get(key, f'{key.upper()} is')} {ms:,.0f} ms for enough requests{whose} to be good ({key}_ms is "
            f"{aim.limits_ms[key]:g})"
            for key, ms in tight.items()
        ]
    return " and ".join(told) or "no limit is kept by enough requests that keep the others"
