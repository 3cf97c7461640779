"""Claims on prompts of different lengths."""

from collections.abc import Mapping

from sim.audit.claim import Span, Words
from sim.audit.claims._light import R1
from sim.audit.claims._padding import percent
from sim.audit.claims.readings import context, less_than, other, own, saturated, within
from sim.audit.evidence import Curve, Evidence, Figure
from sim.audit.influence import Answerer
from sim.audit.lab import Lab, value
from sim.stats import Interval
from sim.study.evaluation import Evaluation

_CLIENTS = 64
_NOTICED = 5.0
"""Per cent: a smaller loss would not be called one."""
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
_SHORT, _LONG = 576.0, 1536.0
"""Mean prompts of the two classes, U(128, 1024) and U(1024, 2048)."""


def c10(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """Tokens a second with prompts of all lengths against prompts of their mean."""
    varied, equal = (f"workload.lengths.input.range_ratio={spread}" for spread in (x["spread"], 0))
    clients = x["clients"]
    noticed = Span(low=_NOTICED)
    batch = f"engine.batching={{policy: static, batch_size: {round(x['size'])}}}"
    first = own(
        "vllm",
        "tokens/s that vLLM loses by it",
        "vLLM 因此损失的每秒 token 数",
        less_than(saturated(lab, clients, varied), saturated(lab, clients, equal), "total_token_throughput"),
        "%",
        noticed,
    )
    if lab.coarse:
        return Evidence((first,))
    full = (batch, "workload.lengths.output={kind: fixed, tokens: 1}")
    pads = saturated(lab, 2 * x["size"], varied, *full, rounds=20)
    return Evidence(
        (
            first,
            other(
                "padding",
                "padding among the prompt tokens that fixed batches compute",
                "固定批所计算的提示 token 中填充的比例",
                percent(value(pads, "padding_share")),
                "%",
                noticed,
            ),
            context(
                "padded",
                "tokens/s that fixed batches lose by it, answers included",
                "固定批（含回答）因此损失的每秒 token 数",
                less_than(
                    saturated(lab, clients, varied, batch),
                    saturated(lab, clients, equal, batch),
                    "total_token_throughput",
                ),
                "%",
            ),
        )
    )


def c11(lab: Lab, x: Mapping[str, float]) -> Evidence:
    """What a share of long prompts costs, in requests and in tokens a second."""
    claimed = within(35)
    answers, alone = x["answer"], 1.0
    first = own(
        "requests",
        "requests/s that vLLM loses with that share of long prompts",
        "长提示占该比例时 vLLM 损失的每秒请求数",
        _loss(lab, x["long"], answers),
        "%",
        claimed,
    )
    if lab.coarse:
        return Evidence((first,))
    prefill = [_loss(lab, share, alone).mean or 0.0 for share in _SHARES]
    return Evidence(
        (
            first,
            other(
                "prefill",
                "the same where answers cost nothing (one token)",
                "回答几乎不占开销（1 个 token）时的同一损失",
                _loss(lab, x["long"], alone),
                "%",
                claimed,
            ),
            other(
                "tokens",
                "tokens/s that vLLM loses, answers of one token",
                "1 个 token 回答时 vLLM 损失的每秒 token 数",
                _loss(lab, x["long"], alone, "total_token_throughput"),
                "%",
                claimed,
            ),
            context(
                "conserved",
                "requests/s lost if prompt tokens/s stay what they are",
                "每秒提示 token 数不变时损失的每秒请求数",
                conserved(x["long"]),
                "%",
            ),
            context(
                "before",
                "requests/s lost at five points less of long prompts, one token",
                "长提示少五个百分点时损失的每秒请求数（1 个 token）",
                _loss(lab, x["long"] - 0.05, alone),
                "%",
            ),
            context(
                "padded",
                "requests/s that fixed batches of 32 lose with one long prompt in twenty, one token",
                "固定批 32 在二十分之一为长提示时损失的每秒请求数（1 个 token）",
                _loss(lab, 0.05, alone, variant="padded"),
                "%",
            ),
            context(
                "r1",
                "requests/s that DeepSeek-R1 on eight H200s loses, one token",
                "DeepSeek-R1（八张 H200）损失的每秒请求数（1 个 token）",
                less_than(
                    _mixed(lab, x["long"], alone, None, R1), _mixed(lab, 0.0, alone, None, R1), "request_throughput"
                ),
                "%",
            ),
        ),
        Figure(
            Words(en="Requests a second lost to long prompts", zh="长提示造成的每秒请求数损失"),
            Words(en="share of long prompts", zh="长提示比例"),
            Words(en="requests/s lost, %", zh="损失的每秒请求数, %"),
            (
                Curve(Words(en="vLLM, one-token answers", zh="vLLM，1 个 token 回答"), _SHARES, prefill),
                Curve(
                    Words(en="fixed batches of 32, the same", zh="固定批 32，同上"),
                    _SHARES,
                    [_loss(lab, share, alone, variant="padded").mean or 0.0 for share in _SHARES],
                ),
                Curve(Words(en="work is conserved", zh="功守恒"), _SHARES, [conserved(share) for share in _SHARES]),
            ),
        ),
    )


def conserved(long: float) -> float:
    """Per cent of the requests a second that go if as many prompt tokens a second are computed as before."""
    return 100 * (1 - _SHORT / ((1 - long) * _SHORT + long * _LONG))


def _loss(
    lab: Lab, long: float, answer: float, key: str = "request_throughput", *, variant: str | None = None
) -> Interval:
    """Per cent of `key` that is lost against short prompts alone."""
    return less_than(_mixed(lab, long, answer, variant), _mixed(lab, 0.0, answer, variant), key)


def _mixed(lab: Lab, long: float, answer: float, variant: str | None, model: tuple[str, ...] = ()) -> Evaluation:
    """Short prompts and a share of long ones, always busy, with answers of so many tokens on average."""
    mean = max(round(answer), 1)
    output = f"{{kind: lognormal, mean_tokens: {mean}, std_tokens: {mean / 2}, max_tokens: {4 * mean}}}"
    if mean == 1:
        output = "{kind: fixed, tokens: 1}"
    return lab.evaluate(
        "length-mix",
        f"workload.classes.0.share={1 - long}",
        f"workload.classes.1.share={max(long, 1e-6)}",
        f"workload.lengths.output={output}",
        f"workload.classes.1.lengths.output={output}",
        *model,
        variant=variant,
    )


ANSWERS: Mapping[str, Answerer] = {"C10": c10, "C11": c11}
