"""Closed forms of queueing theory. The mean service time is 1, so every time is in mean service times.

Gross & Harris, Fundamentals of Queueing Theory; Harchol-Balter, Performance Modeling and Design of Computer Systems
(2013). Nothing here knows of the product.
"""

from collections.abc import Callable
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def erlang_b(servers: int, load: float) -> float:
    """Blocking probability of M/G/c/c, whatever the service distribution; load = arrival rate x mean service."""
    blocked = 1.0
    for c in range(1, servers + 1):
        blocked = load * blocked / (c + load * blocked)
    return blocked


def erlang_c(servers: int, rho: float) -> float:
    """Probability of waiting in M/M/c."""
    blocked = erlang_b(servers, servers * rho)
    return blocked / (1 - rho * (1 - blocked))


def mmc_wait(servers: int, rho: float) -> float:
    """Mean wait in M/M/c."""
    return erlang_c(servers, rho) / (servers * (1 - rho))


def mmc_wait_tail(servers: int, rho: float, t: float) -> float:
    """P(wait > t) in M/M/c."""
    return erlang_c(servers, rho) * exp(-servers * (1 - rho) * t)


def mmc_wait_percentile(servers: int, rho: float, percentage: float) -> float:
    """The wait that so many per cent of customers do not exceed in M/M/c."""
    return log(erlang_c(servers, rho) / (1 - percentage / 100)) / (servers * (1 - rho))


def pollaczek_khinchine(rho: float, scv: float) -> float:
    """Mean wait in M/G/1; scv = variance of the service time over its squared mean."""
    return rho / (1 - rho) * (1 + scv) / 2


def relaxation(rho: float, scv: float = 1.0) -> float:
    """Arrivals in which the transient of a queue from empty falls by e, roughly: M/M/1's, and its diffusion's."""
    return rho / (1 - rho**0.5) ** 2 * max((1 + scv) / 2, 0.5)


def mdc_wait(servers: int, rho: float) -> float:
    """Mean wait in M/D/c (Crommelin 1932).

    Whoever is in service now has left one service time later, and nobody else has: the number in the system, seen at
    such distances, is a Markov chain, and at every instant it is distributed as in that chain.
    """
    size = 60 * servers
    new = stats.poisson.pmf(np.arange(size), servers * rho)
    moves = np.zeros((size, size))
    for n in range(size):
        left = max(n - servers, 0)
        moves[n, left:] = new[: size - left]
    waiting = np.maximum(np.arange(size) - servers, 0)
    return float(stationary(moves) @ waiting) / (servers * rho)


def batch_service(rate: float, service: Callable[[int], float], most: int | None = None) -> tuple[float, float]:
    """Mean latency and mean batch of M/D(b)/1: the server takes all who wait (up to `most`) for service(b).

    The chain of the number left behind at the ends of services (Bailey 1954; arXiv:1912.06322 for GPUs).
    """
    size = 300
    waiting = np.arange(size)
    there = np.maximum(waiting, 1)  # an idle server starts with the next arrival, alone
    batch = there if most is None else np.minimum(there, most)
    took = np.array([service(b) for b in batch])
    moves = np.zeros((size, size))
    for n in range(size):
        left = there[n] - batch[n]
        moves[n, left:] = stats.poisson.pmf(np.arange(size - left), rate * took[n])
    chain = stationary(moves)
    area = there * took + rate * took**2 / 2
    period = took + np.where(waiting == 0, 1 / rate, 0.0)
    return float(chain @ area / (chain @ period) / rate), float(chain @ batch)


def mm1k_loss(rho: float, room: int) -> float:
    """Loss probability of M/M/1/K: `room` customers at most, the one in service among them."""
    return (1 - rho) * rho**room / (1 - rho ** (room + 1))


def machine_repair(customers: int, think: float) -> tuple[float, float]:
    """Mean response time and throughput of a closed network: one exponential server and pauses of mean `think`.

    Mean value analysis (Reiser & Lavenberg 1980), exact for a product-form network.
    """
    queue = response = throughput = 0.0
    for n in range(1, customers + 1):
        response = 1 + queue
        throughput = n / (think + response)
        queue = throughput * response
    return response, throughput


