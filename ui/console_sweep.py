"""A study on the terminal: a row a design with its intervals, then its differences from the baseline."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sim.report import Verdict
from sim.stats import Interval
from sim.study.evaluation import Evaluation
from sim.study.executor import Failed
from sim.study.paired import difference, intervals, is_real
from sim.study.study import Study, as_text
from sim.study.table import Result
from sim.study.variations import Variation, short_keys
from ui.console_fleet import COLOURS

_TITLES = {
    "availability": "answered (%)",
    "usd_per_hour": "$/h",
    "usd_per_1k_good_requests": "$/1k good",
    "usd_per_1m_output_tokens": "$/1M output",
    "output_throughput": "output (tok/s)",
    "request_throughput": "requests/s",
    "request_goodput": "good requests/s",
}
_LATENCY = re.compile(r"(p[0-9.]+|mean|median|std)_([a-z0-9]+)_ms")
_CHEAP = "usd_per_1k_good_requests"
_PAIRED = "paired: replication by replication, both serve the same requests; ±: 95 % interval of the mean difference"


def render(study: Study, designs: Sequence[Variation], results: Sequence[Result]) -> Group:
    """Lay a study out; designs that failed have no differences, their sentences stand at the end."""
    keys = _measures(study, results)
    parts: list[Table | Text] = [_designs(study, designs, results, keys), _replications(results)]
    parts.append(_cheapest(designs, results))
    if any(one.baseline is not None and isinstance(r, Evaluation) for one, r in zip(designs, results, strict=True)):
        parts += [_differences(designs, results, keys), Text(_PAIRED, "dim")]
    parts.append(_failures(designs, results))
    return Group(*(part for part in parts if part))


def _measures(study: Study, results: Sequence[Result]) -> list[str]:
    """What to print: the study's measures (of each class where there are classes) that are known of any design."""
    found = [intervals(one) for one in results if isinstance(one, Evaluation)]
    known = dict.fromkeys(key for row in found for key, value in row.items() if value["mean"] is not None)
    return [key for wanted in study.measures for key in known if key == wanted or key.startswith(f"{wanted}.")]


def _designs(study: Study, designs: Sequence[Variation], results: Sequence[Result], keys: Sequence[str]) -> Table:
    table = _table(_titles(designs), ["SLO"], [_title(key) for key in keys])
    for number, (design, result) in enumerate(zip(designs, results, strict=True)):
        if isinstance(result, Failed):
            table.add_row(*_names(number, design), Text("failed", "red"))
            continue
        verdict = result.summary["verdict"]
        found = intervals(result)
        shown = [_value(found.get(key, {}), key) for key in keys]
        table.add_row(*_names(number, design), Text(verdict or "-", COLOURS.get(verdict, "")), *shown)
    table.title = f"{study.name}: {len(designs)} designs"
    return table


def _replications(results: Sequence[Result]) -> Text:
    counts = {one.summary["replications"] for one in results if isinstance(one, Evaluation)}
    if counts == {1}:
        return Text("one replication, so no intervals", "dim")
    return Text(f"±: 95 % interval of the mean of {' or '.join(map(str, sorted(counts)))} replications", "dim")


def _cheapest(designs: Sequence[Variation], results: Sequence[Result]) -> Text:
    """Name the design with the lowest price, where all serve the same traffic."""
    found = {number: one for number, one in enumerate(results) if isinstance(one, Evaluation)}
    if any(key.startswith("workload") for one in designs for key in one.own | one.point):
        return Text()
    if not any(one.summary["verdict"] for one in found.values()):
        return Text()
    met = {number: one for number, one in found.items() if one.summary["verdict"] == Verdict.MET}
    if not met:
        return Text("\nNo design meets the SLO for sure.")
    usd = {n: price for n, one in met.items() if (price := intervals(one)[_CHEAP]["mean"]) is not None}
    if not usd:
        return Text()
    best = min(usd, key=lambda number: usd[number])
    text = Text("\nCheapest that meets the SLO: ").append(f"{best}, {designs[best].label}", "bold")
    text.append(f", ${_digits(usd[best])} per 1,000 good requests")
    tied = [number for number in usd if number != best and is_real(difference(met[number], met[best], _CHEAP)) is False]
    if tied:
        text.append(f"; no real difference to {', '.join(map(str, tied))}")
    return text


