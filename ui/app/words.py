"""What the numbers mean, for tooltips; and texts of users made harmless."""

import re

WORDS = {
    "goodput_share": (
        "Share of all requests that keep every limit of the SLO; rejected, lost and timed-out ones count as bad. "
        "`request_goodput / offered rate`, the goodput of `vllm bench serve --goodput`."
    ),
    "ttft": (
        "Time to first token: from sending a request to the first token of its answer, queueing included. "
        "vLLM: `vllm:time_to_first_token_seconds`."
    ),
    "tpot": (
        "Time per output token, without the first: (end-to-end latency - TTFT) / (output tokens - 1), as vLLM bench "
        "has it. guidellm's TPOT includes the first token. vLLM: `vllm:request_time_per_output_token_seconds`."
    ),
    "usd_per_hour": (
        "What the fleet's GPUs cost an hour: the leases of the run at the catalogue's median list price for this GPU "
        "and market, or at the scenario's own price."
    ),
    "usd_per_1k_good": "USD an hour over the rate of requests that keep the SLO, for 1,000 of them.",
    "usd_per_1m_output": "USD an hour over the rate of output tokens, for a million of them.",
    "interval": (
        "± is half of the 95 % interval of the mean over replications (Student's t), with what the calibration of the "
        "step times leaves open. No ± : one replication, so nothing is known of its chance."
    ),
    "spark": "The small line: the same over the numbers of replicas that are drawn below.",
    "slo": (
        "Service-level objective: limits in ms that a request must keep to count as good, and the percentage of "
        "requests that must. Met: the whole interval of the good share lies at or above it. Undecided: the interval "
        "contains it."
    ),
    "performance": (
        "Interactivity: output tokens a second that one user sees, 1000 / mean TPOT in ms, as InferenceMAX has it; of "
        "designs that meet the SLO. Score: over the best design's."
    ),
    "cost": (
        "USD for 1,000 requests within the SLO at the scenario's traffic. Score: the cheapest feasible design's over "
        "this one's."
    ),
    "flexibility": (
        "Share of goodput kept without a human edit, mean over a declared set of stresses: goodput share under stress "
        "over the share without, clipped to 0..1. Score: over the best design's."
    ),
    "step_time": (
        "Where step times come from. Roofline only: physics with public efficiencies, nothing measured on your "
        "engine. Calibrated: fitted to measurements. Outside hull: this design is not like those measured."
    ),
    "hash": "SHA-256 of the resolved scenario: two scenarios of one hash give the same numbers to the last digit.",
    "replication": (
        "One simulated run of the traffic. Each has arrivals, lengths and failures of its own, drawn from the seed and "
        "its number, and any can be simulated again alone."
    ),
    "kv_cache_usage": (
        "Share of the KV blocks of the replicas that serve which are in use, mean over the run. "
        "vLLM: `vllm:kv_cache_usage_perc`."
    ),
    "spot": (
        "Share of replicas on spot nodes. The bar's spot nodes are taken back as often as AWS's most interrupted types "
        "(above 20 % a month); a scenario may say otherwise."
    ),
    "near_optimal": (
        "Asked in the headline: is one design within this percentage of the best in performance, cost and flexibility "
        "at once? Designs that meet the SLO at a cost within it of the cheapest one's are near-optimal; dearer ones "
        "are pale."
    ),
    "second_model": (
        "With which the same fleet is restarted, as the last stress. It keeps nothing where that model does not fit."
    ),
    "gap": (
        "Of performance, cost and flexibility, the one in which the design is farthest from the study's best design; "
        "the replications are resampled for the interval."
    ),
    "recovery": (
        "Minutes from losing a node, a spot reclaim or the restart on the second model until goodput is as it was; the "
        "longest of the stresses that apply. Not seen: not while the traffic lasted."
    ),
    "request_goodput": "Requests a second that keep every limit of the SLO. `request_goodput` of vllm bench serve.",
    "output_throughput": "Output tokens of answered requests a second, of all users. vLLM bench: `output_throughput`.",
    "paired": (
        "Differences are taken replication by replication: designs of one workload and seed serve the same requests, "
        "so chance cancels. No real difference: the 95 % interval of the mean difference contains 0."
    ),
    "calibration": (
        "Efficiencies of the physics fitted to measurements of one engine, with how wrong they are. The scenario's "
        "own, if it names one; any other is only looked at."
    ),
    "mape": (
        "Mean absolute error of predictions of what the fit had not seen, as a share of what was measured: {points} "
        "points, held out together by {held_out}, where the error is largest. Bias: the mean error with its sign."
    ),
    "held_out_metric": "Which of the held-out numbers: latencies as `vllm bench serve` has them, or engine steps.",
    "held_out": (
        "What was left out of the fit together and then predicted: all points of one concurrency, of one "
        "tensor_parallel_size, of one GPU, ...; priors: everything, so nothing was fitted at all."
    ),
    "claim": "A claim of the article on the impossible triangle, numbered in the article's order.",
    "audit_language": "Of the claims and what is said of them.",
    "claimed": "The number as the article writes it. 'About' is taken as within 10 %.",
    "audit_ours": "What was measured under the article's own reading, with its 95 % interval over replications; "
    "numbers of arithmetic have none.",
    "drill": (
        "A failure at a known time, a third into the traffic, beside the scenario's own. Nobody touches the fleet: "
        "what is mended is mended by the scenario's recovery and clients. All drills serve the same requests."
    ),
    "spot_map": (
        "25 simulations: goodput and cost over the share of replicas on spot nodes and how long such nodes live on "
        "average until they are taken back."
    ),
    "goodput_kept": (
        "Share of requests within the SLO under the drill over the share without it, in each replication, at most "
        "100 %."
    ),
    "recovery_drill": (
        "Minutes from the first failure until requests fare as well as before: at least 95 % of the share of good "
        "ones, held for a minute. Of several incidents the longest. It steps by the width of the bins. Did not "
        "recover: not while the traffic lasted, in some replication."
    ),
    "lost_requests": "Requests a replication whose last try died with its replica, or for which none was ready (503).",
    "shed_requests": "Requests a replication whose last try admission turned away or dropped from the queue (503).",
    "timed_out_requests": "Requests a replication whose client gave up waiting for the last try (clients.timeout_s).",
    "retried_requests": "Requests a replication with more than one try, hedges included.",
    "availability": (
        "Share of requests that were answered at all, however late, of those that ended; a request too long for the "
        "model counts neither way."
    ),
    "error_budget": (
        "Share of requests without an answer over the share that slo.availability leaves: above 100 % it is spent."
    ),
    "feasible": "The SLO is met: the whole interval of the good share lies at or above what it asks for.",
}
"""Definitions by the name of a number; the same as in DESIGN.md."""

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """Text of a user, or with such in it, for Streamlit's Markdown: shown as it is, no link, image or HTML in it."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
