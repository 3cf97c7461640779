"""Public traces by name: where each is published, what it hashes to, and where it lies on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path

from sim.cachedir import cache_dir
from sim.errors import InputError
from sim.workload.named_spot import SPOT_TRACES
from sim.workload.published import NamedTrace

AZURE_2023 = "https://raw.githubusercontent.com/Azure/AzurePublicDataset/master/data"
AZURE_2024 = "https://github.com/Azure/AzurePublicDataset/releases/download/dataset-llm-2024"
MOONCAKE = "https://raw.githubusercontent.com/kvcache-ai/Mooncake/main/FAST25-release/traces"
BAILIAN = "https://media.githubusercontent.com/media/alibaba-edu/qwen-bailian-usagetraces-anon/main"
BURSTGPT = "https://github.com/HPMLL/BurstGPT/releases/download/v1.1"

SPLITWISE = "Patel et al., Splitwise, ISCA 2024"
DYNAMO_LLM = "Stojkovic et al., DynamoLLM, arXiv:2408.00741"
FAST_25 = "Qin et al., Mooncake, FAST 2025"
ATC_25 = "Wang et al., KVCache Cache in the Wild, ATC 2025"


# Hashes: of files that were compared with the published ones in size and content (Azure 2023, Mooncake conversation
# and synthetic); from the Git LFS pointers in the publishers' repositories (BurstGPT, Qwen-Bailian thinking and
# coder); else as several users of the file have independently recorded them (Azure 2024, Mooncake toolagent) or one
# has (Qwen-Bailian A and B). All 2026-11-22.
TRACES = {
    trace.id: trace
    for trace in (
        NamedTrace(
            "azure2023-conv",
            "traces/azure2023/AzureLLMInferenceTrace_conv.csv",
            f"{AZURE_2023}/AzureLLMInferenceTrace_conv.csv",
            "azure",
            "CC-BY-4.0",
            SPLITWISE,
            "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
            719_188,
        ),
        NamedTrace(
            "azure2023-code",
            "traces/azure2023/AzureLLMInferenceTrace_code.csv",
            f"{AZURE_2023}/AzureLLMInferenceTrace_code.csv",
            "azure",
            "CC-BY-4.0",
            SPLITWISE,
            "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6",
            320_117,
        ),
        NamedTrace(
            "azure2024-conv",
            "traces/azure2024/AzureLLMInferenceTrace_conv_1week.csv",
            f"{AZURE_2024}/AzureLLMInferenceTrace_conv_1week.csv",
            "azure",
            "CC-BY-4.0",
            DYNAMO_LLM,
            "a0cc9b969a9bbf0fd811802cbf4323edd3a209ace791e3799ad4f9207f213941",
            None,
        ),
        NamedTrace(
            "azure2024-code",
            "traces/azure2024/AzureLLMInferenceTrace_code_1week.csv",
            f"{AZURE_2024}/AzureLLMInferenceTrace_code_1week.csv",
            "azure",
            "CC-BY-4.0",
            DYNAMO_LLM,
            "71de5c55cbc35f8f1ed0b6b7806b4cd1e9764b0058469725a6aac98023a1448f",
            691_989_454,
        ),
        NamedTrace(
            "mooncake-conversation",
            "traces/mooncake/conversation_trace.jsonl",
            f"{MOONCAKE}/conversation_trace.jsonl",
            "mooncake",
            "Apache-2.0",
            FAST_25,
            "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
            3_029_533,
        ),
        NamedTrace(
            "mooncake-synthetic",
            "traces/mooncake/synthetic_trace.jsonl",
            f"{MOONCAKE}/synthetic_trace.jsonl",
            "mooncake",
            "Apache-2.0",
            FAST_25,
            "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131",
            1_136_313,
        ),
        NamedTrace(
            "mooncake-toolagent",
            "traces/mooncake/toolagent_trace.jsonl",
            f"{MOONCAKE}/toolagent_trace.jsonl",
            "mooncake",
            "Apache-2.0",
            FAST_25,
            "48a2db1a13d3bc05e6330140c64f604ba366df20d3c9e128b5c35a01c1fa5f71",
            None,
        ),
        NamedTrace(
            "burstgpt",
            "traces/burstgpt/BurstGPT_1.csv",
            f"{BURSTGPT}/BurstGPT_1.csv",
            "burstgpt",
            "CC-BY-4.0",
            "Wang et al., BurstGPT, arXiv:2401.17644",
            "4bb3783693d0a435686fbfc885615d2349bd067239079fa4b749f2e679e12122",
            52_283_111,
        ),
        NamedTrace(
            "qwen-bailian-a",
            "traces/qwen-bailian/qwen_traceA_blksz_16.jsonl",
            f"{BAILIAN}/qwen_traceA_blksz_16.jsonl",
            "qwen-bailian",
            "Apache-2.0",
            ATC_25,
            "07cedc9ed8aff301994ac68ed4aede8123b7603673575eeba9dd677de663db17",
            None,
        ),
        NamedTrace(
            "qwen-bailian-b",
            "traces/qwen-bailian/qwen_traceB_blksz_16.jsonl",
            f"{BAILIAN}/qwen_traceB_blksz_16.jsonl",
            "qwen-bailian",
            "Apache-2.0",
            ATC_25,
            "68e3f98e2d601d60d0abf4b89bc8a3654372abab7b1cde6373a13d0054379d59",
            None,
        ),
        NamedTrace(
            "qwen-bailian-thinking",
            "traces/qwen-bailian/qwen_thinking_blksz_16.jsonl",
            f"{BAILIAN}/qwen_thinking_blksz_16.jsonl",
            "qwen-bailian",
            "Apache-2.0",
            ATC_25,
            "41ac36d9d1b54d084eeb6b05e9d142ba9d02f8bf79cfc9fff418d8ab7cdee906",
            27_901_454,
        ),
        NamedTrace(
            "qwen-bailian-coder",
            "traces/qwen-bailian/qwen_coder_blksz_16.jsonl",
            f"{BAILIAN}/qwen_coder_blksz_16.jsonl",
            "qwen-bailian",
            "Apache-2.0",
            ATC_25,
            "3d74974cebb7bccb69b1ca6ea210a44d9a3033443c0271ed015327284dea1aff",
            132_054_902,
        ),
        NamedTrace(
            "servegen-deepseek-r1",
            "traces/servegen/ServeGen-main.tar.gz",
            "https://github.com/alibaba/ServeGen/archive/refs/heads/main.tar.gz",
            "servegen",
            "Apache-2.0",
            "Xiang et al., ServeGen, arXiv:2505.09999",
            None,
            None,
            ("traces/servegen/servegen_deepseek-r1_f891d118.tar.gz",),
        ),
    )
}


def find(trace_id: str) -> NamedTrace:
    """Return a named trace of requests; InputError if there is none of that name."""
    return _find(trace_id, TRACES)


def find_spot(trace_id: str) -> NamedTrace:
    """Return a named trace of a spot market; InputError if there is none of that name."""
    return _find(trace_id, SPOT_TRACES)


def find_any(trace_id: str) -> NamedTrace:
    """Return a named trace of either kind; InputError if there is none of that name."""
    return _find(trace_id, TRACES | SPOT_TRACES)


def _find(trace_id: str, known: Mapping[str, NamedTrace]) -> NamedTrace:
    if trace_id not in known:
        raise InputError(f"trace: found {trace_id!r}, expected one of {', '.join(known)}")
    return known[trace_id]


def locate(trace_id: str) -> Path:
    """Return where a named trace lies: in the folder $TRILEMMA_DATA, else in the cache.

    Raises:
        InputError: No such name, or the trace is in neither place.
    """
    trace = find_any(trace_id)
    folders = [Path(os.environ["TRILEMMA_DATA"])] if os.environ.get("TRILEMMA_DATA") else []
    for folder in (*folders, cache_dir()):
        for path in (trace.path, *trace.also):
            for candidate in (folder / path, folder / f"{path}.gz"):
                if candidate.is_file():
                    return candidate
    raise InputError(
        f"trace {trace_id} is not on this machine: run `trilemma data get {trace_id}`, "
        f"or set TRILEMMA_DATA to a folder that has {trace.path}"
    )