class SteppedMMc:
    """M/M/c whose services are geometric numbers of steps, `steps` on average, as an engine of c seats serves it.

    The steps of all seats begin and end together; who arrives during a step can be seated at its end, and who arrives
    at an idle engine starts a step. The chain of the number in the system at the boundaries gives everything
    exactly; with ever finer steps it is M/M/c.
    """

    def __init__(self, servers: int, rho: float, steps: int) -> None:
        self.servers = servers
        self.rate = servers * rho
        self.step = 1 / steps
        size = servers + round(30 / -log(rho))
        self.number = np.arange(size)
        self.served = np.minimum(self.number, servers)
        new = stats.poisson.pmf(np.arange(size), self.rate * self.step)
        moves = np.zeros((size, size))
        for n in range(1, size):
            leave = stats.binom.pmf(np.arange(self.served[n] + 1), self.served[n], self.step)
            change = np.convolve(leave[::-1], new)  # from -served upwards
            low = n - self.served[n]
            moves[n, low:] = change[: size - low]
        moves[0, 1] = 1.0
        chain = stationary(moves)
        self.seen_idle = chain[0] / (chain[0] + chain[1:].sum() * self.rate * self.step)
        self.seen = chain * self.rate * self.step / (chain[0] + chain[1:].sum() * self.rate * self.step)
        self.seen[0] = 0.0

    @property
    def wait(self) -> float:
        """Mean wait, by Little's law: those beyond the seats wait a whole step, the new ones half of it on average."""
        per_arrival = np.maximum(self.number - self.servers, 0) / self.rate + self.step / 2
        return float(self.seen @ per_arrival)

    def wait_tail(self, boundaries: int) -> float:
        """P(wait > boundaries x step): at none of so many boundaries were enough of those ahead gone."""
        mean = self.rate * self.step
        before = np.arange(60)  # arrivals earlier in the same step: Poisson over a uniform part of it
        earlier = stats.poisson.sf(before, mean) / mean
        gone = self.served + self.servers * (boundaries - 1)
        ahead = self.number[:, None] + before
        still = stats.binom.cdf(ahead - self.servers, gone[:, None], self.step)
        return float(self.seen @ (still @ earlier))


def gated_processor_sharing(rho: float, pmf: Floats) -> float:
    """Mean sojourn when b requests share a server in rounds of one token each, of b tokens' time.

    As tokens get small it tends to 1 / (1 - rho). pmf[l] = probability that a request has l tokens. Who arrives during
    a round joins the next (gated processor sharing; Avi-Itzhak & Halfin 1989). Every present request has Poisson
    "children" in each of its rounds, so the number present is a branching process, started by one request after each
    idle time. With Z(k) present in round k, A = sum of E[Z(k)^2] solves A = sum over k of E[(E[Z(k) | l])^2] + rho A,
    and the area under the number in the system over a busy period is A x token x (1 + rate x token / 2).
    """
    tokens = np.arange(len(pmf))
    token = 1 / float(tokens @ pmf)
    birth = rho * token
    alive = pmf[::-1].cumsum()[::-1]  # P(length >= l)
    rounds = round(25 / (token * (1 - rho))) + len(pmf)
    mean = np.zeros(rounds + 1)
    for k in range(1, rounds + 1):
        span = min(k - 1, len(pmf) - 1)
        parents = alive[1 : span + 1] @ mean[k - span : k][::-1]
        mean[k] = (alive[k] if k < len(alive) else 0.0) + birth * parents
    total = mean.cumsum()
    squares = 0.0
    for k in range(1, rounds + 1):
        short = np.arange(min(k, len(pmf)))  # lengths that are over before round k
        squares += pmf[short] @ (birth * (total[k - 1] - total[k - 1 - short])) ** 2
        squares += (alive[k] if k < len(alive) else 0.0) * (1 + birth * total[k - 1]) ** 2
    return float(squares * token * (1 + birth / 2))  # A = squares / (1 - rho), a cycle takes 1 / rho (1 - rho)


def stationary(moves: Floats) -> Floats:
    """Stationary distribution of a Markov chain whose rows may lack a negligible mass (truncation)."""
    size = len(moves)
    balance = (moves / moves.sum(axis=1, keepdims=True)).T - np.eye(size)
    balance[-1] = 1.0
    return np.linalg.solve(balance, np.eye(size)[-1])
