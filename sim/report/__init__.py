"""What a run means: summaries with intervals, the verdict on the SLO, and vLLM bench's result JSON."""

from sim.report.bench import BenchResult, to_bench_json
from sim.report.goodput import Goodput, Series
from sim.report.invariants import InvariantError, check_invariants, check_paid
from sim.report.recovery import Recovery
from sim.report.replication import measured, warm_up
from sim.report.summary import ClassSummary, PoolSummary, Summary, Verdict, summarise

__all__ = [
    "BenchResult",
    "ClassSummary",
    "Goodput",
    "InvariantError",
    "PoolSummary",
    "Recovery",
    "Series",
    "Summary",
    "Verdict",
    "check_invariants",
    "check_paid",
    "measured",
    "summarise",
    "to_bench_json",
    "warm_up",
]