def _differences(designs: Sequence[Variation], results: Sequence[Result], keys: Sequence[str]) -> Table:
    """Differences of the designs from the one that each is compared with."""
    table = _table(_titles(designs), ["less"], [_title(key) for key in keys])
    table.title = "\nAgainst the baseline"
    for number, (design, one) in enumerate(zip(designs, results, strict=True)):
        if design.baseline is None or isinstance(one, Failed):
            continue
        base, row = results[design.baseline], [Text("-", "dim")] * len(keys)
        if isinstance(base, Evaluation):
            there = intervals(base)
            row = [_difference(difference(one, base, key), there.get(key, {}), key) for key in keys]
        table.add_row(*_names(number, design), str(design.baseline), *row)
    return table


def _difference(found: Interval, base: Mapping[str, float | None], key: str) -> Text:
    if found.mean is None:
        return Text("-", "dim")
    if found.low == found.high == 0:
        return Text("the same", "dim")
    if is_real(found) is False:
        return Text("no real difference", "dim")
    scale = _scale(key)
    text = _number(found.mean * scale, None if found.half_width is None else found.half_width * scale, sign="+")
    if (before := base.get("mean")) and scale == 1:
        times = 1 + found.mean / before
        text.append(f" ({f'{times - 1:+.0%}' if times < 10 else f'{times:,.0f} times'})", "dim")
    return text


def _failures(designs: Sequence[Variation], results: Sequence[Result]) -> Text:
    failed = [(number, one) for number, one in enumerate(results) if isinstance(one, Failed)]
    if not failed:
        return Text()
    text = Text(f"\n{len(failed)} of {len(results)} designs failed:\n", "bold")
    text.append("\n".join(f"  {number}, {designs[number].label}: {one.sentence}" for number, one in failed), "not bold")
    return text


def _table(*titles: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
    for title in (title for part in titles for title in part):
        table.add_column(title, overflow="fold")
    return table


def _titles(designs: Sequence[Variation]) -> list[str]:
    point = list(designs[0].point)
    return ["", *(["design"] if designs[0].name else []), *(short_keys(point)[key] for key in point)]


def _names(number: int, design: Variation) -> Iterator[str]:
    yield str(number)
    if design.name:
        yield design.name
    yield from (as_text(value) for value in design.point.values())


def _title(key: str) -> str:
    name, _, klass = key.partition(".") if key.startswith("good_share") else (key, "", "")
    if name == "good_share":
        return f"{klass} good (%)".strip()
    if latency := _LATENCY.fullmatch(key):
        return f"{latency[1].replace('p', 'P', 1)} {latency[2].upper()} (ms)"
    return _TITLES.get(key, key)


def _value(found: Mapping[str, float | None], key: str) -> Text:
    if (mean := found.get("mean")) is None:
        return Text("-", "dim")
    low, high, scale = found.get("low"), found.get("high"), _scale(key)
    half = None if low is None or high is None else (high - low) / 2 * scale
    return _number(mean * scale, half)


def _number(mean: float, half: float | None, sign: str = "") -> Text:
    """Write a number with half the width of its interval, where that is more than rounding."""
    if half is None or half <= abs(mean) * 1e-9:
        return Text(_digits(mean, sign=sign))
    return Text(_digits(mean, half, sign)).append(f" ±{_digits(half, half)}", "dim")


def _scale(key: str) -> float:
    """Shares that are shown as percentages."""
    return 100.0 if key.startswith("good_share") or key == "availability" else 1.0


def _digits(value: float, half: float | None = None, sign: str = "") -> str:
    """Write a number as exactly as its interval allows: to the second digit of half its width."""
    exact = half or abs(value) / 1000 or 1.0
    decimals = min(max(1 - math.floor(math.log10(exact)), 0), 6)
    return f"{value:{sign},.{decimals}f}"
