"""Numbers as the app writes them: with their unit and what leaves them open."""

from collections.abc import Mapping

from sim.stats import Interval
from sim.study.evaluation import Evaluation

NOTHING = "-"
"""Where a number is unknown."""


def value(one: Evaluation, key: str) -> Interval:
    """A number of an evaluation; unknown if it has none of that name."""
    return interval(one.summary["values"].get(key))


def interval(told: Mapping[str, float | int | None] | None) -> Interval:
    """An interval as a summary's JSON tells it."""
    return Interval(**told) if told else Interval(None, None, None, 0)  # type: ignore[arg-type]


def reach(of: Interval) -> float | None:
    """How far the number is open on its longer side: sampling and calibration together."""
    if of.mean is None or of.combined is None:
        return None
    return max(of.mean - of.combined[0], of.combined[1] - of.mean)


def plus_minus(of: Interval, digits: int = 0, *, signed: bool = False) -> str:
    """For example "380 ± 25"; signed: "+380 ± 25"."""
    if of.mean is None:
        return NOTHING
    around = reach(of)
    sign = "+" if signed else ""
    return f"{of.mean:{sign},.{digits}f}" + ("" if around is None else f" ± {around:,.{digits}f}")


def ms(of: Interval) -> str:
    """Milliseconds, or seconds from ten on."""
    if of.mean is not None and of.mean >= 10_000:
        return f"{plus_minus(of.scaled(1e-3), 0 if of.mean >= 100_000 else 1)} s"
    return f"{plus_minus(of, 0 if (of.mean or 0) >= 100 else 1)} ms"


def percent(of: Interval) -> str:
    """A share."""
    return f"{plus_minus(of.scaled(100), 1)} %"


def usd(of: Interval | float | None) -> str:
    """Dollars, with cents below a thousand."""
    if isinstance(of, Interval):
        if of.mean is None:
            return NOTHING
        digits = 0 if of.mean >= 1000 else 2
        around = reach(of)
        known = around is not None and round(around, digits) > 0
        return f"${of.mean:,.{digits}f}" + (f" ± {around:,.{digits}f}" if known else "")
    return NOTHING if of is None else f"${of:,.{0 if of >= 1000 else 2}f}"


def good_share(one: Evaluation) -> Interval:
    """Share of good requests: of the class that is furthest below what its SLO asks for."""
    return interval(worst_class(one)["values"].get("good_share"))


def required(one: Evaluation) -> float | None:
    """The share that this class must reach; None without an SLO."""
    klass = worst_class(one)
    return klass["percentile"] / 100 if klass["slo_ms"] else None


def worst_class(one: Evaluation) -> dict:  # type: ignore[type-arg]  # a summary's JSON
    """The class that is furthest below what its SLO asks for; with one class, that."""
    aimed = [klass for klass in one.summary["classes"] if klass["slo_ms"]] or one.summary["classes"]
    return min(aimed, key=lambda klass: (klass["values"]["good_share"]["mean"] or 0.0) - klass["percentile"] / 100)


def latency(one: Evaluation, metric: str) -> tuple[str, Interval, float | None]:
    """A latency at the SLO's percentile (P99 where the summary has none): its name, value and limit in ms."""
    klass = worst_class(one)
    key = f"p{klass['percentile']:g}_{metric}_ms"
    if key not in klass["values"]:
        key = f"p99_{metric}_ms"
    label = f"{key.split('_')[0].upper()} {metric.upper()}"
    return label, interval(klass["values"].get(key)), klass["slo_ms"].get(metric)
