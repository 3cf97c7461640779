"""Routers against naive oracles, distributions and theory."""

from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from sim.clients import Clients
from sim.engine import EngineLimits, Engines
from sim.errors import InputError
from sim.router import build
from sim.scenario.fleet import Router as RouterSpec
from sim.world import World
from tests.oracle.station import SECOND, cost, engines, limits, requests
from tests.unit.dp_router import compare, get_core_engine_for_request
from tests.unit.small_fleet import replicate

FOREVER = 10**15
"""A step in which nothing ends during a test, ns."""
KINDS = ("round_robin", "random", "least_outstanding", "power_of_two", "vllm_dp", "kv_aware", "prefix_affinity")
LOADED = ("least_outstanding", "power_of_two", "vllm_dp", "kv_aware", "prefix_affinity")
"""Those that look at loads."""


def spec(kind, **options):
    return TypeAdapter(RouterSpec).validate_python({"kind": kind, **options})


def router(kind, world, members=None, seed=0, **options):
    members = np.arange(len(world.engines.state.replicas)) if members is None else members
    return build(spec(kind, **options), world, np.array(members, np.int32), np.random.default_rng(seed))


def idle(replicas, count=1000, seats=4):
    """A world of requests that nobody has sent; what is enqueued never ends."""
    return World(engines(limits(seats), cost(np.full(seats + 1, FOREVER)), requests(np.zeros(count)), replicas))


def load(world, loads):
    """Give each replica so many requests; returns the number of the first request that is left."""
    sent = 0
    for replica, count in enumerate(loads):
        for _ in range(count):
            world.engines.enqueue(replica, sent, 0, watched=False)
            sent += 1
    return sent


def serve(world, drawn, choose, after=None):
    """Send the requests where `choose` says; returns the choices."""
    chosen = {}

    def send(request, watched):
        chosen[request] = choose(request)
        world.engines.enqueue(chosen[request], request, int(world.now), watched=watched)
        return True

    Clients(world, drawn, send)
    world.run()
    return [chosen[request] for request in range(len(drawn))]


