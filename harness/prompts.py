"""Prompts as token ids: the same content wherever the scenario says that two requests share it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.request import Int64s, Requests

LOWEST = 256
"""Bytes and special tokens have low ids; others that mean something lie in the last tenth of a vocabulary."""
_STREAM, _POSITION = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


class Prompts:
    """The prompts of a run.

    A token depends on its stream and position alone (sim.request.Requests), but where a session's earlier turn was
    answered: there stands the answer. So vLLM's prefix cache finds exactly the blocks that the simulator's finds.
    """

    def __init__(self, requests: Requests, vocabulary: int) -> None:
        """Take the requests, and the size of the model's vocabulary."""
        self._requests = requests
        self._vocabulary = vocabulary
        self._continued = frozenset(requests.after[requests.after >= 0].tolist())
        self._answers: dict[int, list[tuple[int, Sequence[int]]]] = {}

    def of(self, index: int) -> Int64s:
        """Return one request's prompt, int64[prompt_tokens]."""
        length = int(self._requests.prompt_tokens[index])
        tokens = token_ids(self._streams(index, length), np.arange(length, dtype=np.uint64), self._vocabulary)
        for start, answer in self._answers.get(int(self._requests.own_stream[index]), ()):
            tokens[start : start + len(answer)] = answer[: max(length - start, 0)]
        return tokens

    def answered(self, index: int, answer: Sequence[int]) -> None:
        """Keep an answer that the next turn's prompt repeats."""
        if index in self._continued:
            earlier = self._answers.setdefault(int(self._requests.own_stream[index]), [])
            earlier.append((int(self._requests.prompt_tokens[index]), answer))

    def _streams(self, index: int, length: int) -> NDArray[np.uint64]:
        """Stream of each token, uint64[length]."""
        requests = self._requests
        first, last = int(requests.segment_offset[index]), int(requests.segment_offset[index + 1])
        streams: Int64s = np.append(requests.segment_stream[first:last], requests.own_stream[index])
        which = np.searchsorted(requests.segment_end[first:last], np.arange(length), side="right")
        return streams[which].astype(np.uint64)


def token_ids(stream: NDArray[np.uint64], position: NDArray[np.uint64], vocabulary: int) -> Int64s:
    """Mix streams and positions as splitmix64 does (Steele, Lea and Flood 2014) into ordinary token ids."""
    with np.errstate(over="ignore"):
        mixed = (stream + np.uint64(1)) * _STREAM + (position + np.uint64(1)) * _POSITION
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _POSITION
        mixed ^= mixed >> np.uint64(27)
    tokens: Int64s = (mixed % np.uint64(vocabulary * 9 // 10 - LOWEST)).astype(np.int64) + LOWEST
    return tokens
