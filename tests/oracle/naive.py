"""vLLM V1's scheduler in plain Python, written to be read: one list, one queue, no clock, no compiler.

A transcription of vllm/v1/core/sched/scheduler.py, async_scheduler.py, kv_cache_manager.py, block_pool.py and
single_type_kv_cache_manager.py of 0.32.0 for decoder-only models with one full-attention KV cache group.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.oracle.case import Config, Req, Step
from tests.oracle.drive import Abort, drive

BlockKey = tuple[int, int]
"""Content of a full block and of all before it: stream of its last token, index in the request."""


@dataclass(eq=False, slots=True)
class Block:
    """One KV cache block."""

    id: int
    users: int = 0
    key: BlockKey | None = None


class BlockPool:
    """Blocks, the order in which free ones are taken, and the prefix cache (block_pool.py)."""

    def __init__(self, usable: int) -> None:
        self.free = OrderedDict((id, Block(id)) for id in range(1, usable + 1))
        """Head first. Cached blocks without users lie here too: they are free until taken."""
        self.cached: defaultdict[BlockKey, dict[int, Block]] = defaultdict(dict)
        """Blocks of equal content, in the order in which they were registered."""

    def take(self, count: int) -> list[Block]:
        """Take blocks from the head; whatever they cached is gone."""
        blocks = [self.free.popitem(last=False)[1] for _ in range(count)]
        for block in blocks:
            block.users = 1
            if block.key is not None:
                del self.cached[block.key][block.id]
                block.key = None
        return blocks

    def touch(self, blocks: Iterable[Block]) -> None:
        """Share cached blocks with one more request."""
        for block in blocks:
            if block.users == 0:
                del self.free[block.id]
            block.users += 1

    def release(self, blocks: Sequence[Block]) -> None:
        """Give a request's blocks back, tail first: unhashed ones to the head, hashed ones to the end."""
        idle = []
        for block in reversed(blocks):
            block.users -= 1
            if block.users == 0:
                idle.append(block)
        for block in idle:
            self.free[block.id] = block
        for block in reversed(idle):
            if block.key is None:
                self.free.move_to_end(block.id, last=False)

    def register(self, block: Block, key: BlockKey) -> None:
        """Make a full block hittable. Equal blocks are not merged."""
        block.key = key
        self.cached[key][block.id] = block

    def find(self, key: BlockKey) -> Block | None:
        """The first registered of the blocks with this content."""
        return next(iter(self.cached[key].values()), None)


@dataclass(eq=False, slots=True)
class State:
    """What the scheduler knows of a request."""

    req: Req
    known: int
    """num_tokens: prompt and outputs returned so far."""
    computed: int = 0
    """num_computed_tokens: KV computed or scheduled."""
    placeholders: int = 0
    """num_output_placeholders: outputs scheduled but not returned (async only)."""
    in_flight: int = 0
    """Tokens of steps whose outputs are not processed."""
    stale: int = 0
    """The part of them that was scheduled before a preemption."""
    blocks: list[Block] = field(default_factory=list)
    registered: int = 0
    """Leading blocks that are in the prefix cache, or were when this request registered or hit them."""
    running: bool = False
    finished: bool = False

    @property
    def key(self) -> tuple[int, int, int]:
        """Order under the priority policy (v1/request.py __lt__)."""
        return (self.req.priority, self.req.arrival_step, self.req.id)


class Chunk(NamedTuple):
    """A request's part of a step."""

    state: State
    tokens: int
    computed: int
    """Tokens computed before."""
    samples: bool
    """Whether the step yields an output token."""
    loaded: int = 0
    """Blocks that this step loads through the KV connector before it computes."""


