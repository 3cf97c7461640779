"""Flexibility: the share of goodput that a fleet keeps under stress when nobody touches it, and how soon it is back.

The share of the requests sent that are good, under stress over without, in each replication; 0 to 1, since serving
more than before is no gain. A design's flexibility is the mean over the stresses that apply to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sim.errors import InputError
from sim.report.recovery import AS_GOOD, HOLD_NS
from sim.result import Measures
from sim.stats import Interval, t_interval
from sim.study.evaluation import Design, Evaluation, evaluate
from sim.study.stress import Stress, stresses
from sim.units import NS_PER_S

Evaluate = Callable[[Design], Evaluation]

_STRUCK = ("node lost", "spot reclaim", "second model")
"""Stresses from which there is something to recover."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a design keeps under one stress."""

    stress: str
    by_replication: tuple[float, ...]
    """Share of goodput, 0 to 1; empty if the stress does not apply."""
    minutes_to_recover: float | None
    """None if it did not recover in the time of the traffic, or there was nothing to recover from."""
    recovered: bool | None
    """None if there was nothing to recover from."""
    remark: str = ""
    """Why it does not apply, or why nothing is kept: one sentence."""

    @property
    def applies(self) -> bool:
        """Whether the stress counts."""
        return bool(self.by_replication)

    @property
    def share(self) -> Interval:
        """Mean over the replications; without a mean if the stress does not apply."""
        return _shares(self.by_replication)


@dataclass(frozen=True, slots=True)
class Flexibility:
    """How a design takes the whole stress set."""

    kept: tuple[Kept, ...]
    """One a stress, in the order of sim/study/stress.py."""
    by_replication: tuple[float, ...]
    """Mean over the stresses that apply."""

    @property
    def mean(self) -> Interval:
        """0 to 1, with the interval over replications."""
        return _shares(self.by_replication)

    @property
    def minutes_to_recover(self) -> float | None:
        """The longest of those that are known."""
        return max((one.minutes_to_recover for one in self.kept if one.minutes_to_recover is not None), default=None)

    @property
    def not_recovered(self) -> tuple[str, ...]:
        """Stresses from which it did not recover in the time of the traffic."""
        return tuple(one.stress for one in self.kept if one.recovered is False)


def flexibility(
    design: Design,
    second_model: str | None = None,
    base: Evaluation | None = None,
    evaluate: Evaluate = evaluate,
) -> Flexibility:
    """Simulate a design under every stress that applies to it: up to seven times as much work as the design itself.

    Args:
        design: what is stressed.
        second_model: with which the fleet is restarted; None: that stress does not apply.
        base: the design without stress, if it has been evaluated.
        evaluate: simulates a design.

    Raises:
        InputError: the design itself cannot be built.
    """
    found = stresses(design, second_model)
    usual = base or evaluate(design)
    return judge(usual, [(one, None if one.design is None else _attempt(evaluate, one.design)) for one in found])


def judge(usual: Evaluation, found: Sequence[tuple[Stress, Evaluation | str | None]]) -> Flexibility:
    """Hold stressed evaluations against the one without stress.

    Args:
        usual: without stress.
        found: for each stress what it came to, why it could not be built, or None where it does not apply.
    """
    shares = [_good_share(classes) for classes in usual.classes]
    kept = tuple(_kept(stress, outcome, shares) for stress, outcome in found)
    rows = [one.by_replication for one in kept if one.applies]
    return Flexibility(kept, tuple(sum(column) / len(rows) for column in zip(*rows, strict=True)))


def _attempt(evaluate: Evaluate, design: Design) -> Evaluation | str:
    try:
        return evaluate(design)
    except InputError as error:
        return str(error)


def _kept(stress: Stress, outcome: Evaluation | str | None, usual: Sequence[float]) -> Kept:
    if outcome is None:
        return Kept(stress.name, (), None, None, stress.why_not)
    if isinstance(outcome, str):
        return Kept(stress.name, (0.0,) * len(usual), None, False, outcome)
    stressed = [_good_share(classes) for classes in outcome.classes]
    shares = tuple(min(one / before, 1.0) if before else 0.0 for one, before in zip(stressed, usual, strict=True))
    minutes, recovered = _recovery(stress.name, outcome.summary, sum(usual) / len(usual))
    return Kept(stress.name, shares, minutes, recovered)


def _good_share(classes: Sequence[Measures]) -> float:
    """Good requests over those that were sent, of all classes."""
    good = sum(one["good"] or 0 for one in classes)
    sent = sum(one[key] or 0 for one in classes for key in ("completed", "failed", "in_flight"))
    return good / sent if sent else 0.0


def _recovery(name: str, summary: Mapping[str, Any], usual: float) -> tuple[float | None, bool | None]:
    """Minutes to recover, and whether it did: from incidents as sim/report/recovery.py has it, else from the start."""
    if name not in _STRUCK or summary["goodput"] is None:
        return None, None
    if name == "second model":
        minutes = _minutes_from_start(summary["goodput"], usual)
        return minutes, minutes is not None
    found = summary["recovery"]
    if not found["incidents"]:
        return None, None
    recovered = found["recovered"] == found["incidents"]
    return found["longest_minutes"] if recovered else None, recovered


def _minutes_from_start(goodput: Mapping[str, Any], usual: float) -> float | None:
    """When the first minute begins in which the share of good requests is as good as usual, on average."""
    good, sent = goodput["good"]["mean"], goodput["sent"]["mean"]
    width = goodput["width_s"]
    hold = max(HOLD_NS // NS_PER_S // width, 1)
    for start in range(len(sent)):
        there = slice(start, start + hold)
        if sum(sent[there]) and sum(good[there]) >= AS_GOOD * usual * sum(sent[there]):
            return float(start * width / 60)
    return None


def _shares(values: Sequence[float]) -> Interval:
    """The t interval of shares, which does not leave 0 to 1."""
    found = t_interval(values)
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))
