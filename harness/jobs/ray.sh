#!/bin/bash
# A campaign as a Ray job on one GPU of a running cluster; if the job or the cluster dies, it goes on where it stopped.
#
#   RAY_API_SERVER_ADDRESS=http://head:8265 PLAN=h100-first OUT=/shared/campaigns/h100-first bash ray.sh
#
# OUT must be on storage that all nodes of the cluster share. Ray runs a job once: submitting it again is up to us.
set -euo pipefail

PLAN=${PLAN:-h100-first}
OUT=${OUT:-/shared/campaigns/$PLAN}
ATTEMPTS=${ATTEMPTS:-5}

for ((attempt = 1; attempt <= ATTEMPTS; attempt++)); do
    # Streams the output; the exit code is 0 if the job succeeded, else 1.
    if ray job submit \
        --submission-id "trilemma-$PLAN-$(date +%s)" \
        --entrypoint-num-gpus 1 \
        --entrypoint-num-cpus 8 \
        --runtime-env-json '{"pip": ["trilemma[harness]", "vllm==0.32.0"]}' \
        -- trilemma campaign "$PLAN" --out "$OUT"; then
        exit 0
    fi
    echo "attempt $attempt of $ATTEMPTS ended early" >&2
    sleep 30
done
exit 1
