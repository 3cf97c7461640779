"""Whether a design keeps its SLO, with the confidence that is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sim.scenario.scenario import Scenario
from sim.stats import Interval, t_interval
from sim.study.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Share:
    """A share of requests that the SLO asks for."""

    name: str
    """The request class whose requests must be good, or "availability"."""
    value: Interval
    """At the confidence asked for; the calibration's range stays one of 95 %."""
    required: float
    by_replication: tuple[float, ...]

    @property
    def kept(self) -> bool:
        """Whether all that leaves the share open lies at or above what is required; its value, if nothing is known."""
        if self.value.mean is None:
            return False
        low, _ = self.value.combined or (self.value.mean, self.value.mean)
        return low >= self.required


def shares(one: Evaluation, scenario: Scenario, confidence: float) -> tuple[Share, ...]:
    """What the SLO asks of a design and what it gives: the good requests of each class, then the availability."""
    return tuple(_shares(one, scenario, confidence))


def keeps(one: Evaluation, scenario: Scenario, confidence: float) -> bool:
    """Whether a design keeps all of its SLO."""
    return all(share.kept for share in shares(one, scenario, confidence))


def _shares(one: Evaluation, scenario: Scenario, confidence: float) -> Iterator[Share]:
    for index, klass in enumerate(one.summary["classes"]):
        if klass["slo_ms"]:
            told = klass["values"]["good_share"]
            values = [classes[index]["good_share"] for classes in one.classes]
            yield _share(klass["name"], values, told, klass["percentile"] / 100, confidence)
    if scenario.slo.availability is not None:
        told = one.summary["values"]["availability"]
        values = [whole["availability"] for whole in one.replications]
        yield _share("availability", values, told, scenario.slo.availability / 100, confidence)


def _share(
    name: str, values: list[float | None], told: dict[str, float | None], required: float, confidence: float
) -> Share:
    value = replace(
        t_interval(values, confidence),
        calibration_low=told.get("calibration_low"),
        calibration_high=told.get("calibration_high"),
    )
    return Share(name, value, required, tuple(0.0 if one is None else one for one in values))
