"""Random cases for the differential tests: small enough to be quick, odd enough to reach every branch."""

from random import Random

from tests.oracle.case import Config, Req
from tests.oracle.drive import Abort


def random_case(rng: Random) -> tuple[Config, list[Req]]:
    """Draw a configuration and its requests.

    Every request can be served to its end, except in one case of thirty, where the KV cache or the token budget is
    drawn without regard to the requests and the head of the queue may be stuck for ever.
    """
    block_size = rng.choice([1, 2, 3, 4, 8, 8, 16, 16, 16, 32, 64])
    reqs = _requests(rng, block_size)
    longest = max(req.prompt_tokens + req.output_tokens for req in reqs)
    budget = rng.choice([rng.randint(1, 16), rng.randint(16, 100), rng.randint(100, 300), 2048])
    chunked = rng.random() < 0.85
    usable = _usable_blocks(rng, reqs, block_size)
    if rng.random() < 1 / 30:
        usable = max(2, usable // 2)
    elif not chunked:
        budget = max(budget, longest)
    return Config(
        max_num_batched_tokens=budget,
        max_num_seqs=min(rng.choice([1, 2, 3, 5, 8, 64]), budget),
        block_size=block_size,
        num_gpu_blocks=usable + 1,
        max_model_len=longest if rng.random() < 0.3 else longest + rng.randint(1, 100),
        enable_prefix_caching=rng.random() < 0.7,
        enable_chunked_prefill=chunked,
        long_prefill_token_threshold=rng.choice([0, 0, 0, 1, 7, 16, 50]),
        policy="priority" if rng.random() < 0.3 else "fcfs",
        reserve_full_isl=rng.random() < 0.8,
        watermark=rng.choice([0.0, 0.0, 0.0, 0.01, 0.1, 0.3]),
        async_scheduling=rng.random() < 0.4,
    ), reqs


def random_aborts(rng: Random, reqs: list[Req]) -> list[Abort]:
    """Clients that give up: some at once, most while their request waits or runs, some after its end."""
    share = rng.choice([0.2, 0.5, 1.0])
    patience = rng.choice([1, 5, 30, 100])
    leaving = [req for req in reqs if rng.random() < share]
    return [Abort(req.arrival_step + rng.randint(0, patience), rng.random() < 0.5, req.id) for req in leaving]


def _usable_blocks(rng: Random, reqs: list[Req], block_size: int) -> int:
    """From just enough for the longest request to plenty; mostly starved."""
    blocks = [-(-(req.prompt_tokens + req.output_tokens) // block_size) for req in reqs]
    least, most = max(blocks), sum(blocks)
    share = rng.choice([0.0, 0.0, 0.03, 0.06, 0.15, 0.3, 1.0])
    return max(least + int(share * (most - least)), 1)


def _requests(rng: Random, block_size: int) -> list[Req]:
    """Requests by arrival, a mix of unrelated prompts, shared system prompts, repeats and conversations."""
    count = rng.randint(1, 24)
    gap = rng.choice([0, 0.3, 1, 3, 10])
    longest = rng.choice([6, 40, 120, 300])
    outputs = rng.choice([1, 4, 20, 60])
    multiples = rng.random() < 0.3
    eos = rng.choice([0.0, 0.5])
    sharing = rng.choice([0.0, 0.5, 0.9])
    prefixes = [_prefix(rng, tree, longest) for tree in range(rng.randint(1, 3))]
    reqs: list[Req] = []
    arrival = 0.0
    for id in range(count):
        arrival += rng.expovariate(1 / gap) if gap else 0.0
        prompt = rng.randint(1, longest)
        if multiples:
            prompt = -(-prompt // block_size) * block_size
        segments: tuple[tuple[int, int], ...] = ()
        own = 1000 + id
        if rng.random() < sharing:
            kind = rng.random()
            if reqs and kind < 0.25:  # the same prompt once more, or the next turn of a conversation
                earlier = rng.choice(reqs)
                own, segments, prompt = earlier.own_stream, earlier.segments, earlier.prompt_tokens
                if rng.random() < 0.6:
                    prompt += earlier.output_tokens + rng.randint(1, 20)
            elif kind < 0.4:  # a prompt that is shared to its last token
                segments = rng.choice(prefixes)
                prompt = segments[-1][1]
            else:
                chain = rng.choice(prefixes)
                segments = chain[: rng.randint(1, len(chain))]
                prompt += segments[-1][1]
        output = rng.randint(1, outputs)
        extra = rng.randint(1, 30) if rng.random() < eos else 0
        reqs.append(Req(id, int(arrival), prompt, output, output + extra, own, segments, rng.randint(0, 2)))
    return reqs


def _prefix(rng: Random, tree: int, longest: int) -> tuple[tuple[int, int], ...]:
    """A system prompt and up to two layers below it: (stream, end)."""
    end = 0
    chain = []
    for layer in range(rng.randint(1, 3)):
        end += rng.randint(1, longest)
        chain.append((10 * tree + layer + 1, end))
    return tuple(chain)
