"""Closed forms of reliability and of finite queues. Nothing here knows of the product.

Gross & Harris, Fundamentals of Queueing Theory (1998), sections 2.5 to 2.8; Ross, Stochastic Processes (1996), ch. 3.
"""

from math import exp, factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]


def up_share(life: float, down: float, start: float = 0.0) -> float:
    """Share of time that a node serves: it lives for an exponential time from its start on, which takes `start` of it.

    Mean time up over mean cycle (renewal reward); `down` is the mean time from its death to its next start, whatever
    its distribution.
    """
    return life * exp(-start / life) / (life + down)


def up(n: int, share: float) -> Floats:
    """Probability that 0 .. n of n independent nodes are up."""
    return stats.binom.pmf(np.arange(n + 1), n, share)


def machine_repair(n: int, crews: int, life: float, repair: float) -> Floats:
    """Probability that 0 .. n of n machines are up with so many crews, exponential lives and repairs (birth-death)."""
    down = np.ones(n + 1)
    for failed in range(n):
        down[failed + 1] = down[failed] * (n - failed) / life / (min(failed + 1, crews) / repair)
    return down[::-1] / down.sum()


def mmck_loss(servers: int, room: int, load: float) -> float:
    """Share that M/M/c/K turns away, K the most inside; load = arrival rate x mean service."""
    inside = [load**n / (factorial(min(n, servers)) * servers ** max(n - servers, 0)) for n in range(room + 1)]
    return inside[-1] / sum(inside)


def stepped_mmck_loss(servers: int, room: int, load: float, steps: int) -> float:
    """The same where servers begin and end at the boundaries of steps only, and a service is geometric in steps.

    A chain of those inside at the start of each step: who comes during it is let in up to the room, then each of those
    who were served leaves with probability 1 / steps. With nobody inside the next step starts with the next arrival.
    """
    mean = load / steps
    arrivals = stats.poisson.pmf(np.arange(400), mean)
    chain = np.zeros((room + 1, room + 1))
    lost = np.zeros(room + 1)
    for inside in range(1, room + 1):
        space = room - inside
        lost[inside] = arrivals @ np.maximum(np.arange(400) - space, 0)
        entering = np.append(arrivals[:space], arrivals[space:].sum())
        serving = min(inside, servers)
        leaving = stats.binom.pmf(np.arange(serving + 1), serving, 1 / steps)
        for came, p in enumerate(entering):
            for left, q in enumerate(leaving):
                chain[inside, max(inside + came - left, 0)] += p * q
    chain[0, 1] = 1.0
    stationary = np.linalg.lstsq(
        np.vstack([chain.T - np.eye(room + 1), np.ones(room + 1)]), np.append(np.zeros(room + 1), 1.0), rcond=None
    )[0]
    coming = np.where(np.arange(room + 1) == 0, 1.0, mean)
    return float(stationary @ lost / (stationary @ coming))


def fluid(begins: ArrayLike, size: float, capacity: float, cap: float) -> Floats:
    """When equal transfers end that share a link in equal parts, none above its cap: from each event to the next."""
    begins = np.asarray(begins, np.float64)
    left, ends = np.full(len(begins), float(size)), np.full(len(begins), np.inf)
    now = begins.min()
    while np.isinf(ends).any():
        under_way = (begins <= now) & np.isinf(ends)
        rate = min(cap, capacity / max(under_way.sum(), 1))
        begin = begins[begins > now].min(initial=np.inf)
        until = min(begin, now + left[under_way].min(initial=np.inf) / rate)
        left[under_way] -= rate * (until - now)
        now = until
        ends[under_way & (left <= 1e-9 * size)] = now
    return ends


def reclaim_rate(life: float, together: float, nodes: int) -> float:
    """Reclaims of one node a time, of so many in its zone.

    Each triggers at rate 1 / (life x together), and takes along as many others as a geometric number beyond the first
    of mean `together` says, or all there are; so every node is taken at rate 1 / life if there are enough.
    """
    others = nodes - 1
    along = (together - 1) * (1 - (1 - 1 / together) ** others)  # E[min(geometric - 1, others)]
    return (1 + along) / (life * together)


def weibull_renewals(shape: float, times: ArrayLike, grid: int = 4000) -> Floats:
    """Mean number of renewals up to `times`, lives Weibull with scale 1.

    M = F + F * M by the Riemann-Stieltjes method (Xie 1989, Communications in Statistics - Simulation 18).
    """
    times = np.asarray(times, np.float64)
    t = np.linspace(0, times.max(), grid + 1)
    life = stats.weibull_min(shape).cdf
    whole, middle = life(t), life((np.arange(grid) + 0.5) * t[1])  # F(i h), F((i + 1/2) h)
    mean = np.zeros(grid + 1)
    for i in range(1, grid + 1):
        before = np.diff(mean[:i]) @ middle[i - 1 : 0 : -1]
        mean[i] = (whole[i] + before - middle[0] * mean[i - 1]) / (1 - middle[0])
    return np.interp(times, t, mean)
