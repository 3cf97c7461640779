#!/bin/sh
# scripts/venv.sh DIR: make a virtual environment with Python 3.11 or newer ($PYTHON, by default the first that fits).
set -eu

for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$python has no venv module: install it (Debian and Ubuntu: apt-get install python3-venv)." >&2
            exit 1
        fi
        rm -rf "$1"
        exec "$python" -m venv "$1"
    fi
done
found=$("${PYTHON:-python3}" --version 2>/dev/null) || found=none
echo "Python 3.11 or newer is needed, found $found: install one, or name it as in make PYTHON=/path/to/python3." >&2
exit 1
