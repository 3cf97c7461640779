"""Where two runs of a request differ: the difference in its latency, split into causes that add up to it.

Of the measured side only the times of tokens are known request by request. The engine's own queue and prefill times
are known as means over the run (vllm:request_queue_time_seconds, vllm:request_prefill_time_seconds), preemptions as a
count. So the decode part is observed; how the time before the first token divides is inferred:

- front end: what lies between the client and the engine (client, network, API server), taken as equal for all
  measured requests: mean TTFT less the engine's mean queue and prefill time;
- queue: what the simulated prefill time, scaled to the measured mean, leaves of the rest, if anything, scaled so that
  its mean is the measured one;
- prefill: what remains.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibrate.realrun import Mask, RealRun
from sim.result import Replication
from sim.units import NS_PER_MS

Floats = NDArray[np.float64]

LARGEST = 10
COUNT_TOLERANCE = 0.05
"""The engine's means are used if it counted as many requests as the client, give or take this share."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One request's end-to-end latency on both sides, and the parts of the difference."""

    request: int
    prompt_tokens: int
    output_tokens: int
    sim_e2el_ms: float
    real_e2el_ms: float
    parts_ms: Mapping[str, float]
    """Simulated less measured, by cause; they add up to the difference."""

    @property
    def cause(self) -> str:
        """The part that explains most of the difference."""
        sign = 1 if self.sim_e2el_ms >= self.real_e2el_ms else -1
        return max(self.parts_ms, key=lambda name: sign * self.parts_ms[name])


@dataclass(frozen=True, slots=True)
class Attribution:
    """The mean difference and the largest ones, by cause."""

    mean_parts_ms: Mapping[str, float]
    largest: tuple[Difference, ...]
    """By the size of the difference, largest first."""
    notes: tuple[str, ...]
    """What is inferred and how, in sentences."""


def attribute(one: Replication, real: RealRun, both: Mask) -> Attribution:
    """Split the end-to-end differences (simulated less measured) of the requests in `both`."""
    rows = np.flatnonzero(both)
    before, notes = _before_first_token(one, real, both)
    after, more_notes = _after_first_token(one, real, rows)
    parts = before | {name: before.get(name, 0.0) + values for name, values in after.items()}
    sim_ms = (one.last_token_ns[rows] - one.sent_ns[rows]) / NS_PER_MS
    real_ms = (real.last_token_ns[rows] - real.sent_ns[rows]) / NS_PER_MS
    order = np.argsort(-np.abs(sim_ms - real_ms), kind="stable")[:LARGEST]
    largest = tuple(
        Difference(
            request=int(rows[i]),
            prompt_tokens=int(one.requests.prompt_tokens[rows[i]]),
            output_tokens=int(one.requests.output_tokens[rows[i]]),
            sim_e2el_ms=float(sim_ms[i]),
            real_e2el_ms=float(real_ms[i]),
            parts_ms={name: float(values[i]) for name, values in parts.items()},
        )
        for i in order
    )
    return Attribution({name: float(values.mean()) for name, values in parts.items()}, largest, (*notes, *more_notes))


def _before_first_token(one: Replication, real: RealRun, both: Mask) -> tuple[dict[str, Floats], list[str]]:
    rows = np.flatnonzero(both)
    sim_ttft = (one.first_token_ns[rows] - one.sent_ns[rows]) / NS_PER_MS
    real_ttft = (real.first_token_ns[rows] - real.sent_ns[rows]) / NS_PER_MS
    # The most recent admission ends what a preemption before the first token cost: all was computed again.
    redone = np.where(one.last_scheduled_ns[rows] <= one.first_token_ns[rows], one.last_scheduled_ns[rows], 0)
    lost = np.maximum(redone - one.first_scheduled_ns[rows], 0) / NS_PER_MS
    means = _engine_means(real, int(np.count_nonzero(real.ok)))
    if means is None:
        note = (
            "The engine's mean queue and prefill times are not known for just these requests, so the time before "
            "the first token is not split."
        )
        return {"before first token": sim_ttft - real_ttft - lost, "preemption": lost}, [note]
    mean_queue, mean_prefill = means
    sim_front_end = (one.queued_ns[rows] - one.sent_ns[rows]) / NS_PER_MS
    sim_queue = (one.first_scheduled_ns[rows] - one.queued_ns[rows]) / NS_PER_MS
    sim_prefill = sim_ttft - sim_front_end - sim_queue - lost
    likely_prefill = sim_prefill * (mean_prefill / sim_prefill.mean() if sim_prefill.mean() > 0 else 1.0)
    front_end = float(real_ttft.mean()) - mean_queue - mean_prefill
    real_queue = np.maximum(real_ttft - likely_prefill - front_end, 0.0)
    if real_queue.any():
        real_queue *= mean_queue / real_queue.mean()
    real_prefill = real_ttft - real_queue - front_end
    parts = {
        "queue": sim_queue - real_queue,
        "prefill": sim_prefill - real_prefill,
        "front end": sim_front_end - front_end,
        "preemption": lost,
    }
    note = (
        f"Measured only as means: queue {mean_queue:.2f} ms, prefill {mean_prefill:.2f} ms, front end "
        f"{front_end:.2f} ms (mean TTFT less both); how queue and prefill fall on single requests is inferred "
        "from the simulated prefill times."
    )
    return parts, [note]


def _engine_means(real: RealRun, requests: int) -> tuple[float, float] | None:
    """Mean queue and prefill time of the engine, ms; None if unknown or of other requests than these."""
    queue = real.engine_mean_ms("vllm:request_queue_time_seconds")
    prefill = real.engine_mean_ms("vllm:request_prefill_time_seconds")
    if queue is None or prefill is None or abs(queue[1] - requests) > COUNT_TOLERANCE * requests:
        return None
    return queue[0], prefill[0]


def _after_first_token(one: Replication, real: RealRun, rows: NDArray[np.intp]) -> tuple[dict[str, Floats], list[str]]:
    sim_ms = (one.last_token_ns[rows] - one.first_token_ns[rows]) / NS_PER_MS
    real_ms = (real.last_token_ns[rows] - real.first_token_ns[rows]) / NS_PER_MS
    late = one.last_scheduled_ns[rows] > one.first_token_ns[rows]  # admitted again after the first token
    steps = np.maximum(one.requests.output_tokens[rows] - 1, 0)
    calm = ~late & (steps > 0)
    per_step = sim_ms[calm].sum() / steps[calm].sum() if calm.any() else 0.0
    lost = np.where(late, np.maximum(sim_ms - steps * per_step, 0.0), 0.0) if calm.any() else np.zeros(len(rows))
    notes = []
    if late.any():
        notes.append(
            "Preemption after the first token is inferred: the simulated decode time of a preempted request beyond "
            "that of the others per token."
        )
    counted = real.increase("vllm:num_preemptions_total")
    if counted:
        notes.append(
            f"The engine counted {counted:.0f} preemptions, the simulation {int(one.preemptions.sum())}; which "
            "requests the engine preempted is not known: they stand under queue, prefill or decode."
        )
    return {"decode": sim_ms - real_ms - lost, "preemption": lost}, notes
