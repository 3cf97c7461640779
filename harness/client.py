"""One request to an OpenAI server, streamed: when each token came."""

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.errors import InputError

if TYPE_CHECKING:
    import aiohttp

CUT_OFF = "cut off: the run ended before the answer"
_SILENCE_S = 6 * 3600.0
"""As vLLM's own client: a request may wait long for its first token."""
_KEEP_S = 2.0
"""An idle connection is given up before the server does so (5 s), just as the next request is sent."""
_LINE_BYTES = 1 << 24
"""The first event repeats the prompt's token ids."""


@dataclass(slots=True)
class Answer:
    """What became of one request; times in ns since the start of the run, -1 where there is none."""

    sent_ns: int = -1
    chunk_ns: list[int] = field(default_factory=list)
    """When each chunk came that held tokens."""
    chunk_tokens: list[int] = field(default_factory=list)
    """How many it held."""
    token_ids: list[int] = field(default_factory=list)
    prompt_tokens: int = -1
    """As the server counts them."""
    cached_tokens: int = -1
    """Of the prompt, where the server tells (--enable-prompt-tokens-details)."""
    error: str = "not sent"
    """Empty: all tokens came."""

    @property
    def tokens(self) -> int:
        """Output tokens received."""
        return sum(self.chunk_tokens)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask."""

    base_url: str
    model: str
    cache_salt: str
    """Prefixes are shared within a run alone: other runs on the same server have other salts."""

    def body(self, prompt: Sequence[int], output_tokens: int) -> bytes:
        """Return the request for exactly so many tokens, as JSON."""
        wanted = {
            "model": self.model,
            "prompt": list(prompt),
            "max_tokens": output_tokens,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "cache_salt": self.cache_salt,
        }
        return json.dumps(wanted).encode()


def require_aiohttp() -> None:
    """Refuse to go on without aiohttp.

    Raises:
        InputError: with the command that installs it.
    """
    try:
        import aiohttp  # noqa: F401, PLC0415
    except ImportError:
        raise InputError('the client needs the package aiohttp: pip install "trilemma[harness]"') from None


def new_session() -> "aiohttp.ClientSession":
    """Return a session without limits of its own."""
    import aiohttp  # noqa: PLC0415  # optional

    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_S),
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_S),
        read_bufsize=_LINE_BYTES,
    )


async def ask(
    session: "aiohttp.ClientSession",
    target: Target,
    body: bytes,
    sizes: tuple[int, int],
    answer: Answer,
    start_ns: int,
) -> None:
    """Send a request and note what comes; every failure ends as a sentence in the answer.

    Args:
        session: see `new_session`.
        target: the server.
        body: see `Target.body`.
        sizes: tokens of the prompt, and of the answer that was asked for.
        answer: to fill.
        start_ns: start of the run, of time.monotonic_ns.
    """
    import aiohttp  # noqa: PLC0415  # optional

    answer.error = CUT_OFF
    answer.sent_ns = time.monotonic_ns() - start_ns
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(f"{target.base_url}/v1/completions", data=body, headers=headers) as response:
            if response.status != 200:
                answer.error = f"HTTP {response.status}: {' '.join((await response.text()).split())[:200]}"
                return
            async for event in _events(response):
                _take(event, answer, time.monotonic_ns() - start_ns)
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        answer.error = f"{type(error).__name__}: {error}"[:300]
        return
    answer.error = _wrong(answer, *sizes)


async def _events(response: "aiohttp.ClientResponse") -> AsyncIterator[dict[str, Any]]:
    """The JSON of each server-sent event, until [DONE]."""
    async for line in response.content:
        if not line.startswith(b"data:"):
            continue
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        event = json.loads(data)
        if not isinstance(event, dict):
            raise ValueError(f"found {str(event)[:50]!r} in the stream, expected an object")  # noqa: TRY004
        if "error" in event:
            raise ValueError(str(event["error"])[:200])
        yield event


def _take(event: dict[str, Any], answer: Answer, now_ns: int) -> None:
    for choice in event.get("choices") or ():
        ids = choice.get("token_ids")
        if ids is None:
            raise ValueError("the stream has no token_ids, expected a server that knows return_token_ids (vLLM)")
        if ids:
            answer.chunk_ns.append(now_ns)
            answer.chunk_tokens.append(len(ids))
            answer.token_ids += ids
    usage = event.get("usage")
    if usage:
        answer.prompt_tokens = int(usage["prompt_tokens"])
        details = usage.get("prompt_tokens_details")
        if details:
            answer.cached_tokens = int(details.get("cached_tokens") or 0)


def _wrong(answer: Answer, prompt_tokens: int, output_tokens: int) -> str:
    """Why a stream that ended is no answer, or nothing."""
    if answer.tokens != output_tokens:
        return f"the stream ended after {answer.tokens} of {output_tokens} tokens"
    if answer.prompt_tokens not in (-1, prompt_tokens):
        return f"the server counted {answer.prompt_tokens} prompt tokens, {prompt_tokens} were sent"
    return ""