class NaiveScheduler:
    """`Scheduler` or, with async_scheduling, `AsyncScheduler`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pool = BlockPool(config.num_gpu_blocks - 1)
        self.running: list[State] = []
        self.waiting: deque[State] = deque()
        self.in_flight: deque[list[Chunk]] = deque()

    def add(self, req: Req) -> None:
        self._enqueue(State(req, known=req.prompt_tokens), front=False)

    def unfinished(self) -> bool:
        return bool(self.running or self.waiting)

    def abort(self, id: int) -> bool:
        """finish_requests() with FINISHED_ABORTED: False if the request is not here."""
        found = next((state for state in (*self.running, *self.waiting) if state.req.id == id), None)
        if found is not None:
            self._finish(found)
        return found is not None

    def schedule(self, call: int) -> Step:
        config = self.config
        budget = config.max_num_batched_tokens
        threshold = config.long_prefill_token_threshold
        if len(self.running) + len(self.waiting) == 1:
            threshold = 0  # the sole request starves nobody
        plan: dict[State, int] = {}
        cached: list[tuple[int, int]] = []
        loaded: dict[State, int] = {}
        preempted: list[State] = []

        index = 0
        while index < len(self.running) and budget > 0:
            state = self.running[index]
            tokens = state.known + state.placeholders - state.computed
            if 0 < threshold < tokens:
                tokens = threshold
            tokens = min(tokens, budget, config.max_model_len - state.computed - 1)
            if tokens == 0 or self._certainly_done(state):
                index += 1
                continue
            while state.running and not self._grow(state, tokens):
                victim = self._victim()
                if self.running.index(victim) < index:
                    index -= 1
                budget += plan.pop(victim, 0)
                self._preempt(victim)
                preempted.append(victim)
            if not state.running:
                break
            plan[state] = tokens
            budget -= tokens
            index += 1

        while not preempted and budget > 0 and self.waiting and len(self.running) < config.max_num_seqs:
            state = self.waiting[0]
            assert state.stale == 0, "with two batches in flight a preempted request's outputs are back by now"
            hit = self._prefix_hit(state)
            external = max(self._external(state) - len(hit), 0)
            computed = (len(hit) + external) * config.block_size
            tokens = state.known - computed
            if 0 < threshold < tokens:
                tokens = threshold
            if tokens > budget and not config.enable_chunked_prefill:
                break
            tokens = min(tokens, budget)
            if not self._admit(state, hit, computed, tokens):
                break  # head of line: nobody behind is tried
            self.waiting.popleft()
            self.running.append(state)
            state.running = True
            state.computed = computed
            cached.append((state.req.id, computed))
            loaded[state] = external
            plan[state] = tokens
            budget -= tokens

        if plan:
            self.in_flight.append(
                [self._advance(state, tokens, loaded.get(state, 0)) for state, tokens in plan.items()]
            )
        return Step(
            call,
            scheduled=tuple((state.req.id, tokens) for state, tokens in plan.items()),
            preempted=tuple(state.req.id for state in preempted),
            cached=tuple(cached),
            running=tuple(state.req.id for state in self.running),
            waiting=tuple(state.req.id for state in self.waiting),
            free_blocks=len(self.pool.free),
        )

    def update(self) -> tuple[int, ...]:
        finished = []
        for state, tokens, _, samples, _ in self.in_flight.popleft():
            stale = state.stale > 0
            state.in_flight -= tokens
            state.stale -= tokens if stale else 0
            if state.finished or not samples:
                continue  # the step after EOS or an abort was wasted
            state.known += 1
            if not stale and self.config.async_scheduling:
                state.placeholders -= 1
            if self.config.async_scheduling and state.running:
                self._register(state, state.computed - state.placeholders)
            if state.known == state.req.prompt_tokens + state.req.output_tokens:
                self._finish(state)
                finished.append(state.req.id)
        return tuple(finished)

    def _certainly_done(self, state: State) -> bool:
        """Async: what is in flight reaches max_tokens for sure."""
        last = state.req.prompt_tokens + state.req.max_tokens
        return state.placeholders > 0 and state.computed + 2 - state.placeholders >= last

    def _advance(self, state: State, tokens: int, loaded: int) -> Chunk:
        before = state.computed
        state.computed += tokens
        state.in_flight += tokens
        samples = state.computed >= state.known + state.placeholders
        if samples and self.config.async_scheduling:
            state.placeholders += 1
        return Chunk(state, tokens, before, samples, loaded)

    def _victim(self) -> State:
        if self.config.policy == "priority":
            return max(self.running, key=lambda state: state.key)
        return self.running[-1]

    def _preempt(self, state: State) -> None:
        self.running.remove(state)
        self._release(state)
        state.running = False
        state.computed = 0
        state.placeholders = 0
        state.stale = state.in_flight
        self._enqueue(state, front=True)

    def _finish(self, state: State) -> None:
        state.finished = True
        if state.running:
            self.running.remove(state)
            self._release(state)
        else:  # aborted, or preempted while its last token was in flight
            self.waiting.remove(state)

    def _enqueue(self, state: State, *, front: bool) -> None:
        if front:
            self.waiting.appendleft(state)
        else:
            self.waiting.append(state)
        if self.config.policy == "priority":
            self.waiting = deque(sorted(self.waiting, key=lambda state: state.key))

    def _blocks(self, tokens: int) -> int:
        return -(-min(tokens, self.config.max_model_len) // self.config.block_size)

    def _key(self, state: State, index: int) -> BlockKey:
        return state.req.stream((index + 1) * self.config.block_size - 1), index

    def _prefix_hit(self, state: State) -> list[Block]:
        """Longest run of cached blocks from the start that leaves a token to compute."""
        hit: list[Block] = []
        if self.config.enable_prefix_caching:
            for index in range((state.known - 1) // self.config.block_size):
                block = self.pool.find(self._key(state, index))
                if block is None:
                    break
                hit.append(block)
        return hit

    def _external(self, state: State) -> int:
        """Blocks that a KV connector finds (get_num_new_matched_tokens, loaded in the step itself): of the prompt only,
        and never its last token, whose logits are needed."""
        full = (state.req.prompt_tokens - 1) // self.config.block_size
        return full * self.config.index_ppm // 1_000_000

    def _grow(self, state: State, tokens: int) -> bool:
        """allocate_slots for a running request."""
        need = max(self._blocks(state.computed + tokens) - len(state.blocks), 0)
        if need > len(self.pool.free):
            return False
        state.blocks += self.pool.take(need)
        self._register(state, state.computed + tokens)
        return True

    def _admit(self, state: State, hit: list[Block], computed: int, tokens: int) -> bool:
        """allocate_slots for a waiting request."""
        config = self.config
        end = computed + tokens
        idle_hits = sum(block.users == 0 for block in hit)
        watermark = config.watermark_blocks if self.running else 0
        fit = state.known if config.reserve_full_isl else end
        if self._blocks(fit) - len(hit) + idle_hits + watermark > len(self.pool.free):
            return False
        self.pool.touch(hit)
        state.blocks = hit + self.pool.take(self._blocks(end) - len(hit))
        state.registered = len(hit)
        self._register(state, end)
        return True

    def _register(self, state: State, tokens: int) -> None:
        """Put full blocks of known tokens into the prefix cache, at scheduling time already."""
        if self.config.enable_prefix_caching:
            full = min(tokens, state.known) // self.config.block_size
            for index in range(state.registered, full):
                self.pool.register(state.blocks[index], self._key(state, index))
            state.registered = max(state.registered, full)

    def _release(self, state: State) -> None:
        self.pool.release(state.blocks)
        state.blocks = []
        state.registered = 0


def run_naive(config: Config, reqs: Sequence[Req], aborts: Sequence[Abort] = ()) -> list[Step]:
    """Drive the naive scheduler through the requests."""
    return drive(NaiveScheduler(config), config, reqs, aborts)
