"""What the simulator knows of hardware, models and markets. Frozen; units in the names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Dtype = Literal["bfloat16", "float32", "fp8", "int8", "int4", "fp4"]
"""Weight precision. int4 is W4A16 with group scales, fp4 is NVFP4/MXFP4 with block scales."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator as the driver shows it."""

    id: str
    memory_bytes: int
    """What torch.cuda reports as total memory (an "80 GB" H100 shows 79.1 GiB)."""
    hbm_bytes_per_s: float
    bf16_flops: float
    """Dense, without sparsity."""
    fp8_flops: float | None
    int8_flops: float | None
    fp4_flops: float | None
    tdp_w: float
    nvlink_bytes_per_s: float
    """One direction, one GPU, to all peers in the node together; 0 without NVLink (or Infinity Fabric)."""
    pcie_bytes_per_s: float
    """One direction."""
    nic_bytes_per_s: float
    """One direction, one GPU's share of the node's network."""
    gpus_per_node: int
    """GPUs that share NVLink or PCIe in one node."""
    cuda_graph_max: int
    """Largest default CUDA-graph capture size (512; 1024 on Blackwell sm_10x; vllm-scheduler section 9)."""
    source: str
    date: str
    compute_capability: float = 9.0
    """CUDA's: 8.0 Ampere, 8.9 Ada, 9.0 Hopper, 10.0 Blackwell; 0.0 for AMD. Decides the attention backend."""


@dataclass(frozen=True, slots=True)
class Device:
    """Something other than a GPU that can do a part of a model's work."""

    id: str
    memory_bytes: float
    """That weights or KV cache may take."""
    bytes_per_s: float
    """Attained, of that memory."""
    flops: float
    """Attained, in 16 bits."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Link:
    """What a hop from one device to another crosses."""

    id: str
    latency_us: float
    """Of a small message, one way."""
    low_us: float
    high_us: float
    bytes_per_s: float
    """One direction of one link."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a quantised model's scores are of the unquantised one's, as published: cited, never simulated."""

    id: str
    base: str
    """The unquantised model."""
    quantization: Dtype
    recovery_percent: Mapping[str, float]
    """By benchmark."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Mla:
    """Multi-head latent attention."""

    q_lora_rank: int
    """0: queries are projected directly."""
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int


@dataclass(frozen=True, slots=True)
class Moe:
    """Mixture-of-experts feed-forward layers."""

    routed_experts: int
    experts_per_token: int
    shared_experts: int
    intermediate_size: int
    """Of one expert."""
    first_dense_layers: int
    """Leading layers with a dense feed-forward."""


@dataclass(frozen=True, slots=True)
class SparseAttention:
    """Attention that reads a selection of the context: DeepSeek sparse attention and the V4 hybrid."""

    index_heads: int
    index_head_dim: int
    topk: int
    """Context tokens that attention reads at most, beside the window."""
    window: int
    """Sliding window that is always read; 0 if none."""
    compress_ratios: tuple[int, ...]
    """By layer: KV entries are kept one for so many tokens (V4); empty: every token is kept (V3.2)."""


@dataclass(frozen=True, slots=True)
class Model:
    """A decoder-only transformer, from the fields of its Hugging Face config.json."""

    id: str
    architecture: str
    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_model_len: int
    tied_embeddings: bool
    qkv_bias: bool
    native_dtype: Dtype
    """Precision of the published weights."""
    expert_dtype: Dtype | None
    """Precision of the routed experts, where it differs."""
    mla: Mla | None
    moe: Moe | None
    sparse: SparseAttention | None
    o_lora_rank: int
    """Low-rank output projection (V4); 0 if none."""
    o_groups: int
    parameters: float | None
    """Published total, where there is one."""
    active_parameters: float | None
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Price:
    """A GPU's hourly price on one market."""

    gpu: str
    market: Literal["on_demand", "spot", "reserved"]
    usd_per_gpu_hour: float
    low: float
    high: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class FailurePreset:
    """How often one target fails, as measured somewhere."""

    id: str
    of: Literal["node", "gpu", "replica"]
    mtbf_hours: float
    """Of one target."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class StartupPreset:
    """How long the stages of a start take."""

    id: str
    stages: Mapping[str, Mapping[str, Any]]
    """provision, boot, image, process, compile and warm, in this order: each a duration as a scenario writes it."""
    store_gb_per_s: float
    """Link from the weight store to the whole fleet, 1e9 bytes a second."""
    node_gb_per_s: float
    """Most that one replica can take from the store."""
    disk_gb_per_s: float
    """Reading weights that the node has already."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class SpotPreset:
    """How a spot market takes nodes back."""

    id: str
    mean_life_hours: float
    """Of one node."""
    nodes_per_event: float
    """Mean number of nodes that one reclaim takes."""
    mean_outage_s: float
    """From a reclaim until the market gives a node again."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class SpotDiscounts:
    """What spot costs less than on-demand, zone by zone, at one moment."""

    instance: str
    gpu: str
    percent_by_zone: Mapping[str, float]
    """Per cent of the zone's on-demand price."""
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica lies on GPUs."""

    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    expert_parallel: bool = False

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel_size * self.pipeline_parallel_size
