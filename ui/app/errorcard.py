"""Tables of a calibration: its error card, what it learnt, what it measured."""

from collections.abc import Iterator, Mapping, Sequence

from calibrate.learnt import Learnt
from sim.calibration import Calibration, Score
from ui.app.hulls import Operating, Side, sides
from ui.commands.card import METRICS

PRIORS = "priors"
"""What is held out where nothing was fitted at all."""

Table = Mapping[str, Sequence[object]]


def scores_table(scores: Sequence[Score]) -> Table:
    """A row a set that was held out together, and metric."""
    return {
        "Held out": [one.held_out for one in scores],
        "Metric": [METRICS[one.metric] for one in scores],
        "Points": [one.points for one in scores],
        "MAPE, %": [f"{100 * one.mape:.1f}" for one in scores],
        "Bias, %": [f"{100 * one.bias:+.1f}" for one in scores],
        "P50, %": [f"{100 * one.p50:.1f}" for one in scores],
        "P90, %": [f"{100 * one.p90:.1f}" for one in scores],
        "P99, %": [f"{100 * one.p99:.1f}" for one in scores],
        "In 95 % interval, %": ["-" if one.coverage is None else f"{100 * one.coverage:.0f}" for one in scores],
        "Worst": [one.worst for one in scores],
    }


def worst(scores: Sequence[Score]) -> Iterator[Score]:
    """Of each metric the least certain: of what was held out, the set with the largest error; not the priors."""
    fitted = [one for one in scores if one.held_out != PRIORS] or scores
    for metric in dict.fromkeys(one.metric for one in fitted):
        yield max((one for one in fitted if one.metric == metric), key=lambda one: one.mape)


def learnt_table(rows: Sequence[Learnt]) -> Table:
    """A row an efficiency."""
    return {
        "Efficiency": [one.name for one in rows],
        "Prior": [f"{one.prior:.3g}" for one in rows],
        "Fitted": [f"{one.fitted:.3g}" for one in rows],
        "95 % interval": [
            "-" if one.low is None or one.high is None else f"{one.low:.3g} to {one.high:.3g}" for one in rows
        ],
        "Learnt, %": [f"{100 * one.share:.0f}" if one.share else "-" for one in rows],
    }


def sides_table(rows: Sequence[Side], named: str) -> Table:
    """A row a way in which a design may leave what was measured."""
    return {
        "Of": [one.what for one in rows],
        f"Measured in {named}": [one.measured for one in rows],
        "This design": [one.mine for one in rows],
        "Inside": ["yes" if one.inside else "no" for one in rows],
    }


def covers_table(of: Mapping[str, Calibration], known: Operating) -> Table:
    """A row a calibration: whether it covers a design."""
    outside = {name: [side.what for side in sides(one, known) if not side.inside] for name, one in of.items()}
    return {
        "Calibration": list(outside),
        "Covers": ["no" if said else "yes" for said in outside.values()],
        "Outside in": [", ".join(said) for said in outside.values()],
        "Engine": [one.engine for one in of.values()],
    }
