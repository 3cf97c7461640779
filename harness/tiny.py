"""Tiny models of DeepSeek's own architectures, made locally: a config.json, a word-level tokenizer, no weights.

vLLM fills them with random weights (`--load-format dummy`), so that harness and calibration run without a GPU and
without a download.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

from sim.errors import InputError

Kind = Literal["llm", "moe", "v2", "v3"]

VOCABULARY = 10_240
"""Words; vLLM's benchmarks draw token ids up to 9,999."""
CONTEXT = 4096

_LLM: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 8,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1408,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "torch_dtype": "float32",
    "bos_token_id": 0,
    "eos_token_id": 1,
}
_EXPERTS = {
    "n_routed_experts": 16,
    "num_experts_per_tok": 4,
    "n_shared_experts": 2,
    "moe_intermediate_size": 192,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 1,
    "norm_topk_prob": False,
    "scoring_func": "softmax",
}
_MOE = (
    _LLM
    | _EXPERTS
    | {
        "architectures": ["DeepseekForCausalLM"],
        "model_type": "deepseek",
        "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekConfig"},
        "num_hidden_layers": 6,
        "num_key_value_heads": 8,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
)
_V2 = (
    _LLM
    | _EXPERTS
    | {
        "architectures": ["DeepseekV2ForCausalLM"],
        "model_type": "deepseek_v2",
        "num_hidden_layers": 4,
        "num_key_value_heads": 8,
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
)
_V3 = _V2 | {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "q_lora_rank": 192,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
}
CONFIGS: dict[Kind, dict[str, Any]] = {"llm": _LLM, "moe": _MOE, "v2": _V2, "v3": _V3}
"""DeepSeek-LLM, DeepSeekMoE, DeepSeek-V2 and DeepSeek-V3, scaled down (vllm/model_executor/models, 0.32.0)."""

DEEPSEEK_CONFIG = '''"""DeepSeekMoE's configuration; loading it needs --trust-remote-code."""

from transformers import PretrainedConfig


class DeepseekConfig(PretrainedConfig):
    """Every key of config.json as an attribute."""

    model_type = "deepseek"
'''


def make_tiny(kind: Kind, folder: Path) -> Path:
    """Write one tiny model into `folder` and return its config.json; what lies there already is left.

    Raises:
        InputError: the kind is unknown, or the folder holds something else.
    """
    if kind not in get_args(Kind):
        raise InputError(f"tiny-model: found {kind!r}, expected one of {', '.join(get_args(Kind))}")
    config = folder / "config.json"
    files = {
        "config.json": _json(CONFIGS[kind]),
        "tokenizer.json": _json(_tokenizer()),
        "tokenizer_config.json": _json(_TOKENIZER_CONFIG),
    }
    if kind == "moe":
        files["configuration_deepseek.py"] = DEEPSEEK_CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if config.is_file() and config.read_text(encoding="utf-8") != files["config.json"]:
            raise InputError(f"{folder}: found another model's config.json, expected an empty folder or a free name")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    return config


_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "model_max_length": CONTEXT,
}


def _tokenizer() -> dict[str, Any]:
    """One word a token: `t17` is token 17."""
    special = ["<s>", "</s>", "<unk>"]
    words = special + [f"t{number}" for number in range(len(special), VOCABULARY)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
            for i, word in enumerate(special)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "<unk>"},
    }  # fmt: skip


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"
