"""Which step sizes vLLM captures as CUDA graphs, and how it pads to them."""

import numpy as np
from numpy.typing import NDArray


def capture_sizes(max_num_seqs: int, max_num_batched_tokens: int, limit: int) -> tuple[int, ...]:
    """Default capture sizes in tokens, ascending (vllm/config/vllm.py:2346-2499, 0.32.0, no speculative decoding).

    Args:
        max_num_seqs: Seats; itself captured if within the limit.
        max_num_batched_tokens: Token budget of a step.
        limit: Largest default size of the GPU, 512 (1024 on Blackwell sm_10x).
    """
    largest = min(2 * max_num_seqs, limit)
    seats = {max_num_seqs} if max_num_seqs <= largest else set()
    largest = min(largest, max_num_batched_tokens)
    sizes = {size for size in (1, 2, 4) if size <= largest}
    sizes.update(range(8, min(largest + 1, 256), 8))
    sizes.update(range(256, largest + 1, 16))
    if max_num_batched_tokens <= largest:
        sizes.add(max_num_batched_tokens)
    sizes.update(size for size in seats if size <= max_num_batched_tokens)
    return tuple(sorted(sizes))


def padded(tokens: NDArray[np.int64], sizes: tuple[int, ...]) -> NDArray[np.int64]:
    """Tokens as they run: padded to the next capture size, exact beyond the largest (cudagraph_dispatcher.py:71-94)."""
    if not sizes:
        return tokens
    captured = np.array(sizes)
    next_size = captured[np.minimum(np.searchsorted(captured, tokens), len(captured) - 1)]
    return np.where(tokens <= captured[-1], next_size, tokens)
