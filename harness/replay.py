"""A scenario's requests, sent as its clients send them: at their times, or as soon as a place is free."""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.client import Answer, Target, ask, new_session
from harness.prompts import Prompts, token_ids
from sim.errors import InputError
from sim.request import Requests

if TYPE_CHECKING:
    import aiohttp

NS_PER_S = 1_000_000_000
Progress = Callable[[int, int], None]
_AHEAD_S = 0.5
"""A request's body is made this long before it is sent."""
_REPORT_EVERY_S = 2.0
_WATCH_S = 0.5
_WARM_UP = (32, 8)
"""Tokens of the prompt and the answer that make server and client ready; vLLM's own client sends one request too."""


async def warm_up(target: Target, vocabulary: int) -> None:
    """Send a request that no other shares a block with, and forget it.

    Raises:
        InputError: it is not answered as the run's requests must be.
    """
    positions = np.arange(_WARM_UP[0], dtype=np.uint64)
    prompt = token_ids(np.zeros_like(positions), positions, vocabulary).tolist()
    answer = Answer()
    body = Target(target.base_url, target.model, f"{target.cache_salt}-warm-up").body(prompt, _WARM_UP[1])
    async with new_session() as session:
        await ask(session, target, body, _WARM_UP, answer, time.monotonic_ns())
    if answer.error:
        raise InputError(f"the server does not answer a first request: {answer.error}")


async def replay(
    target: Target,
    requests: Requests,
    prompts: Prompts,
    answers: Sequence[Answer],
    start_ns: int,
    progress: Progress,
    died: Callable[[], bool],
) -> None:
    """Send all requests and fill their answers; with a server that died, end early.

    Args:
        target: the server.
        requests: as drawn for the simulator.
        prompts: their content.
        answers: new ones, one a request.
        start_ns: time zero of the run, of time.monotonic_ns.
        progress: called every few seconds with requests ended and all.
        died: whether the server has ended.
    """
    _allow_connections()
    async with new_session() as session:
        clients = _Clients(session, target, requests, prompts, answers, start_ns, progress)
        work = asyncio.create_task(clients.run())
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=_WATCH_S)
                if died():
                    return
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def _allow_connections() -> None:
    """Every request in flight is a connection; the usual soft limit is 1,024 files."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  # Unix alone

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Clients:
    """All clients of a run as one, like the simulator's (sim/clients.py)."""

    def __init__(
        self,
        session: "aiohttp.ClientSession",
        target: Target,
        requests: Requests,
        prompts: Prompts,
        answers: Sequence[Answer],
        start_ns: int,
        progress: Progress,
    ) -> None:
        self._session, self._target, self._prompts = session, target, prompts
        self._requests, self._answers, self._start_ns = requests, answers, start_ns
        self._places = None if requests.concurrency is None else asyncio.Semaphore(requests.concurrency)
        self._next = {int(before): later for later, before in enumerate(requests.after) if before >= 0}
        self._progress, self._ended, self._reported_s = progress, 0, time.monotonic()

    async def run(self) -> None:
        sent = asyncio.Event()
        sent.set()
        async with asyncio.TaskGroup() as group:
            for index in (self._requests.after < 0).nonzero()[0].tolist():
                due_ns = int(self._requests.arrival_ns[index])
                await self._sleep_until(due_ns - int(_AHEAD_S * NS_PER_S))
                if self._places is not None:
                    await self._places.acquire()
                before, sent = sent, asyncio.Event()
                group.create_task(self._session_from(index, due_ns, before, sent))

    async def _session_from(self, index: int | None, due_ns: int, before: asyncio.Event, sent: asyncio.Event) -> None:
        """Send a request, not `before` the one ahead of it, and after each answer and its pause the next turn."""
        while index is not None:
            await self._send(index, due_ns, before, sent)
            index = self._next.get(index)
            if index is not None:
                due_ns = time.monotonic_ns() - self._start_ns + int(self._requests.arrival_ns[index])
        if self._places is not None:
            self._places.release()

    async def _send(self, index: int, due_ns: int, before: asyncio.Event, sent: asyncio.Event) -> None:
        answer = self._answers[index]
        sizes = int(self._requests.prompt_tokens[index]), int(self._requests.output_tokens[index])
        body = self._target.body(self._prompts.of(index).tolist(), sizes[1])
        await self._sleep_until(due_ns)
        await before.wait()
        sent.set()
        await ask(self._session, self._target, body, sizes, answer, self._start_ns)
        self._prompts.answered(index, answer.token_ids)
        answer.token_ids = []
        self._ended += 1
        now_s = time.monotonic()
        if self._ended == len(self._requests) or now_s > self._reported_s + _REPORT_EVERY_S:
            self._reported_s = now_s
            self._progress(self._ended, len(self._requests))

    async def _sleep_until(self, due_ns: int) -> None:
        left_ns = self._start_ns + due_ns - time.monotonic_ns()
        if left_ns > 0:
            await asyncio.sleep(left_ns / NS_PER_S)
