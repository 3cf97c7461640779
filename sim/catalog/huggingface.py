"""Read a Model from the fields of a Hugging Face config.json, as vLLM does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sim.catalog.types import Dtype, Mla, Model, Moe, SparseAttention
from sim.errors import InputError

_DENSE = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_MOE = ("MixtralForCausalLM", "Qwen3MoeForCausalLM", "DeepseekForCausalLM")
_MLA = ("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM")
_V4 = "DeepseekV4ForCausalLM"
ARCHITECTURES = (*_DENSE, *_MOE, *_MLA, _V4)

_DTYPES: dict[str, Dtype] = {
    "float32": "float32",
    "float16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "gptq": "int4",
    "awq": "int4",
    "mxfp4": "fp4",
    "modelopt": "fp8",
    "modelopt_fp4": "fp4",
    "nvfp4": "fp4",
    "fp4": "fp4",
}


@dataclass(frozen=True, slots=True)
class _Fields:
    """A config with the name of its origin, for errors that name file and key."""

    origin: str
    config: Mapping[str, object]

    def error(self, key: str, expected: str) -> InputError:
        found = f"found {self.config[key]!r}" if key in self.config else "it is missing"
        return InputError(f"{self.origin}: {key} must be {expected}, {found}")

    def count(self, key: str, default: int | None = None, least: int = 1, most: int = 1_000_000_000) -> int:
        """An integer in [least, most]; `default` where the key is missing or null."""
        value = self.config.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.error(key, f"an integer from {least} to {most}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.config.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def block(self, key: str) -> "_Fields | None":
        value = self.config.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(key, "a mapping")
        return _Fields(f"{self.origin}: {key}", value)


def from_config(model_id: str, config: Mapping[str, object], origin: str, source: str, date: str) -> Model:
    """Build a Model.

    Args:
        model_id: Its name.
        config: The parsed config.json.
        origin: What errors call the config, usually its path.
        source: Where it comes from, kept in the model.
        date: When it was read.

    Raises:
        InputError: A field is missing or wrong, or the architecture or quantisation is not supported.
    """
    fields = _Fields(origin, config)
    architecture = _architecture(fields)
    heads = fields.count("num_attention_heads", most=100_000)
    hidden_size = fields.count("hidden_size")
    kv_heads = fields.count("num_key_value_heads", default=heads, most=heads)
    if heads % kv_heads:
        raise fields.error("num_key_value_heads", f"a divisor of num_attention_heads ({heads})")
    layers = fields.count("num_hidden_layers", most=1_000)
    is_v4 = architecture == _V4
    native_dtype, expert_dtype = _dtypes(fields)
    return Model(
        id=model_id,
        architecture=architecture,
        layers=layers,
        hidden_size=hidden_size,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=fields.count("head_dim", default=max(hidden_size // heads, 1)),
        intermediate_size=0 if is_v4 else fields.count("intermediate_size"),
        vocab_size=fields.count("vocab_size"),
        max_model_len=_max_model_len(fields),
        tied_embeddings=fields.flag("tie_word_embeddings", default=False),
        qkv_bias=fields.flag("attention_bias", default=architecture == "Qwen2ForCausalLM"),
        native_dtype=native_dtype,
        expert_dtype=expert_dtype,
        mla=_v4_attention(fields) if is_v4 else _mla(fields) if architecture in _MLA else None,
        moe=None if architecture in _DENSE else _moe(fields, architecture, layers),
        sparse=_sparse(fields, architecture, layers),
        o_lora_rank=fields.count("o_lora_rank") if is_v4 else 0,
        o_groups=fields.count("o_groups") if is_v4 else 0,
        parameters=None,
        active_parameters=None,
        source=source,
        date=date,
    )


def _architecture(fields: _Fields) -> str:
    names = fields.config.get("architectures")
    if not isinstance(names, list) or not names or names[0] not in ARCHITECTURES:
        raise fields.error("architectures", f"a list with one of {', '.join(ARCHITECTURES)}")
    return str(names[0])


def _max_model_len(fields: _Fields) -> int:
    """The context that vLLM derives: RoPE scaling extends it, except for types that already include it.

    vllm/config/model.py:2580-2640, 0.32.0: YaRN, Llama 3 and LongRoPE leave max_position_embeddings already scaled.
    """
    length = fields.count("max_position_embeddings")
    scaling = fields.block("rope_parameters") or fields.block("rope_scaling")
    if scaling is None:
        return length
    kind = scaling.config.get("rope_type", scaling.config.get("type", "default"))
    if kind not in ("linear", "dynamic"):
        return length
    factor = scaling.config.get("factor")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not 1 <= factor <= 1_000_000:
        raise scaling.error("factor", "a number from 1 to 1000000")
    return int(length * factor)


def _dtypes(fields: _Fields) -> tuple[Dtype, Dtype | None]:
    """Precision of the weights, and of the routed experts where it differs."""
    expert = fields.config.get("expert_dtype")
    if expert not in (None, "bfloat16", "fp8", "fp4"):
        raise fields.error("expert_dtype", "bfloat16, fp8 or fp4")
    expert_dtype = None if expert is None else _DTYPES[str(expert)]
    quantization = fields.block("quantization_config")
    if quantization is not None:
        dtype = _quantized_dtype(quantization)
        kept = quantization.config.get("ignore") or quantization.config.get("exclude_modules")
        if dtype == "fp4" and "attn" in str(kept):  # NVIDIA's NVFP4 checkpoints leave attention as it was
            return "bfloat16", "fp4"
        return dtype, expert_dtype
    name = fields.config.get("torch_dtype", fields.config.get("dtype", "bfloat16"))
    if name not in ("bfloat16", "float16", "float32"):
        raise fields.error("torch_dtype", "bfloat16, float16 or float32")
    return _DTYPES[str(name)], expert_dtype


def _quantized_dtype(fields: _Fields) -> Dtype:
    """Precision of quantised weights: by method, for modelopt by algorithm, for compressed-tensors by bits."""
    method = fields.config.get("quant_method")
    if method == "compressed-tensors":
        groups = fields.config.get("config_groups")
        text = str(groups)
        for bits, kind, dtype in ((4, "int", "int4"), (8, "int", "int8"), (8, "float", "fp8"), (4, "float", "fp4")):
            if f"'num_bits': {bits}" in text and f"'type': '{kind}'" in text:
                return cast(Dtype, dtype)
        raise fields.error("config_groups", "groups with weights of 4 or 8 bits")
    if method == "modelopt" and "FP4" in str(fields.config.get("quant_algo")):
        return "fp4"
    if method in ("awq", "gptq"):
        for key, only in (("bits", 4), ("group_size", 128)):
            if fields.config.get(key, only) != only:
                raise fields.error(key, f"{only}: other {method} checkpoints are not modelled")
    if not isinstance(method, str) or method not in _DTYPES:
        raise fields.error("quant_method", f"one of compressed-tensors, {', '.join(sorted(_DTYPES))}")
    return _DTYPES[method]


def _mla(fields: _Fields) -> Mla:
    return Mla(
        q_lora_rank=fields.count("q_lora_rank", default=0, least=0),
        kv_lora_rank=fields.count("kv_lora_rank"),
        qk_nope_head_dim=fields.count("qk_nope_head_dim"),
        qk_rope_head_dim=fields.count("qk_rope_head_dim"),
        v_head_dim=fields.count("v_head_dim"),
    )


def _v4_attention(fields: _Fields) -> Mla:
    """V4's shared-KV attention as MLA without up-projection: one vector of head_dim a token serves as key and value.

    vllm/models/deepseek_v4/attention.py:245-285, 0.32.0; kv_lora_rank + qk_rope_head_dim = head_dim.
    """
    head_dim = fields.count("head_dim")
    rope = fields.count("qk_rope_head_dim", most=head_dim - 1)
    return Mla(fields.count("q_lora_rank"), head_dim - rope, head_dim - rope, rope, head_dim)


def _moe(fields: _Fields, architecture: str, layers: int) -> Moe:
    experts_key = {"MixtralForCausalLM": "num_local_experts", "Qwen3MoeForCausalLM": "num_experts"}.get(
        architecture, "n_routed_experts"
    )
    size_key = "intermediate_size" if architecture == "MixtralForCausalLM" else "moe_intermediate_size"
    for key in ("moe_layer_freq", "decoder_sparse_step"):
        if fields.config.get(key, 1) != 1:
            raise fields.error(key, "1 (every layer after the dense ones is a mixture)")
    if fields.config.get("mlp_only_layers"):
        raise fields.error("mlp_only_layers", "empty")
    experts = fields.count(experts_key, most=100_000)
    return Moe(
        routed_experts=experts,
        experts_per_token=fields.count("num_experts_per_tok", most=experts),
        shared_experts=fields.count("n_shared_experts", default=0, least=0, most=1_000),
        intermediate_size=fields.count(size_key),
        first_dense_layers=fields.count("first_k_dense_replace", default=0, least=0, most=layers),
    )


def _sparse(fields: _Fields, architecture: str, layers: int) -> SparseAttention | None:
    if architecture not in ("DeepseekV32ForCausalLM", _V4):
        return None
    ratios: tuple[int, ...] = ()
    if architecture == _V4:
        found = fields.config.get("compress_ratios")
        # 0: the layer keeps its window only; entries beyond the layers belong to multi-token prediction
        if not isinstance(found, list) or len(found) < layers or any(r not in (0, 4, 128) for r in found):
            raise fields.error("compress_ratios", f"a list of 0, 4 or 128 for each of the {layers} layers")
        ratios = tuple(found[:layers])
    return SparseAttention(
        index_heads=fields.count("index_n_heads"),
        index_head_dim=fields.count("index_head_dim"),
        topk=fields.count("index_topk"),
        window=fields.count("sliding_window") if architecture == _V4 else 0,
        compress_ratios=ratios,
    )
