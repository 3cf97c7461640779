"""Under aborts, hangs, crashes and further tries the compiled engine equals the naive one, to the nanosecond."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import NamedTuple

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sim.engine import Engines
from sim.kernel.layout import FINISHED, GONE
from sim.steptime.cost import step_ns
from tests.oracle.case import Config, Req
from tests.oracle.cases import random_case
from tests.oracle.engine import Act, NaiveEngine
from tests.oracle.kernel import engines, free_cost
from tests.property.test_engine_oracle import random_cost

REPLICAS = 2


class Line(NamedTuple):
    """Of the script: an act on a replica; `of` is the drawn request of which `act.req` is a try."""

    act: Act
    replica: int
    of: int = -1


def random_script(rng: Random, config: Config, reqs: list[Req], unit: int) -> list[Line]:
    """Tries that come, give up and come again at random instants, multiples of `unit` ns, while replicas die and hang.

    At the end every replica dies, which shows what it still held.
    """
    span = unit * rng.choice([1, 10, 30, 100])
    lines: list[Line] = []

    def add(req: Req, of: int, at: int) -> None:
        replica = rng.randrange(REPLICAS)
        lines.append(Line(Act(at, "add", req), replica, of))
        for _ in range(rng.choice([0, 0, 1, 2])):
            lines.append(Line(Act(at + rng.randrange(span), "abort", req), replica))

    for of, req in enumerate(reqs):
        at = rng.randrange(span)
        add(req, of, at)
        for _ in range(rng.choice([0, 0, 1, 3])):
            fits = min(config.max_model_len, (config.num_gpu_blocks - 1) * config.block_size) - req.prompt_tokens
            output = rng.choice([req.output_tokens, rng.randint(1, min(fits, 60))])
            again = replace(req, id=-1, output_tokens=output, max_tokens=max(req.max_tokens, output))
            add(again, of, at + rng.randrange(span))
    for _ in range(rng.choice([0, 1, 3])):
        lines.append(
            Line(Act(rng.randrange(2 * span), rng.choice(["crash", "crash", "halt"])), rng.randrange(REPLICAS))
        )
    end = 3 * span + rng.choice([0, 10**12])
    lines += [Line(Act(end, "crash"), replica) for replica in range(REPLICAS)]
    return number(sorted(lines, key=lambda line: line.act.at), len(reqs))


def number(lines: list[Line], drawn: int) -> list[Line]:
    """Give further tries the ids of the rows that they will get: in the order in which they come."""
    ids: dict[int, Req] = {}
    numbered = []
    for line in lines:
        req = line.act.req
        if req is not None and line.act.do == "add" and req.id < 0:
            ids[id(req)] = replace(req, id=drawn + len(ids))
        numbered.append(line._replace(act=line.act._replace(req=req if req is None else ids.get(id(req), req))))
    return numbered


def play(engine: Engines, script: list[Line], horizons: list[int]) -> tuple[list[list[bool]], list[list[list[int]]]]:
    """Do the script to the compiled engine; returns what its aborts and evictions returned, by replica."""
    aborted: list[list[bool]] = [[] for _ in range(REPLICAS)]
    lost: list[list[list[int]]] = [[] for _ in range(REPLICAS)]
    stops = iter(sorted(horizons))
    stop = next(stops)
    for (at, do, req), replica, of in script:
        while stop < at:
            engine.advance(stop)
            stop = next(stops, 2**62)
        engine.advance(at)
        if do == "add":
            row = of if req.id < len(engine.state.own_stream) else engine.another(of, req.output_tokens)
            assert row == req.id
            engine.enqueue(replica, row, at, watched=False)
            assert engine.is_open(row)
            assert engine.unscheduled(row)
        elif do == "abort":
            there = engine.is_open(req.id)
            aborted[replica].append(engine.abort(req.id, at))
            assert aborted[replica][-1] == there
        elif do == "halt":
            engine.halt(replica, at)
        else:
            held = engine.held(replica).tolist()
            lost[replica].append(engine.evict(replica, at).tolist())
            assert lost[replica][-1] == held
            assert engine.held(replica).size == 0
    return aborted, lost


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_disturbed_engine_equals_the_naive_one(seed: int) -> None:
    """Every try's times, tokens and end, every latency, each replica's counters and time integrals.

    In a third of the cases every step takes 1 ns, so that acts fall on step boundaries again and again.
    """
    rng = Random(seed)
    config, reqs = random_case(rng)
    longest = max(req.prompt_tokens + req.output_tokens for req in reqs)
    assume(longest <= (config.num_gpu_blocks - 1) * config.block_size)
    instant = rng.random() < 1 / 3
    sizes = config.max_num_batched_tokens, config.max_num_seqs
    cost = free_cost(*sizes) if instant else random_cost(rng, *sizes)
    script = random_script(rng, config, reqs, 1 if instant else 10**7)
    end = script[-1].act.at

    engine = engines(config, reqs, cost, REPLICAS)
    aborted, lost = play(engine, script, [rng.randrange(end) for _ in range(5)])
    gaps, counts = engine.take_itl()
    rows, itl_ns = engine.rows, []
    for replica in range(REPLICAS):
        naive = NaiveEngine(config, cost)
        times = naive.play([line.act for line in script if line.replica == replica])
        assert aborted[replica] == naive.aborted
        assert lost[replica] == naive.lost
        for id, one in times.items():
            row = rows[id]
            assert row.replica == replica
            assert row.status == (FINISHED if one.finished else GONE)
            assert row.first_scheduled_ns == one.first_scheduled_ns
            assert row.last_scheduled_ns == one.last_scheduled_ns
            assert row.first_token_ns == one.first_token_ns
            assert row.last_token_ns == (one.token_ns[-1] if one.token_ns else -1)
            assert row.produced == len(one.token_ns)
            assert engine.has_token(id) == bool(one.token_ns)
            assert row.tokens == one.tokens
            assert row.cached_tokens == one.cached_tokens
            assert row.preemptions == one.preemptions
            assert row.left_ns == one.left_ns
            itl_ns += one.itl_ns
        found = engine.state.replicas[replica]
        assert found.steps == len(naive.shapes)
        assert found.busy_ns == sum(step_ns(cost, shape) for shape in naive.shapes)
        for name in ("prefill_tokens", "prefill_pairs", "decode_tokens", "context_tokens", "sampled"):
            statistic = name.replace("decode_tokens", "decode_seqs")
            assert found[name] == sum(getattr(shape, statistic) for shape in naive.shapes)
        assert found.preemptions == sum(one.preemptions for one in times.values())
        assert (found.block_ns, found.system_ns, found.waiting_ns) == (
            naive.block_ns,
            naive.system_ns,
            naive.waiting_ns,
        )
    assert Counter(np.repeat(gaps.astype(np.int64), counts).tolist()) == Counter(itl_ns)
    assert engine.unfinished == 0
    assert not engine.state.outstanding.any()
    check_as_new(engine, engines(config, reqs, cost, REPLICAS))


def check_as_new(engine: Engines, fresh: Engines) -> None:
    """After the last evictions every replica's blocks, in their order, and its prefix cache are a new one's."""
    for name in ("blocks", "buckets", "next_ns"):
        assert np.array_equal(getattr(engine.state, name), getattr(fresh.state, name))
    assert np.array_equal(np.sort(engine.state.running), fresh.state.running)
    ours, new = engine.state.replicas, fresh.state.replicas
    for name in ("free_blocks", "running", "waiting", "first_waiting", "last_waiting", "executing", "slot", "halted"):
        assert np.array_equal(ours[name], new[name])
    for plans in (engine.state.plans["entries"], engine.state.plans["tokens"]):
        assert not plans.any()