def test_round_robin_goes_in_turn():
    choose = router("round_robin", idle(3)).choose
    assert [choose(i) for i in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_random_is_uniform_and_without_memory():
    choose = router("random", idle(6)).choose
    picks = np.array([choose(i) for i in range(18_000)])
    assert stats.chisquare(np.bincount(picks, minlength=6)).pvalue > 1e-3
    pairs = np.bincount(picks[:-1] * 6 + picks[1:], minlength=36)
    assert stats.chisquare(pairs).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_one_replica_leaves_no_choice(kind):
    choose = router(kind, idle(1)).choose
    assert {choose(i) for i in range(20)} == {0}


loads = st.lists(st.integers(0, 6), min_size=1, max_size=7)


@settings(max_examples=100, deadline=None)
@given(loads=loads, calls=st.integers(1, 12))
def test_least_outstanding_never_passes_over_a_less_loaded_one_and_takes_ties_in_turn(loads, calls):
    world = idle(len(loads), count=200)
    first = load(world, loads)
    choose = router("least_outstanding", world).choose
    for turn in range(calls):
        index = choose(first + turn)
        # the first of the least loaded, starting one further each time
        scan = [(turn + i) % len(loads) for i in range(len(loads))]
        assert index == min(scan, key=lambda i: loads[i])
        world.engines.enqueue(index, first + turn, 0, watched=False)
        loads[index] += 1


def test_least_outstanding_takes_idle_replicas_in_turn():
    choose = router("least_outstanding", idle(4)).choose  # nothing is enqueued: always a tie
    assert [choose(i) for i in range(6)] == [0, 1, 2, 3, 0, 1]


def test_least_outstanding_counts_what_runs_and_what_waits_until_it_ends():
    """Service 1 s, one seat. B is empty when C comes; A has one left when D does."""
    drawn = requests([0, 0, SECOND // 2, SECOND + SECOND // 2], output=[2, 1, 1, 1])
    world = World(engines(limits(1), cost([0, SECOND]), drawn, 2))
    choose = router("least_outstanding", world).choose
    # 0 -> A, 1 -> B; at .5 both have one, turn 2 -> A; at 1.5 B is idle
    assert serve(world, drawn, choose) == [0, 1, 0, 1]


def test_power_of_two_takes_the_less_loaded_of_two_different_ones():
    """With all loads different, the one of rank k among n is the better of n - 1 - k of the n (n - 1) / 2 pairs."""
    order = [3, 0, 4, 1, 2]
    world = idle(5)
    first = load(world, order)
    choose = router("power_of_two", world).choose
    picks = Counter(choose(first) for _ in range(20_000))
    by_rank = [picks[order.index(rank)] for rank in range(5)]
    assert by_rank[4] == 0
    assert stats.chisquare(by_rank[:4], [20_000 * (4 - k) / 10 for k in range(4)]).pvalue > 1e-3


def test_power_of_two_breaks_ties_evenly():
    choose = router("power_of_two", idle(5)).choose
    assert stats.chisquare(np.bincount([choose(i) for i in range(10_000)], minlength=5)).pvalue > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_power_of_two_keeps_the_highest_load_far_lower_than_random_does(seed):
    """n balls in n bins: ln n / ln ln n against ln ln n / ln 2 at most (Azar et al. 1999); n = 500: about 5 and 3."""

    def highest(kind):
        world = idle(500, count=500, seats=1)
        choose = router(kind, world, seed=seed).choose
        for request in range(500):
            world.engines.enqueue(choose(request), request, 0, watched=False)
        return int(world.engines.state.outstanding.max())

    assert highest("power_of_two") <= 3 < highest("random")


@cache
def mean_sojourn(kind, replicas=100, rho=0.9, count=60_000, **options):
    """M/M/1 replicas behind a router; mean time in the system in mean service times, after a warm-up."""
    rng = np.random.default_rng(5)
    arrivals = rng.exponential(SECOND / (rho * replicas), count).cumsum()
    drawn = requests(arrivals, np.maximum(np.rint(rng.exponential(1000, count)), 1))
    ns = np.arange(30_000) * (SECOND // 1000)
    kind_of = limits(1, max_num_batched_tokens=30_000 - 1)
    world = World(engines(kind_of, cost(ns[:2], ns), drawn, replicas))
    serve(world, drawn, router(kind, world, **options).choose)
    rows = world.engines.state.requests[count // 3 :]
    return float((rows["last_token_ns"] - rows["arrival_ns"]).mean()) / SECOND


def test_power_of_two_gives_the_sojourn_of_the_supermarket_model():
    """Mitzenmacher (IEEE TPDS 2001, section 3): sum of rho^(2^i - 2) = 2.614 at .9; 2.6 to 2.7 with 100 servers."""
    theory = sum(0.9 ** (2**i - 2) for i in range(1, 12))
    assert theory == pytest.approx(2.6141, abs=1e-4)
    assert mean_sojourn("power_of_two") == pytest.approx(theory, rel=0.04)


def test_older_loads_are_worse_and_endlessly_old_ones_are_round_robin():
    """Never told what has ended, a router that counts its own choices keeps all counts equal."""
    sojourns = [mean_sojourn("least_outstanding", staleness_ms=staleness) for staleness in (0, 2000, 20_000, 1e12)]
    assert sojourns == sorted(sojourns)
    assert sojourns[-1] == mean_sojourn("round_robin")
    assert sojourns[-1] < mean_sojourn("random")
    assert sojourns[0] < mean_sojourn("power_of_two") < sojourns[2]


def test_a_stale_view_is_that_of_the_last_multiple_and_ones_own_choices_since():
    """Service 300 ms, one seat, views of every second; by hand."""
    ms = SECOND // 1000
    sent = np.array([0, 0, 400, 400, 500, 1900, 1950, 2100])
    drawn = requests(sent * ms)
    world = World(engines(limits(1), cost([0, 300 * ms]), drawn, 2))
    stale = router("least_outstanding", world, staleness_ms=1000).choose
    seen = serve(world, drawn, stale)
    # until 1000: counts grow 1,1 2,2 3; both are idle at 300, unseen, and again at 1000, seen: 0,0 from there
    assert seen == [0, 1, 0, 1, 0, 1, 0, 1]
    # 5 and 6 came after a second of rest; at 2000 both are still running (1,1): turn 7 begins with replica 1


def test_a_view_is_not_refreshed_by_looking():
    """What ends between the last multiple and a request is not seen, however rare requests are."""
    ms = SECOND // 1000
    drawn = requests(np.array([900, 1700, 2700]) * ms)
    world = World(engines(limits(1), cost([0, 300 * ms]), drawn, 2))
    choose = router("least_outstanding", world, staleness_ms=1000).choose
    # 0 -> A, ends at 1200; at 1700 the view is that of 1000 (A: 1), turn 1 -> B anyway; ends 2000, seen as running;
    # at 2700 the view of 2000 has B: 1, turn 2 -> A
    assert serve(world, drawn, choose) == [0, 1, 0]
    drawn = requests(np.array([900, 901, 1700, 2700]) * ms, output=[1, 2, 1, 1])
    world = World(engines(limits(1), cost([0, 300 * ms]), drawn, 2))
    choose = router("least_outstanding", world, staleness_ms=1000).choose
    # A ends at 1200, B at 1501; at 1700 both still count one, and the turn is A's; at 2700 A, ended at 2000, counts
    assert serve(world, drawn, choose) == [0, 1, 0, 1]


def test_a_view_is_refreshed_while_nobody_sends():
    """A runs for 1.8 s, B for 0.3 s; at 0.95 s the view is that of 0.9 s, though nothing was sent since 0."""
    ms = SECOND // 1000
    drawn = requests([0, 0, 950 * ms], output=[6, 1, 1])
    world = World(engines(limits(1), cost([0, 300 * ms]), drawn, 2))
    choose = router("least_outstanding", world, staleness_ms=100).choose
    assert serve(world, drawn, choose) == [0, 1, 1]  # a tie would be A's turn


@pytest.mark.parametrize("kind", ["least_outstanding", "vllm_dp"])
def test_between_refreshes_a_router_only_counts_its_own_choices(kind):
    """A herd: whatever ends, the arrivals of one period are laid out by the snapshot and the choices since."""
    rng = np.random.default_rng(3)
    sent = np.sort(rng.integers(1, 10 * SECOND, 400))
    drawn = requests(sent, output=rng.integers(1, 5, 400))
    world = World(engines(limits(2, num_gpu_blocks=1000), cost(np.full(3, SECOND // 40)), drawn, 5))
    seen = np.zeros(5, np.int64)
    snapshots = 0
    chosen = []

    def observe():
        nonlocal snapshots
        while True:
            yield world.timeout(SECOND)
            seen[:] = world.engines.state.outstanding
            snapshots += bool(seen.any())

    world.process(observe())
    choose = router(kind, world, staleness_ms=1000).choose

    def send(request, watched):
        index = choose(request)
        chosen.append(index)
        scan = [(request + i) % 5 for i in range(5)]
        assert index == min(scan, key=lambda i: seen[i])
        seen[index] += 1
        world.engines.enqueue(index, request, int(world.now), watched=watched)
        return True

    Clients(world, drawn, send)
    world.run(until=12 * SECOND)
    assert len(chosen) == 400
    assert snapshots > 5


@pytest.mark.parametrize("kind", LOADED)
def test_a_stale_router_lets_the_world_end_and_begins_again(kind):
    drawn = requests([0, 10, 10**12, 10**12 + 10])
    world = World(engines(limits(1), cost([0, SECOND]), drawn, 2))
    seen = serve(world, drawn, router(kind, world, staleness_ms=100).choose)
    assert world.now < 10**12 + 5 * SECOND
    assert Counter(seen[:2]) == Counter(seen[2:]) == {0: 1, 1: 1}


@pytest.mark.parametrize("seed", range(40))
def test_the_dp_router_chooses_as_vllms_load_balancer(seed):
    """Its score is re-derived from vLLM's code, fed with in-flight counts of its own (see tests/engine too)."""
    expected, found, _ = compare(seed, get_core_engine_for_request)
    assert found == expected
    assert len(set(expected)) > 1


def test_the_dp_comparison_reaches_the_penalty_on_kv_use():
    assert max(compare(seed, get_core_engine_for_request)[2] for seed in range(10)) > 0.6

    def without_penalty(self, request):
        self.lb_engines = [[waiting, running, 0.0] for waiting, running, _ in self.lb_engines]
        return get_core_engine_for_request(self, request)

    assert any(compare(seed, without_penalty)[0] != compare(seed, without_penalty)[1] for seed in range(10))


def two_sizes(blocks, count=50, seats=8):
    """Replicas with so many KV blocks of 16 tokens; requests have 32-token prompts and never end."""
    kinds = [EngineLimits(1024, seats, 1000, 16, 1 + many, enable_prefix_caching=False) for many in blocks]
    drawn = requests(np.zeros(count), 32, 900)
    step = cost(np.full(seats + 1, FOREVER), np.full(1025, FOREVER))
    number = list(range(len(blocks)))
    return World(
        Engines(kinds, number, [step] * len(blocks), [np.zeros(1025)] * len(blocks), drawn, np.zeros(count, np.int32))
    )


def test_kv_aware_takes_the_largest_free_share():
    """A request takes three blocks at once: 32 prompt tokens, and the one in flight behind them."""
    world = two_sizes([20, 60])
    choose = router("kv_aware", world).choose
    for request, expected in enumerate([0, 1, 1]):  # a tie; 3/20 against 0/60; ...
        assert choose(request) == expected
        world.engines.enqueue(expected, request, 0, watched=False)
        world.engines.advance(1)
    assert world.engines.state.replicas["running"].tolist() == [1, 1]


def test_kv_aware_puts_a_waiting_request_before_any_share_of_blocks():
    world = two_sizes([20, 60], seats=1)
    choose = router("kv_aware", world).choose
    for request in range(2):
        world.engines.enqueue(1, request, 0, watched=False)
        world.engines.advance(1)
    world.engines.enqueue(0, 2, 0, watched=False)
    world.engines.advance(1)
    assert world.engines.state.replicas["waiting"].tolist() == [0, 1]
    assert [choose(3), choose(3)] == [0, 0]  # 2/20 used and nobody waits, against 2/60 and one who does


def affinity_world(prompts, outputs, sent, streams, replicas=3, after=None):
    """Prefix caching on, blocks of 16."""
    drawn = requests(sent, prompts, outputs, own_stream=streams, after=after)
    kind = EngineLimits(4096, 16, 4000, 16, 2000, async_scheduling=False)
    step = cost(np.full(17, SECOND // 100), np.arange(4097) * (SECOND // 100_000))
    return World(engines(kind, step, drawn, replicas)), drawn


def test_prefix_affinity_returns_to_the_replica_that_served_the_session():
    """Nine sessions of four turns, each turn's prompt the conversation so far, interleaved and spaced out."""
    sessions, turns = 9, 4
    rng = np.random.default_rng(0)
    order = [(turn, one) for turn in range(turns) for one in rng.permutation(sessions).tolist()]
    prompts = [100 + 150 * turn for turn, _ in order]
    sent = np.arange(len(order)) * SECOND
    world, drawn = affinity_world(prompts, 50, sent, [one for _, one in order])
    seen = serve(world, drawn, router("prefix_affinity", world).choose)
    homes = {one: seen[index] for index, (turn, one) in enumerate(order) if turn == 0}
    assert Counter(homes.values()) == {0: 3, 1: 3, 2: 3}  # new sessions find no prefix: least outstanding, in turn
    assert [homes[one] for _, one in order] == seen
    hits = world.engines.state.requests["cached_tokens"]
    # all full blocks of prompt and answer so far are found (the last answer token was never computed)
    expected = [0 if turn == 0 else (100 + 150 * (turn - 1) + 50 - 1) // 16 * 16 for turn, _ in order]
    assert hits.tolist() == expected


def test_prefix_affinity_takes_the_longest_prefix():
    """Replica 0 holds 64 tokens of the stream, replica 1 holds 640."""
    world, drawn = affinity_world([65, 641, 1000], 1, [0, SECOND, 2 * SECOND], [7, 7, 7], replicas=2)
    choose = router("prefix_affinity", world).choose
    assert serve(world, drawn, lambda request: request if request < 2 else choose(request)) == [0, 1, 1]


def test_prefix_affinity_gives_way_to_imbalance():
    """A burst of one session: it stays until its replica is more than max_imbalance above the least loaded.

    From the next request on the other replica knows the prompt too, and the less loaded of the two is taken.
    """
    sent = [0] + [5 * SECOND + i for i in range(12)]
    world, drawn = affinity_world(320, 100, sent, [7] * 13, replicas=2)
    seen = serve(world, drawn, router("prefix_affinity", world, max_imbalance=4).choose)
    assert seen[0] == 0
    assert seen[1:] == [0] * 5 + [1] * 5 + [1, 0]  # (5, 5): a tie, in turn


def test_prefix_affinity_without_a_hit_is_least_outstanding():
    rng = np.random.default_rng(1)
    sent = np.sort(rng.integers(1, SECOND, 200))
    seen = []
    for kind in ("prefix_affinity", "least_outstanding"):
        world, drawn = affinity_world(15, 40, sent, list(range(200)))
        seen.append(serve(world, drawn, router(kind, world).choose))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [[1, 2], [0, 3], [0, 2, 3]])
def test_a_router_sees_only_its_members(kind, members):
    """Others are busier or idler: members[i] carries i requests, the rest 9 or none."""
    for outside in (0, 9):
        world = idle(4, seats=16)
        first = load(world, [members.index(r) if r in members else outside for r in range(4)])
        world.engines.advance(1)
        choose = router(kind, world, members).choose
        seen = {choose(first) for _ in range(3 * len(members))}
        assert seen <= set(range(len(members)))
        if kind in ("least_outstanding", "kv_aware", "prefix_affinity"):
            assert seen == {0}


@pytest.mark.parametrize("kind", KINDS)
def test_choices_repeat_with_the_same_seed(kind):
    seen = []
    for seed in (4, 4, 5):
        choose = router(kind, idle(7), seed=seed).choose
        seen.append([choose(i) for i in range(40)])
    assert seen[0] == seen[1]
    assert (seen[1] != seen[2]) == (kind in ("random", "power_of_two"))


def test_no_router_repeats_itself_where_all_are_equal():
    for kind in ("round_robin", "least_outstanding", "vllm_dp", "kv_aware", "prefix_affinity"):
        choose = router(kind, idle(5)).choose
        assert all(a != b for a, b in pairwise(choose(i) for i in range(20))), kind


def two_models(**blocks):
    """Pools of one model around a pool of another, and a class of traffic for each."""
    fleet = [
        {"pool": "a", "gpu": "h100-sxm-80gb", "replicas": 2},
        {"pool": "b", "gpu": "h100-sxm-80gb", "replicas": 2, "model": "llama-3.1-8b"},
        {"pool": "c", "gpu": "h100-sxm-80gb"},
    ]
    classes = [{"name": "one", "share": 1}, {"name": "two", "share": 1, "model": "llama-3.1-8b"}]
    return replicate({"classes": classes}, **({"fleet": fleet} | blocks))


def test_each_model_has_a_router_of_its_own():
    one = two_models(router={"kind": "round_robin"})
    first = one.replica[one.requests.klass == 0].tolist()
    second = one.replica[one.requests.klass == 1].tolist()
    assert first == [(0, 1, 4)[turn % 3] for turn in range(len(first))]
    assert second == [(2, 3)[turn % 2] for turn in range(len(second))]
    assert min(len(first), len(second)) > 10


def test_a_model_that_no_pool_serves_is_one_sentence():
    with pytest.raises(InputError, match=r"no pool of the fleet serves model llama-3.1-8b") as error:
        two_models(fleet=[{"pool": "a", "gpu": "h100-sxm-80gb"}])
    assert "\n" not in str(error.value)


def test_of_several_routers_each_knows_its_own_choices_alone_until_the_next_refresh():
    world = idle(3)
    choose = router("least_outstanding", world, staleness_ms=1000, routers=2).choose
    assert [choose(i) for i in range(6)] == [0, 0, 1, 1, 2, 2]  # the second repeats the first


def test_several_routers_that_know_everything_choose_as_one():
    one, four = idle(3), idle(3)
    alone, together = router("least_outstanding", one), router("least_outstanding", four, routers=4)
    loads = []
    for choose, world in ((alone.choose, one), (together.choose, four)):
        for request in range(30):
            world.engines.enqueue(choose(request), request, 0, watched=False)
        loads.append(sorted(world.engines.state.outstanding.tolist()))
    assert loads == [[10, 10, 10]] * 2


def test_several_routers_are_told_who_is_there():
    choose = router("power_of_two", idle(4), staleness_ms=1000, routers=3)
    choose.change(np.array([2, 3], np.int32))
    assert {choose.choose(i) for i in range(60)} == {0, 1}
